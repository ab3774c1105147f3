package config

import (
	"math"
	"time"
)

const forever = math.MaxInt64 // of milliseconds or messages: Kafka's "never"

// Rows that only stand in for another one: hours and minutes of a row in milliseconds.
var (
	retentionMinutes = millis("log.retention.minutes", 0, "Retention by age in minutes; log.retention.ms wins.",
		asInt, in(time.Minute), noDefault)
	retentionHours = millis("log.retention.hours", 168, "Retention by age in hours; .ms and .minutes win.",
		asInt, in(time.Hour))
	rollHours = millis("log.roll.hours", 168, "Age in hours at which a segment is closed; log.roll.ms wins.",
		asInt, in(time.Hour), atLeast(1))
	rollJitterHours = millis("log.roll.jitter.hours", 0, "Random part of the roll age in hours; log.roll.jitter.ms wins.",
		asInt, in(time.Hour), atLeast(0))
	flushSchedulerMs = millis("log.flush.scheduler.interval.ms", forever,
		"How long a record may wait for a flush; log.flush.interval.ms wins.")
)

// Topic configs: each row is the broker config that is a topic's default, and names the topic config.
var (
	CleanupPolicy = list("log.cleanup.policy", "delete",
		"What happens to old segments: delete, compact, both, or (empty) nothing.",
		clusterWide, listOf("compact", "delete"), topic("cleanup.policy"))
	CompressionType = text("compression.type", "producer",
		"Codec that batches are stored with; producer keeps what was sent.",
		clusterWide, oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"), topic("compression.type"))
	CompressionGzipLevel = number("compression.gzip.level", -1, "Level when the broker compresses with gzip.",
		clusterWide, valid(gzipLevel{}), topic("compression.gzip.level"))
	CompressionLz4Level = number("compression.lz4.level", 9, "Level when the broker compresses with lz4.",
		clusterWide, between(1, 17), topic("compression.lz4.level"))
	CompressionZstdLevel = number("compression.zstd.level", 3, "Level when the broker compresses with zstd.",
		clusterWide, between(-131072, 22), topic("compression.zstd.level"))
	DeleteRetentionMs = millis("log.cleaner.delete.retention.ms", 86400000,
		"How long a tombstone stays in a compacted topic.",
		clusterWide, atLeast(0), topic("delete.retention.ms"))
	FileDeleteDelayMs = millis("log.segment.delete.delay.ms", 60000,
		"How long files stay on disk after their segment is gone from the log.",
		clusterWide, atLeast(0), topic("file.delete.delay.ms"))
	FlushMessages = long("log.flush.interval.messages", forever, "Records after which the log is flushed to disk.",
		clusterWide, atLeast(1), topic("flush.messages"))
	FlushMs = millis("log.flush.interval.ms", forever, "Time after which unflushed records are flushed to disk.",
		clusterWide, noDefault, then(flushSchedulerMs.row),
		topic("flush.ms", defaultText("9223372036854775807"), atLeast(0)))
	IndexIntervalBytes = size("log.index.interval.bytes", 4096, "Bytes of records per entry of the offset index.",
		clusterWide, atLeast(0), topic("index.interval.bytes"))
	MaxCompactionLagMs = millis("log.cleaner.max.compaction.lag.ms", forever,
		"Age at which a record is certain to have been seen by the cleaner.",
		clusterWide, atLeast(1), topic("max.compaction.lag.ms"))
	MaxDecompressedMessageBytes = size("max.decompressed.message.bytes", math.MaxInt32-8,
		"Largest record of a compressed batch, decompressed. All records of a batch together: 256 MiB, or this where it is set to more.",
		clusterWide, between(1, math.MaxInt32-8), topic("max.decompressed.message.bytes"))
	MaxMessageBytes = size("message.max.bytes", 1048588, "Largest record batch, as stored.",
		clusterWide, atLeast(0), topic("max.message.bytes"))
	MessageTimestampType = text("log.message.timestamp.type", "CreateTime",
		"Whose clock stamps records: the producer's (CreateTime) or the broker's (LogAppendTime).",
		clusterWide, oneOf("CreateTime", "LogAppendTime"), topic("message.timestamp.type"))
	MessageTimestampBeforeMaxMs = millis("log.message.timestamp.before.max.ms", forever,
		"How far a record's timestamp may lie behind the broker's clock.",
		clusterWide, atLeast(0), topic("message.timestamp.before.max.ms"))
	MessageTimestampAfterMaxMs = millis("log.message.timestamp.after.max.ms", 3600000,
		"How far a record's timestamp may lie ahead of the broker's clock.",
		clusterWide, atLeast(0), topic("message.timestamp.after.max.ms"))
	MinCleanableDirtyRatio = double("log.cleaner.min.cleanable.ratio", 0.5,
		"Share of uncompacted bytes from which on a log is compacted.",
		clusterWide, between(0, 1), topic("min.cleanable.dirty.ratio"))
	MinCompactionLagMs = millis("log.cleaner.min.compaction.lag.ms", 0, "How long a record is safe from compaction.",
		clusterWide, atLeast(0), topic("min.compaction.lag.ms"))
	MinInsyncReplicas = number("min.insync.replicas", 1, "In-sync replicas that a write with acks=all needs.",
		clusterWide, atLeast(1), topic("min.insync.replicas"))
	Preallocate = boolean("log.preallocate", false, "Whether a new segment takes its full size on disk at once.",
		clusterWide, topic("preallocate"))
	RetentionBytes = long("log.retention.bytes", -1,
		"Bytes of a partition above which old segments are deleted; -1 is no limit.",
		clusterWide, topic("retention.bytes"))
	RetentionMs = millis("log.retention.ms", 604800000, "Age at which segments are deleted; -1 is no limit.",
		clusterWide, noDefault, then(retentionMinutes.row, retentionHours.row),
		topic("retention.ms", defaultText("604800000"), atLeast(-1)))
	SegmentBytes = size("log.segment.bytes", 1<<30, "Size at which a segment is closed.",
		clusterWide, atLeast(1<<20), topic("segment.bytes"))
	SegmentIndexBytes = size("log.index.size.max.bytes", 10<<20, "Largest size of an index file.",
		clusterWide, atLeast(4), topic("segment.index.bytes"))
	SegmentJitterMs = millis("log.roll.jitter.ms", 0, "Random time that is taken off the roll age.",
		clusterWide, noDefault, then(rollJitterHours.row), topic("segment.jitter.ms", defaultText("0"), atLeast(0)))
	SegmentMs = millis("log.roll.ms", 604800000, "Age at which a segment is closed though it is not full.",
		clusterWide, noDefault, then(rollHours.row),
		topic("segment.ms", defaultText("604800000"), atLeast(1)))
	_ = boolean("unclean.leader.election.enable", false,
		"Whether a replica that is not in sync may become leader, which loses records.",
		clusterWide, noEffect, topic("unclean.leader.election.enable"))
)

// Topic configs that are described, validated and kept, and that nothing here acts on yet.
var (
	_ = list("leader.replication.throttled.replicas", "", "Replicas whose leader throttles replication.",
		topicOnly, noEffect, valid(throttledReplicas{}))
	_ = list("follower.replication.throttled.replicas", "", "Replicas whose follower throttles replication.",
		topicOnly, noEffect, valid(throttledReplicas{}))
	_ = boolean("errors.deadletterqueue.group.enable", false, "Whether share groups may use the topic as dead letter queue.",
		topicOnly, noEffect)
	_ = boolean("remote.storage.enable", false, "Whether closed segments go to tiered storage.", topicOnly, noEffect)
	_ = boolean("remote.log.copy.disable", false, "Whether copying to tiered storage is stopped.", topicOnly, noEffect)
	_ = boolean("remote.log.delete.on.disable", false,
		"Whether tiered data is deleted when tiered storage is switched off.", topicOnly, noEffect)
	_ = millis("log.local.retention.ms", -2, "Age at which tiered segments leave the local disk; -2 is retention.ms.",
		clusterWide, noEffect, atLeast(-2), topic("local.retention.ms"))
	_ = long("log.local.retention.bytes", -2,
		"Bytes from which on tiered segments leave the local disk; -2 is retention.bytes.",
		clusterWide, noEffect, atLeast(-2), topic("local.retention.bytes"))
	_ = millis("log.remote.copy.lag.ms", 0, "How old a closed segment is before it is tiered; -1 is at retention.",
		clusterWide, noEffect, atLeast(-1), topic("remote.copy.lag.ms"))
	_ = long("log.remote.copy.lag.bytes", -1, "How far behind the log's end a segment is before it is tiered.",
		clusterWide, noEffect, atLeast(-1), topic("remote.copy.lag.bytes"))
)
