package wirediff

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	onTopic  = kmsg.ConfigResourceTypeTopic
	onBroker = kmsg.ConfigResourceTypeBroker
)

func describeConfigsScenario(s *script) {
	plain, set := s.topic("plain", 1), s.topic("set", 1, "retention.ms", "12345", "cleanup.policy", "compact", "max.message.bytes", "5000")
	s.each("all of a topic", 1, 4, func(int16) kmsg.Request { return describeConfigs(false, false, topicResource(plain)) })
	s.each("synonyms", 1, 4, func(int16) kmsg.Request { return describeConfigs(true, false, topicResource(set)) })
	s.send("documentation v4", 4, describeConfigs(true, true, topicResource(set)))
	s.each("some keys", 1, 4, func(v int16) kmsg.Request {
		return describeConfigs(true, v >= 3, topicResource(set, "retention.ms", "segment.bytes", "no.such.config", "retention.ms"))
	})
	s.each("no keys", 1, 4, func(int16) kmsg.Request {
		r := topicResource(set)
		r.ConfigNames = []string{}
		return describeConfigs(false, false, r)
	})
	s.each("unknown and wrong topics", 1, 4, func(int16) kmsg.Request {
		return describeConfigs(false, false, topicResource(s.t("none")), topicResource("a b"), topicResource(""), topicResource(plain, "retention.ms"))
	})
	s.each("the same twice", 1, 4, func(int16) kmsg.Request {
		return describeConfigs(false, false, topicResource(plain, "retention.ms"), topicResource(plain, "segment.ms"))
	})
	s.each("no resources", 1, 4, func(int16) kmsg.Request { return describeConfigs(false, false) })
	for _, kind := range []kmsg.ConfigResourceType{0, 1, 3, 5, 64, -1} {
		s.send(fmt.Sprintf("resource type %d v4", kind), 4, describeConfigs(false, false, resource(kind, "x")))
	}
	s.send("several kinds v4", 4, describeConfigs(false, false, topicResource(plain, "retention.ms"), resource(onBroker, "1", "num.partitions"), resource(77, "x")))
	s.send("group v4", 4, describeConfigs(false, false, resource(kmsg.ConfigResourceTypeGroupConfig, s.t("group"))))
	s.send("client metrics v4", 4, describeConfigs(false, false, resource(kmsg.ConfigResourceTypeClientMetrics, s.t("metrics"))))
}

func brokerConfigsScenario(s *script) {
	s.each("some keys", 1, 4, func(v int16) kmsg.Request {
		return describeConfigs(true, v >= 3, resource(onBroker, "1", "log.retention.ms", "log.retention.hours", "num.partitions", "message.max.bytes", "node.id", "broker.id", "advertised.listeners", "no.such.config"))
	})
	s.send("all v4", 4, describeConfigs(true, false, resource(onBroker, "1")))
	s.each("cluster default", 1, 4, func(int16) kmsg.Request { return describeConfigs(true, false, resource(onBroker, "")) })
	s.each("another broker", 1, 4, func(int16) kmsg.Request { return describeConfigs(false, false, resource(onBroker, "7")) })
	s.send("not a number v4", 4, describeConfigs(false, false, resource(onBroker, "x")))
	s.send("negative v4", 4, describeConfigs(false, false, resource(onBroker, "-1")))
	s.each("change", 0, 1, func(int16) kmsg.Request { return incremental(onBroker, "1", op(opSet, "message.max.bytes", "1100000")) })
	s.await("broker config", func() bool {
		r := s.quiet(4, describeConfigs(false, false, resource(onBroker, "1", "message.max.bytes"))).(*kmsg.DescribeConfigsResponse)
		return len(r.Resources[0].Configs) > 0 && *r.Resources[0].Configs[0].Value == "1100000"
	})
	s.send("changed v4", 4, describeConfigs(true, false, resource(onBroker, "1", "message.max.bytes")))
	t := s.topic("t", 1)
	s.send("its effect on a topic v4", 4, describeConfigs(true, false, topicResource(t, "max.message.bytes")))
	s.send("change of read-only v1", 1, incremental(onBroker, "1", op(opSet, "node.id", "2")))
	s.send("change of read-only of the cluster v1", 1, incremental(onBroker, "", op(opSet, "log.dirs", "/tmp")))
	s.send("change of unknown v1", 1, incremental(onBroker, "1", op(opSet, "no.such.config", "2")))
	s.send("change of wrong value v1", 1, incremental(onBroker, "1", op(opSet, "log.retention.ms", "x")))
	s.send("change of another broker v1", 1, incremental(onBroker, "7", op(opSet, "message.max.bytes", "5")))
	s.send("change of not a number v1", 1, incremental(onBroker, "x", op(opSet, "message.max.bytes", "5")))
	s.each("back", 0, 1, func(int16) kmsg.Request { return incremental(onBroker, "1", op(opDelete, "message.max.bytes", nil)) })
	s.await("broker config", func() bool {
		r := s.quiet(4, describeConfigs(false, false, resource(onBroker, "1", "message.max.bytes"))).(*kmsg.DescribeConfigsResponse)
		return *r.Resources[0].Configs[0].Value == "1048588"
	})
}

