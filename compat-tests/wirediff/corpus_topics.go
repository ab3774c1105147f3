package wirediff

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func createScenario(s *script) {
	s.each("one topic", 2, 7, func(v int16) kmsg.Request { return createTopics(createTopic(s.t(fmt.Sprintf("a%d", v)), 2)) })
	s.each("default partitions and replicas", 2, 7, func(v int16) kmsg.Request {
		t := createTopic(s.t(fmt.Sprintf("b%d", v)), -1)
		t.ReplicationFactor = -1
		return createTopics(t)
	})
	s.each("several topics", 2, 7, func(v int16) kmsg.Request {
		return createTopics(createTopic(s.t(fmt.Sprintf("c%d", v)), 1), createTopic(s.t(fmt.Sprintf("d%d", v)), 3))
	})
	s.each("with configs", 2, 7, func(v int16) kmsg.Request {
		return createTopics(createTopic(s.t(fmt.Sprintf("e%d", v)), 1, "cleanup.policy", "compact", "retention.ms", "60000", "segment.bytes", "2097152"))
	})
	s.each("with assignments", 2, 7, func(v int16) kmsg.Request {
		return createTopics(assigned(s.t(fmt.Sprintf("f%d", v)), []int32{1}, []int32{1}))
	})
	s.each("validate only", 2, 7, func(v int16) kmsg.Request {
		req := createTopics(createTopic(s.t("validated"), 3, "retention.ms", "5"), createTopic(s.t("a2"), 1))
		req.ValidateOnly = true
		return req
	})
	s.each("there already", 2, 7, func(v int16) kmsg.Request { return createTopics(createTopic(s.t("a2"), 2)) })
	s.each("good and bad together", 2, 7, func(v int16) kmsg.Request {
		return createTopics(createTopic(s.t(fmt.Sprintf("g%d", v)), 1), createTopic(s.t("a b"), 1), createTopic(s.t("a2"), 1), createTopic(s.t("h"), 0))
	})
	s.each("no topics", 2, 7, func(int16) kmsg.Request { return createTopics() })
	for v := 2; v <= 7; v++ {
		for _, name := range []string{"b", "c", "g", "f"} {
			partitions := int32(1)
			if name == "f" {
				partitions = 2
			}
			s.awaitTopic(s.t(fmt.Sprintf("%s%d", name, v)), partitions)
		}
	}
	s.send("what came of it", 12, metadata(s.t("a2"), s.t("b2"), s.t("c7"), s.t("f7"), s.t("g4"), s.t("validated"), s.t("h")))
	s.send("configs that came of it", 4, describeConfigs(true, false, topicResource(s.t("e5"), "cleanup.policy", "retention.ms", "segment.bytes")))
}

