package groupcoord

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// subscribed is what a heartbeat made of its member.
type subscribed struct {
	old, next           *consumerMember // old: as it was before the request
	subscriptionChanged bool
}

// subscribe takes in what the request says of its member, and starts a new epoch of the group if that, or a
// topic, asks for another assignment.
func (m *Machine) subscribe(g *consumerGroup, b *beat) subscribed {
	if b.member == "" {
		b.member = m.settings.NewMemberID()
	}
	old := m.beatingMember(g, b)
	next := *old
	next.take(b)
	preferred := m.preferredAssignor(g).Name()
	isNew := g.members[old.id] == nil
	if isNew {
		m.consumerEvent(g, "member joins", "member", old.id)
	}
	if isNew || !next.sameMetadata(old) {
		m.saveMember(g, &next)
	}
	namesChanged := !slices.Equal(old.topics, next.topics)
	regexChanged := !equalString(old.regex, next.regex)
	resolved := m.resolveRegexes(g, old, &next, b)
	bump := namesChanged || resolved || preferred != m.preferredAssignor(g).Name()
	if bump || g.checkedVersion != b.view.Version() {
		hash := metadataHash(g.topicNames(), b.view)
		if g.checkedVersion = b.view.Version(); bump || hash != g.hash {
			m.saveEpoch(g, g.epoch+1, hash)
		}
	}
	return subscribed{old, &next, namesChanged || regexChanged}
}

// beatingMember is the member before the request. A static one that comes back takes its predecessor's place.
func (m *Machine) beatingMember(g *consumerGroup, b *beat) *consumerMember {
	if b.instance == nil || !b.creates {
		return g.version(b.member)
	}
	old := g.members[g.static[*b.instance]]
	if old == nil {
		return g.version(b.member)
	}
	next := *old
	next.id, next.epoch, next.previousEpoch, next.timers = b.member, epochJoining, epochJoining, &memberTimers{}
	target := g.target[old.id]
	m.dropMember(g, old.id)
	m.saveMember(g, &next)
	m.saveTarget(g, next.id, target)
	m.saveCurrent(g, &next)
	m.consumerEvent(g, "static member replaced", "member", next.id, "replaced", old.id)
	return &next
}

// take is what a request says of its member; what it leaves out stays.
func (c *consumerMember) take(b *beat) {
	if b.instance != nil {
		c.instance = b.instance
	}
	if b.rack != nil {
		c.rack = b.rack
	}
	if b.rebalanceMs != -1 {
		c.rebalanceTimeoutMs = b.rebalanceMs
	}
	if b.assignor != nil {
		c.assignor = b.assignor
	}
	if b.topics != nil {
		c.topics = slices.Compact(slices.Sorted(slices.Values(b.topics)))
	}
	if b.regex != nil {
		c.regex = b.regex
	}
	c.clientID, c.clientHost, c.classic = b.client.ID, b.client.Host, b.classic
}

// preferredAssignor is the one that most members ask for; of equals the one that stands first in the
// configuration.
func (m *Machine) preferredAssignor(g *consumerGroup) Assignor {
	list := m.settings.Consumer.Assignors
	best, votes := list[0], 0
	for _, a := range list {
		if n := g.byAssignor[a.Name()]; n > votes {
			best, votes = a, n
		}
	}
	return best
}

// metadataHash changes when a topic of these comes, goes, or gets more partitions. It is 0 without topics.
func metadataHash(names map[string]bool, view Topics) int64 {
	h := fnv.New64a()
	var b [8]byte
	some := false
	for _, name := range slices.Sorted(maps.Keys(names)) {
		t, ok := view.ByName(name)
		if !ok {
			continue
		}
		some = true
		binary.BigEndian.PutUint32(b[:], uint32(len(name)))
		binary.BigEndian.PutUint32(b[4:], uint32(t.Partitions))
		_, _ = h.Write(b[:])
		_, _ = h.Write([]byte(name))
		_, _ = h.Write(t.ID[:])
	}
	if !some {
		return 0
	}
	return int64(h.Sum64())
}

// assignIfDue makes a new target assignment if the group has changed since the last, unless that was less
// than the interval ago.
func (m *Machine) assignIfDue(g *consumerGroup, view Topics) {
	if g.assignmentEpoch >= g.epoch {
		return
	}
	interval := m.settings.Consumer.Config(g.id).AssignmentInterval
	if g.assignedAt != 0 && m.now.Before(time.UnixMilli(g.assignedAt).Add(interval)) {
		return
	}
	assignor := m.preferredAssignor(g)
	spec := g.spec(view)
	for i, a := range assignor.Assign(spec) {
		id := spec.Members[i].ID
		if old, known := g.target[id]; !known || !old.equal(a) {
			m.saveTarget(g, id, a)
		}
	}
	m.saveTargetEpoch(g, g.epoch, m.nowMs())
	m.consumerEvent(g, "partitions are assigned", "assignor", assignor.Name())
}

// spec is the group as an assignor sees it.
func (g *consumerGroup) spec(view Topics) *AssignSpec {
	spec := &AssignSpec{Topics: view, Homogeneous: true}
	known := map[string][]UUID{}
	for _, id := range g.memberIDs() {
		c := g.members[id]
		key := strings.Join(c.topics, "\x00") + "\x01" + c.pattern()
		topics, seen := known[key]
		if !seen {
			topics = g.subscribedIDs(c, view)
			known[key] = topics
		}
		member := AssignMember{ID: id, Subscribed: topics, Target: g.target[id]}
		if c.instance != nil {
			member.InstanceID = *c.instance
		}
		if c.rack != nil {
			member.Rack = *c.rack
		}
		spec.Members = append(spec.Members, member)
	}
	for i := range spec.Members {
		spec.Homogeneous = spec.Homogeneous && slices.Equal(spec.Members[i].Subscribed, spec.Members[0].Subscribed)
	}
	return spec
}

