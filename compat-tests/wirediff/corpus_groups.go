package wirediff

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// joinGroup is a request of one consumer protocol; member "" is a new member.
func joinGroup(group, member string, change ...func(*kmsg.JoinGroupRequest)) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = group, member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 30_000, 10_000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription(strings.SplitN(group, ".", 2)[0] + ".t")}}
	for _, c := range change {
		c(req)
	}
	return req
}

func instance(id string) func(*kmsg.JoinGroupRequest) {
	return func(req *kmsg.JoinGroupRequest) { req.InstanceID = &id }
}

func protocols(names ...string) func(*kmsg.JoinGroupRequest) {
	return func(req *kmsg.JoinGroupRequest) {
		metadata := req.Protocols[0].Metadata
		req.Protocols = nil
		for _, name := range names {
			req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: metadata})
		}
	}
}

// subscription is a ConsumerProtocolSubscription v0.
func subscription(topic string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = []string{topic}
	return m.AppendTo(nil)
}

// syncGroup assigns "member=bytes" pairs.
func syncGroup(group, member string, generation int32, assign ...string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	for i := 0; i+1 < len(assign); i += 2 {
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: assign[i], MemberAssignment: []byte(assign[i+1])})
	}
	return req
}

func heartbeat(group, member string, generation int32, instanceID ...string) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	if len(instanceID) > 0 {
		req.InstanceID = &instanceID[0]
	}
	return req
}

// leaveGroup names members, in the way of every version.
func leaveGroup(group string, members ...string) *kmsg.LeaveGroupRequest {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	for _, m := range members {
		req.MemberID = m
		req.Members = append(req.Members, kmsg.LeaveGroupRequestMember{MemberID: m})
	}
	return req
}

func describeGroups(groups ...string) *kmsg.DescribeGroupsRequest {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = groups
	return req
}

// awaitCoordinator waits until the broker coordinates groups.
func (s *script) awaitCoordinator() {
	s.await("the group coordinator", func() bool {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey = s.t("none")
		if s.quiet(2, req).(*kmsg.FindCoordinatorResponse).ErrorCode != 0 {
			return false
		}
		return s.quiet(3, kmsg.NewPtrListGroupsRequest()).(*kmsg.ListGroupsResponse).ErrorCode == 0 &&
			s.quiet(3, heartbeat(s.t("none"), "m", 1)).(*kmsg.HeartbeatResponse).ErrorCode == 25
	})
}

// peer is a second connection of the scenario; join brings back what it noted.
func (s *script) peer() *script {
	return &script{name: s.name, wire: wire{addr: s.wire.addr}, tree: s.tree}
}

func (s *script) join(peer *script) {
	peer.wire.close()
	s.out = append(s.out, peer.out...)
}

// begin sends a request whose answer comes later; the returned function reads and notes it.
func (s *script) begin(version int16, req kmsg.Request) func(step string) kmsg.Response {
	bytes := s.wire.encode(req, version)
	if err := s.wire.write(bytes); err != nil {
		panic(fatal{err})
	}
	corr := s.wire.corr
	return func(step string) kmsg.Response {
		s.unused(step)
		x := Exchange{Step: step, Key: req.Key(), Version: version, Outcome: "answered"}
		var resp kmsg.Response
		answer, err := s.wire.read(answerWithin)
		if err == nil {
			var exact bool
			if resp, exact, err = decode(answer, req.Key(), version, corr); err == nil {
				x.Loose, x.Response = !exact, s.tree.of(resp)
			}
		}
		if err != nil {
			x.Outcome = err.Error()
		}
		s.out = append(s.out, x)
		return resp
	}
}