func createWrongScenario(s *script) {
	s.topic("there", 1)
	for _, name := range []string{"", ".", "..", "a b", "a/b", "ü", "a:b", strings.Repeat("y", 250), "__consumer_offsets"} {
		s.send(fmt.Sprintf("name %.20q v7", name), 7, createTopics(createTopic(name, 1)))
	}
	s.send("longest name v7", 7, createTopics(createTopic(s.t(strings.Repeat("y", 249-len(s.t("")))), 1)))
	s.send("name that collides v7", 7, createTopics(createTopic(strings.ReplaceAll(s.t("there"), ".", "_"), 1)))
	s.send("names that collide with each other v7", 7, createTopics(createTopic(s.t("x.y"), 1), createTopic(s.t("x_y"), 1)))
	s.send("twice in one request v7", 7, createTopics(createTopic(s.t("twice"), 1), createTopic(s.t("twice"), 1), createTopic(s.t("once"), 1)))
	s.send("twice in one request v2", 2, createTopics(createTopic(s.t("twice"), 1), createTopic(s.t("twice"), 2)))
	for _, n := range []int32{0, -2, -100} {
		s.send(fmt.Sprintf("%d partitions v7", n), 7, createTopics(createTopic(s.t("p"), n)))
	}
	s.send("10001 partitions v7", 7, createTopics(createTopic(s.t("p"), 10001)))
	for _, n := range []int16{0, -2, 2, 32767} {
		t := createTopic(s.t("r"), 1)
		t.ReplicationFactor = n
		s.send(fmt.Sprintf("replication factor %d v7", n), 7, createTopics(t))
	}
	for _, a := range []struct {
		what     string
		replicas [][]int32
	}{{"unknown broker", [][]int32{{9}}}, {"same broker twice", [][]int32{{1, 1}}}, {"negative broker", [][]int32{{-1}}},
		{"no replicas", [][]int32{{}}}, {"uneven", [][]int32{{1}, {1, 2}}}} {
		s.send("assignment "+a.what+" v7", 7, createTopics(assigned(s.t("as"), a.replicas...)))
	}
	gap := assigned(s.t("gap"), []int32{1}, []int32{1})
	gap.ReplicaAssignment[1].Partition = 2
	s.send("assignment with a gap v7", 7, createTopics(gap))
	double := assigned(s.t("double"), []int32{1}, []int32{1})
	double.ReplicaAssignment[1].Partition = 0
	s.send("assignment of one partition twice v7", 7, createTopics(double))
	both := assigned(s.t("both"), []int32{1})
	both.NumPartitions = 1
	s.send("assignment and partitions v7", 7, createTopics(both))
	both.NumPartitions, both.ReplicationFactor = -1, 1
	s.send("assignment and replication factor v7", 7, createTopics(both))
	for _, timeout := range []int32{0, -1} {
		req := createTopics(createTopic(s.t(fmt.Sprintf("timeout%d", timeout)), 1), createTopic("a b", 1))
		req.TimeoutMillis = timeout
		s.each(fmt.Sprintf("timeoutMs %d", timeout), 2, 7, func(int16) kmsg.Request { return req })
	}
	s.send("nothing came of it", 12, metadata(s.t("timeout0"), s.t("timeout-1"), s.t("twice"), s.t("p"), s.t("r"), s.t("as"), s.t("gap"), s.t("both")))
}

func createConfigsScenario(s *script) {
	for i, c := range wrongConfigs {
		s.send(fmt.Sprintf("%s=%s v7", c[0], c[1]), 7, createTopics(createTopic(s.t(fmt.Sprintf("w%d", i)), 1, c[0], c[1])))
	}
	null := createTopic(s.t("null"), 1, "retention.ms", "")
	null.Configs[0].Value = nil
	s.send("null value v7", 7, createTopics(null))
	s.send("two wrong values v7", 7, createTopics(createTopic(s.t("two"), 1, "retention.ms", "x", "segment.bytes", "y")))
	s.send("a key twice v7", 7, createTopics(createTopic(s.t("again"), 1, "retention.ms", "1000", "retention.ms", "2000")))
	s.each("wrong value", 2, 7, func(v int16) kmsg.Request {
		return createTopics(createTopic(s.t(fmt.Sprintf("x%d", v)), 1, "retention.ms", "abc"))
	})
	s.each("answered configs", 5, 7, func(v int16) kmsg.Request {
		return createTopics(createTopic(s.t(fmt.Sprintf("y%d", v)), 1, "max.message.bytes", "2000", "min.insync.replicas", "2"))
	})
}

