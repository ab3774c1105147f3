package logstore

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"minikafka/protocol"
)

// Suffixes of the two steps that put a cleaned segment in place: .cleaned while it is written (a start
// removes it), .swap once it is whole and durable (a start finishes it), none when it is in place.

// errCleanAborted: the log changed below the clean (truncation, retention, deletion, stop). Nothing was
// changed; a later clean starts anew.
var errCleanAborted = errors.New("the clean was aborted")

// CleanResult is what one clean did.
type CleanResult struct {
	From, To                int64 // the dirty part that was looked at
	BytesBefore, BytesAfter int64
	Keys                    int
	Took                    time.Duration
}

// cleaning is one run over one log.
type cleaning struct {
	l          *Log
	c          cleanable
	nowMs      int64
	keys       *offsetMap
	latest     int64 // the offset that keys is complete up to (inclusive)
	generation int64
	checkpoint func() error    // makes the cleaner's checkpoint durable
	pause      func(int) error // after so many bytes of I/O; an error ends the clean
	buf, out   []byte
	converted  []byte // a message set as a batch
	result     CleanResult
}

// clean compacts what c says and returns the offset up to which the log is clean.
func (k *cleaning) clean() error {
	begin := k.l.clock.Now()
	k.result.From = k.c.firstDirty
	k.generation = k.l.generation.Load()
	// On disk first, with the leader epochs: those of records that go could not be found again.
	if err := k.l.flushInactive(); err != nil {
		return err
	}
	if err := k.buildMap(); err != nil {
		return err
	}
	k.result.Keys = k.keys.count
	end := k.latest + 1
	if end <= k.c.firstDirty {
		return nil
	}
	// A start must know that offsets may be missing between segments before any are.
	k.l.cleanedTo.CompareAndSwap(-1, k.c.firstDirty)
	if err := k.checkpoint(); err != nil {
		return err
	}
	txns := newCleanedTxns()
	segments := k.l.segments().below(end)
	for _, group := range k.group(segments) {
		if err := k.cleanGroup(group, txns); err != nil {
			return err
		}
	}
	if k.l.generation.Load() != k.generation {
		return errCleanAborted
	}
	k.l.cleanedTo.Store(end)
	k.result.To, k.result.Took = end, k.l.clock.Now().Sub(begin)
	return k.checkpoint()
}

// buildMap reads the keys of the dirty part. It ends early when the map is full.
func (k *cleaning) buildMap() error {
	all := k.l.segments()
	dirty := all.from(k.c.firstDirty).below(k.c.firstUncleable)
	aborted, err := k.l.abortedEntries(all, k.c.firstDirty, k.c.firstUncleable)
	if err != nil {
		return err
	}
	txns := newCleanedTxns()
	txns.add(aborted)
	k.latest = -1
	for i, s := range dirty {
		full := false
		err := k.eachBatch(s, k.c.firstDirty, func(b protocol.Batch) (more bool, err error) {
			more, err = k.mapBatch(b, txns)
			full = !more
			return more, err
		})
		if err != nil || full {
			return err
		}
		next := k.c.firstUncleable
		if i+1 < len(dirty) {
			next = dirty[i+1].base
		}
		k.latest = max(k.latest, next-1) // offsets may be missing at the end
	}
	return nil
}

// mapBatch notes the keys of a batch; more is false when the map is full.
func (k *cleaning) mapBatch(b protocol.Batch, txns *cleanedTxns) (more bool, err error) {
	if b.IsControl() {
		if _, err := txns.control(b); err != nil {
			return false, err
		}
	} else if !txns.data(b) {
		it := b.IterateWithin(k.l.config.Load().MaxDecompressedMessageBytes)
		defer it.Close()
		var r protocol.Record
		for it.Next(&r) {
			offset := b.BaseOffset() + int64(r.OffsetDelta)
			if r.Key == nil || offset < k.c.firstDirty {
				continue
			}
			if !k.keys.put(r.Key, offset) {
				return false, nil
			}
			k.latest = max(k.latest, offset)
		}
		if err := it.Err(); err != nil {
			return false, err
		}
	}
	k.latest = max(k.latest, b.LastOffset())
	return true, nil
}

// eachBatch calls fn with the segment's batches, their checksums verified, from the one that holds from,
// until fn says that it wants no more.
func (k *cleaning) eachBatch(s *segment, from int64, fn func(b protocol.Batch) (more bool, err error)) error {
	size := s.size.Load()
	if size == 0 {
		return nil
	}
	f, err := s.log.acquire(false)
	if errors.Is(err, errRemoved) {
		return errCleanAborted
	}
	if err != nil {
		return err
	}
	defer s.log.release()
	first, found, err := s.locate(f, from, size)
	if err != nil || !found {
		return err
	}
	r := batchReader{f: f, position: first.position, end: size, buf: k.buf[:0]}
	defer func() { k.buf = r.buf }()
	unread := r.position
	for {
		h, b, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		switch {
		case s.size.Load() < size, k.l.generation.Load() != k.generation:
			return errCleanAborted
		case err != nil:
			return fmt.Errorf("%s at %d: %w", f.Name(), r.position, err)
		case h.magic != 2: // what stays of it is written as a batch
			if k.converted, err = protocol.AppendConverted(k.converted[:0], b, k.l.config.Load().MaxDecompressedMessageBytes); err != nil {
				return positioned(err, f.Name(), h.position)
			}
			b = k.converted
		}
		if more, err := fn(b); err != nil || !more {
			return positioned(err, f.Name(), h.position)
		}
		if n := r.position - unread; n >= recoverChunk {
			unread = r.position
			if err := k.pause(int(n)); err != nil {
				return err
			}
		}
	}
}