func incrementalScenario(s *script) {
	t := s.topic("t", 1)
	after := func(step, key, value string) {
		s.awaitConfig(t, key, value)
		s.send(step+", then", 4, describeConfigs(true, false, topicResource(t, key)))
	}
	for v := range int16(2) {
		value := fmt.Sprint(1000 + v)
		s.send(fmt.Sprintf("set v%d", v), v, incremental(onTopic, t, op(opSet, "retention.ms", value), op(opSet, "segment.ms", value)))
		after(fmt.Sprintf("set v%d", v), "retention.ms", value)
		s.send(fmt.Sprintf("delete v%d", v), v, incremental(onTopic, t, op(opDelete, "retention.ms", nil)))
		after(fmt.Sprintf("delete v%d", v), "retention.ms", "604800000")
		s.send(fmt.Sprintf("append v%d", v), v, incremental(onTopic, t, op(opAppend, "cleanup.policy", "compact")))
		after(fmt.Sprintf("append v%d", v), "cleanup.policy", "delete,compact")
		s.send(fmt.Sprintf("append what is there v%d", v), v, incremental(onTopic, t, op(opAppend, "cleanup.policy", "compact")))
		s.send(fmt.Sprintf("subtract v%d", v), v, incremental(onTopic, t, op(opSubtract, "cleanup.policy", "delete")))
		after(fmt.Sprintf("subtract v%d", v), "cleanup.policy", "compact")
		s.send(fmt.Sprintf("subtract what is not there v%d", v), v, incremental(onTopic, t, op(opSubtract, "cleanup.policy", "delete")))
		s.send(fmt.Sprintf("reset v%d", v), v, incremental(onTopic, t, op(opDelete, "cleanup.policy", nil)))
		after(fmt.Sprintf("reset v%d", v), "cleanup.policy", "delete")
	}
	wrong := func(step string, req *kmsg.IncrementalAlterConfigsRequest) {
		s.each(step, 0, 1, func(int16) kmsg.Request { return req })
	}
	wrong("append to a number", incremental(onTopic, t, op(opAppend, "retention.ms", "1")))
	wrong("subtract from a number", incremental(onTopic, t, op(opSubtract, "retention.ms", "1")))
	wrong("null value", incremental(onTopic, t, op(opSet, "retention.ms", nil)))
	wrong("null append", incremental(onTopic, t, op(opAppend, "cleanup.policy", nil)))
	wrong("unknown operation", incremental(onTopic, t, op(9, "retention.ms", "1")))
	wrong("negative operation", incremental(onTopic, t, op(-1, "retention.ms", "1")))
	wrong("a key twice", incremental(onTopic, t, op(opSet, "retention.ms", "1"), op(opSet, "retention.ms", "2")))
	wrong("a key set and deleted", incremental(onTopic, t, op(opSet, "retention.ms", "1"), op(opDelete, "retention.ms", nil)))
	wrong("wrong value", incremental(onTopic, t, op(opSet, "retention.ms", "abc")))
	wrong("unknown key", incremental(onTopic, t, op(opSet, "no.such.config", "1")))
	wrong("delete of an unknown key", incremental(onTopic, t, op(opDelete, "no.such.config", nil)))
	wrong("delete of what is not set", incremental(onTopic, t, op(opDelete, "flush.ms", nil)))
	wrong("empty key", incremental(onTopic, t, op(opSet, "", "1")))
	wrong("good and bad key", incremental(onTopic, t, op(opSet, "flush.ms", "77"), op(opSet, "retention.ms", "abc")))
	wrong("append of a wrong value", incremental(onTopic, t, op(opAppend, "cleanup.policy", "foo")))
	wrong("unknown topic", incremental(onTopic, s.t("none"), op(opSet, "retention.ms", "1")))
	wrong("wrong topic name", incremental(onTopic, "a b", op(opSet, "retention.ms", "1")))
	wrong("empty topic name", incremental(onTopic, "", op(opSet, "retention.ms", "1")))
	wrong("no changes", incremental(onTopic, t))
	wrong("unknown resource type", incremental(3, "x", op(opSet, "retention.ms", "1")))
	wrong("resource type 99", incremental(99, "x", op(opSet, "retention.ms", "1")))
	none := incremental(onTopic, t)
	none.Resources = nil
	wrong("no resources", none)
	twice := incremental(onTopic, t, op(opSet, "retention.ms", "5"))
	twice.Resources = append(twice.Resources, incremental(onTopic, t, op(opSet, "segment.ms", "5")).Resources...)
	wrong("a resource twice", twice)
	several := incremental(onTopic, t, op(opSet, "file.delete.delay.ms", "55"))
	several.Resources = append(several.Resources, incremental(onTopic, s.t("none"), op(opSet, "segment.ms", "5")).Resources...)
	wrong("good and bad topic", several)
	only := incremental(onTopic, t, op(opSet, "flush.messages", "5"))
	only.ValidateOnly = true
	wrong("validate only", only)
	onlyWrong := incremental(onTopic, t, op(opSet, "flush.messages", "x"))
	onlyWrong.ValidateOnly = true
	wrong("validate only, wrong", onlyWrong)
	s.awaitConfig(t, "file.delete.delay.ms", "55")
	s.send("what came of it v4", 4, describeConfigs(false, false, topicResource(t)))
	for i, c := range wrongConfigs {
		s.send(fmt.Sprintf("%s=%s v1", c[0], c[1]), 1, incremental(onTopic, s.checked(i), op(opSet, c[0], c[1])))
	}
}

