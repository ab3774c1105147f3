package wirediff

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumerOffsetsScenario: offsets of members with epochs, in every version.
func consumerOffsetsScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 2)
	other := s.topic("other", 1)
	g := s.t("g")
	s.ready(g, t)
	e := s.beats("join", 1, enter(g, "m", []string{t}))
	for v := int16(2); v <= 10; v++ {
		step := func(what string) string { return fmt.Sprintf("%s v%d", what, v) }
		s.send(step("commit"), v, commit(s, v, g, "m", e, t, 0, int64(v)))
		s.send(step("commit of an epoch ahead"), v, commit(s, v, g, "m", e+1, t, 0, 50))
		s.send(step("commit of an epoch behind"), v, commit(s, v, g, "m", e-1, t, 0, 51))
		s.send(step("commit of a partition it does not have"), v, commit(s, v, g, "m", e, other, 0, 52))
		s.send(step("commit of nobody"), v, commit(s, v, g, "x", e, t, 0, 53))
		s.send(step("commit without a member"), v, commit(s, v, g, "", -1, t, 0, 54))
		s.send(step("commit without an epoch"), v, commit(s, v, g, "m", -1, t, 0, 55))
		instanced := commit(s, v, g, "m", e, t, 1, int64(v))
		instanced.InstanceID = kmsg.StringPtr("i")
		s.send(step("commit with an instance"), v, instanced)
		s.send(step("commit without a group, with an epoch"), v, commit(s, v, s.t("none"), "m", 1, t, 0, 1))
	}
	for v := int16(1); v <= 10; v++ {
		step := func(what string) string { return fmt.Sprintf("%s v%d", what, v) }
		s.send(step("fetch"), v, offsetFetch(s, v, g, t))
		if v < 9 {
			continue
		}
		for _, who := range []struct {
			what   string
			member *string
			epoch  int32
		}{
			{"its member", kmsg.StringPtr("m"), e}, {"an epoch ahead", kmsg.StringPtr("m"), e + 1}, {"an epoch behind", kmsg.StringPtr("m"), e - 1},
			{"nobody", kmsg.StringPtr("x"), e}, {"no member", nil, e}, {"no epoch", kmsg.StringPtr("m"), -1}, {"an empty member", kmsg.StringPtr(""), -1},
		} {
			req := offsetFetch(s, v, g, t)
			req.Groups[0].MemberID, req.Groups[0].MemberEpoch = who.member, who.epoch
			s.send(step("fetch of "+who.what), v, req)
			all := offsetFetch(s, v, g)
			all.Groups[0].MemberID, all.Groups[0].MemberEpoch = who.member, who.epoch
			s.send(step("fetch all of "+who.what), v, all)
		}
	}
	s.send("delete offsets of a topic in use", 0, offsetDelete(g, t, 0, 1, 7))
	s.send("delete offsets of another topic", 0, offsetDelete(g, other, 0))
	s.send("delete a group with a member", 3, deleteGroups(g))
	s.quiet(1, beat(g, "m", -1))
	s.send("commit to an empty group", 9, commit(s, 9, g, "", -1, t, 0, 60))
	s.send("commit to an empty group with an epoch", 9, commit(s, 9, g, "m", e, t, 0, 61))
	s.send("fetch of a member that left", 9, func() kmsg.Request {
		req := offsetFetch(s, 9, g, t)
		req.Groups[0].MemberID, req.Groups[0].MemberEpoch = kmsg.StringPtr("m"), e
		return req
	}())
	s.send("delete offsets of an empty group", 0, offsetDelete(g, t, 0))
	s.send("what is left", 9, offsetFetch(s, 9, g))
	s.send("delete an empty group", 3, deleteGroups(g))
	s.send("describe deleted", 1, describeConsumers(g))
}

// consumerAdminScenario: what the APIs of all groups say of consumer groups, and the other way round.
func consumerAdminScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 2)
	stable, empty, classic, simple := s.t("stable"), s.t("empty"), s.t("classic"), s.t("simple")
	reconciling := s.t("reconciling")
	for _, g := range []string{stable, empty, reconciling} {
		s.ready(g, t)
	}
	s.quiet(1, enter(stable, "m", []string{t}))
	s.quiet(1, enter(empty, "m", []string{t}))
	s.quiet(1, beat(empty, "m", -1))
	s.quiet(1, enter(reconciling, "m", []string{t}))
	s.quiet(1, enter(reconciling, "n", []string{t}))
	s.member(classic)
	s.ready(simple, t)
	s.quiet(9, commit(s, 9, simple, "", -1, t, 0, 5))
	s.each("list", 0, 5, func(int16) kmsg.Request { return listGroups() })
	for _, states := range []string{"Stable", "empty", "Reconciling", "reconciling", "Assigning", "Stable,Empty"} {
		s.send(fmt.Sprintf("list %q", states), 5, listGroups(strings.Split(states, ",")...))
	}
	for _, types := range []string{"consumer", "Consumer", "classic", "share", "consumer,classic"} {
		req := listGroups()
		req.TypesFilter = strings.Split(types, ",")
		s.send(fmt.Sprintf("list of type %q", types), 5, req)
		req = listGroups("Empty")
		req.TypesFilter = strings.Split(types, ",")
		s.send(fmt.Sprintf("list empty of type %q", types), 5, req)
	}
	s.each("describe as classic", 0, 6, func(int16) kmsg.Request { return describeGroups(stable, empty, classic) })
	s.each("describe as consumers", 0, 1, func(int16) kmsg.Request { return describeConsumers(stable, empty, reconciling, classic, simple) })
	s.each("delete", 0, 3, func(int16) kmsg.Request { return deleteGroups(stable, reconciling) })
	s.send("delete the empty one", 3, deleteGroups(empty, empty))
	s.send("list what is left", 5, listGroups())
	s.each("leave as classic", 0, 5, func(int16) kmsg.Request { return leaveGroup(stable, "m") })
	s.each("sync as classic", 0, 5, func(int16) kmsg.Request { return syncGroup(stable, "m", 1) })
	s.each("heartbeat as classic", 0, 4, func(int16) kmsg.Request { return heartbeat(stable, "m", 1) })
	s.beats("heartbeat of a classic member", 1, beat(classic, "m", 1))
	s.beats("leave of a classic group", 1, beat(classic, "m", -1))
	s.beats("join of a group of commits", 1, enter(simple, "m", []string{t}))
	s.send("its offsets are there", 9, offsetFetch(s, 9, simple))
	s.send("describe the group of commits", 1, describeConsumers(simple))
}

