package replication

import (
	"slices"

	"minikafka/config"
	"minikafka/logstore"
	"minikafka/protocol"
)

// settings are a topic's configs as the data path reads them: made once for each change, shared by the
// topic's partitions.
type settings struct {
	log       logstore.Config
	validate  protocol.ValidateOptions // without what differs from request to request
	minInsync int32
	// deletable: DeleteRecords is allowed (cleanup.policy is not compact alone).
	deletable bool
}

func newSettings(topic string, v *config.Values) *settings {
	c := LogConfig(v)
	return &settings{
		log: c,
		validate: protocol.ValidateOptions{
			Topic:                topic,
			MaxMessageBytes:      config.Get(v, config.MaxMessageBytes),
			Compacted:            c.CleanupCompact,
			LogAppendTime:        config.Get(v, config.MessageTimestampType) == "LogAppendTime",
			BeforeMaxMs:          config.Get(v, config.MessageTimestampBeforeMaxMs).Milliseconds(),
			AfterMaxMs:           config.Get(v, config.MessageTimestampAfterMaxMs).Milliseconds(),
			CompressionType:      config.Get(v, config.CompressionType),
			CompressionLevel:     compressionLevel(v),
			MaxDecompressedBytes: c.MaxDecompressedMessageBytes,
		},
		minInsync: config.Get(v, config.MinInsyncReplicas),
		deletable: c.CleanupDelete || !c.CleanupCompact,
	}
}

// compressionLevel is the level of the topic's own codec. Batches that keep their producer's codec and are made
// anew all the same get its default.
func compressionLevel(v *config.Values) int32 {
	switch config.Get(v, config.CompressionType) {
	case "gzip":
		return config.Get(v, config.CompressionGzipLevel)
	case "lz4":
		return config.Get(v, config.CompressionLz4Level)
	case "zstd":
		return config.Get(v, config.CompressionZstdLevel)
	}
	return 0
}

// LogConfig is what a log reads of a topic's view of the configuration.
func LogConfig(v *config.Values) logstore.Config {
	policy := config.Get(v, config.CleanupPolicy)
	return logstore.Config{
		SegmentBytes:                config.Get(v, config.SegmentBytes),
		SegmentIndexBytes:           config.Get(v, config.SegmentIndexBytes),
		IndexIntervalBytes:          config.Get(v, config.IndexIntervalBytes),
		SegmentMs:                   config.Get(v, config.SegmentMs),
		SegmentJitterMs:             config.Get(v, config.SegmentJitterMs),
		RetentionBytes:              config.Get(v, config.RetentionBytes),
		RetentionMs:                 config.Get(v, config.RetentionMs),
		FileDeleteDelay:             config.Get(v, config.FileDeleteDelayMs),
		FlushMessages:               config.Get(v, config.FlushMessages),
		FlushMs:                     config.Get(v, config.FlushMs),
		CleanupDelete:               slices.Contains(policy, "delete"),
		CleanupCompact:              slices.Contains(policy, "compact"),
		Preallocate:                 config.Get(v, config.Preallocate),
		DeleteRetentionMs:           config.Get(v, config.DeleteRetentionMs),
		MinCompactionLagMs:          config.Get(v, config.MinCompactionLagMs),
		MaxCompactionLagMs:          config.Get(v, config.MaxCompactionLagMs),
		MinCleanableDirtyRatio:      config.Get(v, config.MinCleanableDirtyRatio),
		MaxDecompressedMessageBytes: config.Get(v, config.MaxDecompressedMessageBytes),
		ProducerIDExpiration:        config.Get(v, config.ProducerIDExpirationMs),
	}
}
