package logstore

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// checkpointed is what the checkpoint files say of a log; zero when they say nothing.
type checkpointed struct {
	recoveryPoint, logStart, highWatermark int64
	clean                                  bool  // the last stop was clean
	compacted                              bool  // offsets may be missing between batches
	cleanedTo                              int64 // -1: never compacted
}

// load opens a partition's directory: what is whole and trusted is only looked at, what a kill may have
// torn is read and verified (log-format.md, section 10). A *CorruptError leaves everything as it was.
func (l *Log) load(c checkpointed) error {
	files, err := l.sweep()
	if err != nil {
		return err
	}
	segments := l.openSegments(files)
	if len(segments) == 0 {
		s, err := l.createSegment(c.logStart)
		if err != nil {
			return err
		}
		segments = segmentList{s}
	}
	epochs, rebuildEpochs, err := l.loadEpochCache()
	if err != nil {
		return err
	}
	l.epochs = epochs
	l.logStart.Store(max(c.logStart, segments[0].base))
	segments, end, err := l.recoverSegments(segments, c)
	if err != nil {
		return err
	}
	if end < c.logStart {
		l.logger.Warn("the log ends below its checkpointed start: starting anew there", "logEndOffset", end, "logStartOffset", c.logStart)
		if segments, err = l.replaceAll(segments, c.logStart); err != nil {
			return err
		}
		end = c.logStart
	}
	l.list.Store(&segments)
	l.leo.Store(end)
	l.logStart.Store(max(c.logStart, segments[0].base))
	l.recoveryPoint.Store(min(c.recoveryPoint, end))
	if c.clean {
		l.recoveryPoint.Store(end)
	}
	l.highWatermark.Store(min(max(c.highWatermark, l.logStart.Load()), end))
	l.lastFlush.Store(l.clock.Now().UnixMilli())
	l.dirDurable = l.recoveryPoint.Load() > l.logStart.Load()
	if rebuildEpochs {
		if err := l.rebuildEpochs(); err != nil {
			return err
		}
	}
	if err := l.trimEpochs(); err != nil {
		return err
	}
	snapshots := files.snapshots
	if !c.clean {
		if snapshots, err = l.snapshots(); err != nil { // recovery wrote some
			return err
		}
	}
	return l.loadProducers(snapshots, c.clean)
}

// replaceAll removes the segments and starts empty at base.
func (l *Log) replaceAll(segments segmentList, base int64) (segmentList, error) {
	if err := l.removeSegments(segments, 0); err != nil {
		return nil, err
	}
	s, err := l.createSegment(base)
	if err != nil {
		return nil, err
	}
	return segmentList{s}, nil
}

// segmentFiles are the sizes of a directory's segment files by base offset.
type segmentFiles struct {
	logs      map[int64]int64
	indexes   map[int64]bool
	rebuild   map[int64]bool // segments whose .txnindex is corrupt
	snapshots []int64        // offsets, ascending
}

// sweep lists the directory, finishes or undoes what compaction left, and removes what was deleted
// before the stop, and indexes without a log.
func (l *Log) sweep() (segmentFiles, error) {
	dir := l.path.get()
	files := segmentFiles{logs: map[int64]int64{}, indexes: map[int64]bool{}, rebuild: map[int64]bool{}}
	entries, err := l.fs.ReadDir(dir)
	if err != nil {
		return files, err
	}
	swapped, err := l.finishSwaps(entries)
	if err != nil {
		return files, err
	}
	if swapped {
		if entries, err = l.fs.ReadDir(dir); err != nil {
			return files, err
		}
	}
	var derived []string
	for _, e := range entries {
		base, suffix, ok := parseSegmentFileName(e.Name())
		switch {
		case !ok || e.IsDir():
		case strings.HasSuffix(suffix, deletedSuffix):
			if err := l.fs.Remove(filepath.Join(dir, e.Name())); err != nil {
				return files, err
			}
		case suffix == logSuffix:
			info, err := e.Info()
			if err != nil {
				return files, err
			}
			files.logs[base] = info.Size()
		case suffix == indexSuffix:
			files.indexes[base] = true
			derived = append(derived, e.Name())
		case suffix == snapshotSuffix:
			files.snapshots = append(files.snapshots, base)
		case suffix == txnIndexSuffix:
			_, err := loadAborted(l.fs, filepath.Join(dir, e.Name()), base)
			if errors.Is(err, errCorruptIndex) {
				l.logger.Warn("rebuilding a transaction index", "err", err)
				files.rebuild[base] = true
			} else if err != nil {
				return files, err
			}
			derived = append(derived, e.Name())
		case suffix == timeIndexSuffix:
			derived = append(derived, e.Name())
		}
	}
	for _, name := range derived {
		base, _, _ := parseSegmentFileName(name)
		if _, ok := files.logs[base]; ok {
			continue
		}
		if err := l.fs.Remove(filepath.Join(dir, name)); err != nil {
			return files, err
		}
	}
	return files, nil
}

