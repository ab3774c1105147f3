package logstore

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Suffixes of a segment's files. Each name is the base offset in 20 digits; a snapshot's is the offset
// after the last one that it covers.
const (
	logSuffix       = ".log"
	indexSuffix     = ".index"
	timeIndexSuffix = ".timeindex"
	txnIndexSuffix  = ".txnindex"
	snapshotSuffix  = ".snapshot"
	deletedSuffix   = ".deleted" // after the whole name: renamed away, removed later
	cleanedSuffix   = ".cleaned" // compaction wrote it and did not finish
	swapSuffix      = ".swap"    // compaction finished it and did not put it in place
)

// writePiece is the most that one write call gets: larger pieces touch more fresh page-cache memory at
// once than the processor's cache holds (performance.md, technique 6).
const writePiece = 256 << 10

// segment is one .log file with its indexes. Fields without a remark are the writer's, under
// Log.appendMu, until the segment is no longer the active one; from then on they do not change.
type segment struct {
	base int64
	log  cachedFile

	size   atomic.Int64 // bytes of whole batches; readers see no more
	synced atomic.Int64 // bytes that are on disk for good
	cut    atomic.Bool  // the file was made shorter since it was synced
	// maxTimestamp is the largest timestamp so far (-1: none, timestampUnknown: not read yet), atomic for
	// time lookups; maxTimestampOffset is the last offset of the batch that holds it.
	maxTimestamp       atomic.Int64
	maxTimestampOffset int64
	// firstTimestamp is the max timestamp of the first batch, for rolling by time.
	firstTimestamp int64
	sinceIndex     int64 // bytes since the last index entry
	created        time.Time
	jitter         time.Duration
	rebuild        bool // at load: the .index is missing
	preallocated   bool // the file is longer than what was written
	unsaved        bool // the index files, if they are right, may not be durable

	// indexMu guards the three indexes for memory work only, so that readers may look into those of the
	// active segment. offsets and times are nil while only their files hold them: always but for the
	// active segment. aborted is nil until it was read.
	indexMu sync.RWMutex
	offsets *offsetIndex
	times   *timeIndex
	aborted *abortedIndex
}

const timestampUnknown = -2

func newSegment(files *fileCache, dir *dirPath, base int64, now time.Time, c *Config) *segment {
	s := &segment{
		base:           base,
		log:            cachedFile{cache: files, dir: dir, base: base, suffix: logSuffix},
		firstTimestamp: timestampUnknown,
		created:        now,
	}
	if limit := min(c.SegmentJitterMs, c.segmentMs()); limit > 0 {
		s.jitter = time.Duration(rand.Int64N(int64(limit))) //nolint:gosec // spreads load, guards nothing
	}
	return s
}

// write puts b behind the visible bytes, in pieces. What an error leaves there is not visible.
func (s *segment) write(b []byte) error {
	f, err := s.log.acquire(false)
	if err != nil {
		return err
	}
	defer s.log.release()
	for at := s.size.Load(); len(b) > 0; {
		piece := b[:min(len(b), writePiece)]
		n, err := f.WriteAt(piece, at)
		if err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}
