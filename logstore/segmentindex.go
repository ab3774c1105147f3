package logstore

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"minikafka/internal/vfs"
)

func (s *segment) filePath(suffix string) string {
	return filepath.Join(s.log.dir.get(), segmentFileName(s.base, suffix))
}

// create makes the files of a new segment. The .txnindex comes with its first entry.
func (s *segment) create(c *Config) error {
	f, err := s.log.acquire(true)
	if err != nil {
		return err
	}
	defer s.log.release()
	if c.Preallocate {
		if err := f.Truncate(int64(c.SegmentBytes)); err != nil {
			return err
		}
		s.preallocated = true
	}
	s.offsets, s.times = newOffsetIndex(s.base, c.SegmentIndexBytes), newTimeIndex(s.base, c.SegmentIndexBytes)
	return s.writeIndexes(false)
}

// trim cuts what was preallocated off a segment that gets no more records. Others take the file's length for
// its end, so the cut is durable before the recovery point passes the segment: at once with sync set, else
// with the next sync.
func (s *segment) trim(sync bool) error {
	if !s.preallocated {
		return nil
	}
	f, err := s.log.acquire(false)
	if err != nil {
		return err
	}
	defer s.log.release()
	if err := f.Truncate(s.size.Load()); err != nil {
		return err
	}
	s.preallocated = false
	if sync {
		return f.Sync()
	}
	s.cut.Store(true)
	return nil
}

// writeIndexes stores what the memory holds of the two indexes.
func (s *segment) writeIndexes(sync bool) error {
	s.unsaved = true
	fsys := s.log.cache.fs
	return errors.Join(s.offsets.write(fsys, s.filePath(indexSuffix), sync), s.times.write(fsys, s.filePath(timeIndexSuffix), sync))
}

// loadIndexes brings the indexes of a segment that becomes the active one into memory.
func (s *segment) loadIndexes(indexBytes int32) error {
	fsys := s.log.cache.fs
	offsets, err := loadOffsetIndex(fsys, s.filePath(indexSuffix), s.base, indexBytes)
	if err != nil {
		return err
	}
	times, err := loadTimeIndex(fsys, s.filePath(timeIndexSuffix), s.base, indexBytes)
	if errors.Is(err, fs.ErrNotExist) {
		times, err = newTimeIndex(s.base, indexBytes), nil
	}
	if err != nil {
		return err
	}
	s.indexMu.Lock()
	s.offsets, s.times = offsets, times
	s.indexMu.Unlock()
	ts, offset := times.lastEntry()
	s.maxTimestamp.Store(ts)
	s.maxTimestampOffset = offset
	return nil
}

// indexAppended adds the index entries of batches that were just written behind the visible size, as
// Kafka does it: per batch, and before the batch counts.
func (s *segment) indexAppended(b []byte, interval int32) error {
	position := s.size.Load()
	for len(b) > 0 {
		h, err := parseHeader(b, position)
		if err != nil {
			return err
		}
		if err := s.indexBatch(&h, interval); err != nil {
			return err
		}
		b, position = b[h.size:], h.end()
	}
	return nil
}

func (s *segment) indexBatch(h *batchHeader, interval int32) error {
	s.unsaved = true
	if h.position == 0 {
		s.firstTimestamp = h.maxTimestamp
	}
	if h.maxTimestamp > s.maxTimestamp.Load() {
		s.maxTimestampOffset = h.lastOffset
		s.maxTimestamp.Store(h.maxTimestamp)
	}
	if s.sinceIndex > int64(interval) {
		if err := s.addEntries(h); err != nil {
			return err
		}
		s.sinceIndex = 0
	}
	s.sinceIndex += h.size
	return nil
}

// addEntries leaves out what there is no room for: an append of many batches fills an index past the mark
// that makes the next one roll, and a sparser index is right too.
func (s *segment) addEntries(h *batchHeader) error {
	s.indexMu.Lock()
	defer s.indexMu.Unlock()
	if s.offsets.isFull() || s.times.isFull() {
		return nil
	}
	if err := s.offsets.append(h.lastOffset, h.position); err != nil {
		return err
	}
	return s.times.maybeAppend(s.maxTimestamp.Load(), s.maxTimestampOffset, false)
}

// indexesFull asks for a roll. An index without room for a single entry, as tests configure, is not full
// while the segment is empty.
func (s *segment) indexesFull() bool {
	return s.size.Load() > 0 && (s.offsets.isFull() || s.times.isFull())
}

// finish ends a segment that is rolled or closed: the closing time index entry, and both indexes go to
// their files, trimmed as the records are.
func (s *segment) finish(sync bool) error {
	if err := s.trim(sync); err != nil {
		return err
	}
	s.indexMu.Lock()
	defer s.indexMu.Unlock()
	if err := s.times.maybeAppend(s.maxTimestamp.Load(), s.maxTimestampOffset, true); err != nil {
		return err
	}
	return s.writeIndexes(sync)
}

