package groupcoord

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A group with members changes its protocol: a classic one when a member of the consumer protocol joins, a
// consumer group when the last of those leaves and classic members stay.

// parseSubscription reads a ConsumerProtocolSubscription, any version.
func parseSubscription(b []byte) (*kmsg.ConsumerMemberMetadata, bool) {
	s := kmsg.NewConsumerMemberMetadata()
	if err := s.ReadFrom(b); err != nil || s.Version < 0 {
		return nil, false
	}
	return &s, true
}

// highestConsumerProtocol is the last version of ConsumerProtocol's formats.
const highestConsumerProtocol = 3

// classicAssignment is a ConsumerProtocolAssignment, in the version of a member's subscription. Topics that
// are no more are left out, because they have no name.
func classicAssignment(subscription []byte, a Assignment, topics Topics) []byte {
	v := kmsg.NewConsumerMemberAssignment()
	if len(subscription) >= 2 {
		v.Version = min(int16(binary.BigEndian.Uint16(subscription)), highestConsumerProtocol)
	}
	for _, id := range sortedTopics(a) {
		if topics == nil {
			break
		}
		if t, ok := topics.ByID(id); ok {
			v.Topics = append(v.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: t.Name, Partitions: a[id]})
		}
	}
	return v.AppendTo(nil)
}

// plain are the partitions without their epochs.
func (h holding) plain() Assignment {
	a := make(Assignment, len(h))
	for topic := range h {
		a[topic] = h.partitions(topic)
	}
	return a
}

// planUpgrade is the consumer group that a classic one would become. Nothing is changed.
func (m *Machine) planUpgrade(classic *group, view Topics) (*consumerGroup, *refusal) {
	why := ""
	switch {
	case m.settings.Consumer.Migration&MigrationUpgrade == 0:
		why = "online upgrade is disabled."
	case classic.protocolType != consumerProtocolType:
		why = "the group does not use the consumer embedded protocol."
	case len(classic.members) > m.settings.Consumer.MaxSize:
		why = "the group size exceeds the consumer group maximum size."
	}
	g := newConsumerGroup(classic.id)
	g.epoch = classic.generation
	for _, member := range classic.members {
		if why != "" {
			break
		}
		why = g.adopt(classic, member, view)
	}
	if why != "" {
		return nil, refuse(kerr.GroupIDNotFound, "Cannot upgrade classic group %s to consumer group because %s", classic.id, why)
	}
	g.setAssignmentEpoch(classic.generation, 0)
	g.hash = metadataHash(g.topicNames(), view)
	return g, nil
}

// adopt makes a member of the consumer group of one of the classic group; the text is why that cannot be.
func (g *consumerGroup) adopt(classic *group, member *member, view Topics) string {
	const malformed = "the embedded consumer protocol is malformed."
	protocol := member.protocols[0]
	if classic.protocol != nil && member.metadata(*classic.protocol) != nil {
		protocol = supportedProtocol{*classic.protocol, member.metadata(*classic.protocol)}
	}
	has := kmsg.NewConsumerMemberAssignment()
	if len(member.assignment) > 0 {
		if err := has.ReadFrom(member.assignment); err != nil || has.Version < 0 {
			return malformed
		}
		if len(has.UserData) > 0 {
			return "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default " +
				"assignor before re-attempting the upgrade."
		}
	}
	s, ok := parseSubscription(protocol.metadata)
	if !ok {
		return malformed
	}
	c := newConsumerMember(member.id)
	c.instance, c.rack, c.clientID, c.clientHost = member.instance, s.Rack, member.clientID, member.clientHost
	c.topics = slices.Compact(slices.Sorted(slices.Values(s.Topics)))
	c.rebalanceTimeoutMs = int32(member.rebalanceTimeout.Milliseconds())
	c.epoch, c.previousEpoch = classic.generation, classic.generation
	c.classic = &classicMemberValue{SessionTimeoutMs: int32(member.sessionTimeout.Milliseconds())}
	for _, p := range member.protocols {
		c.classic.SupportedProtocols = append(c.classic.SupportedProtocols, classicProtocolValue{Name: p.name, Metadata: p.metadata})
	}
	c.assigned = holding{}
	for _, t := range has.Topics {
		info, known := view.ByName(t.Topic)
		for _, p := range t.Partitions {
			if known && g.owners[info.ID][p] == "" { // the leader may have given it to two
				c.assigned[info.ID] = mergeHeld(c.assigned[info.ID], []heldPartition{{p, classic.generation}})
			}
		}
	}
	g.put(c)
	g.target[c.id] = c.assigned.plain()
	return ""
}