// member joins a group as its only member and syncs; nothing is noted.
func (s *script) member(group string, change ...func(*kmsg.JoinGroupRequest)) (id string, generation int32) {
	resp := s.quiet(5, joinGroup(group, "", change...)).(*kmsg.JoinGroupResponse)
	if resp.ErrorCode == 79 {
		resp = s.quiet(5, joinGroup(group, resp.MemberID, change...)).(*kmsg.JoinGroupResponse)
	}
	if resp.ErrorCode != 0 {
		panic(fatal{fmt.Errorf("join of %s: error %d", group, resp.ErrorCode)})
	}
	req := syncGroup(group, resp.MemberID, resp.Generation, resp.MemberID, "assignment")
	if code := s.quiet(3, req).(*kmsg.SyncGroupResponse).ErrorCode; code != 0 {
		panic(fatal{fmt.Errorf("sync of %s: error %d", group, code)})
	}
	return resp.MemberID, resp.Generation
}

// groupLifeScenario is the life of a group with one member, in every version of each request.
func groupLifeScenario(s *script) {
	s.awaitCoordinator()
	s.topic("t", 2)
	for v := range int16(10) {
		group := s.t(fmt.Sprintf("g%d", v))
		at := func(hi int16) int16 { return min(v, hi) }
		step := func(what string) string { return fmt.Sprintf("%s, life %d", what, v) }
		resp := s.send(step("join"), v, joinGroup(group, "")).(*kmsg.JoinGroupResponse)
		s.await("group "+group, func() bool { // Kafka answers MEMBER_ID_REQUIRED before the group is committed
			return s.quiet(5, describeGroups(group)).(*kmsg.DescribeGroupsResponse).Groups[0].State != "Dead"
		})
		s.send(step("describe before"), at(6), describeGroups(group))
		if resp.ErrorCode != 0 {
			resp = s.send(step("join with id"), v, joinGroup(group, resp.MemberID)).(*kmsg.JoinGroupResponse)
		}
		id, generation := resp.MemberID, resp.Generation
		s.send(step("join while completing"), v, joinGroup(group, id))
		s.send(step("describe while completing"), at(6), describeGroups(group))
		s.send(step("heartbeat while completing"), at(4), heartbeat(group, id, generation))
		s.send(step("commit while completing"), max(2, v), commit(s, max(2, v), group, id, generation, s.t("t"), 0, 5))
		s.send(step("sync"), at(5), syncGroup(group, id, generation, id, "assignment"))
		s.send(step("sync again"), at(5), syncGroup(group, id, generation))
		s.send(step("heartbeat"), at(4), heartbeat(group, id, generation))
		s.send(step("commit"), max(2, v), commit(s, max(2, v), group, id, generation, s.t("t"), 1, 6))
		s.send(step("describe"), at(6), describeGroups(group))
		s.send(step("join again"), v, joinGroup(group, id))
		s.send(step("sync of the old generation"), at(5), syncGroup(group, id, generation, id, "x"))
		s.send(step("sync without assignment"), at(5), syncGroup(group, id, generation+1))
		s.send(step("delete"), at(3), deleteGroups(group))
		s.send(step("leave"), at(5), leaveGroup(group, id))
		s.send(step("describe empty"), at(6), describeGroups(group))
		s.send(step("heartbeat of one that left"), at(4), heartbeat(group, id, generation+1))
		s.send(step("delete empty"), at(3), deleteGroups(group))
		s.send(step("describe deleted"), at(6), describeGroups(group))
	}
	group := s.t("v10")
	id, generation := s.member(group)
	s.send("commit by id", 10, commit(s, 10, group, id, generation, s.t("t"), 0, 5))
}

