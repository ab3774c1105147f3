package groupcoord

import (
	"fmt"
	"maps"
	"slices"

	"minikafka/coordinator"
)

// Each of these changes one thing of a consumer group and writes the record of it. The machine's own
// records are therefore in effect when Replay sees them.

func (m *Machine) saveMember(g *consumerGroup, c *consumerMember) {
	g.put(c)
	m.record(consumerRecord(&consumerMemberValue{
		InstanceID: c.instance, RackID: c.rack, ClientID: c.clientID, ClientHost: c.clientHost,
		SubscribedTopicNames: c.topics, SubscribedTopicRegex: c.regex, RebalanceTimeoutMs: c.rebalanceTimeoutMs,
		ServerAssignor: c.assignor, ClassicMemberMetadata: c.classic,
	}, keyConsumerGroupMemberMetadata, g.id, c.id))
}

func (m *Machine) saveCurrent(g *consumerGroup, c *consumerMember) {
	g.put(c)
	g.movedAt = m.now
	m.record(consumerRecord(&consumerCurrentValue{
		MemberEpoch: c.epoch, PreviousMemberEpoch: c.previousEpoch, State: int8(c.state),
		AssignedPartitions: c.assigned.record(), PartitionsPendingRevocation: c.revoking.record(),
	}, keyConsumerGroupCurrentMemberAssignment, g.id, c.id))
}

func (m *Machine) saveEpoch(g *consumerGroup, epoch int32, hash int64) {
	g.epoch, g.hash, g.movedAt = epoch, hash, m.now
	m.record(consumerRecord(&consumerGroupValue{Epoch: epoch, MetadataHash: hash}, keyConsumerGroupMetadata, g.id))
}

func (m *Machine) saveTarget(g *consumerGroup, id string, a Assignment) {
	g.target[id] = a
	m.record(consumerRecord(&consumerTargetMemberValue{TopicPartitions: a.record()},
		keyConsumerGroupTargetAssignmentMember, g.id, id))
}

func (m *Machine) saveTargetEpoch(g *consumerGroup, epoch int32, atMs int64) {
	g.setAssignmentEpoch(epoch, atMs)
	m.record(consumerRecord(&consumerTargetValue{AssignmentEpoch: epoch, AssignmentTimestamp: atMs},
		keyConsumerGroupTargetAssignmentMetadata, g.id))
}

func (m *Machine) saveRegex(g *consumerGroup, pattern string, r resolvedRegex) {
	g.regexes[pattern] = r
	m.record(consumerRecord(&consumerRegexValue{Topics: r.topics, Version: r.version, Timestamp: r.timestamp},
		keyConsumerGroupRegularExpression, g.id, pattern))
}

func (m *Machine) dropRegex(g *consumerGroup, pattern string) {
	delete(g.regexes, pattern)
	m.record(consumerTombstone(keyConsumerGroupRegularExpression, g.id, pattern))
}

// dropMember forgets all of a member.
func (m *Machine) dropMember(g *consumerGroup, id string) {
	g.remove(id)
	delete(g.target, id)
	m.record(consumerTombstone(keyConsumerGroupCurrentMemberAssignment, g.id, id))
	m.record(consumerTombstone(keyConsumerGroupTargetAssignmentMember, g.id, id))
	m.record(consumerTombstone(keyConsumerGroupMemberMetadata, g.id, id))
}

// dropConsumerGroup forgets the group; its offsets stay.
func (m *Machine) dropConsumerGroup(g *consumerGroup) {
	for _, r := range g.tombstones() {
		m.record(r)
	}
	delete(m.consumers, g.id)
}

// tombstones are those of all of a group's records: members first, the group last.
func (g *consumerGroup) tombstones() []coordinator.Record {
	var list []coordinator.Record
	members := g.memberIDs()
	for _, id := range members {
		list = append(list, consumerTombstone(keyConsumerGroupCurrentMemberAssignment, g.id, id))
	}
	for _, id := range members {
		list = append(list, consumerTombstone(keyConsumerGroupTargetAssignmentMember, g.id, id))
	}
	list = append(list, consumerTombstone(keyConsumerGroupTargetAssignmentMetadata, g.id))
	for _, id := range members {
		list = append(list, consumerTombstone(keyConsumerGroupMemberMetadata, g.id, id))
	}
	for _, pattern := range slices.Sorted(maps.Keys(g.regexes)) {
		list = append(list, consumerTombstone(keyConsumerGroupRegularExpression, g.id, pattern))
	}
	return append(list, consumerTombstone(keyConsumerGroupPartitionMetadata, g.id),
		consumerTombstone(keyConsumerGroupMetadata, g.id))
}