// upgrade replaces a classic group by what planUpgrade made of it. Who waits is sent to join again.
func (m *Machine) upgrade(classic *group, g *consumerGroup) {
	for _, member := range classic.members {
		if member.join != 0 {
			m.reply(member.join, JoinError(member.id, kerr.RebalanceInProgress))
		}
		m.answerSync(classic, member, kerr.RebalanceInProgress)
	}
	m.record(groupTombstone(g.id))
	delete(m.groups, g.id)
	m.consumers[g.id] = g
	ids := g.memberIDs()
	for _, id := range ids {
		m.saveMember(g, g.members[id])
	}
	m.saveEpoch(g, g.epoch, g.hash)
	for _, id := range ids {
		m.saveTarget(g, id, g.target[id])
	}
	m.saveTargetEpoch(g, g.assignmentEpoch, 0)
	for _, id := range ids {
		c := g.members[id]
		m.saveCurrent(g, c)
		m.armConsumerSession(g, c, m.sessionTimeout(g, c))
	}
	m.consumerEvent(g, "classic group is a consumer group now")
}

// downgraded makes a classic group of a consumer group of which only classic members would stay; false:
// there is no reason to, or it may not be.
func (m *Machine) downgraded(g *consumerGroup, gone []*consumerMember) bool {
	classic, stay := g.classic, len(g.members)-len(gone)
	for _, c := range gone {
		if c.classic != nil {
			classic--
		}
	}
	if classic != stay || stay == 0 || !m.mayDowngrade(stay) {
		return false
	}
	m.downgrade(g, gone, true)
	return true
}

func (m *Machine) mayDowngrade(size int) bool {
	return m.settings.Consumer.Migration&MigrationDowngrade != 0 && size <= m.settings.MaxSize
}

// replacesLastConsumer says whether a static member that joins by the classic protocol takes the place of
// the only member of the consumer protocol.
func (m *Machine) replacesLastConsumer(g *consumerGroup, instance *string) bool {
	if instance == nil {
		return false
	}
	old := g.members[g.static[*instance]]
	return old != nil && old.classic == nil && g.classic == len(g.members)-1 && m.mayDowngrade(len(g.members))
}

// downgrade replaces a consumer group by a classic one with those members that are not gone. Where a
// rebalance follows they keep meanwhile what they have: Kafka writes down what they should have, and if the
// group is converted back before they heard of it, gives to others what they still use.
func (m *Machine) downgrade(g *consumerGroup, gone []*consumerMember, rebalance bool) {
	classic := newGroup(g.id, m.nowMs())
	classic.state, classic.synced = Stable, true
	classic.generation, classic.protocolType = g.epoch, consumerProtocolType
	for _, id := range g.memberIDs() {
		c := g.members[id]
		if slices.Contains(gone, c) {
			continue
		}
		member := &member{
			id: c.id, instance: c.instance, clientID: c.clientID, clientHost: c.clientHost,
			rebalanceTimeout: millis(c.rebalanceTimeoutMs), sessionTimeout: millis(c.classic.SessionTimeoutMs),
		}
		for _, p := range c.classic.SupportedProtocols {
			member.protocols = append(member.protocols, supportedProtocol{p.Name, p.Metadata})
		}
		classic.add(member)
	}
	name := classic.selectProtocol()
	classic.protocol = &name
	classic.subscribed = classic.computeSubscribed()
	for _, member := range classic.members {
		has := g.target[member.id]
		if rebalance {
			has = g.members[member.id].has()
		}
		member.assignment = classicAssignment(member.metadata(name), has, m.topics)
	}
	m.dropConsumerGroup(g)
	m.groups[g.id] = classic
	m.record(classic.record())
	for _, member := range classic.members {
		m.armSession(classic, member, member.sessionTimeout)
	}
	m.event(classic, "consumer group is a classic group now")
	if rebalance {
		m.prepareRebalance(classic, "the last member of the consumer protocol has left")
	}
}
