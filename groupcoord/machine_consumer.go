package groupcoord

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// memberIDByClient is the version of ConsumerGroupHeartbeat from which clients make their member ids.
const memberIDByClient = 1

// refusal is why a request is not done, with the text that its answer carries.
type refusal struct {
	code *kerr.Error
	text string
}

func refuse(e *kerr.Error, format string, args ...any) *refusal {
	return &refusal{e, fmt.Sprintf(format, args...)}
}

// beat is a ConsumerGroupHeartbeat, or what a JoinGroup of the classic protocol says of its sender, on its
// way through the machine.
type beat struct {
	group, member string
	epoch         int32
	creates       bool // the member may be new
	instance      *string
	rack          *string
	client        Client
	topics        []string // nil: as before
	regex         *string  // nil: as before
	assignor      *string  // nil: as before
	rebalanceMs   int32    // -1: as before
	owned         []kmsg.ConsumerGroupHeartbeatRequestTopic
	classic       *classicMemberValue // of a JoinGroup
	view          Topics
	resolved      []string // what a pattern that is new to the group matches
}

// ConsumerGroupHeartbeat answers with a *kmsg.ConsumerGroupHeartbeatResponse. The topics are those of now.
func (m *Machine) ConsumerGroupHeartbeat(
	now time.Time, from coordinator.Token, c Client, req *kmsg.ConsumerGroupHeartbeatRequest, topics Topics,
) coordinator.Outcome {
	return m.step(now, func() {
		b := &beat{
			group: req.Group, member: req.MemberID, epoch: req.MemberEpoch, creates: req.MemberEpoch == epochJoining, instance: req.InstanceID, rack: req.RackID,
			client: c, topics: req.SubscribedTopicNames, regex: req.SubscribedTopicRegex, assignor: req.ServerAssignor,
			rebalanceMs: req.RebalanceTimeoutMillis, owned: req.Topics, view: topics,
		}
		var resp *kmsg.ConsumerGroupHeartbeatResponse
		var no *refusal
		if b.epoch < epochJoining {
			resp, no = m.consumerLeaves(b)
		} else {
			resp, no = m.consumerBeats(b)
		}
		if no != nil {
			resp = ConsumerHeartbeatError(no.code, no.text)
		}
		m.reply(from, resp)
	})
}

// ConsumerHeartbeatError is an answer that carries an error; "" is no text.
func ConsumerHeartbeatError(e *kerr.Error, text string) *kmsg.ConsumerGroupHeartbeatResponse {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.ErrorCode = code(e)
	if text != "" {
		resp.ErrorMessage = &text
	}
	return resp
}

// CheckConsumerHeartbeat is what is wrong with a request whatever the group; nil: nothing.
func (s *Settings) CheckConsumerHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse {
	e, text := s.checkConsumerHeartbeat(req)
	if e == nil {
		return nil
	}
	return ConsumerHeartbeatError(e, text)
}

func (s *Settings) checkConsumerHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest) (*kerr.Error, string) {
	blank := func(v *string) bool { return v != nil && strings.TrimSpace(*v) == "" }
	long := func(v *string) bool { return v != nil && len(*v) > math.MaxInt16 }
	needsID := req.Version >= memberIDByClient || req.MemberEpoch > 0 || req.MemberEpoch == epochLeaves
	bad := ""
	switch {
	case needsID && blank(&req.MemberID):
		bad = "MemberId can't be empty."
	case blank(&req.Group):
		bad = "GroupId can't be empty."
	case blank(req.InstanceID):
		bad = "InstanceId can't be empty."
	case blank(req.RackID):
		bad = "RackId can't be empty."
	case req.MemberEpoch == epochJoining && req.RebalanceTimeoutMillis == -1:
		bad = "RebalanceTimeoutMs must be provided in first request."
	case req.MemberEpoch == epochJoining && (req.Topics == nil || len(req.Topics) > 0):
		bad = "TopicPartitions must be empty when (re-)joining."
	case req.MemberEpoch == epochJoining && req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil:
		bad = "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
	case req.MemberEpoch == epochLeftStatic && req.InstanceID == nil:
		bad = "InstanceId can't be null."
	case req.MemberEpoch < epochLeftStatic:
		bad = "MemberEpoch is invalid."
	case long(&req.Group) || long(&req.MemberID) || long(req.SubscribedTopicRegex):
		bad = "A string is longer than a record can hold."
	}
	if bad != "" {
		return kerr.InvalidRequest, bad
	}
	if a := req.ServerAssignor; a != nil && s.Consumer.assignor(*a) == nil {
		return kerr.UnsupportedAssignor, fmt.Sprintf("ServerAssignor %s is not supported. Supported assignors: %s.",
			*a, strings.Join(s.Consumer.assignorNames(), ", "))
	}
	return nil, ""
}