func positioned(err error, file string, position int64) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s at %d: %w", file, position, err)
}

// group puts neighbours together that fit into one segment.
func (k *cleaning) group(segments segmentList) []segmentList {
	config := k.l.config.Load()
	var groups []segmentList
	for i := 0; i < len(segments); {
		first := segments[i]
		size, index, times := first.size.Load(), k.fileSize(first, indexSuffix), k.fileSize(first, timeIndexSuffix)
		n := i + 1
		for ; n < len(segments); n++ {
			s := segments[n]
			end := k.c.firstUncleable
			if n+1 < len(segments) {
				end = segments[n+1].base
			}
			size += s.size.Load()
			index += k.fileSize(s, indexSuffix)
			times += k.fileSize(s, timeIndexSuffix)
			limit := int64(config.SegmentIndexBytes)
			if size > int64(config.SegmentBytes) || index > limit || times > limit ||
				s.size.Load() > 0 && end-1-first.base > math.MaxInt32 {
				break
			}
		}
		groups = append(groups, segments[i:n])
		i = n
	}
	return groups
}

// fileSize is that of a derived file, 0 when there is none.
func (k *cleaning) fileSize(s *segment, suffix string) int64 {
	info, err := k.l.fs.Stat(s.filePath(suffix))
	if err != nil {
		return 0
	}
	return info.Size()
}

// cleanGroup writes what is left of a group into one new segment and puts it in place.
func (k *cleaning) cleanGroup(group segmentList, txns *cleanedTxns) (err error) {
	to, err := k.newCleaned(group[0])
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			k.l.discardCleaned(to)
		}
	}()
	txns.kept = to.txns().append
	k.l.appendMu.Lock()
	producers := k.l.producers.lastDataOffsets()
	k.l.appendMu.Unlock()
	config := k.l.config.Load()
	w := batchRewriter{most: config.MaxDecompressedMessageBytes, filter: &filter{
		keys: k.keys, latest: k.latest, nowMs: k.nowMs, deleteRetention: config.DeleteRetentionMs,
		upperBound: k.c.firstUncleable, txns: txns, producers: producers,
	}}
	var before int64
	for _, s := range group {
		if err := k.cleanSegment(s, to, txns, &w); err != nil {
			return err
		}
		before += s.size.Load()
	}
	if err := to.finishCleaned(); err != nil {
		return k.l.ioFailed("writing a cleaned segment of", err)
	}
	last := group[len(group)-1]
	if info, err := k.l.fs.Stat(last.filePath(logSuffix)); err == nil {
		if err := k.l.fs.SetModTime(to.segment.filePath(logSuffix+cleanedSuffix), info.ModTime()); err != nil {
			return k.l.ioFailed("dating a cleaned segment of", err)
		}
	}
	k.result.BytesBefore += before
	k.result.BytesAfter += to.segment.size.Load()
	return k.l.replaceSegments(to, group, k.generation)
}

// cleanSegment appends what is left of s.
func (k *cleaning) cleanSegment(s *segment, to *cleanedSegment, txns *cleanedTxns, w *batchRewriter) error {
	all := k.l.segments()
	end := k.c.firstUncleable
	if i := all.floor(s.base); i+1 < len(all) {
		end = all[i+1].base
	}
	aborted, err := k.l.abortedEntries(all, s.base, end)
	if err != nil {
		return err
	}
	txns.add(aborted)
	interval := k.l.config.Load().IndexIntervalBytes
	k.out = k.out[:0]
	flush := func() error {
		if len(k.out) == 0 {
			return nil
		}
		if err := to.append(k.out, interval); err != nil {
			return k.l.ioFailed("writing a cleaned segment of", err)
		}
		n := len(k.out)
		k.out = k.out[:0]
		return k.pause(n)
	}
	err = k.eachBatch(s, 0, func(b protocol.Batch) (bool, error) {
		var err error
		if k.out, err = w.rewrite(k.out, b); err != nil {
			return false, err
		}
		if len(k.out) >= recoverChunk {
			err = flush()
		}
		return true, err
	})
	if err != nil {
		return err
	}
	return flush()
}

// newCleaned makes the files of a segment that nobody sees yet.
func (k *cleaning) newCleaned(first *segment) (*cleanedSegment, error) {
	l := k.l
	s := newSegment(l.files, &l.path, first.base, first.created, l.config.Load())
	s.log.suffix = logSuffix + cleanedSuffix
	s.maxTimestamp.Store(-1)
	for _, suffix := range segmentSuffixes {
		if err := l.fs.Remove(s.filePath(suffix + cleanedSuffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, l.ioFailed("cleaning", err)
		}
	}
	if _, err := s.log.acquire(true); err != nil {
		return nil, l.ioFailed("creating a cleaned segment of", err)
	}
	s.log.release()
	size := l.config.Load().SegmentIndexBytes
	s.offsets, s.times = newOffsetIndex(s.base, size), newTimeIndex(s.base, size)
	s.aborted = &abortedIndex{fs: l.fs, path: s.filePath(txnIndexSuffix + cleanedSuffix)}
	return &cleanedSegment{s}, nil
}
