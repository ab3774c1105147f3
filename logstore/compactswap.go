package logstore

import (
	"errors"
	"io/fs"
	"os"
	"slices"
)

// segmentSuffixes are a segment's own files.
var segmentSuffixes = [...]string{logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix} //nolint:gochecknoglobals // a constant list

// cleanedSegment is a segment that a clean writes. Until it is in place its files carry a suffix, and its
// indexes are in memory only.
type cleanedSegment struct{ segment *segment }

// append writes batches behind what is there.
func (c *cleanedSegment) append(b []byte, indexInterval int32) error {
	s := c.segment
	if err := s.write(b); err != nil {
		return err
	}
	if err := s.indexAppended(b, indexInterval); err != nil {
		return err
	}
	s.size.Add(int64(len(b)))
	return nil
}

func (c *cleanedSegment) txns() *abortedIndex { return c.segment.aborted }

// finishCleaned makes the segment's files whole and durable, still under .cleaned.
func (c *cleanedSegment) finishCleaned() error {
	s := c.segment
	if err := s.times.maybeAppend(s.maxTimestamp.Load(), s.maxTimestampOffset, true); err != nil {
		return err
	}
	fsys := s.log.cache.fs
	if err := errors.Join(
		s.offsets.write(fsys, s.filePath(indexSuffix+cleanedSuffix), true),
		s.times.write(fsys, s.filePath(timeIndexSuffix+cleanedSuffix), true),
		s.aborted.sync(),
	); err != nil {
		return err
	}
	return s.sync(false)
}

// toSwap renames the files to .swap. A start that finds a .cleaned file among them undoes all.
func (c *cleanedSegment) toSwap() error {
	if err := c.renameDerived(cleanedSuffix, swapSuffix); err != nil {
		return err
	}
	return c.segment.log.rename(logSuffix + swapSuffix)
}

// toFinal renames the .swap files to their names, the .log first: a start that finds its .swap removes
// the files that it replaces.
func (c *cleanedSegment) toFinal() error {
	if err := c.segment.log.rename(logSuffix); err != nil {
		return err
	}
	return c.renameDerived(swapSuffix, "")
}

func (c *cleanedSegment) renameDerived(from, to string) error {
	s := c.segment
	for _, suffix := range segmentSuffixes[1:] {
		err := s.log.cache.fs.Rename(s.filePath(suffix+from), s.filePath(suffix+to))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// discardCleaned removes what an aborted clean wrote; a start would do so, too.
func (l *Log) discardCleaned(c *cleanedSegment) {
	if l.disk.usable() != nil {
		return
	}
	s := c.segment
	s.log.openMu.Lock()
	suffix := s.log.suffix
	s.log.openMu.Unlock()
	if suffix != logSuffix+cleanedSuffix {
		return // it is on its way in: the next start finishes it
	}
	s.log.close()
	for _, suffix := range segmentSuffixes {
		if err := l.fs.Remove(s.filePath(suffix + cleanedSuffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			l.logger.Warn("removing an unfinished cleaned segment", "err", err)
		}
	}
}

// replaceSegments puts a cleaned segment in the place of the group that it was made of. On disk every
// step leaves either the group or, once its .swap names are durable, the new segment (log-format.md,
// section 10); in memory the list changes at once, and readers of the group keep its files.
//
// Holding flushMu keeps truncation, deletion and flushes away for the few renames that this takes;
// appends go on.
func (l *Log) replaceSegments(c *cleanedSegment, group segmentList, generation int64) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if l.generation.Load() != generation || !slices.Contains(l.segments(), group[0]) {
		return errCleanAborted
	}
	failed := func(err error) error { return l.ioFailed("replacing a cleaned segment of", err) }
	if err := c.toSwap(); err != nil {
		return failed(err)
	}
	if err := l.fs.SyncDir(l.path.get()); err != nil {
		return failed(err)
	}
	l.swapIn(c.segment, group)
	if err := l.removeSegments(slices.Clone(group), l.config.Load().FileDeleteDelay); err != nil {
		return err
	}
	if err := l.dropGroupSnapshots(group); err != nil {
		return failed(err)
	}
	if err := l.fs.SyncDir(l.path.get()); err != nil { // the group is gone for good before the .swap names are
		return failed(err)
	}
	if err := c.toFinal(); err != nil {
		return failed(err)
	}
	if err := l.fs.SyncDir(l.path.get()); err != nil {
		return failed(err)
	}
	s := c.segment
	s.indexMu.Lock()
	s.aborted.path = s.filePath(txnIndexSuffix)
	s.offsets, s.times = nil, nil // from here on the files have them
	s.indexMu.Unlock()
	return nil
}

// swapIn publishes the list with s for the group. The group's segments are marked removed before a file
// of theirs changes its name: a reader that looked into an index of the same name sees it.
func (l *Log) swapIn(s *segment, group segmentList) {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	old := l.segments()
	at := slices.Index(old, group[0])
	next := make(segmentList, 0, len(old)-len(group)+1)
	next = append(append(append(next, old[:at]...), s), old[at+len(group):]...)
	l.list.Store(&next)
	for _, g := range group {
		g.indexMu.Lock()
		g.log.close()
		g.indexMu.Unlock()
	}
}

// dropGroupSnapshots removes the producer snapshots of bases that are no segment's any more.
func (l *Log) dropGroupSnapshots(group segmentList) error {
	bases := make([]int64, 0, len(group))
	for _, g := range group[1:] {
		bases = append(bases, g.base)
	}
	return l.dropSnapshots(bases, func(int64) bool { return false })
}