func (s *ConsumerSettings) assignor(name string) Assignor {
	for _, a := range s.Assignors {
		if a.Name() == name {
			return a
		}
	}
	return nil
}

func (s *ConsumerSettings) assignorNames() []string {
	names := make([]string, 0, len(s.Assignors))
	for _, a := range s.Assignors {
		names = append(names, a.Name())
	}
	return names
}

// consumerBeats serves a member that joins or stays: it takes in what the request says of the member,
// assigns anew if the group has changed, and moves the member towards its target.
func (m *Machine) consumerBeats(b *beat) (*kmsg.ConsumerGroupHeartbeatResponse, *refusal) {
	m.topics = b.view
	g, no := m.admitBeat(b)
	if no != nil {
		return nil, no
	}
	before := m.subscribe(g, b)
	m.assignIfDue(g, b.view)
	c := m.reconcile(g, before.next, before.subscriptionChanged, b)
	config := m.settings.Consumer.Config(g.id)
	m.armConsumerSession(g, c, config.SessionTimeout)
	c.timers.join.at, c.timers.sync.at = time.Time{}, time.Time{} // of the protocol that it may have spoken before

	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &c.id, c.epoch
	resp.HeartbeatIntervalMillis = int32(m.heartbeatInterval(g, &config).Milliseconds())
	full := b.epoch == epochJoining || b.rebalanceMs != -1 && (b.topics != nil || b.regex != nil) && b.owned != nil
	if full || !c.assigned.samePartitions(before.old.assigned) {
		resp.Assignment = &kmsg.ConsumerGroupHeartbeatResponseAssignment{Topics: []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}}
		for _, topic := range sortedTopics(c.assigned) {
			resp.Assignment.Topics = append(resp.Assignment.Topics,
				kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{TopicID: topic, Partitions: c.assigned.partitions(topic)})
		}
	}
	return resp, nil
}

// admitBeat finds the request's group, which may be a new one, or refuses. Nothing is changed before
// everything that can be refused was looked at.
func (m *Machine) admitBeat(b *beat) (*consumerGroup, *refusal) {
	g := m.consumers[b.group]
	classic := m.groups[b.group]
	var upgrade *consumerGroup
	switch {
	case g != nil:
	case classic == nil && b.epoch != epochJoining:
		return nil, refuse(kerr.GroupIDNotFound, "Consumer group %s not found.", b.group)
	case classic != nil && b.epoch != epochJoining:
		return nil, refuse(kerr.GroupIDNotFound, "Group %s is not a consumer group.", b.group)
	case classic == nil || classic.state == Empty:
		g = newConsumerGroup(b.group)
	default:
		var no *refusal
		if upgrade, no = m.planUpgrade(classic, b.view); no != nil {
			return nil, no
		}
		g = upgrade
	}
	if no := m.checkBeat(g, b); no != nil {
		return nil, no
	}
	if upgrade != nil {
		m.upgrade(classic, upgrade)
	} else if classic != nil {
		m.record(groupTombstone(g.id))
		delete(m.groups, g.id)
	}
	m.consumers[g.id] = g
	return g, nil
}

// checkBeat is what stands against a member's heartbeat in its group.
func (m *Machine) checkBeat(g *consumerGroup, b *beat) *refusal {
	if no := m.checkRoom(g, b.member, b.instance); no != nil {
		return no
	}
	var known *consumerMember
	if b.instance == nil {
		if known = g.members[b.member]; known == nil && !b.creates {
			return unknownMember(g.id, b.member)
		}
	} else {
		var no *refusal
		if known, no = g.staticBeat(b); no != nil {
			return no
		}
	}
	if known != nil && !b.creates {
		if no := known.checkEpoch(b.epoch, b.owned); no != nil {
			return no
		}
	}
	return m.checkRegex(g, known, b)
}

func unknownMember(group, member string) *refusal {
	return refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", member, group)
}

func (m *Machine) checkRoom(g *consumerGroup, member string, instance *string) *refusal {
	if instance != nil && g.static[*instance] != "" || g.members[member] != nil || len(g.members) < m.settings.Consumer.MaxSize {
		return nil
	}
	return refuse(kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.",
		m.settings.Consumer.MaxSize)
}

// staticBeat finds a static member, and whether the request may be its own; nil: it is new.
func (g *consumerGroup) staticBeat(b *beat) (*consumerMember, *refusal) {
	known := g.members[g.static[*b.instance]]
	switch {
	case known == nil && b.creates:
		return nil, nil
	case known == nil:
		return nil, refuse(kerr.UnknownMemberID, "Instance id %s is unknown.", *b.instance)
	case b.creates && b.classic == nil && known.classic == nil && known.epoch != epochLeftStatic:
		return nil, refuse(kerr.UnreleasedInstanceID,
			"Static member %s with instance id %s cannot join the group because the instance id is owned by %s member.",
			b.member, *b.instance, known.id)
	case !b.creates && known.id != b.member:
		return nil, fencedInstance(b.member, *b.instance, known.id)
	}
	return known, nil
}

