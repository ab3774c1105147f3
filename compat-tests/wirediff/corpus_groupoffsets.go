package wirediff

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// commit is an OffsetCommit of one partition, by name or, from version 10, by id.
func commit(s *script, version int16, group, member string, generation int32, topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	t := kmsg.NewOffsetCommitRequestTopic()
	if t.Topic = topic; version >= 10 {
		t.TopicID = s.id(topic)
	}
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, offset, 0, kmsg.StringPtr("m")
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// offsetFetch asks for partitions 0 and 1 of topics, in the way of every version; no topics are all.
func offsetFetch(s *script, version int16, group string, topics ...string) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	for _, name := range topics {
		req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: name, Partitions: []int32{0, 1}})
		t := kmsg.OffsetFetchRequestGroupTopic{Topic: name, Partitions: []int32{0, 1}}
		if version >= 10 {
			t.TopicID = s.id(name)
		}
		g.Topics = append(g.Topics, t)
	}
	req.Groups = []kmsg.OffsetFetchRequestGroup{g}
	return req
}

func groupOffsetsScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 2)
	for v := int16(2); v <= 10; v++ {
		group := s.t(fmt.Sprintf("g%d", v))
		step := func(what string) string { return fmt.Sprintf("%s v%d", what, v) }
		s.send(step("commit without a group"), v, commit(s, v, group, "", -1, t, 0, 5))
		s.send(step("commit with a member of nothing"), v, commit(s, v, group, "m", -1, t, 1, 6))
		s.send(step("commit with a generation"), v, commit(s, v, group, "m", 3, t, 1, 7))
		s.send(step("commit with a generation and no group"), v, commit(s, v, s.t("none"), "m", 3, t, 1, 7))
		s.send(step("commit of a negative offset"), v, commit(s, v, group, "", -1, t, 1, -9))
		s.send(step("commit for no group id"), v, commit(s, v, "", "", -1, t, 1, 3))
		long := commit(s, v, group, "", -1, t, 0, 8)
		long.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("é", 4097))
		s.send(step("commit of too much metadata"), v, long)
		fits := commit(s, v, group, "", -1, t, 0, 8)
		fits.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("é", 4096))
		s.send(step("commit of enough metadata"), v, fits)
		null := commit(s, v, group, "", -1, t, 0, 9)
		null.Topics[0].Partitions[0].Metadata = nil
		s.send(step("commit of null metadata"), v, null)
		mixed := commit(s, v, group, "", -1, t, 0, 10)
		mixed.Topics[0].Partitions = append(mixed.Topics[0].Partitions, mixed.Topics[0].Partitions[0], mixed.Topics[0].Partitions[0])
		mixed.Topics[0].Partitions[1].Partition, mixed.Topics[0].Partitions[2].Partition = 9, -1
		if v < 10 {
			mixed.Topics = append(mixed.Topics, kmsg.OffsetCommitRequestTopic{Topic: s.t("none"), Partitions: mixed.Topics[0].Partitions[:1]})
		} else {
			mixed.Topics = append(mixed.Topics, kmsg.OffsetCommitRequestTopic{TopicID: unknownID, Partitions: mixed.Topics[0].Partitions[:1]})
		}
		s.send(step("commit of some that are not there"), v, mixed)
		mixed.Topics = mixed.Topics[1:]
		s.send(step("commit of none that are there"), v, mixed)
		nothing := commit(s, v, group, "", -1, t, 0, 10)
		nothing.Topics = nil
		s.send(step("commit of nothing"), v, nothing)
	}
	for v := int16(1); v <= 10; v++ {
		step := func(what string) string { return fmt.Sprintf("%s v%d", what, v) }
		s.send(step("fetch"), v, offsetFetch(s, v, s.t("g9"), t))
		if v >= 2 {
			s.send(step("fetch all"), v, offsetFetch(s, v, s.t("g9")))
			s.send(step("fetch all of no group"), v, offsetFetch(s, v, s.t("none")))
		}
		s.send(step("fetch of no group"), v, offsetFetch(s, v, s.t("none"), t))
		s.send(step("fetch of no group id"), v, offsetFetch(s, v, "", t))
		bad := offsetFetch(s, v, s.t("g9"), t)
		bad.Topics[0].Partitions = []int32{0, 77, -1}
		bad.Groups[0].Topics[0].Partitions = []int32{0, 77, -1}
		bad.Topics = append(bad.Topics, kmsg.OffsetFetchRequestTopic{Topic: s.t("none"), Partitions: []int32{0}})
		bad.Groups[0].Topics = append(bad.Groups[0].Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: s.t("none"), TopicID: unknownID, Partitions: []int32{0}})
		s.send(step("fetch of what is not there"), v, bad)
		empty := offsetFetch(s, v, s.t("g9"), t)
		empty.Topics, empty.Groups[0].Topics = []kmsg.OffsetFetchRequestTopic{}, []kmsg.OffsetFetchRequestGroupTopic{}
		s.send(step("fetch of nothing"), v, empty)
		if v >= 7 {
			stable := offsetFetch(s, v, s.t("g9"), t)
			stable.RequireStable = true
			s.send(step("fetch of stable offsets"), v, stable)
		}
		if v >= 8 {
			two := offsetFetch(s, v, s.t("g9"), t)
			two.Groups = append(two.Groups, offsetFetch(s, v, s.t("none"), t).Groups[0], offsetFetch(s, v, s.t("g2")).Groups[0])
			s.send(step("fetch of three groups"), v, two)
		}
		if v >= 9 {
			member := offsetFetch(s, v, s.t("g9"), t)
			member.Groups[0].MemberID, member.Groups[0].MemberEpoch = kmsg.StringPtr("m"), 5
			s.send(step("fetch of a member"), v, member)
		}
	}
	retained := commit(s, 3, s.t("old"), "", -1, t, 0, 5)
	retained.RetentionTimeMillis = 3_600_000
	s.send("commit with a retention time", 3, retained)
	s.send("fetch with a retention time", 8, offsetFetch(s, 8, s.t("old"), t))
	deleteOffsetsScenario(s, t)
	recreated := s.topic("again", 1)
	s.send("commit before a topic is made again", 9, commit(s, 9, s.t("g9"), "", -1, recreated, 0, 5))
	s.quiet(6, deleteTopics(recreated))
	s.awaitGone(recreated)
	s.topic("again", 1)
	s.send("fetch after a topic was made again", 9, offsetFetch(s, 9, s.t("g9"), recreated))
}