// checked makes a fresh topic for each ten values, so that configs that depend on each other are met.
func (s *script) checked(i int) string {
	name := fmt.Sprintf("w%d", i/10)
	if i%10 == 0 {
		return s.topic(name, 1)
	}
	return s.t(name)
}

func alterScenario(s *script) {
	t := s.topic("t", 1, "retention.ms", "5000", "segment.ms", "6000")
	for v := range int16(3) {
		value := fmt.Sprint(100 + v)
		s.send(fmt.Sprintf("replace v%d", v), v, alterConfigs(onTopic, t, "flush.ms", value))
		s.awaitConfig(t, "flush.ms", value)
		s.send(fmt.Sprintf("replaced v%d", v), 4, describeConfigs(true, false, topicResource(t, "flush.ms", "retention.ms", "segment.ms")))
	}
	wrong := func(step string, req *kmsg.AlterConfigsRequest) {
		s.each(step, 0, 2, func(int16) kmsg.Request { return req })
	}
	wrong("wrong value", alterConfigs(onTopic, t, "retention.ms", "x"))
	wrong("unknown key", alterConfigs(onTopic, t, "no.such.config", "x"))
	null := alterConfigs(onTopic, t, "retention.ms", "x")
	null.Resources[0].Configs[0].Value = nil
	wrong("null value", null)
	wrong("a key twice", alterConfigs(onTopic, t, "retention.ms", "1", "retention.ms", "2"))
	wrong("unknown topic", alterConfigs(onTopic, s.t("none"), "retention.ms", "1"))
	wrong("wrong topic name", alterConfigs(onTopic, "a b", "retention.ms", "1"))
	wrong("unknown resource type", alterConfigs(3, "x", "retention.ms", "1"))
	wrong("another broker", alterConfigs(onBroker, "7", "message.max.bytes", "1000"))
	twice := alterConfigs(onTopic, t, "retention.ms", "1")
	twice.Resources = append(twice.Resources, alterConfigs(onTopic, t, "segment.ms", "1").Resources...)
	s.send("a resource twice v2", 2, twice) // Kafka never answers this one
	none := alterConfigs(onTopic, t)
	none.Resources = nil
	wrong("no resources", none)
	only := alterConfigs(onTopic, t, "retention.ms", "1")
	only.ValidateOnly = true
	wrong("validate only", only)
	s.send("nothing came of it v4", 4, describeConfigs(true, false, topicResource(t, "flush.ms", "retention.ms", "segment.ms")))
	s.send("clear v2", 2, alterConfigs(onTopic, t))
	s.awaitConfig(t, "flush.ms", "9223372036854775807")
	s.send("cleared v4", 4, describeConfigs(true, false, topicResource(t, "flush.ms", "retention.ms")))
}