func fencedInstance(member, instance, by string) *refusal {
	return refuse(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", member, instance, by)
}

// checkEpoch: a member may be one answer behind, if it has nothing that it should not have.
func (c *consumerMember) checkEpoch(epoch int32, owned []kmsg.ConsumerGroupHeartbeatRequestTopic) *refusal {
	var than string
	switch {
	case epoch > c.epoch:
		than = "greater"
	case epoch < c.epoch && (epoch != c.previousEpoch || !c.hasAll(owned)):
		than = "smaller"
	default:
		return nil
	}
	return refuse(kerr.FencedMemberEpoch, "The consumer group member has a %s member epoch (%d) than the one known by the "+
		"group coordinator (%d). The member must abandon all its partitions and rejoin.", than, epoch, c.epoch)
}

// hasAll says whether everything that the member reports is assigned to it; a null report says nothing.
func (c *consumerMember) hasAll(owned []kmsg.ConsumerGroupHeartbeatRequestTopic) bool {
	if owned == nil {
		return false
	}
	for _, t := range owned {
		for _, p := range t.Partitions {
			if _, ok := c.assigned.epochOf(t.TopicID, p); !ok {
				return false
			}
		}
	}
	return true
}

// consumerLeaves serves a member that leaves, or that leaves its place open for its next life.
func (m *Machine) consumerLeaves(b *beat) (*kmsg.ConsumerGroupHeartbeatResponse, *refusal) {
	g := m.consumers[b.group]
	if g == nil {
		if m.groups[b.group] != nil {
			return nil, refuse(kerr.GroupIDNotFound, "Group %s is not a consumer group.", b.group)
		}
		return nil, refuse(kerr.GroupIDNotFound, "Group %s not found.", b.group)
	}
	c, no := g.find(b.member, b.instance)
	if no != nil {
		return nil, no
	}
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &b.member, b.epoch
	if b.instance != nil && b.epoch == epochLeftStatic {
		next := *c
		next.epoch, next.revoking, next.assigned = epochLeftStatic, nil, c.assigned.withEpoch(0)
		m.saveCurrent(g, &next)
		m.consumerEvent(g, "static member leaves for a while", "member", c.id)
		return resp, nil
	}
	m.consumerEvent(g, "member leaves", "member", c.id)
	m.removeConsumers(g, []*consumerMember{c}, b.view)
	return resp, nil
}

// withEpoch is the same holding with all epochs the same.
func (h holding) withEpoch(epoch int32) holding {
	next := make(holding, len(h))
	for topic, list := range h {
		list = slices.Clone(list)
		for i := range list {
			list[i].epoch = epoch
		}
		next[topic] = list
	}
	return next
}

// find is the member that a request of a member names.
func (g *consumerGroup) find(member string, instance *string) (*consumerMember, *refusal) {
	if instance == nil {
		if c := g.members[member]; c != nil {
			return c, nil
		}
		return nil, unknownMember(g.id, member)
	}
	c := g.members[g.static[*instance]]
	switch {
	case c == nil:
		return nil, refuse(kerr.UnknownMemberID, "Instance id %s is unknown.", *instance)
	case c.id != member:
		return nil, fencedInstance(member, *instance, c.id)
	}
	return c, nil
}

// removeConsumers takes members out of their group. The group is assigned anew with the next heartbeat.
func (m *Machine) removeConsumers(g *consumerGroup, gone []*consumerMember, view Topics) {
	if len(gone) == 0 || m.downgraded(g, gone) {
		return
	}
	for _, c := range gone {
		m.dropMember(g, c.id)
	}
	for _, c := range gone {
		if p := c.pattern(); p != "" && g.byRegex[p] == 0 {
			if _, resolved := g.regexes[p]; resolved {
				m.dropRegex(g, p)
			}
		}
	}
	hash := g.hash
	if view == nil {
		view = m.topics
	}
	if view != nil {
		hash = metadataHash(g.topicNames(), view)
	} else {
		g.checkedVersion = -1
	}
	m.saveEpoch(g, g.epoch+1, hash)
	if len(g.members) == 0 {
		m.saveTargetEpoch(g, g.epoch, 0)
		m.consumerEvent(g, "group is empty")
	}
}

func (m *Machine) consumerEvent(g *consumerGroup, message string, args ...any) {
	args = append([]any{"group", g.id, "epoch", g.epoch, "members", len(g.members)}, args...)
	m.out.Events = append(m.out.Events, coordinator.Event{Message: message, Args: args})
}