// subscribedIDs are the topics of a member that there are, ascending.
func (g *consumerGroup) subscribedIDs(c *consumerMember, view Topics) []UUID {
	ids := make([]UUID, 0, len(c.topics))
	for _, names := range [...][]string{c.topics, g.regexes[c.pattern()].topics} {
		for _, name := range names {
			if t, ok := view.ByName(name); ok {
				ids = append(ids, t.ID)
			}
		}
	}
	slices.SortFunc(ids, func(a, b UUID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// reconcile moves a member a step towards its target, and records where it is then.
func (m *Machine) reconcile(g *consumerGroup, c *consumerMember, subscriptionChanged bool, b *beat) *consumerMember {
	if !subscriptionChanged && c.settledAt(g.assignmentEpoch) {
		return c
	}
	next := g.step(c, subscriptionChanged, g.subscribedIDs(c, b.view), b.owned)
	if next.sameCurrent(c) {
		return c
	}
	m.saveCurrent(g, next)
	if next.classic != nil {
		return next // it has other deadlines
	}
	if next.state == memberUnrevoked {
		m.armRebalance(g, next)
	} else {
		next.timers.rebalance.at = time.Time{}
	}
	return next
}

// step is the next version of a member. A member that has to give partitions up stays at its epoch until it
// no longer reports them; what it gets is free of others.
func (g *consumerGroup) step(
	c *consumerMember, subscriptionChanged bool, subscribed []UUID, owned []kmsg.ConsumerGroupHeartbeatRequestTopic,
) *consumerMember {
	waits := c.state == memberStable && c.epoch == g.assignmentEpoch || c.state == memberUnrevoked && reports(owned, c.revoking)
	switch {
	case !waits:
		return g.towardsTarget(c, subscribed, owned)
	case subscriptionChanged:
		return c.withoutUnsubscribed(subscribed, owned)
	}
	return c
}

// reports says whether a member still has some of these partitions; a null report says that nothing changed.
func reports(owned []kmsg.ConsumerGroupHeartbeatRequestTopic, h holding) bool {
	if owned == nil {
		return true
	}
	for _, t := range owned {
		for _, p := range t.Partitions {
			if _, ok := h.epochOf(t.TopicID, p); ok {
				return true
			}
		}
	}
	return false
}

func isSubscribed(subscribed []UUID, topic UUID) bool {
	_, ok := slices.BinarySearchFunc(subscribed, topic, func(a, b UUID) int { return slices.Compare(a[:], b[:]) })
	return ok
}

// withoutUnsubscribed takes away at once what the member no longer subscribes.
func (c *consumerMember) withoutUnsubscribed(subscribed []UUID, owned []kmsg.ConsumerGroupHeartbeatRequestTopic) *consumerMember {
	next := *c
	next.assigned, next.revoking = holding{}, maps.Clone(c.revoking)
	if next.revoking == nil {
		next.revoking = holding{}
	}
	for topic, list := range c.assigned {
		if isSubscribed(subscribed, topic) {
			next.assigned[topic] = list
			continue
		}
		next.revoking[topic] = mergeHeld(next.revoking[topic], list)
	}
	if len(next.assigned) == len(c.assigned) {
		return c
	}
	next.previousEpoch = c.epoch
	if reports(owned, next.revoking) {
		next.state = memberUnrevoked
	} else {
		next.revoking = c.revoking
	}
	return &next
}

func mergeHeld(a, b []heldPartition) []heldPartition {
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, func(x, y heldPartition) int { return int(x.partition) - int(y.partition) })
	return slices.CompactFunc(all, func(x, y heldPartition) bool { return x.partition == y.partition })
}

// towardsTarget gives the member what is free of its target, if it has nothing to give up first.
func (g *consumerGroup) towardsTarget(
	c *consumerMember, subscribed []UUID, owned []kmsg.ConsumerGroupHeartbeatRequestTopic,
) *consumerMember {
	target := g.target[c.id]
	keep, revoke, unreleased := holding{}, holding{}, false
	for topic, list := range c.assigned {
		for _, p := range list {
			if _, wanted := slices.BinarySearch(target[topic], p.partition); wanted && isSubscribed(subscribed, topic) {
				keep[topic] = append(keep[topic], p)
			} else {
				revoke[topic] = append(revoke[topic], p)
			}
		}
	}
	next := *c
	next.previousEpoch = c.epoch
	if len(revoke) > 0 && reports(owned, revoke) {
		next.state, next.assigned, next.revoking = memberUnrevoked, keep, revoke
		return &next
	}
	for topic, list := range target {
		if !isSubscribed(subscribed, topic) {
			continue
		}
		var free []heldPartition
		for _, p := range list {
			if _, have := keep.epochOf(topic, p); have {
				continue
			}
			if owner := g.owners[topic][p]; owner != "" && owner != c.id {
				unreleased = true
				continue
			}
			free = append(free, heldPartition{p, g.assignmentEpoch})
		}
		if len(free) > 0 {
			keep[topic] = mergeHeld(keep[topic], free)
		}
	}
	next.state, next.epoch, next.assigned, next.revoking = memberStable, g.assignmentEpoch, keep, nil
	if unreleased {
		next.state = memberUnreleased
	}
	return &next
}
