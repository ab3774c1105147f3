package logstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"minikafka/internal/clock"
	"minikafka/internal/vfs"
)

// LogOptions open a single log outside a store: the metadata log.
type LogOptions struct {
	FS             vfs.FS
	Clock          clock.Clock
	Logger         *slog.Logger
	Dir            string // the partition directory itself
	TopicPartition TopicPartition
	TopicID        UUID
	Config         Config
	// Recover scans everything (an unclean stop).
	Recover bool
}

// OpenLog opens or creates one log. Nothing runs in the background for it: old segments go when
// IncrementLogStartOffset says so, and Flush is the caller's business.
func OpenLog(ctx context.Context, o LogOptions) (*Log, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if err := o.FS.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	disk := &logDir{path: filepath.Dir(o.Dir), logger: o.Logger}
	l := newLog(o.TopicPartition, o.Dir, disk, o.FS, newFileCache(o.FS, 0), o.Clock, o.Logger, o.Config)
	l.topicID = o.TopicID
	if err := l.load(checkpointed{clean: !o.Recover}); err != nil {
		l.closeFiles()
		return nil, fmt.Errorf("opening %s: %w", o.Dir, err)
	}
	return l, nil
}

func newLog(tp TopicPartition, dir string, disk *logDir, fs vfs.FS, files *fileCache, c clock.Clock, logger *slog.Logger, config Config) *Log {
	l := &Log{
		tp: tp, disk: disk, fs: fs, files: files, clock: c,
		logger: logger.With("topic", tp.Topic, "partition", tp.Partition),
	}
	l.path.set(dir)
	l.SetConfig(config)
	l.list.Store(&segmentList{})
	l.firstUnstable.Store(noUnstableOffset)
	l.cleanedTo.Store(-1)
	l.lastSnapshot = -1
	l.producers = newProducerState(l.config.Load().ProducerIDExpiration)
	return l
}

var errClosed = errors.New("the log is closed")

// Close is the clean stop of the log: flush, producer snapshot, index trim, files closed.
func (l *Log) Close() error {
	if l.usable() != nil {
		l.closeFiles()
		return nil // offline, or closed already
	}
	err := l.Flush()
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err == nil {
		err = l.finish(true)
	}
	l.offline.CompareAndSwap(nil, &offlineError{errClosed})
	l.closeFiles()
	return err
}

// leave is Close for who makes all of the directory durable afterwards; false when the log was closed already,
// or is offline.
func (l *Log) leave() (bool, error) {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if l.usable() != nil {
		l.closeFiles()
		return false, nil
	}
	err := l.finish(false)
	l.offline.CompareAndSwap(nil, &offlineError{errClosed})
	l.closeFiles()
	return err == nil, err
}

// finish writes what a clean start relies on. Caller holds both mutexes.
func (l *Log) finish(sync bool) error {
	s := l.segments().active()
	if s.preallocated || s.unsaved && s.size.Load() > 0 {
		if err := s.finish(false); err != nil {
			return l.ioFailed("finishing a segment of", err)
		}
		if sync {
			if err := s.sync(true); err != nil {
				return l.ioFailed("flushing", err)
			}
		}
	}
	persist := l.epochs.persist
	if !sync && l.cleanedTo.Load() < 0 {
		persist = l.epochs.persistUnsynced
	}
	if err := persist(l.leo.Load()); err != nil {
		return l.ioFailed("writing the leader epochs of", err)
	}
	if end := l.leo.Load(); end > l.logStart.Load() {
		if err := l.snapshotProducers(end); err != nil {
			return l.ioFailed("writing a producer snapshot of", err)
		}
	}
	return nil
}

// closeFiles closes every file as soon as its last reader lets go.
func (l *Log) closeFiles() {
	for _, s := range l.segments() {
		s.log.close()
	}
}

// retire takes the log out of service and moves its directory to another name: deletion, or a stray. Readers that hold
// files keep them.
func (l *Log) retire(dir string) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	l.offline.CompareAndSwap(nil, &offlineError{errClosed})
	l.closeFiles()
	if err := l.fs.Rename(l.path.get(), dir); err != nil {
		return l.ioFailed("renaming", err)
	}
	l.path.set(dir)
	return nil
}
