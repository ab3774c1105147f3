package logstore

import (
	"errors"
	"io/fs"
	"math"
	"path/filepath"
	"time"
)

// rollIfDue starts a new segment before an append when Kafka's rules ask for it. Caller holds appendMu.
func (l *Log) rollIfDue(p *preparedAppend, c *Config) error {
	due, err := l.rollDue(l.segments().active(), p, c)
	if err != nil || !due {
		return err
	}
	return l.roll(max(p.firstOffset, l.leo.Load()))
}

func (l *Log) rollDue(s *segment, p *preparedAppend, c *Config) (bool, error) {
	size := s.size.Load()
	if size > int64(c.SegmentBytes)-int64(len(p.bytes)) && size > 0 {
		return true, nil
	}
	if p.nextOffset-1-s.base > math.MaxInt32 || s.indexesFull() {
		return true, nil
	}
	if size == 0 {
		return false, nil
	}
	first, err := s.firstBatchTimestamp()
	if err != nil {
		return false, l.readFailed(err)
	}
	limit := c.segmentMs() - s.jitter
	if first >= 0 {
		return p.maxTimestamp-first > limit.Milliseconds(), nil
	}
	return l.clock.Now().Sub(s.created) > limit, nil
}

// firstBatchTimestamp is the max timestamp of the segment's first batch.
func (s *segment) firstBatchTimestamp() (int64, error) {
	if s.firstTimestamp != timestampUnknown {
		return s.firstTimestamp, nil
	}
	f, err := s.log.acquire(false)
	if err != nil {
		return 0, err
	}
	defer s.log.release()
	scan := scanHeaders(f, 0, s.size.Load())
	defer scan.done()
	h, err := scan.next()
	if err != nil {
		return 0, err
	}
	s.firstTimestamp = h.maxTimestamp
	return h.maxTimestamp, nil
}

// roll makes a new active segment at base. Caller holds appendMu.
func (l *Log) roll(base int64) error {
	old := l.segments().active()
	if old.base == base && old.size.Load() == 0 {
		return nil
	}
	// Recovery trusts the indexes of a segment that ends at or below the recovery point.
	if err := old.finish(l.recoveryPoint.Load() >= l.leo.Load()); err != nil {
		return l.ioFailed("finishing a segment of", err)
	}
	if err := l.snapshotProducers(base); err != nil {
		return l.ioFailed("writing a producer snapshot of", err)
	}
	s, err := l.createSegment(base)
	if err != nil {
		return l.ioFailed("creating a segment of", err)
	}
	segments := l.segments()
	old.forgetIndexes()
	next := append(segments[:len(segments):len(segments)], s)
	l.list.Store(&next)
	l.logger.Debug("rolled a new segment", "baseOffset", base)
	if l.bg != nil {
		l.bg.flushInactive(l)
	}
	return nil
}

// createSegment makes the files of an empty segment; files of that name that are there are left from a
// crash or a truncation.
func (l *Log) createSegment(base int64) (*segment, error) {
	for _, suffix := range []string{logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix} {
		err := l.fs.Remove(filepath.Join(l.path.get(), segmentFileName(base, suffix)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return l.newSegmentFiles(base)
}

// newSegmentFiles is createSegment where no files of that name can be.
func (l *Log) newSegmentFiles(base int64) (*segment, error) {
	s := newSegment(l.files, &l.path, base, l.clock.Now(), l.config.Load())
	s.maxTimestamp.Store(-1)
	if err := s.create(l.config.Load()); err != nil {
		return nil, err
	}
	l.newFiles.Store(true)
	return s, nil
}

// removeSegments renames the files away, the given ones in order, and removes them after the delay. Their
// readers keep them open. Caller holds appendMu and has published a list without them.
func (l *Log) removeSegments(segments segmentList, delay time.Duration) error {
	for _, s := range segments {
		if err := s.renameDeleted(); err != nil {
			return l.ioFailed("deleting a segment of", err)
		}
	}
	remove := func() error {
		var all error
		for _, s := range segments {
			all = errors.Join(all, s.remove(l.fs))
		}
		return all
	}
	if l.bg == nil {
		return remove()
	}
	l.bg.after(delay, "segments of "+l.tp.String(), remove)
	return nil
}
