package logstore

import "time"

// TopicPartition names a partition's directory.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// UUID is a topic or directory id.
type UUID = [16]byte

// Config is what a log reads of its topic's configuration.
type Config struct {
	SegmentBytes, SegmentIndexBytes, IndexIntervalBytes int32
	SegmentMs, SegmentJitterMs                          time.Duration
	RetentionBytes                                      int64         // < 0: no limit
	RetentionMs                                         time.Duration // < 0: no limit
	FileDeleteDelay                                     time.Duration
	FlushMessages                                       int64
	FlushMs                                             time.Duration
	CleanupDelete, CleanupCompact                       bool
	Preallocate                                         bool
	DeleteRetentionMs                                   time.Duration
	MinCompactionLagMs, MaxCompactionLagMs              time.Duration
	MinCleanableDirtyRatio                              float64
	ProducerIDExpiration                                time.Duration
}

// withDefaults fills what was left zero with Kafka's defaults, where zero has no meaning of its own.
func (c Config) withDefaults() Config {
	def := func(v *int32, d int32) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.SegmentBytes, 1<<30)
	def(&c.SegmentIndexBytes, 10<<20)
	if c.IndexIntervalBytes < 0 {
		c.IndexIntervalBytes = 4096
	}
	if c.SegmentMs <= 0 {
		c.SegmentMs = 7 * 24 * time.Hour
	}
	if c.FlushMessages <= 0 {
		c.FlushMessages = 1<<63 - 1
	}
	if c.FlushMs <= 0 {
		c.FlushMs = 1<<63 - 1
	}
	if c.ProducerIDExpiration <= 0 {
		c.ProducerIDExpiration = 24 * time.Hour
	}
	return c
}

// segmentMs is segment.ms as it is in force: a compacted topic also rolls by max.compaction.lag.ms.
func (c *Config) segmentMs() time.Duration {
	if c.CleanupCompact && c.MaxCompactionLagMs > 0 {
		return min(c.SegmentMs, c.MaxCompactionLagMs)
	}
	return c.SegmentMs
}