// twoMembersScenario: two connections, so that one can wait for the other.
func twoMembersScenario(s *script) {
	s.awaitCoordinator()
	s.topic("t", 2)
	group := s.t("g")
	b := s.peer()
	defer s.join(b)
	first, generation := s.member(group, protocols("range", "roundrobin"))
	second := b.send("second asks for an id", 9, joinGroup(group, "", protocols("roundrobin", "range"))).(*kmsg.JoinGroupResponse).MemberID
	s.send("heartbeat with a pending member", 4, heartbeat(group, first, generation))
	joined := b.begin(9, joinGroup(group, second, protocols("roundrobin", "range")))
	s.await("rebalance", func() bool {
		return s.quiet(4, heartbeat(group, first, generation)).(*kmsg.HeartbeatResponse).ErrorCode == 27
	})
	s.send("describe while preparing", 6, describeGroups(group))
	s.send("sync while preparing", 5, syncGroup(group, first, generation, first, "x"))
	s.send("commit while preparing", 9, commit(s, 9, group, first, generation, s.t("t"), 0, 7))
	s.send("commit of nobody while preparing", 9, commit(s, 9, group, "", -1, s.t("t"), 0, 8))
	s.send("list while preparing", 5, listGroups("PreparingRebalance"))
	generation++
	s.send("first joins again", 9, joinGroup(group, first, protocols("range", "roundrobin")))
	joined("second has joined")
	waits := b.begin(5, syncGroup(group, second, generation))
	s.send("follower's assignment is ignored", 6, describeGroups(group))
	s.send("leader assigns", 5, syncGroup(group, first, generation, first, "one", second, "two"))
	waits("second is assigned")
	s.send("stable", 6, describeGroups(group))
	b.send("follower joins again", 9, joinGroup(group, second, protocols("roundrobin", "range")))
	again := b.begin(9, joinGroup(group, second, protocols("roundrobin")))
	s.await("rebalance", func() bool {
		return s.quiet(4, heartbeat(group, first, generation)).(*kmsg.HeartbeatResponse).ErrorCode == 27
	})
	s.send("follower has left", 5, leaveGroup(group, second, "nobody"))
	again("join of one that left")
	s.send("leader alone", 9, joinGroup(group, first))
	s.send("other protocols", 9, joinGroup(group, "", protocols("cooperative")))
	s.send("other type", 9, joinGroup(group, "", func(req *kmsg.JoinGroupRequest) { req.ProtocolType = "connect" }))
	s.send("other protocols of a known member", 9, joinGroup(group, first, protocols("cooperative")))
}

func staticMembersScenario(s *script) {
	s.awaitCoordinator()
	s.topic("t", 2)
	for v := int16(5); v <= 9; v++ {
		group := s.t(fmt.Sprintf("g%d", v))
		step := func(what string) string { return fmt.Sprintf("%s v%d", what, v) }
		at := func(hi int16) int16 { return min(v, hi) }
		s.send(step("join"), v, joinGroup(group, "", instance("i")))
		s.send(step("join while completing"), v, joinGroup(group, "", instance("i")))
		resp := s.send(step("join again"), v, joinGroup(group, "", instance("i"))).(*kmsg.JoinGroupResponse)
		old, generation := resp.MemberID, resp.Generation
		sync := syncGroup(group, old, generation, old, "one")
		sync.InstanceID = kmsg.StringPtr("i")
		s.send(step("sync"), at(5), sync)
		resp = s.send(step("replacement"), v, joinGroup(group, "", instance("i"))).(*kmsg.JoinGroupResponse)
		s.send(step("describe"), at(6), describeGroups(group))
		s.send(step("heartbeat of the old"), at(4), heartbeat(group, old, generation, "i"))
		s.send(step("heartbeat of the new"), at(4), heartbeat(group, resp.MemberID, generation, "i"))
		s.send(step("heartbeat of another instance"), at(4), heartbeat(group, resp.MemberID, generation, "j"))
		s.send(step("join of the old"), v, joinGroup(group, old, instance("i")))
		s.send(step("join of an unknown instance"), v, joinGroup(group, resp.MemberID, instance("k")))
		fenced := commit(s, max(7, v), group, old, generation, s.t("t"), 0, 1)
		fenced.InstanceID = kmsg.StringPtr("i")
		s.send(step("commit of the old"), max(7, v), fenced)
		s.send(step("protocol changes"), v, joinGroup(group, "", instance("i"), protocols("other")))
		leave := leaveGroup(group, "")
		leave.Members[0].InstanceID = kmsg.StringPtr("i")
		leave.Members = append(leave.Members, kmsg.LeaveGroupRequestMember{MemberID: old, InstanceID: kmsg.StringPtr("i")},
			kmsg.LeaveGroupRequestMember{InstanceID: kmsg.StringPtr("none")})
		s.send(step("removal by instance"), at(5), leave)
		s.send(step("describe empty"), at(6), describeGroups(group))
	}
}