// wrongConfigs are topic configs that Kafka refuses, and some at the edge that it accepts.
var wrongConfigs = [][2]string{
	{"retention.ms", "abc"}, {"retention.ms", "-2"}, {"retention.ms", "-1"}, {"retention.ms", ""}, {"retention.ms", " 5 "}, {"retention.ms", "9223372036854775808"},
	{"retention.bytes", "-5"}, {"retention.bytes", "1.5"}, {"segment.bytes", "13"}, {"segment.bytes", "1048575"}, {"segment.bytes", "1048576"}, {"segment.bytes", "2147483648"},
	{"segment.ms", "0"}, {"segment.ms", "1"}, {"segment.index.bytes", "3"}, {"segment.jitter.ms", "-1"},
	{"cleanup.policy", "foo"}, {"cleanup.policy", "compact,delete"}, {"cleanup.policy", "compact,foo"}, {"cleanup.policy", ""}, {"cleanup.policy", "DELETE"}, {"cleanup.policy", "delete,delete"},
	{"compression.type", "brotli"}, {"compression.type", "GZIP"}, {"compression.type", "producer"}, {"compression.type", "uncompressed"}, {"compression.type", "none"},
	{"compression.gzip.level", "0"}, {"compression.gzip.level", "10"}, {"compression.gzip.level", "-1"}, {"compression.zstd.level", "23"}, {"compression.lz4.level", "18"},
	{"min.insync.replicas", "0"}, {"min.insync.replicas", "5"}, {"max.message.bytes", "-1"}, {"max.message.bytes", "0"},
	{"message.timestamp.type", "Foo"}, {"message.timestamp.type", "LogAppendTime"}, {"message.timestamp.before.max.ms", "-1"}, {"message.timestamp.after.max.ms", "x"},
	{"min.cleanable.dirty.ratio", "1.1"}, {"min.cleanable.dirty.ratio", "-0.1"}, {"min.cleanable.dirty.ratio", "x"}, {"min.cleanable.dirty.ratio", "1"},
	{"unclean.leader.election.enable", "yes"}, {"unclean.leader.election.enable", "TRUE"}, {"preallocate", "1"}, {"preallocate", "false"},
	{"delete.retention.ms", "-1"}, {"file.delete.delay.ms", "-1"}, {"flush.messages", "0"}, {"flush.ms", "-1"}, {"index.interval.bytes", "-1"},
	{"min.compaction.lag.ms", "-1"}, {"max.compaction.lag.ms", "0"}, {"remote.storage.enable", "true"}, {"remote.storage.enable", "maybe"}, {"local.retention.ms", "-3"}, {"local.retention.ms", "1"},
	{"leader.replication.throttled.replicas", "x"}, {"leader.replication.throttled.replicas", "*"}, {"follower.replication.throttled.replicas", "0:1,1:2"}, {"follower.replication.throttled.replicas", "none"},
	{"message.format.version", "3.0"}, {"message.downconversion.enable", "true"}, {"no.such.config", "1"}, {"", "1"}, {"log.retention.ms", "1"}, {"RETENTION.MS", "1"},
	{"message.timestamp.difference.max.ms", "5"}, {"remote.log.copy.disable", "true"}, {"internal.segment.bytes", "100"},
}