func offsetDelete(group, topic string, partitions ...int32) *kmsg.OffsetDeleteRequest {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	t := kmsg.NewOffsetDeleteRequestTopic()
	t.Topic = topic
	for _, p := range partitions {
		t.Partitions = append(t.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: p})
	}
	req.Topics = append(req.Topics, t)
	return req
}

func deleteOffsetsScenario(s *script, t string) {
	group := s.t("g5")
	s.send("delete an offset", 0, offsetDelete(group, t, 0))
	s.send("delete it again", 0, offsetDelete(group, t, 0))
	s.send("fetch what is left", 8, offsetFetch(s, 8, group))
	s.send("delete offsets that are not there", 0, offsetDelete(group, t, 0, 9, -1))
	s.send("delete offsets of a topic that is not there", 0, offsetDelete(group, s.t("none"), 0))
	s.send("delete offsets of no group", 0, offsetDelete(s.t("none"), t, 0))
	s.send("delete offsets of no group id", 0, offsetDelete("", t, 0))
	id, generation := s.member(group)
	s.send("delete offsets of a topic in use", 0, offsetDelete(group, t, 0, 1))
	other := s.topic("other", 1)
	s.send("commit of another topic", 9, commit(s, 9, group, id, generation, other, 0, 1))
	s.send("delete offsets of a topic that is not in use", 0, offsetDelete(group, other, 0))
	connect := s.t("connect")
	s.member(connect, func(req *kmsg.JoinGroupRequest) { req.ProtocolType = "connect" })
	s.send("delete offsets of a group that does not consume", 0, offsetDelete(connect, t, 0))
}

func listGroups(states ...string) *kmsg.ListGroupsRequest {
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter = states
	return req
}

func deleteGroups(groups ...string) *kmsg.DeleteGroupsRequest {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = groups
	return req
}

func groupAdminScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 2)
	stable, simple, empty := s.t("stable"), s.t("simple"), s.t("empty")
	s.member(stable)
	s.quiet(9, commit(s, 9, simple, "", -1, t, 0, 5))
	id, _ := s.member(empty)
	s.quiet(5, leaveGroup(empty, id))
	s.member(s.t("connect"), func(req *kmsg.JoinGroupRequest) { req.ProtocolType = "connect" })
	s.each("list", 0, 5, func(int16) kmsg.Request { return listGroups() })
	for _, states := range []string{"Stable", "stable", " Empty ", "Dead", "nonsense", "Stable,Empty"} {
		for v := int16(4); v <= 5; v++ {
			s.send(fmt.Sprintf("list %q v%d", states, v), v, listGroups(strings.Split(states, ",")...))
		}
	}
	for _, types := range []string{"classic", "Classic", "consumer", "nonsense", "consumer,classic"} {
		req := listGroups()
		req.TypesFilter = strings.Split(types, ",")
		s.send(fmt.Sprintf("list of type %q", types), 5, req)
	}
	s.each("describe", 0, 6, func(int16) kmsg.Request { return describeGroups(stable, simple, empty, s.t("none"), "") })
	s.each("describe with operations", 3, 6, func(int16) kmsg.Request {
		req := describeGroups(stable, s.t("none"))
		req.IncludeAuthorizedOperations = true
		return req
	})
	s.send("describe twice", 6, describeGroups(simple, simple))
	s.send("describe nothing", 6, describeGroups())
	s.each("delete", 0, 3, func(v int16) kmsg.Request {
		s.quiet(9, commit(s, 9, s.t(fmt.Sprintf("d%d", v)), "", -1, t, 0, 5))
		return deleteGroups(s.t(fmt.Sprintf("d%d", v)), stable, s.t("none"), "", s.t(fmt.Sprintf("d%d", v)))
	})
	s.send("delete nothing", 3, deleteGroups())
	s.send("offsets of a deleted group", 8, offsetFetch(s, 8, s.t("d0")))
	s.send("list what is left", 5, listGroups())
}

func findCoordinatorScenario(s *script) {
	s.awaitCoordinator()
	for v := range int16(7) {
		for _, kind := range []int8{0, 2, 9, -1} {
			if kind != 0 && v < 1 || kind == 2 && v >= 6 { // share coordinators are not served yet
				continue
			}
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType = kind
			req.CoordinatorKey, req.CoordinatorKeys = "group", []string{"group", "polygenelubricants", ""}
			s.send(fmt.Sprintf("key type %d v%d", kind, v), v, req)
		}
	}
	s.send("no keys", 6, kmsg.NewPtrFindCoordinatorRequest())
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKeys = []string{"a", "a"}
	s.send("a key twice", 6, req)
}