// groupRefusedScenario is what is wrong whatever the group, or because there is none.
func groupRefusedScenario(s *script) {
	s.awaitCoordinator()
	s.topic("t", 1)
	none := s.t("none")
	s.each("join: no group id", 0, 9, func(int16) kmsg.Request { return joinGroup("", "m") })
	s.each("join: unknown member", 0, 9, func(int16) kmsg.Request { return joinGroup(none, "m") })
	for _, timeout := range []int32{0, 5999, 1_800_001, -1} {
		s.send(fmt.Sprintf("join: session of %d", timeout), 9, joinGroup(none, "", func(req *kmsg.JoinGroupRequest) { req.SessionTimeoutMillis = timeout }))
	}
	s.each("join: no protocols", 0, 9, func(v int16) kmsg.Request { return joinGroup(s.t(fmt.Sprintf("p%d", v)), "", protocols()) })
	s.send("join: no protocol type", 9, joinGroup(s.t("type"), "", func(req *kmsg.JoinGroupRequest) { req.ProtocolType = "" }))
	s.await("group "+s.t("type"), func() bool {
		return s.quiet(5, describeGroups(s.t("type"))).(*kmsg.DescribeGroupsResponse).Groups[0].State != "Dead"
	})
	s.send("a refused join makes a group", 6, describeGroups(s.t("type")))
	s.each("sync: no group id", 0, 5, func(int16) kmsg.Request { return syncGroup("", "m", 1) })
	s.each("sync: no group", 0, 5, func(int16) kmsg.Request { return syncGroup(none, "m", 1) })
	s.send("sync: no protocol", 5, func() kmsg.Request {
		req := syncGroup(none, "m", 1)
		req.Protocol = nil
		return req
	}())
	s.each("heartbeat: no group id", 0, 4, func(int16) kmsg.Request { return heartbeat("", "m", 1) })
	s.each("heartbeat: no group", 0, 4, func(int16) kmsg.Request { return heartbeat(none, "m", 1) })
	s.each("leave: no group id", 0, 5, func(int16) kmsg.Request { return leaveGroup("", "m") })
	s.each("leave: no group", 0, 5, func(int16) kmsg.Request { return leaveGroup(none, "m") })
	s.send("leave: nobody", 5, leaveGroup(none))
	group := s.t("g")
	id, generation := s.member(group)
	s.each("heartbeat: unknown member", 0, 4, func(int16) kmsg.Request { return heartbeat(group, "m", generation) })
	s.each("heartbeat: other generation", 0, 4, func(int16) kmsg.Request { return heartbeat(group, id, generation+1) })
	s.each("sync: unknown member", 0, 5, func(int16) kmsg.Request { return syncGroup(group, "m", generation) })
	s.each("sync: other generation", 0, 5, func(int16) kmsg.Request { return syncGroup(group, id, generation+1) })
	s.send("sync: other protocol", 5, func() kmsg.Request {
		req := syncGroup(group, id, generation)
		req.Protocol = kmsg.StringPtr("roundrobin")
		return req
	}())
	s.send("sync: other type", 5, func() kmsg.Request {
		req := syncGroup(group, id, generation)
		req.ProtocolType = kmsg.StringPtr("connect")
		return req
	}())
	s.send("join: known member with an instance", 9, joinGroup(group, id, instance("i")))
	s.each("leave: unknown member", 0, 5, func(int16) kmsg.Request { return leaveGroup(group, "m") })
}
