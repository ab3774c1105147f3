package logstore

import "slices"

// TruncateTo removes offsets >= offset.
func (l *Log) TruncateTo(offset int64) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if end := l.leo.Load(); offset >= end {
		return l.epochs.truncateFromEnd(end)
	}
	l.logger.Info("truncating", "to", offset, "logEndOffset", l.leo.Load())
	segments := l.segments()
	l.cuts.Add(1)
	defer l.cuts.Add(1)
	if offset < segments[0].base {
		return l.startAt(offset, offset)
	}
	keep := segments[:segments.floor(offset)+1]
	cut, err := keep.active().boundary(offset)
	if err != nil {
		return l.readFailed(err)
	}
	if err := l.lowerPoints(cut); err != nil {
		return err
	}
	gone := slices.Clone(segments[len(keep):])
	slices.Reverse(gone) // newest first, so that a crash leaves a log without a hole
	l.list.Store(&keep)
	l.leo.Store(offset)
	l.highWatermark.Store(min(l.highWatermark.Load(), offset))
	l.logStart.Store(min(l.logStart.Load(), offset))
	if err := l.removeSegments(gone, l.config.Load().FileDeleteDelay); err != nil {
		return err
	}
	if len(gone) > 0 { // else a crash could bring them back behind the cut
		if err := l.fs.SyncDir(l.path.get()); err != nil {
			return l.ioFailed("truncating", err)
		}
	}
	// The cut is synced; what lies before it must not be behind that, or a power failure leaves a hole.
	for _, s := range keep[keep.floor(l.recoveryPoint.Load()) : len(keep)-1] {
		if err := s.sync(true); err != nil {
			return l.ioFailed("flushing", err)
		}
	}
	end, err := keep.active().truncate(offset, l.config.Load().SegmentIndexBytes)
	if err != nil {
		return l.ioFailed("truncating", err)
	}
	// A batch that only reaches over offset is gone whole: the log ends where what is left ends, so that
	// a restart finds the same end.
	offset = max(end, l.logStart.Load())
	l.leo.Store(offset)
	l.highWatermark.Store(min(l.highWatermark.Load(), offset))
	l.recoveryPoint.Store(min(l.recoveryPoint.Load(), offset))
	if err := l.epochs.truncateFromEnd(offset); err != nil {
		return l.ioFailed("truncating the leader epochs of", err)
	}
	return l.reloadProducers()
}

// TruncateFullyAndStartAt empties the log.
func (l *Log) TruncateFullyAndStartAt(offset int64) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	l.cuts.Add(1)
	defer l.cuts.Add(1)
	l.logger.Info("truncating fully", "startingAt", offset, "logEndOffset", l.leo.Load())
	return l.startAt(offset, offset)
}

// startAt replaces all segments by an empty one at base. logStart may be above base: then the first batch
// is still to come and begins below the log start. Caller holds both mutexes.
func (l *Log) startAt(base, logStart int64) error {
	if err := l.lowerPoints(0); err != nil { // half way there are no segments at all
		return err
	}
	gone := slices.Clone(l.segments())
	slices.Reverse(gone)
	if err := l.removeSegments(gone, 0); err != nil {
		return err
	}
	s, err := l.createSegment(base)
	if err != nil {
		return l.ioFailed("creating a segment of", err)
	}
	if err := l.epochs.clear(); err != nil {
		return l.ioFailed("clearing the leader epochs of", err)
	}
	l.list.Store(&segmentList{s})
	l.leo.Store(base)
	l.logStart.Store(logStart)
	l.highWatermark.Store(logStart)
	l.recoveryPoint.Store(base)
	return l.clearProducers()
}

// lowerPoints puts lower points on disk before what they covered goes away: else recovery would miss
// records that the old recovery point calls safe, and compaction miss keys that the old one calls clean.
// Caller holds flushMu.
func (l *Log) lowerPoints(offset int64) error {
	l.generation.Add(1)
	if l.cleanedTo.Load() > offset {
		l.cleanedTo.Store(offset)
		if l.bg != nil {
			if err := l.bg.store.checkpoint(l.disk, cleanerFile); err != nil {
				return err
			}
		}
	}
	if l.recoveryPoint.Load() <= offset {
		return nil
	}
	l.recoveryPoint.Store(offset)
	if l.bg == nil {
		return nil
	}
	return l.bg.checkpointRecoveryPoints(l.disk)
}
