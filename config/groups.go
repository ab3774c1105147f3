package config

import (
	"strconv"
	"time"
)

func short(name string, def int16, doc string, opts ...option) Key[int16] {
	return Key[int16]{declare(&Row{Name: name, Type: Short, def: strconv.Itoa(int(def)), Doc: doc}, opts)}
}

// Consumer groups.
var (
	GroupMinSessionTimeoutMs = millis("group.min.session.timeout.ms", 6000,
		"Shortest session time-out that a member of a classic group may ask for.", asInt)
	GroupMaxSessionTimeoutMs = millis("group.max.session.timeout.ms", 1800000,
		"Longest session time-out that a member of a classic group may ask for.", asInt)
	GroupInitialRebalanceDelayMs = millis("group.initial.rebalance.delay.ms", 3000,
		"How long an empty classic group waits for more members before its first rebalance.", asInt)
	GroupMaxSize = number("group.max.size", 2147483647, "Members that a classic group may have.", atLeast(1))

	OffsetMetadataMaxBytes = size("offset.metadata.max.bytes", 4096, "Longest metadata of a committed offset, in UTF-16 units.")
	OffsetsCommitTimeoutMs = millis("offsets.commit.timeout.ms", 5000,
		"How long a group's records may take to be on all in-sync replicas.", asInt, atLeast(1))
	OffsetsLoadBufferSize = size("offsets.load.buffer.size", 5242880,
		"Bytes that are read at once when a partition's groups are loaded.", atLeast(1))
	OffsetsRetentionMinutes = millis("offsets.retention.minutes", 10080,
		"How long offsets are kept that no member uses.", asInt, in(time.Minute), atLeast(1))
	OffsetsRetentionCheckIntervalMs = millis("offsets.retention.check.interval.ms", 600000,
		"How often offsets are checked for expiry.", atLeast(1))

	OffsetsTopicNumPartitions = number("offsets.topic.num.partitions", 50,
		"Partitions of __consumer_offsets; not to be changed once it is there.", atLeast(1))
	OffsetsTopicReplicationFactor = short("offsets.topic.replication.factor", 3,
		"Replicas of __consumer_offsets.", atLeast(1))
	OffsetsTopicSegmentBytes = size("offsets.topic.segment.bytes", 104857600, "Segment size of __consumer_offsets.", atLeast(1))
)
