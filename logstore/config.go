package logstore

import "time"

// TopicPartition names a partition's directory.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// UUID is a topic or directory id.
type UUID = [16]byte

// Config is what a log reads of its topic's configuration; the fields have the configs' names.
type Config struct {
	SegmentBytes, SegmentIndexBytes, IndexIntervalBytes int32

	SegmentMs, SegmentJitterMs time.Duration //nolint:staticcheck // segment.ms
	RetentionBytes             int64         // < 0: no limit
	RetentionMs                time.Duration //nolint:staticcheck // retention.ms; < 0: no limit
	FileDeleteDelay            time.Duration
	FlushMessages              int64
	FlushMs                    time.Duration //nolint:staticcheck // flush.ms

	CleanupDelete, CleanupCompact bool
	Preallocate                   bool

	DeleteRetentionMs                      time.Duration //nolint:staticcheck // delete.retention.ms
	MinCompactionLagMs, MaxCompactionLagMs time.Duration //nolint:staticcheck // min.compaction.lag.ms and max
	MinCleanableDirtyRatio                 float64
	MaxDecompressedMessageBytes            int32 // of one record; 0 is no limit
	ProducerIDExpiration                   time.Duration
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
