package logstore

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// recoverSegments returns the segments that stand and the log end offset. After an unclean stop all from
// the one that holds the recovery point on are read and verified; a segment whose index is missing or
// corrupt always is.
func (l *Log) recoverSegments(segments segmentList, c checkpointed) (segmentList, int64, error) {
	from := len(segments)
	if !c.clean {
		from = segments.floor(c.recoveryPoint)
	}
	end := segments[0].base
	for i, s := range segments {
		last := i == len(segments)-1
		if i < from && !s.rebuild {
			var opened bool
			var err error
			if end, opened, err = l.openWhole(s, last, end); err != nil {
				return nil, 0, err
			}
			if opened {
				continue
			}
		}
		var cut bool
		var err error
		if end, cut, err = l.recoverOne(segments, i, c); err != nil {
			return nil, 0, err
		}
		if cut {
			if err := l.removeSegments(segments[i+1:], 0); err != nil {
				return nil, 0, err
			}
			segments = segments[:i+1]
			break
		}
	}
	l.producersRecovered = l.producersAt == end && l.producersAt > 0
	if end < c.recoveryPoint && c.recoveryPoint > c.logStart {
		s := segments.active()
		return nil, 0, &CorruptError{
			File: s.filePath(logSuffix), Position: s.size.Load(), Offset: end, Cause: errShort,
			Reason: fmt.Sprintf("the log was on disk up to offset %d", c.recoveryPoint),
		}
	}
	return segments, end, nil
}

// openWhole opens a segment that the last stop left whole; opened is false when its indexes must be
// rebuilt after all. Of the active one it finds the end; what it returns for others is end as it was.
func (l *Log) openWhole(s *segment, active bool, end int64) (newEnd int64, opened bool, err error) {
	if !active {
		s.synced.Store(s.size.Load())
		return end, true, nil
	}
	newEnd, err = s.openTrusted(l.config.Load().SegmentIndexBytes)
	if err == nil {
		return newEnd, true, nil
	}
	if !rebuildable(err) {
		return 0, false, err
	}
	l.logger.Warn("rebuilding the indexes of a segment", "file", s.filePath(logSuffix), "err", err)
	return end, false, nil
}

// recoverOne recovers segments[i] and holds its end against the beginning of the next. cut: the later
// ones must go, they hold nothing valid.
func (l *Log) recoverOne(segments segmentList, i int, c checkpointed) (end int64, cut bool, err error) {
	s := segments[i]
	if err := l.recoverProducersTo(segments, s.base); err != nil {
		return 0, false, err
	}
	end, cut, err = l.recoverSegment(s, segments, i, c.recoveryPoint)
	if err != nil || cut || i == len(segments)-1 {
		return end, cut, err
	}
	if next := segments[i+1].base; end < next && !c.compacted {
		// A power failure kept a new segment and lost the unsynced end of the one before it.
		gap := tail{offset: end, position: s.size.Load(), size: s.size.Load(), epoch: l.epochs.entries().at(end - 1), cause: errGap}
		if err := l.judgeTail(segments, i, gap, c.recoveryPoint); err != nil {
			return 0, false, err
		}
		l.logger.Warn("cutting segments behind a gap", "logEndOffset", end, "next", next)
		return end, true, nil
	}
	if err := s.finish(false); err != nil {
		return 0, false, err
	}
	s.forgetIndexes()
	return end, false, nil
}

// rebuildable says that an error of opening a segment is one of its derived files or its tail.
func rebuildable(err error) bool {
	return errors.Is(err, errCorruptIndex) || errors.Is(err, errShort) || errors.Is(err, errFrame) || errors.Is(err, errIndexBeyond)
}

var errGap = errors.New("the segment ends before the next one begins")

var errIndexBeyond = errors.New("index points beyond the log")

// openTrusted loads the indexes of the active segment after a stop that left them whole, and reads the
// headers after the last entry.
func (s *segment) openTrusted(indexBytes int32) (end int64, err error) {
	if err := s.loadIndexes(indexBytes); err != nil {
		return 0, err
	}
	f, err := s.log.acquire(false)
	if err != nil {
		return 0, err
	}
	defer s.log.release()
	if end, err = s.rescanTail(f); err == nil {
		s.synced.Store(s.size.Load())
		last, _ := s.times.lastEntry()
		s.unsaved = last != s.maxTimestamp.Load() // the closing entry is missing
	}
	return end, err
}