// replayConsumer builds consumer groups while the log is loaded. Later the machine's own records say what
// the groups are already.
func (m *Machine) replayConsumer(p parsed, value []byte) error {
	if m.loaded {
		return nil
	}
	g := m.consumers[p.group]
	if value == nil {
		if g != nil {
			m.replayTombstone(g, p)
		}
		return nil
	}
	if g == nil {
		g = newConsumerGroup(p.group)
	}
	if err := g.replay(p, value); err != nil {
		return err
	}
	delete(m.groups, g.id) // commits that came first made it
	m.consumers[g.id] = g
	return nil
}

func (m *Machine) replayTombstone(g *consumerGroup, p parsed) {
	switch p.key {
	case keyConsumerGroupMetadata:
		delete(m.consumers, g.id)
	case keyConsumerGroupMemberMetadata:
		g.remove(p.member)
	case keyConsumerGroupTargetAssignmentMetadata:
		g.setAssignmentEpoch(-1, 0)
	case keyConsumerGroupTargetAssignmentMember:
		delete(g.target, p.member)
	case keyConsumerGroupCurrentMemberAssignment:
		if c := g.members[p.member]; c != nil {
			next := *c
			next.epoch, next.previousEpoch, next.state = epochLeaves, epochLeaves, memberStable
			next.assigned, next.revoking = nil, nil
			g.put(&next)
		}
	case keyConsumerGroupRegularExpression:
		delete(g.regexes, p.member)
	}
}

// replay applies a record with a value.
func (g *consumerGroup) replay(p parsed, value []byte) error {
	switch p.key {
	case keyConsumerGroupMetadata:
		var v consumerGroupValue
		if err := parseConsumerValue(value, &v); err != nil {
			return err
		}
		g.epoch, g.hash = v.Epoch, v.MetadataHash
	case keyConsumerGroupMemberMetadata:
		return g.replayMember(p.member, value)
	case keyConsumerGroupTargetAssignmentMetadata:
		var v consumerTargetValue
		if err := parseConsumerValue(value, &v); err != nil {
			return err
		}
		g.setAssignmentEpoch(v.AssignmentEpoch, v.AssignmentTimestamp)
	case keyConsumerGroupTargetAssignmentMember:
		var v consumerTargetMemberValue
		if err := parseConsumerValue(value, &v); err != nil {
			return err
		}
		g.target[p.member] = loadAssignment(v.TopicPartitions)
	case keyConsumerGroupCurrentMemberAssignment:
		return g.replayCurrent(p.member, value)
	case keyConsumerGroupRegularExpression:
		var v consumerRegexValue
		if err := parseConsumerValue(value, &v); err != nil {
			return err
		}
		g.regexes[p.member] = resolvedRegex{slices.Sorted(slices.Values(v.Topics)), v.Version, v.Timestamp}
	}
	return nil
}

// version is a new version of a member, to be changed and put.
func (g *consumerGroup) version(id string) *consumerMember {
	if c := g.members[id]; c != nil {
		next := *c
		return &next
	}
	return newConsumerMember(id)
}

func (g *consumerGroup) replayMember(id string, value []byte) error {
	var v consumerMemberValue
	if err := parseConsumerValue(value, &v); err != nil {
		return err
	}
	c := g.version(id)
	c.instance, c.rack, c.clientID, c.clientHost = v.InstanceID, v.RackID, v.ClientID, v.ClientHost
	c.topics, c.regex = slices.Sorted(slices.Values(v.SubscribedTopicNames)), v.SubscribedTopicRegex
	c.rebalanceTimeoutMs, c.assignor, c.classic = v.RebalanceTimeoutMs, v.ServerAssignor, v.ClassicMemberMetadata
	g.put(c)
	return nil
}

func (g *consumerGroup) replayCurrent(id string, value []byte) error {
	var v consumerCurrentValue
	if err := parseConsumerValue(value, &v); err != nil {
		return err
	}
	if v.State < int8(memberStable) || v.State > int8(memberUnreleased) {
		return fmt.Errorf("%w: member state %d", errMalformedRecord, v.State)
	}
	c := g.version(id)
	c.epoch, c.previousEpoch, c.state = v.MemberEpoch, v.PreviousMemberEpoch, memberState(v.State)
	c.assigned, c.revoking = loadHolding(v.AssignedPartitions, v.MemberEpoch), loadHolding(v.PartitionsPendingRevocation, v.MemberEpoch)
	g.put(c)
	return nil
}
