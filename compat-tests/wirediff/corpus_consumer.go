package wirediff

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// beat is a ConsumerGroupHeartbeat in which nothing has changed.
func beat(group, member string, epoch int32, change ...func(*kmsg.ConsumerGroupHeartbeatRequest)) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	req.RebalanceTimeoutMillis = -1
	req.SubscribedTopicNames, req.Topics = nil, nil
	for _, c := range change {
		c(req)
	}
	return req
}

// enter is a heartbeat that joins with a subscription.
func enter(group, member string, topics []string, change ...func(*kmsg.ConsumerGroupHeartbeatRequest)) *kmsg.ConsumerGroupHeartbeatRequest {
	return beat(group, member, 0, append([]func(*kmsg.ConsumerGroupHeartbeatRequest){subscribed(topics...), timeout(300_000), owning(nil)}, change...)...)
}

func subscribed(topics ...string) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) {
		req.SubscribedTopicNames = append([]string{}, topics...)
	}
}

func timeout(ms int32) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) { req.RebalanceTimeoutMillis = ms }
}

// owning says which partitions the member has; nil: none.
func owning(owned map[[16]byte][]int32) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		for id, partitions := range owned {
			req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: id, Partitions: partitions})
		}
	}
}

// owns is owning of one topic.
func (s *script) owns(topic string, partitions ...int32) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return owning(map[[16]byte][]int32{s.id(topic): partitions})
}

func staticID(id string) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) { req.InstanceID = &id }
}

func rack(id string) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) { req.RackID = &id }
}

func assignor(name string) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) { req.ServerAssignor = &name }
}

func matching(regex string) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) { req.SubscribedTopicRegex = &regex }
}

// unsubscribed: no names are given.
func unsubscribed(req *kmsg.ConsumerGroupHeartbeatRequest) { req.SubscribedTopicNames = nil }

// unowned: nothing is said of what the member has.
func unowned(req *kmsg.ConsumerGroupHeartbeatRequest) { req.Topics = nil }

func describeConsumers(groups ...string) *kmsg.ConsumerGroupDescribeRequest {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = groups
	return req
}

// beats sends a heartbeat, notes it, and returns the epoch of the answer.
func (s *script) beats(step string, version int16, req *kmsg.ConsumerGroupHeartbeatRequest) int32 {
	return s.send(step, version, req).(*kmsg.ConsumerGroupHeartbeatResponse).MemberEpoch
}

// ready waits until the group's coordinator has seen the topics, which Kafka's does behind the broker's metadata.
// The group must not be there, and is not there afterwards.
func (s *script) ready(group string, topics ...string) {
	s.await("the coordinator of "+group+" to see its topics", func() bool {
		seen := s.quiet(1, enter(group, "probe", topics)).(*kmsg.ConsumerGroupHeartbeatResponse)
		s.quiet(1, beat(group, "probe", -1))
		s.quiet(2, deleteGroups(group))
		return seen.Assignment != nil && len(seen.Assignment.Topics) == len(topics)
	})
}