// forgetIndexes leaves the indexes to their files.
func (s *segment) forgetIndexes() {
	s.indexMu.Lock()
	s.offsets, s.times = nil, nil
	s.indexMu.Unlock()
}

// floorEntry is the index entry from which to look for offset; fromFile says that nobody has verified it.
func (s *segment) floorEntry(offset int64) (entry, position int64, fromFile bool, err error) {
	s.indexMu.RLock()
	if s.offsets != nil {
		entry, position = s.offsets.lookup(offset)
		s.indexMu.RUnlock()
		return entry, position, false, nil
	}
	s.indexMu.RUnlock()
	last, _, err := searchOffsetFile(s.log.cache.fs, s.filePath(indexSuffix), func(e offsetEntry) bool {
		return s.base+int64(e.relative) > offset
	})
	if last == noEntry {
		last = offsetEntry{} // scan from the start
	}
	return s.base + int64(last.relative), int64(last.position), true, err
}

// upperBound is offsetIndex.upperBound, in memory or on the file.
func (s *segment) upperBound(position int64) (offset int64, found bool, err error) {
	s.indexMu.RLock()
	if s.offsets != nil {
		offset, found = s.offsets.upperBound(position)
		s.indexMu.RUnlock()
		return offset, found, nil
	}
	s.indexMu.RUnlock()
	return upperBoundInFile(s.log.cache.fs, s.filePath(indexSuffix), s.base, position)
}

func upperBoundInFile(fsys vfs.FS, path string, base, position int64) (offset int64, found bool, err error) {
	last, first, err := searchOffsetFile(fsys, path, func(e offsetEntry) bool { return int64(e.position) >= position })
	if err == nil && last == noEntry && int64(first.position) == position {
		_, first, err = searchOffsetFile(fsys, path, func(e offsetEntry) bool { return int64(e.position) > position })
	}
	return base + int64(first.relative), first != noEntry, err
}

// repairIndexes makes the indexes of a closed segment from its batches. One that is the active segment by
// now has them in memory and needs no repair.
func (s *segment) repairIndexes(f vfs.File, size int64) error {
	offsets, times := newOffsetIndex(s.base, math.MaxInt32), newTimeIndex(s.base, math.MaxInt32)
	most, mostOffset, since := int64(-1), int64(0), int64(0)
	scan := scanHeaders(f, 0, size)
	defer scan.done()
	for {
		h, err := scan.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.maxTimestamp > most {
			most, mostOffset = h.maxTimestamp, h.lastOffset
		}
		if since > repairInterval {
			if err := errors.Join(offsets.append(h.lastOffset, h.position), times.maybeAppend(most, mostOffset, false)); err != nil {
				return err
			}
			since = 0
		}
		since += h.size
	}
	if err := times.maybeAppend(most, mostOffset, true); err != nil {
		return err
	}
	s.indexMu.Lock()
	defer s.indexMu.Unlock()
	if s.offsets != nil {
		return nil
	}
	if s.log.isRemoved() { // the names may be those of the segment that replaced this one
		return errRemoved
	}
	fsys := s.log.cache.fs
	return errors.Join(offsets.write(fsys, s.filePath(indexSuffix), true), times.write(fsys, s.filePath(timeIndexSuffix), true))
}

// repairInterval is Kafka's default of index.interval.bytes.
const repairInterval = 4096

// timeFloor is the last offset that is sure to lie before the first record with a timestamp >= ts.
func (s *segment) timeFloor(ts int64, indexBytes int32) (int64, error) {
	s.indexMu.RLock()
	if s.times != nil {
		_, offset := s.times.lookup(ts - 1)
		s.indexMu.RUnlock()
		return offset, nil
	}
	s.indexMu.RUnlock()
	times, err := loadTimeIndex(s.log.cache.fs, s.filePath(timeIndexSuffix), s.base, indexBytes)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errCorruptIndex) {
		return s.base, nil // slower, and right
	}
	if err != nil {
		return 0, err
	}
	_, offset := times.lookup(ts - 1)
	return offset, nil
}

// largestTimestamp is the largest record timestamp of the segment, -1 for none.
func (s *segment) largestTimestamp() (int64, error) {
	if ts := s.maxTimestamp.Load(); ts != timestampUnknown {
		return ts, nil
	}
	ts, err := s.lastTimeEntry()
	if err != nil {
		return 0, err
	}
	s.maxTimestamp.CompareAndSwap(timestampUnknown, ts)
	return ts, nil
}

// lastTimeEntry reads the closing entry of a closed segment, or scans the headers where there is none.
func (s *segment) lastTimeEntry() (int64, error) {
	fsys := s.log.cache.fs
	times, err := loadTimeIndex(fsys, s.filePath(timeIndexSuffix), s.base, 1<<30)
	if err == nil && len(times.entries) > 0 {
		ts, _ := times.lastEntry()
		return ts, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errCorruptIndex) {
		return 0, err
	}
	f, err := s.log.acquire(false)
	if err != nil {
		return 0, err
	}
	defer s.log.release()
	scan := scanHeaders(f, 0, s.size.Load())
	defer scan.done()
	largest := int64(-1)
	for {
		h, err := scan.next()
		if errors.Is(err, io.EOF) {
			return largest, nil
		}
		if err != nil {
			return 0, err
		}
		largest = max(largest, h.maxTimestamp)
	}
}

