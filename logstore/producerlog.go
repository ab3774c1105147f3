package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"minikafka/protocol"
)

// This file joins the producer state, a machine without I/O, to the log: checks before an append, the
// transaction index after it, snapshots, and the rebuild at load.

// CheckProducers says whether AppendBy would take the batches now. It is for who writes alone.
func (l *Log) CheckProducers(rules AppendRules, batches []byte) error {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	_, _, err := l.checkProducers(batches, rules)
	return err
}

// VerificationPoint is where a Verification begins. The error is ErrProducerEpoch for an epoch that is
// behind; ongoing says that the partition has a transaction of the producer and epoch open, so that nobody needs be asked.
func (l *Log) VerificationPoint(producerID int64, epoch int16) (since int64, ongoing bool, err error) {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	since = l.leo.Load()
	p := l.producers.byID[producerID]
	switch {
	case p == nil:
		return since, false, nil
	case epoch < p.Epoch:
		return since, false, fmt.Errorf("%w: epoch of producer %d is %d, which is smaller than the last seen epoch %d",
			ErrProducerEpoch, producerID, epoch, p.Epoch)
	}
	return since, p.TxnFirstOffset >= 0 && p.Epoch == epoch, nil
}

// checkProducers holds an append against what is known of its producers. A duplicate ends it well.
func (l *Log) checkProducers(batches []byte, rules AppendRules) (dup batchSpan, duplicate bool, err error) {
	if rules.Origin == OriginReplication || rules.Origin == OriginRaft {
		return dup, false, nil
	}
	for rest := batches; len(rest) > 0; {
		b, after, err := protocol.NextBatch(rest)
		if err != nil {
			return dup, false, err
		}
		rest = after
		if !b.HasProducerID() {
			continue
		}
		if rules.Origin == OriginClient {
			if dup, ok := l.producers.duplicate(b); ok {
				return dup, true, nil
			}
		}
		if err := l.producers.check(b, rules); err != nil {
			return dup, false, err
		}
	}
	return dup, false, nil
}

// updateProducers records batches that were written to the segment.
func (l *Log) updateProducers(s *segment, rest []byte) error {
	for len(rest) > 0 {
		h, err := parseHeader(rest, 0)
		if err != nil {
			return err
		}
		b := protocol.Batch(rest[:h.size])
		rest = rest[h.size:]
		if h.magic != 2 || !b.HasProducerID() {
			continue
		}
		if err := l.applyBatch(s, b); err != nil {
			return err
		}
	}
	return nil
}

// applyBatch updates the producer state by one batch of the segment, and its transaction index.
func (l *Log) applyBatch(s *segment, b protocol.Batch) error {
	done := l.producers.apply(b)
	if done != nil && done.Aborted {
		s.indexMu.Lock()
		txns, err := s.txns()
		if err == nil {
			err = txns.append(abortedEntry{done.ProducerID, done.FirstOffset, done.MarkerOffset, l.producers.lastStableOffset(*done)})
		}
		s.indexMu.Unlock()
		if err != nil {
			return err
		}
	}
	if done != nil || b.IsTransactional() {
		l.updateFirstUnstable()
	}
	return nil
}

// updateFirstUnstable publishes the first unstable offset. Caller holds appendMu.
func (l *Log) updateFirstUnstable() {
	offset, ok := l.producers.firstUnstable()
	if !ok {
		offset = noUnstableOffset
	}
	l.firstUnstable.Store(offset)
}

// noUnstableOffset is the first unstable offset of a log without open transactions.
const noUnstableOffset = math.MaxInt64

// SetHighWatermark is told by the partition; retention, LSO, compaction and the checkpoint read it.
func (l *Log) SetHighWatermark(hw int64) {
	l.highWatermark.Store(hw)
	if l.firstUnstable.Load() == noUnstableOffset {
		return
	}
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	l.producers.onHighWatermark(hw)
	l.updateFirstUnstable()
}

// LastStableOffset is min(high watermark, first unstable offset).
func (l *Log) LastStableOffset() int64 {
	return min(l.highWatermark.Load(), max(l.firstUnstable.Load(), l.logStart.Load()))
}

// ActiveProducer is one producer's state (DescribeProducers).
type ActiveProducer struct {
	ProducerID            int64
	Epoch                 int16
	LastSequence          int32
	LastTimestamp         int64
	CoordinatorEpoch      int32
	CurrentTxnStartOffset int64
}

// ActiveProducers lists what the log knows of its producers, by id.
func (l *Log) ActiveProducers() []ActiveProducer {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	return l.producers.active()
}

// AbortedTxn is one row of the aborted list of a read_committed fetch.
type AbortedTxn struct{ ProducerID, FirstOffset int64 }

// AbortedTxns lists what a reader of r, which was read from offset from on, must drop. As in Kafka it is
// that and what else begins before the next index entry, or the next segment: the end of the records is
// known as a position only.
func (l *Log) AbortedTxns(from int64, r ReadResult) ([]AbortedTxn, error) {
	if r.Records == nil {
		return []AbortedTxn{}, nil
	}
	return l.aborted(from, func() (int64, error) {
		upTo, found, err := r.segment.upperBound(r.Records.position + int64(r.Records.size))
		if err != nil || found {
			return upTo, err
		}
		segments := l.segments()
		if i := segments.floor(r.segment.base) + 1; i < len(segments) {
			return segments[i].base, nil
		}
		return l.leo.Load(), nil
	})
}

