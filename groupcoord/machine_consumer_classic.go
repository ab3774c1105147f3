package groupcoord

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// Requests of the classic protocol to a consumer group. Its classic members join, sync and heartbeat, and
// the machine assigns: nobody leads, nobody waits for the others, and a generation is a member's epoch.

// See tells the machine of the topics of now, for requests of the classic protocol.
func (m *Machine) See(topics Topics) { m.topics = topics }

// joinConsumerGroup is JoinGroup to a consumer group with members.
func (m *Machine) joinConsumerGroup(g *consumerGroup, j join) {
	b, e := m.admitClassic(g, &j)
	if e != nil {
		m.reply(j.from, JoinError("", e))
		return
	}
	if b.member == "" {
		b.member = m.settings.NewMemberID()
	}
	if j.req.MemberID == "" && j.req.InstanceID == nil && j.req.Version >= joinNeedsMemberID {
		m.reply(j.from, JoinError(b.member, kerr.MemberIDRequired))
		return
	}
	downgrades := m.replacesLastConsumer(g, j.req.InstanceID)
	s := m.subscribe(g, b)
	if !downgrades {
		m.assignIfDue(g, b.view)
	}
	c := s.next
	if !downgrades || g.assignmentEpoch >= g.epoch {
		c = m.reconcile(g, c, s.subscriptionChanged, b)
	}
	c.timers.join.at = time.Time{}
	if downgrades {
		m.downgrade(g, nil, g.assignmentEpoch < g.epoch)
	} else {
		m.armConsumerSession(g, c, millis(j.req.SessionTimeoutMillis))
		m.timers.set(&c.timers.sync, m.now.Add(j.rebalanceTimeout()), syncTimer, g.id, c.id)
	}
	resp := kmsg.NewPtrJoinGroupResponse()
	kind := consumerProtocolType
	resp.MemberID, resp.Generation, resp.ProtocolType, resp.Protocol = c.id, c.epoch, &kind, &c.classic.SupportedProtocols[0].Name
	m.reply(j.from, resp)
}

// admitClassic turns a JoinGroup into what a heartbeat would say, or refuses it. Nothing is changed.
func (m *Machine) admitClassic(g *consumerGroup, j *join) (*beat, *kerr.Error) {
	if m.settings.Consumer.Migration == MigrationDisabled {
		return nil, kerr.InconsistentGroupProtocol
	}
	if no := m.checkRoom(g, j.req.MemberID, j.req.InstanceID); no != nil {
		return nil, no.code
	}
	if !g.supportsClassic(j.req.ProtocolType, j.protocols) {
		return nil, kerr.InconsistentGroupProtocol
	}
	none := ""
	b := &beat{
		group: g.id, member: j.req.MemberID, creates: j.req.InstanceID == nil || j.req.MemberID == "", instance: j.req.InstanceID,
		client: j.client, regex: &none, rebalanceMs: int32(j.rebalanceTimeout().Milliseconds()), view: m.topics,
		classic: &classicMemberValue{SessionTimeoutMs: j.req.SessionTimeoutMillis},
	}
	if b.instance != nil {
		if _, no := g.staticBeat(b); no != nil {
			return nil, no.code
		}
	}
	s, ok := parseSubscription(j.protocols[0].metadata)
	if !ok {
		return nil, kerr.InconsistentGroupProtocol
	}
	b.topics, b.rack, b.owned = s.Topics, s.Rack, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if b.topics == nil {
		b.topics = []string{}
	}
	for _, t := range s.OwnedPartitions {
		if info, known := b.view.ByName(t.Topic); known {
			b.owned = append(b.owned, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: info.ID, Partitions: t.Partitions})
		}
	}
	for _, p := range j.protocols {
		b.classic.SupportedProtocols = append(b.classic.SupportedProtocols, classicProtocolValue{Name: p.name, Metadata: p.metadata})
	}
	return b, nil
}

// supportsClassic says whether a member with these protocols can be among the group's classic members.
func (g *consumerGroup) supportsClassic(protocolType string, protocols []supportedProtocol) bool {
	return protocolType == consumerProtocolType && slices.ContainsFunc(protocols, func(p supportedProtocol) bool {
		return g.supported[p.name] == g.classic
	})
}

