package groupcoord

import (
	"cmp"
	"slices"

	"minikafka/metadata"
)

// Uniform gives all members equally many partitions, and moves as few as that takes. Where members have
// different subscriptions, see uniform_mixed.go. What a member gives up, and what it gets, is spread over
// the topics, so that no member has all of a busy one.
type Uniform struct{}

// Name is "uniform".
func (Uniform) Name() string { return "uniform" }

// Assign is Assignor.Assign.
func (Uniform) Assign(spec *AssignSpec) []Assignment {
	if len(spec.Members) == 0 {
		return nil
	}
	u := newUniform(spec)
	if spec.Homogeneous {
		u.keepShares()
		u.deal()
	} else {
		u.keepAll()
		u.fill()
		u.balance()
	}
	return u.assignments()
}

// spot is a partition that somebody has: the index of its topic, its number, and in the last bit whether
// it is new to who has it. Ascending spots are ascending topic ids.
type spot uint64

func spotOf(topic int, partition int32) spot { return spot(topic)<<32 | spot(partition)<<1 }
func (s spot) topic() int                    { return int(s >> 32) }
func (s spot) partition() int32              { return int32(uint32(s) >> 1) }
func (s spot) isNew() bool                   { return s&1 != 0 }
func (s spot) asNew() spot                   { return s | 1 }

// uniform is an assignment in the making.
type uniform struct {
	members []AssignMember
	alike   bool            // they have one subscription
	ids     []metadata.UUID // of the subscribed topics, ascending
	index   map[metadata.UUID]int
	taken   [][]bool // by topic and partition: a member has it
	held    [][]spot // by member: what it has so far
	same    []bool   // by member: what it has is its target
}

func newUniform(spec *AssignSpec) *uniform {
	u := &uniform{
		members: spec.Members, alike: spec.Homogeneous, index: map[metadata.UUID]int{},
		held: make([][]spot, len(spec.Members)), same: make([]bool, len(spec.Members)),
	}
	if spec.Homogeneous {
		u.ids = spec.Members[0].Subscribed
	} else {
		for i := range spec.Members {
			for _, id := range spec.Members[i].Subscribed {
				if _, ok := u.index[id]; !ok {
					u.index[id] = 0
					u.ids = append(u.ids, id)
				}
			}
		}
		slices.SortFunc(u.ids, func(a, b metadata.UUID) int { return slices.Compare(a[:], b[:]) })
	}
	u.taken = make([][]bool, len(u.ids))
	for t, id := range u.ids {
		info, _ := spec.Topics.ByID(id)
		u.index[id], u.taken[t] = t, make([]bool, info.Partitions)
	}
	return u
}

// owned is what is left of a member's target: what exists, is subscribed, and is nobody else's. all says
// that it is the whole target.
func (u *uniform) owned(m *AssignMember) (owned []spot, all bool) {
	n := 0
	for _, partitions := range m.Target {
		n += len(partitions)
	}
	owned = make([]spot, 0, n)
	for id, partitions := range m.Target {
		t, ok := u.index[id]
		if !ok || !u.alike && !subscribes(m, id) {
			continue
		}
		for _, p := range partitions {
			if p >= 0 && int(p) < len(u.taken[t]) && !u.taken[t][p] {
				owned = append(owned, spotOf(t, p))
			}
		}
	}
	return owned, len(owned) == n
}

func subscribes(m *AssignMember, id metadata.UUID) bool {
	_, found := slices.BinarySearchFunc(m.Subscribed, id, func(a, b metadata.UUID) int { return slices.Compare(a[:], b[:]) })
	return found
}

func (u *uniform) keep(member int, spots []spot) {
	u.held[member] = spots
	for _, s := range spots {
		u.taken[s.topic()][s.partition()] = true
	}
}

// keepShares lets each member keep what it has, up to its share.
func (u *uniform) keepShares() {
	share, extra := u.shares()
	for i := range u.members {
		owned, all := u.owned(&u.members[i])
		most := share
		if extra > 0 && len(owned) > share {
			extra--
			most++
		}
		if len(owned) > most {
			owned, all = spread(owned)[:most], false
		}
		u.keep(i, owned)
		u.same[i] = all
	}
}

// shares is how many partitions each member gets, and how many members get one more.
func (u *uniform) shares() (share, extra int) {
	total := 0
	for _, partitions := range u.taken {
		total += len(partitions)
	}
	return total / len(u.members), total % len(u.members)
}

// spread orders spots so that each beginning of the list has about the same part of each topic.
func spread(spots []spot) []spot {
	slices.Sort(spots)
	type place struct {
		spot     spot
		rank, of int // the rank-th of so many of its topic
	}
	places := make([]place, 0, len(spots))
	for from := 0; from < len(spots); {
		to := from + 1
		for to < len(spots) && spots[to].topic() == spots[from].topic() {
			to++
		}
		for i := from; i < to; i++ {
			places = append(places, place{spots[i], i - from, to - from})
		}
		from = to
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare((2*a.rank+1)*b.of, (2*b.rank+1)*a.of) })
	for i := range places {
		spots[i] = places[i].spot
	}
	return spots
}

// deal hands out what nobody has to the members that have less than their share, one each in turn.
func (u *uniform) deal() {
	share, extra := u.shares()
	for i := range u.held {
		if len(u.held[i]) > share {
			extra--
		}
	}
	type hand struct{ member, room int }
	var hands []hand
	for i := range u.held {
		room := share - len(u.held[i])
		if extra > 0 && room >= 0 {
			extra--
			room++
		}
		if room > 0 {
			hands = append(hands, hand{i, room})
		}
	}
	turn := 0
	for t, partitions := range u.taken {
		for p, taken := range partitions {
			if taken {
				continue
			}
			h := &hands[turn]
			u.held[h.member] = append(u.held[h.member], spotOf(t, int32(p)).asNew())
			u.same[h.member] = false
			if h.room--; h.room > 0 {
				turn++
			} else {
				hands = slices.Delete(hands, turn, turn+1)
			}
			if turn >= len(hands) {
				turn = 0
			}
		}
	}
}

// assignments are what the members have, as the caller wants it.
func (u *uniform) assignments() []Assignment {
	out := make([]Assignment, len(u.members))
	for i := range u.members {
		if target := u.members[i].Target; u.same[i] && target != nil {
			out[i] = target
			continue
		}
		spots := u.held[i]
		slices.Sort(spots)
		a, partitions := Assignment{}, make([]int32, len(spots))
		for from := 0; from < len(spots); {
			to := from
			for ; to < len(spots) && spots[to].topic() == spots[from].topic(); to++ {
				partitions[to] = spots[to].partition()
			}
			a[u.ids[spots[from].topic()]] = partitions[from:to:to]
			from = to
		}
		out[i] = a
	}
	return out
}