// parseSegmentFileName splits "00000000000000000042.log" and the like; what follows the digits is the suffix.
func parseSegmentFileName(name string) (base int64, suffix string, ok bool) {
	const digits = 20
	if len(name) <= digits || name[digits] != '.' {
		return 0, "", false
	}
	base, err := strconv.ParseInt(name[:digits], 10, 64)
	return base, name[digits:], err == nil && base >= 0
}

// finishSwaps undoes a compaction that did not reach its swap, and finishes one that did; changed says that
// it did anything.
func (l *Log) finishSwaps(entries []fs.DirEntry) (changed bool, err error) {
	dir := l.path.get()
	least := int64(-1) // base of the first .cleaned file: swaps from there on are incomplete
	var cleaned, swaps []string
	for _, e := range entries {
		base, suffix, ok := parseSegmentFileName(e.Name())
		switch {
		case !ok:
		case strings.HasSuffix(suffix, cleanedSuffix):
			if least < 0 || base < least {
				least = base
			}
			cleaned = append(cleaned, e.Name())
		case suffix == logSuffix+swapSuffix: // first: it takes away what the others replace
			swaps = slices.Insert(swaps, 0, e.Name())
		case strings.HasSuffix(suffix, swapSuffix):
			swaps = append(swaps, e.Name())
		}
	}
	for _, name := range swaps {
		if base, _, _ := parseSegmentFileName(name); least >= 0 && base >= least {
			cleaned = append(cleaned, name)
			continue
		}
		if err := l.finishSwap(dir, name, entries); err != nil {
			return true, err
		}
	}
	for _, name := range cleaned {
		if err := l.fs.Remove(filepath.Join(dir, name)); err != nil {
			return true, err
		}
	}
	return len(swaps)+len(cleaned) > 0, nil
}

// finishSwap puts one .swap file in place; a .log first takes away the segments that it replaces.
func (l *Log) finishSwap(dir, name string, entries []fs.DirEntry) error {
	base, suffix, _ := parseSegmentFileName(name)
	if suffix == logSuffix+swapSuffix {
		end, err := l.endOfFile(filepath.Join(dir, name), base)
		if err != nil {
			return err
		}
		for _, e := range entries {
			other, suffix, ok := parseSegmentFileName(e.Name())
			replaced := suffix == logSuffix || suffix == indexSuffix || suffix == timeIndexSuffix || suffix == txnIndexSuffix
			if !ok || !replaced || other < base || other >= end {
				continue
			}
			if err := l.fs.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := l.fs.SyncDir(dir); err != nil { // they must not come back once the .swap name is gone
			return err
		}
	}
	return l.fs.Rename(filepath.Join(dir, name), filepath.Join(dir, strings.TrimSuffix(name, swapSuffix)))
}

// endOfFile is the offset after the last batch of a segment file.
func (l *Log) endOfFile(path string, base int64) (int64, error) {
	f, err := l.fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	scan := scanHeaders(f, 0, size)
	defer scan.done()
	end := base
	for {
		h, err := scan.next()
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return 0, fmt.Errorf("%s at %d: %w", path, scan.position, err)
		}
		end = h.lastOffset + 1
	}
}

// openSegments makes the segments of the files, sorted, with the sizes of the files. A segment without
// an .index gets an empty one now and is rebuilt by recoverSegments.
func (l *Log) openSegments(files segmentFiles) segmentList {
	segments := make(segmentList, 0, len(files.logs))
	for base, size := range files.logs {
		s := newSegment(l.files, &l.path, base, l.clock.Now(), l.config.Load())
		s.size.Store(size)
		s.synced.Store(0)
		s.maxTimestamp.Store(timestampUnknown)
		s.rebuild = !files.indexes[base] || files.rebuild[base]
		segments = append(segments, s)
	}
	slices.SortFunc(segments, func(a, b *segment) int { return cmp.Compare(a.base, b.base) })
	return segments
}