// recoverSegment verifies every batch of segments[i], rebuilds its indexes, and cuts a torn tail. cut
// says that it did, and that later segments must go: they hold nothing valid.
func (l *Log) recoverSegment(s *segment, segments segmentList, i int, recoveryPoint int64) (end int64, cut bool, err error) {
	f, err := s.log.acquire(false)
	if err != nil {
		return 0, false, err
	}
	defer s.log.release()
	config := l.config.Load()
	fileSize := s.size.Load()
	s.offsets, s.times = newOffsetIndex(s.base, config.SegmentIndexBytes), newTimeIndex(s.base, config.SegmentIndexBytes)
	s.maxTimestamp.Store(-1)
	s.sinceIndex = 0
	s.aborted = &abortedIndex{fs: l.fs, path: s.filePath(txnIndexSuffix)}
	if err := s.aborted.rewrite(); err != nil {
		return 0, false, err
	}
	r := batchReader{f: f, end: fileSize}
	end = s.base
	epoch := int32(-1)
	for {
		h, b, err := r.next()
		if err == nil && (h.baseOffset < end || h.lastOffset-s.base > math.MaxInt32) {
			// Its checksum is right, so this is no torn tail. Offsets are outside the checksum.
			return 0, false, &CorruptError{
				File: f.Name(), Position: h.position, Offset: end, Cause: errFrame,
				Reason: fmt.Sprintf("a valid batch has offsets %d to %d", h.baseOffset, h.lastOffset),
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if cut, err = l.mustCut(segments, i, tail{f, r.position, fileSize, end, epoch, err}, recoveryPoint); err != nil {
				return 0, false, err
			}
			break
		}
		if err := s.indexBatch(&h, config.IndexIntervalBytes); err != nil {
			return 0, false, err
		}
		if err := l.recoverBatch(s, &h, b); err != nil {
			return 0, false, err
		}
		end, epoch = h.lastOffset+1, h.epoch
	}
	l.producersAt = end
	s.size.Store(r.position)
	if cut {
		l.logger.Warn("cutting a torn tail", "file", f.Name(), "position", r.position, "bytes", fileSize-r.position, "logEndOffset", end)
	}
	if r.position < fileSize {
		if err := f.Truncate(r.position); err != nil {
			return 0, false, err
		}
		s.cut.Store(true)
	}
	return end, cut, s.writeIndexes(false)
}

// mustCut says what to do with what lies behind the last valid batch of segments[i]: true, it is a torn tail;
// false, it was preallocated and never written. A *CorruptError when it is neither.
func (l *Log) mustCut(segments segmentList, i int, t tail, recoveryPoint int64) (bool, error) {
	if !errors.Is(t.cause, errShort) && !errors.Is(t.cause, errFrame) && !errors.Is(t.cause, errChecksum) {
		return false, t.cause
	}
	// Of a segment with another one behind it, nothing may be missing in between.
	if t.offset >= recoveryPoint && (i == len(segments)-1 || t.offset == segments[i+1].base) {
		if unwritten, err := onlyZeroes(t.f, t.position, t.size); err != nil || unwritten {
			return false, err
		}
	}
	return true, l.judgeTail(segments, i, t, recoveryPoint)
}

// recoverProducersTo brings the producer state to the base of a segment that is recovered next, and
// writes its snapshot anew: the one there may be torn.
func (l *Log) recoverProducersTo(segments segmentList, base int64) error {
	if l.producersAt != base || base == 0 {
		offsets, err := l.snapshots()
		if err != nil {
			return err
		}
		if err := l.restoreProducers(segments, offsets, base); err != nil {
			return err
		}
	}
	if base <= l.logStart.Load() {
		return nil
	}
	l.lastSnapshot = -1
	return l.snapshotProducers(base)
}

// recoverBatch takes what the derived state needs from a batch that is valid.
func (l *Log) recoverBatch(s *segment, h *batchHeader, b protocol.Batch) error {
	if h.magic != 2 {
		return nil
	}
	if h.epoch > l.epochs.entries().latest() {
		if err := l.epochs.assign(h.epoch, h.baseOffset); err != nil {
			return err
		}
	}
	if !b.HasProducerID() {
		return nil
	}
	return l.applyBatch(s, b)
}

// tail is where the valid part of a segment ends.
type tail struct {
	f              vfs.File
	position, size int64
	offset         int64 // expected there
	epoch          int32 // of the last valid batch
	cause          error
}

// judgeTail decides whether what lies at the end of the valid part may be cut: only if nothing valid
// comes after it, and it was not on disk already (a torn tail). Else it is a *CorruptError.
func (l *Log) judgeTail(segments segmentList, i int, t tail, recoveryPoint int64) error {
	corrupt := &CorruptError{File: segments[i].filePath(logSuffix), Position: t.position, Offset: t.offset, Cause: t.cause}
	if t.offset < recoveryPoint {
		corrupt.Reason = fmt.Sprintf("the log was on disk up to offset %d", recoveryPoint)
		return corrupt
	}
	var found bool
	var err error
	if t.position < t.size {
		if found, err = validBatchAfter(t.f, t.position, t.size, t.offset, t.epoch); err != nil {
			return err
		}
	}
	for _, later := range segments[i+1:] {
		if found {
			break
		}
		if found, err = l.holdsValidBatch(later, t); err != nil {
			return err
		}
	}
	if found {
		corrupt.Reason = "valid batches follow it"
		return corrupt
	}
	return nil
}

func (l *Log) holdsValidBatch(s *segment, t tail) (bool, error) {
	f, err := s.log.acquire(false)
	if err != nil {
		return false, err
	}
	defer s.log.release()
	return validBatchAfter(f, -1, s.size.Load(), t.offset, t.epoch)
}

// loadEpochCache reads leader-epoch-checkpoint; rebuild says that it has to be made from the batches.
func (l *Log) loadEpochCache() (c *epochCache, rebuild bool, err error) {
	path := filepath.Join(l.path.get(), epochsFile)
	c, err = loadEpochs(l.fs, path)
	if errors.Is(err, errMalformedCheckpoint) {
		l.logger.Warn("rebuilding the leader epochs", "err", err)
		c = &epochCache{fs: l.fs, path: path, exists: true}
		c.value.Store(&epochEntries{})
		return c, true, nil
	}
	return c, err == nil && len(c.entries()) == 0, err
}

// rebuildEpochs makes the leader-epoch cache from the batches' headers.
func (l *Log) rebuildEpochs() error {
	return l.eachHeader(l.logStart.Load(), func(h *batchHeader) error {
		if h.epoch >= 0 && h.epoch != l.epochs.entries().latest() {
			return l.epochs.assign(h.epoch, h.baseOffset)
		}
		return nil
	})
}

// trimEpochs holds the cache against what the log holds: recovery may have cut, and records of an epoch
// may have been written without the cache's file.
func (l *Log) trimEpochs() error {
	if err := l.epochs.truncateFromEnd(l.leo.Load()); err != nil {
		return err
	}
	return l.epochs.truncateFromStart(l.logStart.Load())
}

// eachHeader calls fn with every batch header from the segment that holds offset on.
func (l *Log) eachHeader(offset int64, fn func(h *batchHeader) error) error {
	segments := l.segments()
	for _, s := range segments[segments.floor(offset):] {
		if err := s.eachHeader(fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *segment) eachHeader(fn func(h *batchHeader) error) error {
	if s.size.Load() == 0 {
		return nil
	}
	f, err := s.log.acquire(false)
	if err != nil {
		return err
	}
	defer s.log.release()
	scan := scanHeaders(f, 0, s.size.Load())
	defer scan.done()
	for {
		h, err := scan.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := fn(&h); err != nil {
			return err
		}
	}
}

// eachProducerBatch calls fn with the batches of producers whose last offset is in [from, to): only their
// headers, but control batches whole.
func (s *segment) eachProducerBatch(from, to int64, fn func(b protocol.Batch)) error {
	if s.size.Load() == 0 {
		return nil
	}
	f, err := s.log.acquire(false)
	if err != nil {
		return err
	}
	defer s.log.release()
	size := s.size.Load()
	first, found, err := s.locate(f, from, size)
	if err != nil || !found {
		return err
	}
	scan := scanHeaders(f, first.position, size)
	defer scan.done()
	for {
		h, err := scan.next()
		if errors.Is(err, io.EOF) || err == nil && h.baseOffset >= to {
			return nil
		}
		if err != nil {
			return err
		}
		b := protocol.Batch(scan.header())
		if h.magic != 2 || h.lastOffset < from || !b.HasProducerID() {
			continue
		}
		if b.IsControl() {
			b = make([]byte, h.size)
			if err := readFull(f, b, h.position); err != nil {
				return err
			}
		}
		fn(b)
	}
}