// consumerRefusedScenario is what is wrong with a heartbeat whatever the group, and in which order it is looked at.
func consumerRefusedScenario(s *script) {
	s.awaitCoordinator()
	t := []string{s.topic("t", 1)}
	g, long := s.t("g"), s.t("none")
	wrong := []struct {
		what string
		req  *kmsg.ConsumerGroupHeartbeatRequest
	}{
		{"no group id", enter("", "m", t)},
		{"no member id", enter(g, "", t)},
		{"no member id with an epoch", beat(g, "", 1)},
		{"no member id and leaving", beat(g, "", -1)},
		{"blank member id", beat(g, " ", 1)},
		{"no instance id", enter(g, "m", t, staticID(""))},
		{"no rack id", enter(g, "m", t, rack(""))},
		{"joining without a rebalance timeout", enter(g, "m", t, timeout(-1))},
		{"rebalance timeout 0", beat(g, "m", 5, timeout(0))},
		{"joining without partitions", enter(g, "m", t, unowned)},
		{"joining with partitions", enter(g, "m", t, s.owns(t[0], 0))},
		{"joining without a subscription", enter(g, "m", t, unsubscribed)},
		{"static leave without an instance", beat(g, "m", -2)},
		{"epoch -3", beat(g, "m", -3)},
		{"unknown assignor", enter(g, "m", t, assignor("sticky"))},
		{"unknown assignor without joining", beat(g, "m", 3, assignor("sticky"))},
		{"no assignor", enter(g, "m", t, assignor(""))},
		{"no group", beat(long, "m", 1)},
		{"no group to leave", beat(long, "m", -1)},
		{"no group to leave for a while", beat(long, "m", -2, staticID("i"))},
		{"topic that cannot be", enter(s.t("odd"), "m", []string{"a b", ""})},
		// Two things are wrong: which one is said?
		{"group id and member id", beat("", "", 1)},
		{"member id and instance", enter(g, "", t, staticID(""))},
		{"instance and rack", enter(g, "m", t, staticID(""), rack(""))},
		{"rack and timeout", enter(g, "m", t, rack(""), timeout(-1))},
		{"timeout and partitions", enter(g, "m", t, timeout(-1), unowned)},
		{"partitions and subscription", enter(g, "m", t, unowned, unsubscribed)},
		{"subscription and assignor", enter(g, "m", t, unsubscribed, assignor("sticky"))},
		{"assignor and no group", beat(long, "m", 1, assignor("sticky"))},
		{"static leave and rack", beat(g, "m", -2, rack(""))},
		{"epoch and rack", beat(g, "m", -3, rack(""))},
		{"epoch and assignor", beat(g, "m", -3, assignor("sticky"))},
		{"leaving with an unknown assignor", beat(long, "m", -1, assignor("sticky"))},
	}
	for _, w := range wrong {
		s.each(w.what, 0, 1, func(v int16) kmsg.Request {
			if w.what == "no member id" && v == 0 { // is given one: see consumer-life
				return beat(g, "", 7)
			}
			return w.req
		})
	}
	for _, regex := range []string{"[", "(?=x)", "a**", `\`, "(?P<n", "x{1001}"} {
		s.send(fmt.Sprintf("regex %q", regex), 1, enter(s.t("r"), "m", nil, unsubscribed, matching(regex)))
	}
	s.send("bad regex and unknown assignor", 1, enter(g, "m", nil, matching("["), assignor("sticky")))
	s.send("bad regex without a group", 1, beat(long, "m", 1, matching("[")))
	s.each("describe what is not there", 0, 1, func(int16) kmsg.Request { return describeConsumers(long, "", long) })
	s.each("describe nothing", 0, 1, func(int16) kmsg.Request { return describeConsumers() })
	s.each("describe with operations", 0, 1, func(int16) kmsg.Request {
		req := describeConsumers(long)
		req.IncludeAuthorizedOperations = true
		return req
	})
}

// consumerLifeScenario is the life of a group: a member joins, a second one, each step of their agreement, and the end.
func consumerLifeScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 3)
	for v := range int16(2) {
		g := s.t(fmt.Sprintf("g%d", v))
		s.ready(g, t)
		step := func(what string) string { return fmt.Sprintf("%s v%d", what, v) }
		describe := func(when string) { s.send(step("describe "+when), v, describeConsumers(g)) }
		e := s.beats(step("first joins"), v, enter(g, "a", []string{t}, rack("r")))
		describe("one")
		s.beats(step("first says nothing new"), v, beat(g, "a", e))
		s.beats(step("first says what it has"), v, beat(g, "a", e, s.owns(t, 0, 1, 2)))
		s.beats(step("first says all"), v, beat(g, "a", e, s.owns(t, 0, 1, 2), subscribed(t), timeout(300_000)))
		s.beats(step("first says all and has less"), v, beat(g, "a", e, s.owns(t, 1), subscribed(t), timeout(300_000)))
		s.beats(step("first joins again"), v, enter(g, "a", []string{t}, rack("r")))
		s.beats(step("first with an epoch ahead"), v, beat(g, "a", e+1))
		s.beats(step("first with the epoch before"), v, beat(g, "a", e-1))
		s.beats(step("first with the epoch before and what it has"), v, beat(g, "a", e-1, s.owns(t, 0, 1, 2)))
		s.beats(step("first with the epoch before and something else"), v, beat(g, "a", e-1, s.owns(t, 7)))
		s.beats(step("nobody with an epoch"), v, beat(g, "x", e))
		s.beats(step("nobody leaves"), v, beat(g, "x", -1))
		second := s.beats(step("second joins"), v, enter(g, "b", []string{t}))
		describe("two, nothing is given up")
		s.beats(step("second waits"), v, beat(g, "b", second))
		s.beats(step("first is asked to give up"), v, beat(g, "a", e, s.owns(t, 0, 1, 2)))
		describe("first is to give up")
		s.beats(step("first has not given up"), v, beat(g, "a", e, s.owns(t, 0, 1, 2)))
		s.beats(step("first says nothing of it"), v, beat(g, "a", e))
		s.beats(step("second waits still"), v, beat(g, "b", second))
		e = s.beats(step("first has given up"), v, beat(g, "a", e, s.owns(t, 0, 1)))
		describe("first has given up")
		s.beats(step("second gets its share"), v, beat(g, "b", second))
		describe("all agree")
		s.beats(step("second has its share"), v, beat(g, "b", second, s.owns(t, 2)))
		s.beats(step("first with the epoch before giving up"), v, beat(g, "a", e-1, s.owns(t, 0, 1)))
		s.beats(step("first changes nothing"), v, beat(g, "a", e, subscribed(t)))
		s.beats(step("first changes its rack"), v, beat(g, "a", e, rack("q")))
		s.beats(step("first after its rack"), v, beat(g, "a", e))
		describe("another rack")
		s.beats(step("second leaves"), v, beat(g, "b", -1))
		describe("second has left")
		s.beats(step("second after it left"), v, beat(g, "b", second))
		e = s.beats(step("first gets all"), v, beat(g, "a", e))
		s.beats(step("first has all"), v, beat(g, "a", e, s.owns(t, 0, 1, 2)))
		e = s.beats(step("first subscribes to nothing"), v, beat(g, "a", e, subscribed(), s.owns(t, 0, 1, 2)))
		e = s.beats(step("first gives up all"), v, beat(g, "a", e, s.owns(t)))
		describe("subscribed to nothing")
		e = s.beats(step("first subscribes to what is not there"), v, beat(g, "a", e, subscribed(s.t("none"))))
		describe("subscribed to what is not there")
		s.beats(step("first says nothing"), v, beat(g, "a", e))
		s.beats(step("first leaves"), v, beat(g, "a", -1))
		describe("empty")
		s.beats(step("first leaves again"), v, beat(g, "a", -1))
		s.beats(step("first joins the empty group"), v, enter(g, "a", []string{t}))
		s.beats(step("and leaves it"), v, beat(g, "a", -1))
		s.send(step("delete"), min(v+2, 3), deleteGroups(g))
		describe("deleted")
	}
	s.ready(s.t("given"), t)
	given := s.send("a member id is given", 0, enter(s.t("given"), "", []string{t})).(*kmsg.ConsumerGroupHeartbeatResponse)
	if given.MemberID != nil {
		s.beats("member with the id given", 0, beat(s.t("given"), *given.MemberID, given.MemberEpoch))
	}
	s.send("describe with operations", 1, func() kmsg.Request {
		req := describeConsumers(s.t("given"), s.t("given"))
		req.IncludeAuthorizedOperations = true
		return req
	}())
}

// consumerStaticScenario: members with instance ids leave for a while, come back, are replaced and fenced.
func consumerStaticScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 2)
	for v := range int16(2) {
		g := s.t(fmt.Sprintf("g%d", v))
		s.ready(g, t)
		step := func(what string) string { return fmt.Sprintf("%s v%d", what, v) }
		i := staticID("i")
		e := s.beats(step("join"), v, enter(g, "a", []string{t}, i))
		s.beats(step("other member while it is there"), v, enter(g, "b", []string{t}, i))
		s.beats(step("heartbeat of another member"), v, beat(g, "b", e, i))
		s.beats(step("heartbeat of an unknown instance"), v, beat(g, "a", e, staticID("j")))
		s.beats(step("heartbeat without its instance"), v, beat(g, "a", e))
		s.beats(step("unknown instance leaves for a while"), v, beat(g, "a", -2, staticID("j")))
		s.beats(step("other member leaves for a while"), v, beat(g, "b", -2, i))
		s.beats(step("leaves for a while"), v, beat(g, "a", -2, i))
		s.send(step("describe away"), v, describeConsumers(g))
		s.beats(step("heartbeat while away"), v, beat(g, "a", e, i))
		s.beats(step("leaves again"), v, beat(g, "a", -2, i))
		e = s.beats(step("comes back as another"), v, enter(g, "b", []string{t}, i))
		s.send(step("describe back"), v, describeConsumers(g))
		s.beats(step("heartbeat of the old"), v, beat(g, "a", e, i))
		s.beats(step("heartbeat of the new"), v, beat(g, "b", e, i))
		s.beats(step("leaves for a while again"), v, beat(g, "b", -2, i))
		s.beats(step("comes back as itself"), v, enter(g, "b", []string{t}, i))
		s.beats(step("leaves for the third time"), v, beat(g, "b", -2, i))
		s.beats(step("another instance joins"), v, enter(g, "c", []string{t}, staticID("k")))
		s.beats(step("comes back with another subscription"), v, enter(g, "d", []string{s.t("none")}, i))
		s.send(step("describe both"), v, describeConsumers(g))
		s.beats(step("leaves for good by another"), v, beat(g, "c", -1, i))
		s.beats(step("leaves for good"), v, beat(g, "d", -1, i))
		s.beats(step("leaves for good, unknown instance"), v, beat(g, "c", -1, staticID("z")))
		s.beats(step("leaves for good without its instance"), v, beat(g, "c", -1))
		s.send(step("describe after all left"), v, describeConsumers(g))
	}
}

// consumerAssignorsScenario: what the members ask for, and what range gives them.
func consumerAssignorsScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 5)
	u := s.topic("u", 2)
	g := s.t("range")
	s.ready(g, t, u)
	s.beats("first", 1, enter(g, "m2", []string{t, u}, assignor("range")))
	e := s.beats("second", 1, enter(g, "m1", []string{t, u}, assignor("range")))
	third := s.beats("third is static", 1, enter(g, "m3", []string{t}, assignor("range"), staticID("a")))
	s.send("describe range", 1, describeConsumers(g))
	s.beats("second has nothing yet", 1, beat(g, "m1", e, owning(nil)))
	s.beats("second by its epoch before", 1, beat(g, "m1", e))
	s.beats("third has nothing yet", 1, beat(g, "m3", third, owning(nil)))
	s.beats("third asks for uniform", 1, beat(g, "m3", third, assignor("uniform")))
	s.send("describe two against one", 1, describeConsumers(g))
	e = s.beats("second says what it has", 1, beat(g, "m1", e+1, owning(nil)))
	s.beats("second asks for uniform", 1, beat(g, "m1", e, assignor("uniform")))
	s.send("describe one against two", 1, describeConsumers(g))
	g = s.t("copartitioned")
	a := s.topic("a", 4)
	b := s.topic("b", 4)
	s.ready(g, a, b)
	for _, m := range []string{"m3", "m1", "m2"} {
		s.beats("copartitioned "+m, 1, enter(g, m, []string{a, b}, assignor("range")))
	}
	s.send("describe copartitioned", 1, describeConsumers(g))
	g = s.t("one")
	s.ready(g, a, b)
	s.beats("uniform of two topics", 1, enter(g, "m1", []string{a, b}))
	s.send("describe uniform", 1, describeConsumers(g))
}

// consumerRegexScenario: subscriptions by a pattern, resolved behind the heartbeat.
func consumerRegexScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 2)
	s.topic("tt", 1)
	u := s.topic("u", 1)
	g := s.t("g")
	s.ready(g, t, u)
	s.quiet(12, metadata("__consumer_offsets"))
	s.beats("no names and no pattern", 1, enter(s.t("nothing"), "m", nil, unsubscribed, matching("")))
	s.beats("empty names", 1, enter(s.t("names"), "m", nil))
	e := s.resolved(enter(g, "m", nil, unsubscribed, matching(s.name+`\.t`)))
	s.send("describe a pattern", 1, describeConsumers(g))
	s.send("describe a pattern, older", 0, describeConsumers(g))
	s.beats("the same pattern", 1, beat(g, "m", e, matching(s.name+`\.t`)))
	s.beats("names beside it", 1, beat(g, "m", e, subscribed(u)))
	e = s.resolved(beat(g, "m", e+1))
	s.send("describe names and a pattern", 1, describeConsumers(g))
	s.beats("older version", 0, beat(g, "m", e))
	e = s.beats("no pattern any more", 1, beat(g, "m", e, matching("")))
	s.send("describe names alone", 1, describeConsumers(g))
	s.beats("bad pattern of a member", 1, beat(g, "m", e, matching("(")))
	g = s.t("internal")
	s.ready(g, t)
	s.resolved(enter(g, "m", nil, unsubscribed, matching(`__consumer_offsets|`+t)))
	s.send("describe internal topics", 1, describeConsumers(g))
	g = s.t("named")
	s.ready(g, t)
	s.beats("internal topic by name", 1, enter(g, "m", []string{"__consumer_offsets_x", t}))
}

// resolved sends a heartbeat, not noted, and more of them until the member has partitions; it returns its epoch.
func (s *script) resolved(req *kmsg.ConsumerGroupHeartbeatRequest) int32 {
	resp := s.quiet(1, req).(*kmsg.ConsumerGroupHeartbeatResponse)
	if resp.ErrorCode != 0 {
		panic(fatal{fmt.Errorf("heartbeat of %s: error %d", req.Group, resp.ErrorCode)})
	}
	epoch := resp.MemberEpoch
	s.await("the pattern of "+req.Group, func() bool {
		resp = s.quiet(1, beat(req.Group, req.MemberID, epoch)).(*kmsg.ConsumerGroupHeartbeatResponse)
		epoch = resp.MemberEpoch
		g := s.quiet(1, describeConsumers(req.Group)).(*kmsg.ConsumerGroupDescribeResponse).Groups[0]
		return g.State == "Stable" && len(g.Members) > 0 && len(g.Members[0].TargetAssignment.TopicPartitions) > 0
	})
	return epoch
}

// consumerTopicsScenario: a topic of the group is made, grows, and is deleted.
func consumerTopicsScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 1)
	g, late := s.t("g"), s.t("late")
	s.ready(g, t)
	e := s.beats("join", 1, enter(g, "m", []string{t, late}))
	settle := func(partitions int) {
		s.await("the assignment", func() bool {
			resp := s.quiet(1, beat(g, "m", e)).(*kmsg.ConsumerGroupHeartbeatResponse)
			e = resp.MemberEpoch
			n := 0
			for _, t := range s.quiet(1, describeConsumers(g)).(*kmsg.ConsumerGroupDescribeResponse).Groups[0].Members[0].Assignment.TopicPartitions {
				n += len(t.Partitions)
			}
			return n == partitions
		})
	}
	s.topic("late", 2)
	settle(3)
	s.send("describe with the late topic", 1, describeConsumers(g))
	s.quiet(3, createPartitions(grow(t, 3)))
	s.awaitTopic(t, 3)
	settle(5)
	s.send("describe grown", 1, describeConsumers(g))
	s.beats("heartbeat grown", 1, beat(g, "m", e, owning(map[[16]byte][]int32{s.id(t): {0, 1, 2}, s.id(late): {0, 1}})))
	s.quiet(6, deleteTopics(late))
	s.awaitGone(late)
	s.await("the end of its partitions", func() bool {
		resp := s.quiet(1, beat(g, "m", e, s.owns(t, 0, 1, 2))).(*kmsg.ConsumerGroupHeartbeatResponse)
		e = resp.MemberEpoch
		return len(s.quiet(1, describeConsumers(g)).(*kmsg.ConsumerGroupDescribeResponse).Groups[0].Members[0].TargetAssignment.TopicPartitions) == 1
	})
	s.quiet(1, beat(g, "m", e, s.owns(t, 0, 1, 2)))
	s.send("describe without it", 1, describeConsumers(g))
}

// consumerTimeoutScenario: who does not give up within its rebalance timeout is out.
func consumerTimeoutScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 2)
	g := s.t("g")
	s.ready(g, t)
	e := s.beats("first joins", 1, enter(g, "a", []string{t}, timeout(400)))
	second := s.beats("second joins", 1, enter(g, "b", []string{t}))
	s.beats("first is asked to give up", 1, beat(g, "a", e, s.owns(t, 0, 1)))
	s.await("the end of the first", func() bool {
		return len(s.quiet(1, describeConsumers(g)).(*kmsg.ConsumerGroupDescribeResponse).Groups[0].Members) == 1
	})
	s.beats("first is out", 1, beat(g, "a", e, s.owns(t, 0, 1)))
	s.send("describe without the first", 1, describeConsumers(g))
	s.beats("second gets all", 1, beat(g, "b", second))
}
