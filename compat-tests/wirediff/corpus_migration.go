package wirediff

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// classicSubscription is a subscription of a version with what the member has.
func classicSubscription(version int16, topics []string, topic string, partitions ...int32) func(*kmsg.JoinGroupRequest) {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics = version, topics
	m.Generation = -1
	if len(partitions) > 0 {
		m.OwnedPartitions = []kmsg.ConsumerMemberMetadataOwnedPartition{{Topic: topic, Partitions: partitions}}
	}
	return func(req *kmsg.JoinGroupRequest) { req.Protocols[0].Metadata = m.AppendTo(nil) }
}

// classicAssignment is what a leader assigns to a member.
func classicAssignment(topic string, partitions ...int32) string {
	a := kmsg.NewConsumerMemberAssignment()
	a.Version = 1
	a.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: topic, Partitions: partitions}}
	return string(a.AppendTo(nil))
}

// classicMember is a member of a classic group that has partitions of a topic; nothing is noted.
func (s *script) classicMember(group, topic string, partitions ...int32) (id string, generation int32) {
	join := classicSubscription(3, []string{topic}, topic)
	id = s.quiet(9, joinGroup(group, "", join)).(*kmsg.JoinGroupResponse).MemberID
	resp := s.quiet(9, joinGroup(group, id, join)).(*kmsg.JoinGroupResponse)
	if resp.ErrorCode != 0 {
		panic(fatal{fmt.Errorf("join of %s: error %d", group, resp.ErrorCode)})
	}
	s.quiet(5, syncGroup(group, id, resp.Generation, id, classicAssignment(topic, partitions...)))
	return id, resp.Generation
}

// upgradeScenario: a member of the new protocol joins a classic group; then the classic one follows, or leaves.
func upgradeScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 3)
	g := s.t("g")
	s.ready(g, t)
	id, generation := s.classicMember(g, t, 0, 1, 2)
	s.quiet(9, commit(s, 9, g, id, generation, t, 0, 7))
	e := s.beats("a consumer joins a classic group", 1, enter(g, "new", []string{t}))
	s.send("describe both", 1, describeConsumers(g))
	s.send("describe both, older", 0, describeConsumers(g))
	s.send("describe as classic", 6, describeGroups(g))
	s.send("list", 5, listGroups())
	s.send("offsets stay", 9, offsetFetch(s, 9, g))
	s.send("classic heartbeat", 4, heartbeat(g, id, generation))
	s.send("classic heartbeat of a wrong generation", 4, heartbeat(g, id, generation+7))
	s.send("classic heartbeat of nobody", 4, heartbeat(g, "x", generation))
	s.send("classic commit", 9, commit(s, 9, g, id, generation, t, 1, 8))
	s.send("classic commit of a generation ahead", 9, commit(s, 9, g, id, generation+5, t, 1, 8))
	s.send("classic sync before it joins", 5, syncGroup(g, id, generation))
	join := s.send("classic joins again", 9, joinGroup(g, id, classicSubscription(3, []string{t}, t, 0, 1, 2))).(*kmsg.JoinGroupResponse)
	s.send("classic syncs", 5, syncGroup(g, id, join.Generation))
	s.send("describe while it gives up", 1, describeConsumers(g))
	s.beats("consumer waits", 1, beat(g, "new", e))
	s.send("classic heartbeat after", 4, heartbeat(g, id, join.Generation))
	join = s.send("classic joins with less", 9, joinGroup(g, id, classicSubscription(3, []string{t}, t, 0, 1))).(*kmsg.JoinGroupResponse)
	s.send("classic syncs with less", 5, syncGroup(g, id, join.Generation))
	s.beats("consumer has its share", 1, beat(g, "new", e))
	s.send("describe all agree", 1, describeConsumers(g))
	s.send("classic heartbeat in peace", 4, heartbeat(g, id, join.Generation))
	s.send("classic joins with an unknown protocol type", 9, joinGroup(g, "", func(req *kmsg.JoinGroupRequest) { req.ProtocolType = "connect" }))
	s.send("classic joins without protocols", 9, joinGroup(g, "", protocols()))
	s.send("classic joins with garbage", 9, joinGroup(g, id, func(req *kmsg.JoinGroupRequest) { req.Protocols[0].Metadata = []byte{0, 0, 0} }))
	s.send("classic unknown member joins", 9, joinGroup(g, "unknown", classicSubscription(3, []string{t}, t)))
	s.beats("heartbeat of the classic member's id", 1, beat(g, id, join.Generation))
	s.send("classic leaves", 5, leaveGroup(g, id, "unknown"))
	s.send("describe after it left", 1, describeConsumers(g))
	s.beats("consumer gets all", 1, beat(g, "new", e, s.owns(t, 2)))
	s.send("delete", 3, deleteGroups(g))
}

