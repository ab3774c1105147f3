package broker

import (
	"context"
	"fmt"
	"time"

	"minikafka/config"
	"minikafka/controller"
	"minikafka/logstore"
)

func (b *Broker) openStore(ctx context.Context) (err error) {
	v := b.o.Config
	defer close(b.storeOpened)
	files, _ := descriptorShares()
	b.store, err = logstore.Open(ctx, logstore.Options{
		FS: b.o.FS, Clock: b.o.Clock, Logger: b.o.Logger,
		Dirs: config.Get(v, config.LogDirs), MetadataDir: config.Get(v, config.MetadataLogDir),
		NodeID: b.nodeID, ClusterID: b.o.ClusterID,
		// Nothing is deleted before the topic's own configuration is known.
		DefaultConfig:          logstore.Config{RetentionBytes: -1, RetentionMs: -1, IndexIntervalBytes: -1},
		RecoveryThreads:        int(config.Get(v, config.NumRecoveryThreadsPerDataDir)),
		RetentionCheckInterval: config.Get(v, config.LogRetentionCheckIntervalMs),
		HighWatermarkInterval:  checkpointInterval(v, config.ReplicaHighWatermarkCheckpointIntervalMs),
		RecoveryPointInterval:  checkpointInterval(v, config.LogFlushOffsetCheckpointIntervalMs),
		LogStartInterval:       checkpointInterval(v, config.LogFlushStartOffsetCheckpointIntervalMs),
		Cleaner:                cleanerConfig(v),
		OnDirFailure:           b.dirFailed,
		OpenFiles:              files,
		Lazy:                   true,
		Admit: func(dir string) error {
			b.inspected, err = controller.Inspect(b.controllerOptions(dir))
			return err
		},
	})
	return err
}

// dirFailed: the partitions of other directories go on; without the metadata's, or any, nothing does.
func (b *Broker) dirFailed(dir string, cause error) {
	<-b.storeOpened // a directory may fail while the store is being opened
	if b.store == nil {
		return // the start ends with an error of its own
	}
	b.o.Logger.Error("log directory is offline", "dir", dir, "error", cause)
	online := 0
	for _, d := range b.store.Dirs() {
		if !d.Offline {
			online++
		}
	}
	if online == 0 || dir == b.store.MetadataDir() {
		b.fatal(fmt.Errorf("log directory %s: %w", dir, cause))
	}
}

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

// checkpointInterval: 0, or less, is once after the start.
func checkpointInterval(v *config.Values, k config.Key[time.Duration]) time.Duration {
	if d := config.Get(v, k); d > 0 {
		return d
	}
	return logstore.Never
}
