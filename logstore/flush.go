package logstore

import (
	"errors"
	"path/filepath"
)

// Flush makes everything up to the log end durable; concurrent calls share one fdatasync. One that failed
// takes the directory offline and is never tried again: the kernel may have dropped the pages.
func (l *Log) Flush() error {
	if target := l.leo.Load(); l.recoveryPoint.Load() >= target {
		return l.usable()
	}
	return l.rounds.flush(l.flushAll)
}

// flushAll syncs up to the log end of its moment.
func (l *Log) flushAll() error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if l.recoveryPoint.Load() >= l.leo.Load() {
		return nil
	}
	// Under appendMu: an append publishes the log end before the segment's size, and a sync that saw the one
	// without the other would find nothing to do and call the records durable (found by a power failure).
	l.appendMu.Lock()
	end, segments := l.leo.Load(), l.segments()
	l.appendMu.Unlock()
	return l.flushSegments(segments[segments.floor(l.recoveryPoint.Load()):], end)
}

// flushInactive makes all but the active segment durable, indexes included.
func (l *Log) flushInactive() error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	segments := l.segments()
	end := segments.active().base
	if l.recoveryPoint.Load() >= end {
		return nil
	}
	return l.flushSegments(segments[segments.floor(l.recoveryPoint.Load()):len(segments)-1], end)
}

// flushSegments syncs the segments and moves the recovery point to end. Caller holds flushMu. Recovery
// trusts the indexes of segments that end at or below the recovery point, so those are synced too; the
// segment that holds the recovery point is scanned, and its indexes are made anew.
func (l *Log) flushSegments(segments segmentList, end int64) error {
	if err := l.makeDirDurable(); err != nil {
		return err
	}
	active := l.segments().active()
	for _, s := range segments {
		if err := s.sync(s != active); err != nil {
			if errors.Is(err, errRemoved) {
				continue
			}
			return l.ioFailed("flushing", err)
		}
	}
	if l.newFiles.Swap(false) {
		if err := l.fs.SyncDir(l.path.get()); err != nil {
			return l.ioFailed("flushing the directory of", err)
		}
	}
	// Recovery takes the epochs of records below the recovery point from the file alone.
	if err := l.epochs.persist(end); err != nil {
		return l.ioFailed("writing the leader epochs of", err)
	}
	// A segment that was rolled meanwhile was not synced with its indexes: the recovery point stays below
	// its end, so that roll and recovery know.
	l.appendMu.Lock()
	if l.segments().active() != active {
		end = min(end, active.base)
	}
	l.recoveryPoint.Store(max(end, l.recoveryPoint.Load()))
	l.appendMu.Unlock()
	l.lastFlush.Store(l.clock.Now().UnixMilli())
	return nil
}

// makeDirDurable puts partition.metadata and the directory's own name on disk before the first records are there for
// good: a log whose topic id is lost would be a stray. Records that were only written need no more than the kernel does
// for them: of thousands of new logs each first append would wait for three syncs. Caller holds flushMu.
func (l *Log) makeDirDurable() error {
	if l.dirDurable {
		return nil
	}
	dir := l.path.get()
	if l.topicID != (UUID{}) {
		l.newFiles.Store(false) // its directory is synced for the one as for the others
		if err := writePartitionMetadata(l.fs, dir, l.topicID); err != nil {
			return l.ioFailed("writing partition.metadata of", err)
		}
	}
	if err := l.fs.SyncDir(filepath.Dir(dir)); err != nil {
		return l.ioFailed("flushing the directory of", err)
	}
	l.dirDurable = true
	return nil
}