func groupResource(name string, keys ...string) kmsg.DescribeConfigsRequestResource {
	return resource(kmsg.ConfigResourceTypeGroupConfig, name, keys...)
}

// consumerConfigsScenario: configs of one group, and what a heartbeat makes of them.
func consumerConfigsScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 1)
	g := s.t("g")
	s.ready(g, t)
	e := s.beats("join", 1, enter(g, "m", []string{t}))
	set := func(step string, ops ...kmsg.IncrementalAlterConfigsRequestResourceConfig) {
		s.send(step, 1, incremental(kmsg.ConfigResourceTypeGroupConfig, g, ops...))
	}
	set("longer heartbeat interval", op(opSet, "consumer.heartbeat.interval.ms", "7000"))
	s.await("interval", func() bool {
		return s.quiet(1, beat(g, "m", e)).(*kmsg.ConsumerGroupHeartbeatResponse).HeartbeatIntervalMillis == 7000
	})
	s.send("described", 4, describeConfigs(true, false, groupResource(g)))
	s.send("described in part", 4, describeConfigs(true, false, groupResource(g, "consumer.heartbeat.interval.ms", "consumer.session.timeout.ms", "nonsense")))
	s.send("described without synonyms", 1, describeConfigs(false, false, groupResource(g, "consumer.heartbeat.interval.ms")))
	s.send("described without a name", 4, describeConfigs(true, false, groupResource("")))
	set("longer session", op(opSet, "consumer.session.timeout.ms", "50000"))
	set("no assignment interval", op(opSet, "consumer.assignment.interval.ms", "0"))
	for _, bad := range [][2]string{
		{"consumer.heartbeat.interval.ms", "4999"}, {"consumer.heartbeat.interval.ms", "15001"}, {"consumer.heartbeat.interval.ms", "x"},
		{"consumer.heartbeat.interval.ms", "0"}, {"consumer.session.timeout.ms", "44999"}, {"consumer.session.timeout.ms", "60001"},
		{"consumer.session.timeout.ms", "-1"}, {"consumer.assignment.interval.ms", "15001"}, {"consumer.assignment.interval.ms", "-1"},
		{"nonsense", "1"}, {"retention.ms", "1"}, {"group.consumer.session.timeout.ms", "50000"},
		{"share.heartbeat.interval.ms", "1"}, {"share.session.timeout.ms", "60001"}, {"share.auto.offset.reset", "never"},
		{"streams.num.standby.replicas", "3"}, {"streams.session.timeout.ms", "1"},
	} {
		set("bad "+bad[0]+"="+bad[1], op(opSet, bad[0], bad[1]))
	}
	set("append", op(opAppend, "consumer.session.timeout.ms", "1"))
	set("null", op(opSet, "consumer.session.timeout.ms", nil))
	set("one good and one bad", op(opSet, "consumer.session.timeout.ms", "55000"), op(opSet, "consumer.heartbeat.interval.ms", "1"))
	set("delete", op(opDelete, "consumer.heartbeat.interval.ms", nil))
	set("delete what is not set", op(opDelete, "consumer.heartbeat.interval.ms", nil))
	s.send("no group name", 1, incremental(kmsg.ConfigResourceTypeGroupConfig, "", op(opSet, "consumer.session.timeout.ms", "50000")))
	s.await("interval of the broker", func() bool {
		return s.quiet(1, beat(g, "m", e)).(*kmsg.ConsumerGroupHeartbeatResponse).HeartbeatIntervalMillis == 5000
	})
	s.send("described after", 4, describeConfigs(true, false, groupResource(g, "consumer.heartbeat.interval.ms", "consumer.session.timeout.ms")))
	s.send("altered whole", 2, alterConfigs(kmsg.ConfigResourceTypeGroupConfig, g, "consumer.session.timeout.ms", "46000"))
	s.send("altered whole, bad", 2, alterConfigs(kmsg.ConfigResourceTypeGroupConfig, g, "consumer.session.timeout.ms", "46"))
	validate := incremental(kmsg.ConfigResourceTypeGroupConfig, s.t("other"), op(opSet, "consumer.session.timeout.ms", "50000"))
	validate.ValidateOnly = true
	s.send("only validated", 1, validate)
	s.send("described, other", 4, describeConfigs(true, false, groupResource(s.t("other"), "consumer.session.timeout.ms")))
}