func deleteScenario(s *script) {
	for v := int16(1); v <= 6; v++ {
		name := s.topic(fmt.Sprintf("a%d", v), 2)
		s.send(fmt.Sprintf("one topic v%d", v), v, deleteTopics(name))
		s.awaitGone(name)
	}
	s.each("unknown", 1, 6, func(int16) kmsg.Request { return deleteTopics(s.t("none"), "a b", "") })
	s.each("no topics", 1, 6, func(int16) kmsg.Request { return deleteTopics() })
	for v := int16(1); v <= 6; v++ {
		name := s.topic(fmt.Sprintf("m%d", v), 1)
		s.send(fmt.Sprintf("known and unknown v%d", v), v, deleteTopics(name, s.t("none")))
		s.awaitGone(name)
	}
	for v := int16(1); v <= 6; v++ {
		name := s.topic(fmt.Sprintf("d%d", v), 1)
		s.send(fmt.Sprintf("the same twice v%d", v), v, deleteTopics(name, name))
	}
	for _, timeout := range []int32{0, -1} {
		name := s.topic(fmt.Sprintf("t%d", timeout), 1)
		s.each(fmt.Sprintf("timeoutMs %d", timeout), 1, 6, func(int16) kmsg.Request {
			req := deleteTopics(name, s.t("none"))
			req.TimeoutMillis = timeout
			return req
		})
		s.send(fmt.Sprintf("still there after timeoutMs %d", timeout), 12, metadata(name))
	}
	byID := s.topic("byid", 1)
	id := s.id(byID)
	s.send("by id v6", 6, deleteTopicIDs(id))
	s.awaitGone(byID)
	s.send("by the id of a deleted topic v6", 6, deleteTopicIDs(id))
	s.send("by unknown id v6", 6, deleteTopicIDs(unknownID))
	s.send("by zero id and null name v6", 6, deleteTopicIDs([16]byte{}))
	both := s.topic("both", 1)
	req := deleteTopics(both)
	req.Topics[0].TopicID = s.id(both)
	s.send("by id and name v6", 6, req)
	s.send("the same by id and by name v6", 6, &kmsg.DeleteTopicsRequest{TimeoutMillis: adminTimeout, Topics: []kmsg.DeleteTopicsRequestTopic{
		{Topic: kmsg.StringPtr(both)}, {TopicID: s.id(both)}}})
	again := s.topic("again", 1)
	s.append(again, newBatch("old"))
	s.quiet(5, deleteTopics(again))
	s.awaitGone(again)
	s.topic("again", 1)
	s.send("made again, it is empty", 4, listOffsets(again, -1))
}

func partitionsScenario(s *script) {
	for v := range int16(4) {
		name := s.topic(fmt.Sprintf("a%d", v), 1)
		s.send(fmt.Sprintf("to 3 v%d", v), v, createPartitions(grow(name, 3)))
		s.awaitTopic(name, 3)
		s.send(fmt.Sprintf("to 3 again v%d", v), v, createPartitions(grow(name, 3)))
		s.send(fmt.Sprintf("to 2 v%d", v), v, createPartitions(grow(name, 2)))
		s.send(fmt.Sprintf("with assignment v%d", v), v, createPartitions(grow(name, 4, []int32{1})))
		s.awaitTopic(name, 4)
	}
	t := s.topic("t", 2)
	s.each("known and unknown", 0, 3, func(int16) kmsg.Request {
		return createPartitions(grow(t, 1), grow(s.t("none"), 5), grow("a b", 2), grow("", 2))
	})
	s.each("no topics", 0, 3, func(int16) kmsg.Request { return createPartitions() })
	for _, n := range []int32{0, -1} {
		s.send(fmt.Sprintf("to %d v3", n), 3, createPartitions(grow(t, n)))
	}
	s.send("to 10003 v3", 3, createPartitions(grow(t, 10003)))
	s.each("validate only", 0, 3, func(int16) kmsg.Request {
		req := createPartitions(grow(t, 7), grow(s.t("none"), 5))
		req.ValidateOnly = true
		return req
	})
	s.send("the same twice v3", 3, createPartitions(grow(t, 5), grow(t, 6), grow(s.t("a0"), 5)))
	s.send("assignment too short v3", 3, createPartitions(grow(t, 4, []int32{1})))
	s.send("assignment too long v3", 3, createPartitions(grow(t, 3, []int32{1}, []int32{1})))
	s.send("assignment to an unknown broker v3", 3, createPartitions(grow(t, 3, []int32{7})))
	s.send("assignment to a broker twice v3", 3, createPartitions(grow(t, 3, []int32{1, 1})))
	s.send("assignment of no replicas v3", 3, createPartitions(grow(t, 3, []int32{})))
	for _, timeout := range []int32{0, -1} {
		s.each(fmt.Sprintf("timeoutMs %d", timeout), 0, 3, func(int16) kmsg.Request {
			req := createPartitions(grow(t, 9), grow(s.t("none"), 5))
			req.TimeoutMillis = timeout
			return req
		})
	}
	s.send("what came of it", 12, metadata(t, s.t("a3")))
}
