package logstore

import (
	"fmt"
	"time"
)

// IncrementLogStartOffset deletes records below offset (DeleteRecords). A segment whose records are all
// below it goes at the next retention check; the metadata log's goes at once. ErrOffsetOutOfRange above
// the high watermark.
func (l *Log) IncrementLogStartOffset(offset int64) error {
	if err := l.moveLogStart(offset); err != nil {
		return err
	}
	if l.bg == nil {
		return l.DeleteOldSegments()
	}
	l.bg.store.logStartMoved.Store(true)
	l.bg.wake()
	return nil
}

func (l *Log) moveLogStart(offset int64) error {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if hw := l.highWatermark.Load(); offset > hw {
		return fmt.Errorf("%w: %d is above the high watermark %d", ErrOffsetOutOfRange, offset, hw)
	}
	return l.logStartTo(offset)
}

// logStartTo raises the log start. Caller holds appendMu.
func (l *Log) logStartTo(offset int64) error {
	if offset <= l.logStart.Load() {
		return nil
	}
	l.logStart.Store(offset)
	if err := l.epochs.truncateFromStart(offset); err != nil {
		return l.ioFailed("truncating the leader epochs of", err)
	}
	l.producers.onHighWatermark(offset)
	l.updateFirstUnstable()
	return nil
}

// DeleteOldSegments applies retention: by log start, and with cleanup.policy delete by size and time;
// oldest first, up to the first segment that stays. Only what lies below the high watermark goes.
func (l *Log) DeleteOldSegments() error {
	l.flushMu.Lock() // a cleaned segment is put in place under it
	defer l.flushMu.Unlock()
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	n, err := l.countDeletable()
	if err != nil || n == 0 {
		return err
	}
	if n == len(l.segments()) {
		if err := l.roll(l.leo.Load()); err != nil {
			return err
		}
	}
	segments := l.segments()
	gone, keep := segments[:n], segments[n:]
	l.logger.Info("deleting old segments", "segments", n, "from", gone[0].base, "logStartOffset", keep[0].base)
	if err := l.logStartTo(keep[0].base); err != nil {
		return err
	}
	l.list.Store(&keep)
	if err := l.removeSegments(gone, l.config.Load().FileDeleteDelay); err != nil {
		return err
	}
	if l.recoveryPoint.Load() < keep[0].base {
		// Not all of what goes is on disk: it must not come back, cut short, before what is flushed next.
		if err := l.fs.SyncDir(l.path.get()); err != nil {
			return l.ioFailed("deleting a segment of", err)
		}
	}
	for _, s := range gone {
		if s.base == 0 {
			continue // its snapshot would be the empty one
		}
		if err := l.dropSnapshots([]int64{s.base}, func(int64) bool { return false }); err != nil {
			return l.ioFailed("deleting a producer snapshot of", err)
		}
	}
	return nil
}

// countDeletable is how many segments at the start can go.
func (l *Log) countDeletable() (int, error) {
	c := l.config.Load()
	segments, hw, now := l.segments(), l.highWatermark.Load(), l.clock.Now()
	excess := int64(-1)
	if c.CleanupDelete && c.RetentionBytes >= 0 {
		excess = l.SizeBytes() - c.RetentionBytes
	}
	for i, s := range segments {
		end, active := l.leo.Load(), i == len(segments)-1
		if !active {
			end = segments[i+1].base
		}
		if hw < end || active && s.size.Load() == 0 {
			return i, nil
		}
		breach := !active && end <= l.logStart.Load()
		tooBig := excess >= 0 && excess >= s.size.Load()
		tooOld := false
		if !breach && !tooBig && c.CleanupDelete && c.RetentionMs >= 0 {
			var err error
			if tooOld, err = l.olderThan(s, now.Add(-c.RetentionMs)); err != nil {
				return 0, err
			}
		}
		if !breach && !tooBig && !tooOld {
			return i, nil
		}
		excess -= s.size.Load()
	}
	return len(segments), nil
}

// olderThan compares the largest record timestamp; without any, when the file was written last.
func (l *Log) olderThan(s *segment, limit time.Time) (bool, error) {
	ts, err := s.largestTimestamp()
	if err != nil {
		return false, l.readFailed(err)
	}
	if ts < 0 {
		info, err := l.fs.Stat(s.filePath(logSuffix))
		if err != nil {
			return false, l.ioFailed("reading", err)
		}
		ts = info.ModTime().UnixMilli()
	}
	return ts < limit.UnixMilli(), nil
}
