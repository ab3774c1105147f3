package broker

import (
	"time"

	"minikafka/config"
	"minikafka/logstore"
)

// cleanerConfig is what compaction reads of the broker's configuration; all of it but enable is dynamic.
func cleanerConfig(v *config.Values) logstore.CleanerConfig {
	threads := int(config.Get(v, config.LogCleanerThreads))
	return logstore.CleanerConfig{
		Disabled:          !config.Get(v, config.LogCleanerEnable) || threads == 0,
		Threads:           threads,
		DedupeBufferSize:  config.Get(v, config.LogCleanerDedupeBufferSize),
		LoadFactor:        config.Get(v, config.LogCleanerIOBufferLoadFactor),
		MaxBytesPerSecond: config.Get(v, config.LogCleanerIOMaxBytesPerSecond),
		Backoff:           max(config.Get(v, config.LogCleanerBackoffMs), time.Millisecond), // 0 would spin
	}
}