// downgradeScenario: a classic member joins a consumer group; then the consumers leave.
func downgradeScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 2)
	g := s.t("g")
	s.ready(g, t)
	e := s.beats("consumer joins", 1, enter(g, "new", []string{t}))
	asked := s.send("classic asks for an id", 9, joinGroup(g, "", classicSubscription(3, []string{t}, t))).(*kmsg.JoinGroupResponse)
	id := asked.MemberID
	join := s.send("classic joins", 9, joinGroup(g, id, classicSubscription(3, []string{t}, t))).(*kmsg.JoinGroupResponse)
	s.send("classic syncs", 5, syncGroup(g, id, join.Generation))
	s.send("describe both", 1, describeConsumers(g))
	s.beats("consumer is asked to give up", 1, beat(g, "new", e, s.owns(t, 0, 1)))
	e = s.beats("consumer has given up", 1, beat(g, "new", e, s.owns(t, 0)))
	s.send("classic heartbeat", 4, heartbeat(g, id, join.Generation))
	s.send("classic heartbeat again", 4, heartbeat(g, id, join.Generation))
	join = s.send("classic joins again", 9, joinGroup(g, id, classicSubscription(3, []string{t}, t))).(*kmsg.JoinGroupResponse)
	s.send("classic syncs again", 5, syncGroup(g, id, join.Generation))
	s.send("describe all agree", 1, describeConsumers(g))
	s.beats("consumer leaves", 1, beat(g, "new", -1))
	s.send("describe as consumers", 1, describeConsumers(g))
	s.send("describe as classic", 6, describeGroups(g))
	s.send("list", 5, listGroups())
	s.send("classic heartbeat downgraded", 4, heartbeat(g, id, join.Generation))
	join = s.send("classic joins downgraded", 9, joinGroup(g, id, classicSubscription(3, []string{t}, t))).(*kmsg.JoinGroupResponse)
	s.send("classic syncs downgraded", 5, syncGroup(g, id, join.Generation, id, classicAssignment(t, 0, 1)))
	s.send("describe the end", 6, describeGroups(g))
	s.beats("consumer heartbeats of old", 1, beat(g, "new", e))
}

// convertScenario: empty groups change their kind, and groups that cannot.
func convertScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 2)
	g := s.t("emptyclassic")
	for _, name := range []string{"emptyclassic", "completing", "static"} {
		s.ready(s.t(name), t)
	}
	id, _ := s.classicMember(g, t, 0)
	s.quiet(9, commit(s, 9, g, id, 1, t, 0, 7))
	s.quiet(5, leaveGroup(g, id))
	s.beats("consumer joins an empty classic group", 1, enter(g, "new", []string{t}))
	s.send("describe it", 1, describeConsumers(g))
	s.send("its offsets", 9, offsetFetch(s, 9, g))
	s.quiet(1, beat(g, "new", -1))
	s.send("classic asks an empty consumer group", 9, joinGroup(g, "", classicSubscription(3, []string{t}, t)))
	s.await("its change", func() bool { // Kafka answers MEMBER_ID_REQUIRED before it is committed
		return s.quiet(1, describeConsumers(g)).(*kmsg.ConsumerGroupDescribeResponse).Groups[0].ErrorCode != 0
	})
	s.send("describe as consumers", 1, describeConsumers(g))
	s.send("describe as classic", 6, describeGroups(g))
	s.send("offsets again", 9, offsetFetch(s, 9, g))
	connect := s.t("connect")
	s.member(connect, func(req *kmsg.JoinGroupRequest) { req.ProtocolType = "connect" })
	s.beats("consumer joins a group of connect", 1, enter(connect, "new", []string{t}))
	garbage := s.t("garbage")
	s.member(garbage, func(req *kmsg.JoinGroupRequest) { req.Protocols[0].Metadata = []byte{0, 9} })
	s.beats("consumer joins a group with garbage", 1, enter(garbage, "new", []string{t}))
	custom := s.t("custom")
	s.member(custom, func(req *kmsg.JoinGroupRequest) {
		m := kmsg.NewConsumerMemberMetadata()
		m.Topics, m.UserData = []string{t}, []byte("mine")
		req.Protocols[0].Metadata = m.AppendTo(nil)
	})
	s.beats("consumer joins a group with user data", 1, enter(custom, "new", []string{t}))
	s.send("describe the group with user data", 1, describeConsumers(custom))
	completing := s.t("completing")
	asked := s.quiet(9, joinGroup(completing, "", classicSubscription(3, []string{t}, t))).(*kmsg.JoinGroupResponse)
	s.quiet(9, joinGroup(completing, asked.MemberID, classicSubscription(3, []string{t}, t)))
	s.beats("consumer joins a group that completes", 1, enter(completing, "new", []string{s.t("none")}))
	s.send("describe the group that completed", 1, describeConsumers(completing))
	static := s.t("static")
	joined := s.quiet(5, joinGroup(static, "", instance("i"), classicSubscription(3, []string{t}, t))).(*kmsg.JoinGroupResponse)
	assign := syncGroup(static, joined.MemberID, joined.Generation, joined.MemberID, classicAssignment(t, 0, 1))
	assign.InstanceID = kmsg.StringPtr("i")
	s.quiet(3, assign)
	s.beats("a static consumer joins as the classic one", 1, enter(static, "new", []string{t}, staticID("i")))
	s.send("describe the static one", 1, describeConsumers(static))
}
