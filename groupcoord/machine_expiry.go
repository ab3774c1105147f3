package groupcoord

import (
	"slices"
	"time"

	"minikafka/coordinator"
)

// sweepBytes is about how many bytes of tombstones one Tick writes; the next goes on.
const sweepBytes = 64 << 10

// TopicsDeleted forgets the offsets of topics that are no more, a part in each Tick.
func (m *Machine) TopicsDeleted(now time.Time, topics []string) coordinator.Outcome {
	return m.step(now, func() { m.gone = append(m.gone, topics...) })
}

// startSweep begins to look through all groups for offsets that have expired.
func (m *Machine) startSweep() {
	m.expireAt = m.now.Add(m.settings.ExpiryInterval)
	if len(m.sweep) > 0 {
		return
	}
	for id := range m.groups {
		m.sweep = append(m.sweep, id)
	}
	for id := range m.consumers {
		m.sweep = append(m.sweep, id)
	}
	slices.Sort(m.sweep) // an order that a test can repeat
}

func (m *Machine) goOnSweeping() {
	written := 0
	for len(m.gone) > 0 && written < sweepBytes {
		written += m.forgetTopic(m.gone[0])
		m.gone = m.gone[1:]
	}
	for len(m.sweep) > 0 && written < sweepBytes {
		written += m.expire(m.sweep[0])
		m.sweep = m.sweep[1:]
	}
}

// forgetTopic writes tombstones for all offsets of a topic and returns their size.
func (m *Machine) forgetTopic(topic string) (written int) {
	groups := map[string]bool{}
	for id, topics := range m.offsets.byGroup {
		if topics[topic] != nil {
			groups[id] = true
		}
	}
	for id, producers := range m.offsets.open {
		for _, p := range producers {
			if m.offsets.pending[p][id][topic] != nil {
				groups[id] = true
			}
		}
	}
	for id := range groups {
		for _, partition := range m.partitionsOf(id, topic) {
			written += m.tombstone(offsetTombstone(id, topic, partition))
		}
	}
	return written
}

func (m *Machine) tombstone(r coordinator.Record) int {
	m.record(r)
	return coordinator.RecordSize(r)
}

// partitionsOf are a topic's partitions with a committed or pending offset in a group.
func (m *Machine) partitionsOf(group, topic string) []int32 {
	var list []int32
	for p := range m.offsets.byGroup[group][topic] {
		list = append(list, p)
	}
	for _, producer := range m.offsets.open[group] {
		for p := range m.offsets.pending[producer][group][topic] {
			if !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	return list
}

// expire writes tombstones for a group's expired offsets; a group without members ends with its last.
func (m *Machine) expire(id string) (written int) {
	if g := m.consumers[id]; g != nil {
		return m.expireConsumer(g)
	}
	g := m.groups[id]
	if g == nil {
		return 0
	}
	since, expires := g.expiry()
	written, all := m.expireOffsets(id, since, func(topic string) bool { return !expires || g.subscribes(topic) })
	if all && g.state == Empty {
		written += m.tombstone(groupTombstone(id))
		m.event(g, "group has expired")
	}
	return written
}

// expireConsumer: offsets of a consumer group expire since their commit, unless a member subscribes the topic.
func (m *Machine) expireConsumer(g *consumerGroup) (written int) {
	written, all := m.expireOffsets(g.id, 0, g.subscribes)
	if all && len(g.members) == 0 {
		m.dropConsumerGroup(g)
		m.consumerEvent(g, "group has expired")
	}
	return written
}

// expireOffsets writes tombstones for a group's expired offsets; all: none is left.
func (m *Machine) expireOffsets(id string, sinceMs int64, keep func(topic string) bool) (written int, all bool) {
	all = len(m.offsets.open[id]) == 0
	for topic, partitions := range m.offsets.byGroup[id] {
		if keep(topic) {
			all = false
			continue
		}
		for partition, o := range partitions {
			if !m.expired(&o, sinceMs) || m.offsets.isPending(id, topic, partition) {
				all = false
				continue
			}
			written += m.tombstone(offsetTombstone(id, topic, partition))
		}
	}
	return written, all
}

// expiry says whether offsets of the group expire now, and since when: 0 is since each one's commit.
func (g *group) expiry() (sinceMs int64, expires bool) {
	switch {
	case g.protocolType == "":
		return 0, true
	case g.state == Empty && g.stateTimestamp >= 0:
		return g.stateTimestamp, true
	case g.state == Empty:
		return 0, true
	}
	return 0, g.state == Stable && g.protocolType == consumerProtocolType && g.subscribed != nil
}

func (m *Machine) expired(o *offset, sinceMs int64) bool {
	if o.expiresAt >= 0 {
		return m.nowMs() >= o.expiresAt
	}
	if sinceMs == 0 {
		sinceMs = o.committedAt
	}
	return time.Duration(m.nowMs()-sinceMs)*time.Millisecond >= m.settings.OffsetsRetention
}