// txns is the segment's index of aborted transactions; the caller holds indexMu or is alone.
func (s *segment) txns() (*abortedIndex, error) {
	if s.aborted != nil {
		return s.aborted, nil
	}
	x, err := loadAborted(s.log.cache.fs, s.filePath(txnIndexSuffix), s.base)
	if err != nil {
		return nil, err
	}
	s.aborted = x
	return x, nil
}

// sync makes the records durable, and with indexes set (a closed segment) what is derived from them too.
func (s *segment) sync(indexes bool) error {
	if size := s.size.Load(); s.cut.Swap(false) || s.synced.Load() < size {
		f, err := s.log.acquire(false)
		if err != nil {
			return err
		}
		err = f.Sync()
		s.log.release()
		if err != nil {
			return err
		}
		s.synced.Store(size)
	}
	if !indexes {
		return nil
	}
	for _, suffix := range []string{indexSuffix, timeIndexSuffix, txnIndexSuffix, snapshotSuffix} {
		if err := syncFile(s.log.cache.fs, s.filePath(suffix)); err != nil {
			return err
		}
	}
	return nil
}

// syncFile makes a file durable; one that is not there is fine.
func syncFile(fsys vfs.FS, path string) error {
	f, err := fsys.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// boundary is the base offset of the batch that holds offset, or offset if none does.
func (s *segment) boundary(offset int64) (int64, error) {
	f, err := s.log.acquire(false)
	if err != nil {
		return 0, err
	}
	defer s.log.release()
	h, found, err := s.locate(f, offset, s.size.Load())
	if err != nil || !found {
		return offset, err
	}
	return min(h.baseOffset, offset), nil
}

// truncate cuts the segment, which is or becomes the active one, before the batch that holds offset, and
// returns the offset after what is left.
func (s *segment) truncate(offset int64, indexBytes int32) (end int64, err error) {
	if s.offsets == nil {
		if err := s.loadIndexes(indexBytes); err != nil {
			return 0, err
		}
	}
	f, err := s.log.acquire(false)
	if err != nil {
		return 0, err
	}
	defer s.log.release()
	h, found, err := s.locate(f, offset, s.size.Load())
	if err != nil {
		return 0, err
	}
	s.indexMu.Lock()
	s.offsets.truncateTo(offset)
	s.times.truncateTo(offset)
	txns, err := s.txns()
	if err == nil {
		err = txns.truncateTo(offset)
	}
	if err == nil {
		err = s.writeIndexes(false)
	}
	s.indexMu.Unlock()
	if err != nil {
		return 0, err
	}
	if found {
		s.preallocated = false
		s.size.Store(h.position)
		s.synced.Store(min(s.synced.Load(), h.position))
		if err := errors.Join(f.Truncate(h.position), f.Sync()); err != nil {
			return 0, err
		}
	}
	s.firstTimestamp = timestampUnknown
	return s.rescanTail(f)
}

// rescanTail brings what the segment knows of itself up to its size, from the last index entries on, and
// returns the offset after its last batch. errIndexBeyond: the index does not belong to this file.
func (s *segment) rescanTail(f vfs.File) (end int64, err error) {
	size := s.size.Load()
	s.sinceIndex = 0
	ts, tsOffset := s.times.lastEntry()
	offset, position := s.offsets.lookup(s.offsets.lastOffset())
	if position > 0 && position >= size {
		return 0, errIndexBeyond
	}
	end = s.base
	scan := scanHeaders(f, position, size)
	defer scan.done()
	for {
		h, err := scan.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		if position > 0 && h.position == position && h.lastOffset != offset || h.baseOffset < end {
			return 0, errIndexBeyond
		}
		s.sinceIndex += h.size
		if h.maxTimestamp > ts {
			ts, tsOffset = h.maxTimestamp, h.lastOffset
		}
		end = h.lastOffset + 1
	}
	s.maxTimestampOffset = tsOffset
	s.maxTimestamp.Store(ts)
	return end, nil
}

// renameDeleted takes the files out of the directory's present names.
func (s *segment) renameDeleted() error {
	fsys := s.log.cache.fs
	for _, suffix := range []string{indexSuffix, timeIndexSuffix, txnIndexSuffix} {
		path := s.filePath(suffix)
		if err := fsys.Rename(path, path+deletedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.log.rename(logSuffix + deletedSuffix)
}

// remove deletes the renamed files; readers that hold the .log keep it.
func (s *segment) remove(fsys vfs.FS) error {
	s.log.close()
	var all error
	for _, suffix := range []string{logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix} {
		if err := fsys.Remove(s.filePath(suffix) + deletedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, err)
		}
	}
	return all
}
