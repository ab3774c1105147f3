package groupcoord

import (
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// classicClient is a client of the classic protocol in TestConsumerModel: an eager one, which gives up
// everything before it joins.
type classicClient struct {
	group      string
	id         string
	generation int32 // 0: it is to join
	synced     bool
	parked     bool
	members    []string // of the generation that it leads
	uses       map[topicPartition]bool
}

// stepClassic does what the client does next: join, sync, heartbeat, or now and then leave.
func (m *consumerModel) stepClassic(c *classicClient) {
	switch {
	case c.parked:
		return
	case c.generation == 0:
		m.joinClassic(c)
	case !c.synced:
		m.syncClassic(c)
	case !m.ending && m.rand.IntN(60) == 0:
		req := &kmsg.LeaveGroupRequest{Group: c.group, Members: []kmsg.LeaveGroupRequestMember{{MemberID: c.id}}}
		c.id, c.generation, c.uses = "", 0, nil
		m.apply(m.m.LeaveGroup(m.now, m.nextClassic(c), req))
	default:
		req := &kmsg.HeartbeatRequest{Group: c.group, MemberID: c.id, Generation: c.generation}
		m.apply(m.m.Heartbeat(m.now, m.nextClassic(c), req))
	}
}

func (m *consumerModel) nextClassic(c *classicClient) coordinator.Token {
	m.token++
	m.waiting[m.token] = c
	c.parked = true
	m.m.See(m.view)
	return m.token
}

func (m *consumerModel) joinClassic(c *classicClient) {
	c.uses, c.synced = nil, false
	subscription := kmsg.NewConsumerMemberMetadata()
	subscription.Version, subscription.Topics = 1, []string{"t1", "t2"}
	req := &kmsg.JoinGroupRequest{
		Version: 9, Group: c.group, MemberID: c.id, ProtocolType: consumerProtocolType,
		SessionTimeoutMillis: 10_000, RebalanceTimeoutMillis: 5000,
		Protocols: []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription.AppendTo(nil)}},
	}
	m.apply(m.m.JoinGroup(m.now, m.nextClassic(c), Client{ID: "old"}, req))
}

// syncClassic: a leader deals the partitions out.
func (m *consumerModel) syncClassic(c *classicClient) {
	req := &kmsg.SyncGroupRequest{Version: 5, Group: c.group, MemberID: c.id, Generation: c.generation}
	hands := make([]Assignment, len(c.members))
	dealt := 0
	for _, name := range []string{"t1", "t2"} {
		for p := range m.topics[name] {
			if len(hands) == 0 {
				break
			}
			hand := &hands[dealt%len(hands)]
			if *hand == nil {
				*hand = Assignment{}
			}
			(*hand)[namedID(name)] = append((*hand)[namedID(name)], p)
			dealt++
		}
	}
	for i, id := range c.members {
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{
			MemberID: id, MemberAssignment: classicAssignment(nil, hands[i], m.view),
		})
	}
	m.apply(m.m.SyncGroup(m.now, m.nextClassic(c), req))
}

// learnClassic is what the client does with an answer.
func (m *consumerModel) learnClassic(c *classicClient, answer any) {
	c.parked = false
	var code string
	switch a := answer.(type) {
	case *kmsg.JoinGroupResponse:
		if code = codeName(a.ErrorCode); code == "ok" {
			c.id, c.generation, c.members = a.MemberID, a.Generation, nil
			for _, other := range a.Members {
				c.members = append(c.members, other.MemberID)
			}
			return
		}
		if code == "MEMBER_ID_REQUIRED" {
			c.id = a.MemberID
			return
		}
	case *kmsg.SyncGroupResponse:
		if code = codeName(a.ErrorCode); code == "ok" {
			m.takeClassic(c, a.MemberAssignment)
			return
		}
	case *kmsg.HeartbeatResponse:
		if code = codeName(a.ErrorCode); code == "ok" {
			return
		}
	default:
		return
	}
	c.generation, c.uses = 0, nil
	if code != "REBALANCE_IN_PROGRESS" {
		c.id = ""
	}
}

func (m *consumerModel) takeClassic(c *classicClient, assignment []byte) {
	by := "classic assigned by its leader"
	if m.m.consumers[c.group] != nil {
		by = "classic assigned by the machine"
	}
	m.counts[by]++
	a := kmsg.NewConsumerMemberAssignment()
	require.NoError(m.t, a.ReadFrom(assignment))
	c.synced, c.uses = true, map[topicPartition]bool{}
	for _, t := range a.Topics {
		for _, p := range t.Partitions {
			c.uses[topicPartition{namedID(t.Topic), p}] = true
		}
	}
}
