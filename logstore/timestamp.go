package logstore

import (
	"errors"
	"fmt"
	"io"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// TimestampedOffset is a record's offset, timestamp and leader epoch; Offset -1: none.
type TimestampedOffset struct {
	Offset, Timestamp int64
	LeaderEpoch       int32
}

func noOffset() TimestampedOffset {
	return TimestampedOffset{Offset: -1, Timestamp: -1, LeaderEpoch: -1}
}

// OffsetForTimestamp finds the first record with timestamp >= ts and offset >= log start, below upTo.
func (l *Log) OffsetForTimestamp(ts, upTo int64) (TimestampedOffset, error) {
	for {
		found, err := l.lookupTimestamp(ts, upTo)
		if !errors.Is(err, errRemoved) {
			return found, err
		}
	}
}

func (l *Log) lookupTimestamp(ts, upTo int64) (TimestampedOffset, error) {
	if err := l.usable(); err != nil {
		return noOffset(), err
	}
	cuts := l.cuts.Load()
	start := l.logStart.Load()
	segments := l.segments()
	for _, s := range segments[segments.floor(start):] {
		if s.base >= upTo {
			break
		}
		largest, err := s.largestTimestamp()
		if err != nil {
			return noOffset(), l.readRaced(cuts, err)
		}
		if largest < ts {
			continue
		}
		found, err := l.lookupInSegment(s, ts, start)
		if err != nil {
			return noOffset(), l.readRaced(cuts, err)
		}
		switch {
		case found.Offset < 0: // its largest timestamps lie below the log start
			continue
		case found.Offset >= upTo:
			return noOffset(), nil
		}
		return found, nil
	}
	return noOffset(), nil
}

// lookupInSegment goes from the time index to the offset index to the batches.
func (l *Log) lookupInSegment(s *segment, ts, start int64) (TimestampedOffset, error) {
	floor, err := s.timeFloor(ts, l.config.Load().SegmentIndexBytes)
	if err != nil {
		return noOffset(), err
	}
	f, err := s.log.acquire(false)
	if err != nil {
		return noOffset(), err
	}
	defer s.log.release()
	size := s.size.Load()
	first, found, err := s.locate(f, max(floor, start), size)
	if err != nil || !found {
		return noOffset(), err
	}
	scan := scanHeaders(f, first.position, size)
	defer scan.done()
	for {
		h, err := scan.next()
		if errors.Is(err, io.EOF) {
			return noOffset(), nil
		}
		if err != nil {
			return noOffset(), err
		}
		if h.maxTimestamp < ts || h.lastOffset < start {
			continue
		}
		found, err := firstRecord(f, &h, ts, start, l.config.Load().MaxDecompressedMessageBytes)
		if err != nil || found.Offset >= 0 {
			return found, err
		}
	}
}

// firstRecord is the first record of a batch with a timestamp >= ts and an offset >= start.
func firstRecord(f vfs.File, h *batchHeader, ts, start int64, most int32) (TimestampedOffset, error) {
	if h.magic != 2 { // a message set is one record, or compressed: then its last offset stands for it
		return TimestampedOffset{h.lastOffset, h.maxTimestamp, -1}, nil
	}
	found := noOffset()
	err := eachRecord(f, h, most, func(r TimestampedOffset) bool {
		if r.Timestamp >= ts && r.Offset >= start {
			found = r
			return false
		}
		return true
	})
	return found, err
}

// eachRecord calls fn with the records of a batch until it returns false. most is max.decompressed.message.bytes.
func eachRecord(f vfs.File, h *batchHeader, most int32, fn func(r TimestampedOffset) bool) error {
	b := protocol.Batch(make([]byte, h.size))
	if err := readFull(f, b, h.position); err != nil {
		return err
	}
	it := b.IterateWithin(most)
	defer it.Close()
	var r protocol.Record
	for it.Next(&r) {
		ts := b.BaseTimestamp() + r.TimestampDelta
		if b.IsLogAppendTime() {
			ts = b.MaxTimestamp()
		}
		if !fn(TimestampedOffset{b.BaseOffset() + int64(r.OffsetDelta), ts, b.LeaderEpoch()}) {
			return nil
		}
	}
	if err := it.Err(); errors.Is(err, protocol.ErrRecordSize) {
		return err
	} else if err != nil {
		return fmt.Errorf("%s at %d: %w: %w", f.Name(), h.position, errFrame, err)
	}
	return nil
}

// MaxTimestamp finds the first record that has the largest timestamp.
func (l *Log) MaxTimestamp() (TimestampedOffset, error) {
	for {
		found, err := l.lookupMaxTimestamp()
		if !errors.Is(err, errRemoved) {
			return found, err
		}
	}
}

func (l *Log) lookupMaxTimestamp() (TimestampedOffset, error) {
	cuts := l.cuts.Load()
	if err := l.usable(); err != nil {
		return noOffset(), err
	}
	start := l.logStart.Load()
	segments := l.segments()
	var in *segment
	most := int64(-1)
	for _, s := range segments[segments.floor(start):] {
		largest, err := s.largestTimestampFrom(start, l.config.Load().MaxDecompressedMessageBytes)
		if err != nil {
			return noOffset(), l.readRaced(cuts, err)
		}
		if largest > most {
			in, most = s, largest
		}
	}
	if in == nil {
		return noOffset(), nil
	}
	found, err := l.lookupInSegment(in, most, start)
	if err != nil {
		return noOffset(), l.readRaced(cuts, err)
	}
	return found, nil
}

// largestTimestampFrom is the largest timestamp of the records at or after start, -1 for none. What the
// segment knows of itself counts those below the log start too.
func (s *segment) largestTimestampFrom(start int64, most int32) (int64, error) {
	if start <= s.base {
		return s.largestTimestamp()
	}
	f, err := s.log.acquire(false)
	if err != nil {
		return 0, err
	}
	defer s.log.release()
	newest := int64(-1)
	err = s.eachHeader(func(h *batchHeader) error {
		switch {
		case h.lastOffset < start || h.maxTimestamp <= newest:
		case h.baseOffset >= start || h.magic != 2:
			newest = h.maxTimestamp
		default:
			return eachRecord(f, h, most, func(r TimestampedOffset) bool {
				if r.Offset >= start {
					newest = max(newest, r.Timestamp)
				}
				return true
			})
		}
		return nil
	})
	return newest, err
}
