package logstore

import (
	"errors"
	"io"
	"math"
	"time"
)

// cleanable is what compaction could do for a log now. All bounds are segment bases or offsets of whole
// segments: the unit of cleaning is the segment.
type cleanable struct {
	log             *Log
	firstDirty      int64 // what is below was cleaned before
	firstUncleable  int64 // base of the first segment that must stay as it is
	cleanBytes      int64
	cleanableBytes  int64
	overdue         bool // max.compaction.lag.ms has passed for something dirty
	minimumRatio    float64
	lastCleanBroken bool // the checkpoint lay outside the log
}

func (c *cleanable) ratio() float64 {
	if total := c.cleanBytes + c.cleanableBytes; total > 0 {
		return float64(c.cleanableBytes) / float64(total)
	}
	return 0
}

// due says whether the log is dirty enough (or for long enough) to be cleaned.
func (c *cleanable) due() bool {
	if c.cleanBytes+c.cleanableBytes == 0 {
		return false
	}
	return c.overdue && c.cleanableBytes > 0 || c.ratio() > c.minimumRatio
}

// cleanableNow measures the log as Kafka's LogCleanerManager does.
func (l *Log) cleanableNow(now time.Time) (cleanable, error) {
	config := l.config.Load()
	segments := l.segments()
	active := segments.active()
	c := cleanable{log: l, firstDirty: l.cleanedTo.Load(), minimumRatio: config.MinCleanableDirtyRatio}
	start, end := l.logStart.Load(), l.leo.Load()
	if c.firstDirty < start || c.firstDirty > end {
		// Never cleaned, or records went at either end: then all counts as dirty.
		c.lastCleanBroken = c.firstDirty > end
		c.firstDirty = start
	}
	limit := min(l.LastStableOffset(), active.base)
	dirty := segments.from(c.firstDirty)
	if lag := config.MinCompactionLagMs; lag > 0 {
		for _, s := range dirty {
			if s == active {
				break
			}
			largest, err := s.largestTimestamp()
			if err != nil {
				return c, err
			}
			if largest > now.Add(-lag).UnixMilli() {
				limit = min(limit, s.base)
				break
			}
		}
	}
	c.firstUncleable = segments[segments.floor(limit)].base
	from := segments[segments.floor(min(c.firstDirty, c.firstUncleable))].base
	for _, s := range segments.below(c.firstUncleable) {
		if s.base < c.firstDirty {
			c.cleanBytes += s.size.Load()
		}
		if s.base >= from {
			c.cleanableBytes += s.size.Load() // the one that the dirty part begins in counts twice, as Kafka has it
		}
	}
	if lag := config.MaxCompactionLagMs; lag > 0 && lag < math.MaxInt64 && c.cleanableBytes > 0 {
		earliest, err := earliestBatch(dirty, active)
		if err != nil {
			return c, err
		}
		c.overdue = earliest < now.Add(-lag).UnixMilli()
	}
	return c, nil
}

// from are the segments that hold offset and what follows.
func (s segmentList) from(offset int64) segmentList { return s[s.floor(offset):] }

// below are the segments that hold offsets below end.
func (s segmentList) below(end int64) segmentList {
	n := 0
	for n < len(s) && s[n].base < end {
		n++
	}
	return s[:n]
}

// earliestBatch is the least timestamp of the first batches of the segments before the active one.
func earliestBatch(segments segmentList, active *segment) (int64, error) {
	earliest := int64(math.MaxInt64)
	for _, s := range segments {
		if s == active {
			break
		}
		ts, err := s.readFirstTimestamp()
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if ts > 0 {
			earliest = min(earliest, ts)
		}
	}
	return earliest, nil
}

// readFirstTimestamp is the max timestamp of the first batch; io.EOF in an empty segment. Unlike
// firstBatchTimestamp it changes nothing, so that it needs no lock.
func (s *segment) readFirstTimestamp() (int64, error) {
	f, err := s.log.acquire(false)
	if err != nil {
		return 0, err
	}
	defer s.log.release()
	scan := scanHeaders(f, 0, s.size.Load())
	defer scan.done()
	h, err := scan.next()
	return h.maxTimestamp, err
}
