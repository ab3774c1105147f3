package wirediff

import "github.com/twmb/franz-go/pkg/kmsg"

// A variant is a broker with settings of its own, and the scenario that shows what they do.
type variant struct {
	scenario
	settings []string
	features string // of the new cluster
}

// variants need a broker each: their settings are read at its start.
func variants() []variant {
	return []variant{
		{scenario{"policy-disabled", policyScenario}, []string{"group.consumer.migration.policy=disabled", "group.consumer.max.size=1", "group.consumer.assignors=range"}, ""},
		{scenario{"policy-upgrade", policyScenario}, []string{"group.consumer.migration.policy=upgrade", "group.consumer.max.size=2"}, ""},
		{scenario{"policy-downgrade", policyScenario}, []string{"group.consumer.migration.policy=DOWNGRADE"}, ""},
		{scenario{"protocol-off", protocolOffScenario}, []string{"group.coordinator.rebalance.protocols=classic"}, ""},
		{scenario{"txn-version-1", versionOneScenario}, nil, "transaction.version=1"},
	}
}

// policyScenario tries to take a group from each protocol to the other.
func policyScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 2)
	classic := s.t("classic")
	s.ready(classic, t)
	s.ready(s.t("consumer"), t)
	id, generation := s.classicMember(classic, t, 0, 1)
	s.beats("consumer joins a classic group", 1, enter(classic, "new", []string{t}))
	s.send("describe it", 1, describeConsumers(classic))
	s.send("describe it as classic", 5, describeGroups(classic))
	s.send("heartbeat of its classic member", 4, heartbeat(classic, id, generation))
	s.beats("one more consumer", 1, enter(classic, "another", []string{t}))
	s.beats("consumer leaves", 1, beat(classic, "new", -1))
	s.beats("another leaves", 1, beat(classic, "another", -1))
	s.send("list after they left", 5, listGroups())
	s.send("describe after they left", 1, describeConsumers(classic))

	g := s.t("consumer")
	s.beats("consumer joins", 1, enter(g, "a", []string{t}))
	asked := s.send("classic asks for an id", 9, joinGroup(g, "", classicSubscription(3, []string{t}, t))).(*kmsg.JoinGroupResponse)
	s.send("classic joins", 9, joinGroup(g, asked.MemberID, classicSubscription(3, []string{t}, t)))
	s.beats("second consumer joins", 1, enter(g, "b", []string{t}))
	s.send("describe the consumers", 1, describeConsumers(g))
	s.beats("first consumer leaves", 1, beat(g, "a", -1))
	s.beats("second consumer leaves", 1, beat(g, "b", -1))
	s.send("list at the end", 5, listGroups())
	s.send("classic asks an empty group", 9, joinGroup(g, "", classicSubscription(3, []string{t}, t)))
	s.beats("asks for uniform", 1, enter(s.t("uniform"), "m", []string{t}, assignor("uniform")))
}

// protocolOffScenario: a broker that serves the classic protocol alone.
func protocolOffScenario(s *script) {
	s.awaitCoordinator()
	t := s.topic("t", 1)
	s.each("heartbeat", 0, 1, func(int16) kmsg.Request { return enter(s.t("g"), "m", []string{t}) })
	s.each("wrong heartbeat", 0, 1, func(int16) kmsg.Request { return beat("", "", 1) })
	s.each("describe", 0, 1, func(int16) kmsg.Request { return describeConsumers(s.t("g"), "", s.t("h")) })
	s.send("describe nothing", 1, describeConsumers())
	s.member(s.t("classic"))
	s.send("describe a classic group", 1, describeConsumers(s.t("classic")))
	s.send("list", 5, listGroups())
}
