package groupcoord

import (
	"container/heap"
	"slices"
)

// Uniform assignment where members have different subscriptions. It is balanced when no chain of moves
// (a partition from u to v, perhaps one of another topic from v to w …) takes from a member with n
// partitions and gives to one with n-2 or fewer: then the loads are as equal as the subscriptions allow.
// Each chain is one that takes the fewest partitions from members that had them before.

// keepAll lets each member keep what it has.
func (u *uniform) keepAll() {
	for i := range u.members {
		owned, all := u.owned(&u.members[i])
		slices.Sort(owned)
		u.keep(i, owned)
		u.same[i] = all
	}
}

// subscribers are the members of each topic.
func (u *uniform) subscribers() [][]int {
	subscribers := make([][]int, len(u.ids))
	for i := range u.members {
		for _, id := range u.members[i].Subscribed {
			t := u.index[id]
			subscribers[t] = append(subscribers[t], i)
		}
	}
	return subscribers
}

// byLoad is a heap of members: who has least is first.
type byLoad struct {
	u       *uniform
	members []int
}

func (h *byLoad) Len() int { return len(h.members) }
func (h *byLoad) Less(i, j int) bool {
	a, b := h.members[i], h.members[j]
	if x, y := len(h.u.held[a]), len(h.u.held[b]); x != y {
		return x < y
	}
	return a < b
}
func (h *byLoad) Swap(i, j int) { h.members[i], h.members[j] = h.members[j], h.members[i] }
func (h *byLoad) Push(any)      {}
func (h *byLoad) Pop() any      { return nil }

// fill gives each partition that nobody has to the subscriber that has least, topics with few
// subscribers first: they have the least choice.
func (u *uniform) fill() {
	subscribers := u.subscribers()
	order := make([]int, len(u.ids))
	for t := range order {
		order[t] = t
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(subscribers[a]) - len(subscribers[b]) })
	for _, t := range order {
		if !slices.Contains(u.taken[t], false) {
			continue
		}
		h := &byLoad{u, slices.Clone(subscribers[t])}
		heap.Init(h)
		for p, taken := range u.taken[t] {
			if !taken {
				u.give(h.members[0], spotOf(t, int32(p)).asNew())
				heap.Fix(h, 0)
			}
		}
	}
}

func (u *uniform) give(member int, s spot) {
	at, _ := slices.BinarySearch(u.held[member], s)
	u.held[member] = slices.Insert(u.held[member], at, s)
	u.same[member] = false
}

// balance moves partitions along chains until there is none that helps.
func (u *uniform) balance() {
	c := &chains{u: u, subscribers: u.subscribers(), done: make([]bool, len(u.members))}
	c.reset()
	for {
		most := -1
		for i := range u.held {
			if !c.done[i] {
				most = max(most, len(u.held[i]))
			}
		}
		if most < 0 {
			return
		}
		if end := c.search(most); end >= 0 {
			c.move(end)
			continue
		}
		for i := range c.cost { // what a member at the top can give to is as full as it may be
			if i < len(u.members) && c.cost[i] >= 0 {
				c.done[i] = true
			}
		}
	}
}

// chains looks for the cheapest chain of moves. Its nodes are the members, then the topics: a member leads
// to the topics that it has partitions of, a topic to its subscribers.
type chains struct {
	u           *uniform
	subscribers [][]int
	done        []bool // by member: no chain from it helps
	cost        []int  // by node: partitions taken from who had them before; -1: not reached
	from        []int  // by node: the node before; -1: none
	seen        []bool // by node: looked at
}

func (c *chains) reset() {
	n := len(c.u.members) + len(c.u.ids)
	c.cost, c.from, c.seen = make([]int, n), make([]int, n), make([]bool, n)
}

// search finds the end of a chain from a member with most partitions to one with at least two fewer; -1:
// there is none, and all that could be reached is marked by its cost.
func (c *chains) search(most int) int {
	clear(c.seen)
	now, next := []int{}, []int{} // nodes at the present cost, and at one more
	for n := range c.cost {
		c.cost[n], c.from[n] = -1, -1
		if n < len(c.u.members) && !c.done[n] && len(c.u.held[n]) == most {
			c.cost[n] = 0
			now = append(now, n)
		}
	}
	best := -1
	for cost := 0; len(now) > 0; cost++ {
		for len(now) > 0 {
			n := now[0]
			now = now[1:]
			if c.seen[n] || c.cost[n] != cost {
				continue
			}
			c.seen[n] = true
			if n < len(c.u.members) {
				if load := len(c.u.held[n]); load <= most-2 && (best < 0 || load < len(c.u.held[best])) {
					best = n
				}
				now, next = c.leave(n, now, next)
			} else {
				now = c.arrive(n, now)
			}
		}
		if best >= 0 {
			return best
		}
		now, next = next, nil
	}
	return -1
}

// leave adds the topics of a member.
func (c *chains) leave(member int, now, next []int) (_, _ []int) {
	spots := c.u.held[member]
	for from := 0; from < len(spots); {
		to, price := from, 1
		for ; to < len(spots) && spots[to].topic() == spots[from].topic(); to++ {
			if spots[to].isNew() {
				price = 0
			}
		}
		node := len(c.u.members) + spots[from].topic()
		if cost := c.cost[member] + price; c.cost[node] < 0 || cost < c.cost[node] {
			c.cost[node], c.from[node] = cost, member
			if price == 0 {
				now = append(now, node)
			} else {
				next = append(next, node)
			}
		}
		from = to
	}
	return now, next
}

// arrive adds the subscribers of a topic.
func (c *chains) arrive(node int, now []int) []int {
	for _, member := range c.subscribers[node-len(c.u.members)] {
		if !c.done[member] && (c.cost[member] < 0 || c.cost[node] < c.cost[member]) {
			c.cost[member], c.from[member] = c.cost[node], node
			now = append(now, member)
		}
	}
	return now
}

// move moves one partition along each link of the chain that ends at a member.
func (c *chains) move(end int) {
	for c.from[end] >= 0 {
		topic := c.from[end]
		giver := c.from[topic]
		c.u.pass(giver, end, topic-len(c.u.members))
		end = giver
	}
}

// pass moves a partition of a topic: best one that the taker had before, else one that the giver had not.
func (u *uniform) pass(giver, taker, topic int) {
	from, _ := slices.BinarySearch(u.held[giver], spotOf(topic, 0))
	choice, rank := -1, -1
	for i := from; i < len(u.held[giver]) && u.held[giver][i].topic() == topic; i++ {
		r := 0
		switch s := u.held[giver][i]; {
		case u.had(taker, s):
			r = 2
		case s.isNew():
			r = 1
		}
		if r >= rank {
			choice, rank = i, r
		}
	}
	s := spotOf(topic, u.held[giver][choice].partition())
	if rank < 2 {
		s = s.asNew()
	}
	u.held[giver] = slices.Delete(u.held[giver], choice, choice+1)
	u.same[giver] = false
	u.give(taker, s)
}

// had says whether a partition is in the member's target.
func (u *uniform) had(member int, s spot) bool {
	_, found := slices.BinarySearch(u.members[member].Target[u.ids[s.topic()]], s.partition())
	return found
}
