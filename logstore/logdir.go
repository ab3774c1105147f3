package logstore

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"minikafka/internal/vfs"
)

// logDir is one of log.dirs. Its first I/O error takes it offline for good, with every log in it.
type logDir struct {
	path      string
	id        UUID
	lock      vfs.Lock
	logger    *slog.Logger
	onFailure func(dir string, cause error)
	failed    atomic.Pointer[offlineError]

	hadCleanStop bool // what the marker said at start

	// onDisk is what each checkpoint file says on disk, by file name; guarded by Store.cpMu.
	onDisk map[string]map[TopicPartition]int64
}

// usable is nil while the directory serves.
func (d *logDir) usable() error {
	if f := d.failed.Load(); f != nil {
		return fmt.Errorf("%w: %s: %w", ErrStorage, d.path, f.cause)
	}
	return nil
}

// fail takes the directory offline. The callback has its own goroutine: the failure came up under locks
// that the callback may want.
func (d *logDir) fail(cause error) {
	if !d.failed.CompareAndSwap(nil, &offlineError{cause}) {
		return
	}
	d.logger.Error("log directory is offline", "dir", d.path, "err", cause)
	if d.onFailure != nil {
		go d.onFailure(d.path, cause)
	}
}