// classicMember is the member that a request of the classic protocol names.
func (g *consumerGroup) classicMember(member string, instance *string, generation int32) (*consumerMember, *kerr.Error) {
	c, no := g.find(member, instance)
	switch {
	case no != nil:
		return nil, no.code
	case c.classic == nil:
		return nil, kerr.UnknownMemberID
	case c.epoch != generation:
		return nil, kerr.IllegalGeneration
	}
	return c, nil
}

// syncConsumerGroup is SyncGroup to a consumer group: the member's assignment is there already.
func (m *Machine) syncConsumerGroup(g *consumerGroup, from coordinator.Token, req *kmsg.SyncGroupRequest) {
	c, e := g.classicMember(req.MemberID, req.InstanceID, req.Generation)
	kind := consumerProtocolType
	switch {
	case e != nil:
	case differs(req.ProtocolType, &kind) || differs(req.Protocol, &c.classic.SupportedProtocols[0].Name):
		e = kerr.InconsistentGroupProtocol
	case g.assignmentEpoch > c.epoch && c.state != memberUnrevoked:
		m.awaitJoin(g, c)
		e = kerr.RebalanceInProgress
	}
	if e != nil {
		m.reply(from, SyncError(e))
		return
	}
	c.timers.sync.at = time.Time{}
	m.armConsumerSession(g, c, m.sessionTimeout(g, c))
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ProtocolType, resp.Protocol = req.ProtocolType, req.Protocol
	resp.MemberAssignment = classicAssignment(c.classic.SupportedProtocols[0].Metadata, c.assigned.plain(), m.topics)
	m.reply(from, resp)
}

// awaitJoin gives a classic member its rebalance timeout to join again.
func (m *Machine) awaitJoin(g *consumerGroup, c *consumerMember) {
	if c.timers.join.at.IsZero() {
		m.timers.set(&c.timers.join, m.now.Add(millis(c.rebalanceTimeoutMs)), joinTimer, g.id, c.id)
	}
}

// heartbeatConsumerGroup is Heartbeat to a consumer group: a member is sent to join again when a newer
// assignment is there, when it has to give partitions up, and when those that it waited for are free.
func (m *Machine) heartbeatConsumerGroup(g *consumerGroup, req *kmsg.HeartbeatRequest) *kerr.Error {
	c, e := g.classicMember(req.MemberID, req.InstanceID, req.Generation)
	if e != nil {
		return e
	}
	m.armConsumerSession(g, c, m.sessionTimeout(g, c))
	if c.epoch < g.assignmentEpoch || c.state == memberUnrevoked || c.state == memberUnreleased && !g.waits(c) {
		m.awaitJoin(g, c)
		return kerr.RebalanceInProgress
	}
	return nil
}

// waits says whether a partition of a member's target is still with another.
func (g *consumerGroup) waits(c *consumerMember) bool {
	for topic, list := range g.target[c.id] {
		for _, p := range list {
			if owner := g.owners[topic][p]; owner != "" && owner != c.id {
				return true
			}
		}
	}
	return false
}

// leaveConsumerGroup is LeaveGroup: also of members of the consumer protocol, which tools remove so.
func (m *Machine) leaveConsumerGroup(g *consumerGroup, req *kmsg.LeaveGroupRequest, resp *kmsg.LeaveGroupResponse) {
	var gone []*consumerMember
	for i := range req.Members {
		asked := &req.Members[i]
		r := kmsg.NewLeaveGroupResponseMember()
		r.MemberID, r.InstanceID = asked.MemberID, asked.InstanceID
		id := asked.MemberID
		if asked.InstanceID != nil && id == "" {
			id = g.static[*asked.InstanceID]
		}
		c, no := g.find(id, asked.InstanceID)
		if no != nil {
			r.ErrorCode = no.code.Code
		} else if !slices.Contains(gone, c) {
			gone = append(gone, c)
			m.consumerEvent(g, "member leaves", "member", c.id)
		}
		resp.Members = append(resp.Members, r)
	}
	m.removeConsumers(g, gone, nil)
}