// aborted lists the aborted transactions of which a reader of [from, upTo) must know. Most logs have
// none: upTo is only asked for when there are some.
func (l *Log) aborted(from int64, upTo func() (int64, error)) ([]AbortedTxn, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	list, end := []AbortedTxn{}, int64(-1)
	segments := l.segments()
	for _, s := range segments[segments.floor(from):] {
		s.indexMu.Lock()
		txns, err := s.txns()
		some := err == nil && len(txns.entries) > 0
		s.indexMu.Unlock()
		if some && end < 0 {
			end, err = upTo()
		}
		complete := false
		if some && err == nil {
			s.indexMu.Lock()
			list, complete = txns.collect(list, from, end)
			s.indexMu.Unlock()
		}
		if err != nil {
			return nil, l.ioFailed("reading aborted transactions of", err)
		}
		if complete {
			break
		}
	}
	return list, nil
}

func (l *Log) snapshotPath(offset int64) string {
	return filepath.Join(l.path.get(), segmentFileName(offset, snapshotSuffix))
}

// snapshotProducers writes a snapshot of the state at offset, the log end. It is not synced: a snapshot
// that a crash tears has a wrong checksum, and the one before it is used.
func (l *Log) snapshotProducers(offset int64) error {
	if offset == l.lastSnapshot {
		return nil
	}
	if err := l.producers.writeSnapshot(l.fs, l.snapshotPath(offset), false); err != nil {
		return err
	}
	l.lastSnapshot = offset
	return nil
}

// snapshots lists the offsets of the snapshots in the directory, ascending.
func (l *Log) snapshots() ([]int64, error) {
	entries, err := l.fs.ReadDir(l.path.get())
	if err != nil {
		return nil, err
	}
	var offsets []int64
	for _, e := range entries {
		if offset, suffix, ok := parseSegmentFileName(e.Name()); ok && suffix == snapshotSuffix {
			offsets = append(offsets, offset)
		}
	}
	return offsets, nil // ReadDir sorts by name, and the names have 20 digits
}

// dropSnapshots removes those that keep refuses.
func (l *Log) dropSnapshots(offsets []int64, keep func(offset int64) bool) error {
	for _, offset := range offsets {
		if keep(offset) {
			continue
		}
		if err := l.fs.Remove(l.snapshotPath(offset)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// restoreProducers makes the state as it was at offset, from the newest whole snapshot at or below it and
// the batches after that. offsets are the snapshots there are.
func (l *Log) restoreProducers(segments segmentList, offsets []int64, offset int64) error {
	start := l.logStart.Load()
	l.producers.reset()
	from := start
	for _, at := range slices.Backward(offsets) {
		if at > offset || at <= start {
			continue
		}
		data, err := l.fs.ReadFile(l.snapshotPath(at))
		if err == nil {
			err = l.producers.restore(data, l.clock.Now().UnixMilli())
		}
		if err == nil {
			from, l.lastSnapshot = at, at
			break
		}
		if !errors.Is(err, errCorruptSnapshot) {
			return err
		}
		l.logger.Warn("dropping a corrupt producer snapshot", "snapshot", at, "err", err)
		if err := l.fs.Remove(l.snapshotPath(at)); err != nil {
			return err
		}
	}
	if from >= offset {
		return nil
	}
	return l.replayProducers(segments[segments.floor(from):], from, offset)
}

// replayProducers applies the batches of [from, to) to the producer state alone.
func (l *Log) replayProducers(segments segmentList, from, to int64) error {
	for _, s := range segments {
		if s.base >= to {
			return nil
		}
		if err := s.eachProducerBatch(from, to, func(b protocol.Batch) { l.producers.apply(b) }); err != nil {
			return err
		}
	}
	return nil
}

// loadProducers is restoreProducers at load: snapshots that no segment begins at are removed, except
// the newest; after an unclean stop those that a crash tore, too.
func (l *Log) loadProducers(offsets []int64, clean bool) error {
	segments, end := l.segments(), l.leo.Load()
	newest := int64(-1)
	for _, at := range offsets {
		if at <= end {
			newest = at
		}
	}
	kept := offsets[:0:0]
	err := l.dropSnapshots(offsets, func(at int64) bool {
		i := segments.floor(at)
		keep := at <= end && (at == newest && at > segments.active().base || segments[i].base == at)
		if keep && !clean {
			data, err := l.fs.ReadFile(l.snapshotPath(at))
			if err == nil {
				_, err = parseSnapshot(data)
			}
			keep = !errors.Is(err, errCorruptSnapshot)
		}
		if keep {
			kept = append(kept, at)
		}
		return keep
	})
	if err != nil {
		return err
	}
	if !l.producersRecovered {
		if err := l.restoreProducers(segments, kept, end); err != nil {
			return err
		}
	}
	l.producers.onHighWatermark(l.highWatermark.Load())
	l.updateFirstUnstable()
	return nil
}

// reloadProducers follows a truncation: snapshots beyond the log end are of records that are gone.
func (l *Log) reloadProducers() error {
	offsets, err := l.snapshots()
	if err == nil {
		err = l.dropSnapshots(offsets, func(at int64) bool { return at <= l.leo.Load() })
	}
	if err == nil {
		l.lastSnapshot = -1
		err = l.restoreProducers(l.segments(), offsets, l.leo.Load())
	}
	if err != nil {
		return l.ioFailed("reloading the producer state of", err)
	}
	l.producers.onHighWatermark(l.highWatermark.Load())
	l.updateFirstUnstable()
	return nil
}

// clearProducers follows the replacement of all segments.
func (l *Log) clearProducers() error {
	offsets, err := l.snapshots()
	if err == nil {
		err = l.dropSnapshots(offsets, func(int64) bool { return false })
	}
	if err != nil {
		return l.ioFailed("clearing the producer state of", err)
	}
	l.lastSnapshot = -1
	l.producers.reset()
	l.updateFirstUnstable()
	return nil
}
