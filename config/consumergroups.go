package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Consumer groups of KIP-848. A group may have its own value of the rows with a "consumer." name, within
// the bounds that the broker sets.
var (
	GroupConsumerSessionTimeoutMs = millis("group.consumer.session.timeout.ms", 45000,
		"How long a consumer group's member may say nothing before it is out.", asInt, atLeast(1))
	_ = millis("group.consumer.min.session.timeout.ms", 45000,
		"Least session time-out that a consumer group may have.", asInt, atLeast(1))
	_ = millis("group.consumer.max.session.timeout.ms", 60000,
		"Greatest session time-out that a consumer group may have.", asInt, atLeast(1))
	GroupConsumerHeartbeatIntervalMs = millis("group.consumer.heartbeat.interval.ms", 5000,
		"How often members of a consumer group are told to send heartbeats. Where it is not set it is the longest interval: "+
			"groups that are small or in a rebalance have a shorter one.", asInt, atLeast(1))
	_ = millis("group.consumer.min.heartbeat.interval.ms", 5000,
		"Least heartbeat interval that a consumer group may be given.", asInt, atLeast(1))
	_ = millis("group.consumer.max.heartbeat.interval.ms", 15000,
		"Greatest heartbeat interval that a consumer group may be given.", asInt, atLeast(1))
	GroupConsumerAssignmentIntervalMs = millis("group.consumer.assignment.interval.ms", 1000,
		"Least time between two assignments of a consumer group.", asInt, clusterWide, atLeast(0))
	_ = millis("group.consumer.min.assignment.interval.ms", 0,
		"Least assignment interval that a consumer group may have.", asInt, atLeast(0))
	_ = millis("group.consumer.max.assignment.interval.ms", 15000,
		"Greatest assignment interval that a consumer group may have.", asInt, atLeast(0))
	GroupConsumerMaxSize = number("group.consumer.max.size", 2147483647,
		"Members that a consumer group may have.", atLeast(1))
	GroupConsumerAssignors = list("group.consumer.assignors", "uniform,range",
		"Assignors that members may ask for; the first is taken when none does.", valid(assignorNames{}))
	GroupConsumerMigrationPolicy = text("group.consumer.migration.policy", "bidirectional",
		"Which way a group with members may change its protocol: upgrade to consumer, downgrade to classic.",
		valid(OneOf{Values: []string{"DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"}, IgnoreCase: true}))
	GroupCoordinatorRebalanceProtocols = list("group.coordinator.rebalance.protocols", "classic,consumer,streams",
		"Protocols of groups that are served.",
		valid(ListOf{Values: []string{"consumer", "classic", "share", "streams"}, NonEmpty: true}))
)

// kafkaAssignors are the classes that Kafka knows the built-in assignors by.
var kafkaAssignors = map[string]string{
	"org.apache.kafka.coordinator.group.assignor.UniformAssignor": "uniform",
	"org.apache.kafka.coordinator.group.assignor.RangeAssignor":   "range",
}

// AssignorName is the name of a built-in assignor that is given by name or by Kafka's class; "": there is none.
func AssignorName(given string) string {
	if name := kafkaAssignors[given]; name != "" {
		return name
	}
	for _, name := range kafkaAssignors {
		if name == given {
			return name
		}
	}
	return ""
}

// assignorNames: each element is a built-in assignor, and none is given twice in two ways.
type assignorNames struct{}

func (assignorNames) check(name string, value any) error {
	if err := (ListOf{NonEmpty: true}).check(name, value); err != nil {
		return err
	}
	elements, _ := value.([]string)
	var seen []string
	for _, e := range elements {
		assignor := AssignorName(e)
		switch {
		case assignor == "":
			return invalid(name, e, "Class cannot be found")
		case slices.Contains(seen, assignor):
			return invalid(name, e, fmt.Sprintf("Assignor name '%s' is already registered by another configured assignor. "+
				"Assignor names, whether built-in or custom, must be unique", assignor))
		}
		seen = append(seen, assignor)
	}
	return nil
}

func (assignorNames) String() string { return "" }

// validateGroups is what Kafka checks between the rows of consumer groups.
func (v *Values) validateGroups() error {
	least := func(a, b string) func() error { // a is at least b
		return v.compared(v.number(a) >= v.number(b), a, "greater than or equal to", b)
	}
	most := func(a, b string) func() error {
		return v.compared(v.number(a) <= v.number(b), a, "less than or equal to", b)
	}
	const heartbeat, session, assignment = "heartbeat.interval.ms", "session.timeout.ms", "assignment.interval.ms"
	var checks []func() error
	for _, what := range []string{heartbeat, session, assignment} {
		own, low, high := "group.consumer."+what, "group.consumer.min."+what, "group.consumer.max."+what
		checks = append(checks, least(high, low), least(own, low), most(own, high))
		if what == session {
			h := "group.consumer." + heartbeat
			checks = append(checks, v.compared(v.number(h) < v.number(own), h, "less than", own))
		}
	}
	return firstError(append(checks, func() error {
		if !slices.Contains(Get(v, GroupCoordinatorRebalanceProtocols), "classic") {
			return &Error{Text: "Disabling the 'classic' protocol is not supported."}
		}
		return nil
	})...)
}

func (v *Values) compared(ok bool, a, how, b string) func() error {
	return func() error {
		if ok {
			return nil
		}
		return &Error{Text: a + " must be " + how + " " + b}
	}
}

// GroupDuration is the value of a row in milliseconds for a group with these overrides (the image's
// ConfigRecords), and whether somebody set it, for the broker or for the group. A group's own value that
// is out of the broker's bounds by now is as near as they allow.
func (v *Values) GroupDuration(k Key[time.Duration], overrides map[string]string) (d time.Duration, set bool) {
	name := strings.TrimPrefix(k.Name(), "group.")
	text, ok := overrides[name]
	if !ok {
		return Get(v, k), v.IsSet(k.Name())
	}
	parsed, err := Lookup(GroupScope, name).Parse(text)
	n, isNumber := parsed.(int64)
	if err != nil || !isNumber {
		return Get(v, k), v.IsSet(k.Name())
	}
	if low, high := groupBounds(name); low != nil && high != nil {
		n = min(max(n, v.number(low.Name)), v.number(high.Name))
	}
	return toDuration(n, k.row.unit), true
}
