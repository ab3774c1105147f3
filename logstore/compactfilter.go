package logstore

import (
	"time"

	"minikafka/protocol"
)

// retention says what of a batch stays.
type retention int8

const (
	dropBatch   retention = iota // all of it goes, unread
	dropIfEmpty                  // record by record; nothing is left when no record is
	keepEmpty                    // as dropIfEmpty, but the header stays: it has what nothing else says
)

// filter decides record by record what a clean keeps (Kafka's Cleaner.cleanInto with its RecordFilter).
// It holds what is constant during a clean.
type filter struct {
	keys            *offsetMap
	latest          int64 // the last offset that keys knows of; what lies above stays
	nowMs           int64
	deleteRetention time.Duration
	upperBound      int64 // offset after the last batch of the round, which is never lost
	txns            *cleanedTxns
	producers       map[int64]producerEnd
}

// verdict is what the filter says of a batch.
type verdict struct {
	retention retention
	// dropRecords: the records go, whatever they are; the batch is looked at for its header alone.
	dropRecords bool
	// emptyTxn: a marker of a transaction without data: its delete horizon is due to be set.
	emptyTxn bool
}

// batch judges a whole batch. Every batch of the range is to be asked about, in order.
func (f *filter) batch(b protocol.Batch) (verdict, error) {
	var v verdict
	if b.IsControl() {
		empty, err := f.txns.control(b)
		if err != nil {
			return v, err
		}
		horizon, set := b.DeleteHorizonMs()
		v.emptyTxn = empty
		v.dropRecords = empty && set && horizon <= f.nowMs
	} else {
		v.dropRecords = f.txns.data(b)
	}
	switch {
	case b.HasProducerID() && f.lastOfProducer(b), b.NextOffset() == f.upperBound:
		v.retention = keepEmpty
	case v.dropRecords:
		v.retention = dropBatch
	default:
		v.retention = dropIfEmpty
	}
	return v, nil
}

// lastOfProducer: the batch has the last sequence number of a producer that is still known, or, of one
// that left only a marker, the marker with its epoch, which fences.
func (f *filter) lastOfProducer(b protocol.Batch) bool {
	end, known := f.producers[b.ProducerID()]
	switch {
	case !known:
		return false
	case end.LastDataOffset >= 0:
		return b.LastOffset() == end.LastDataOffset
	}
	return b.IsControl() && b.ProducerEpoch() == end.Epoch
}

// record judges one record of a data batch that is not dropped.
func (f *filter) record(b protocol.Batch, r *protocol.Record) bool {
	offset := b.BaseOffset() + int64(r.OffsetDelta)
	if offset > f.latest {
		return true
	}
	if r.Key == nil {
		return false
	}
	horizon, set := b.DeleteHorizonMs()
	deletesStay := !set || f.nowMs < horizon
	return offset >= f.keys.get(r.Key) && (r.Value != nil || deletesStay)
}

// batchRewriter applies the filter to batches. It keeps its buffers.
type batchRewriter struct {
	filter  *filter
	most    int32 // max.decompressed.message.bytes
	keep    []bool
	scratch []byte
}

// rewrite appends to dst what is left of b: b itself, b with fewer records, its header, or nothing.
func (w *batchRewriter) rewrite(dst []byte, b protocol.Batch) ([]byte, error) {
	v, err := w.filter.batch(b)
	if err != nil || v.retention == dropBatch {
		return dst, err
	}
	kept, tombstones, err := w.judge(b, v)
	if err != nil {
		return dst, err
	}
	if kept == 0 {
		if v.retention == keepEmpty {
			dst = protocol.AppendEmptied(dst, b)
		}
		return dst, nil
	}
	horizon, set := b.DeleteHorizonMs()
	if !set {
		horizon = protocol.NoDeleteHorizon
	}
	if mark := (tombstones || v.emptyTxn) && !set; mark {
		horizon = w.filter.nowMs + w.filter.deleteRetention.Milliseconds()
	} else if kept == len(w.keep) {
		return append(dst, b...), nil
	}
	dst, w.scratch, err = protocol.AppendRetained(dst, b, func(i int) bool { return w.keep[i] }, horizon, w.most, w.scratch)
	return dst, err
}

// judge fills keep, and says how many records stay and whether a tombstone is among them.
func (w *batchRewriter) judge(b protocol.Batch, v verdict) (kept int, tombstones bool, err error) {
	w.keep = w.keep[:0]
	if v.dropRecords {
		return 0, false, nil
	}
	it := b.IterateWithin(w.most)
	defer it.Close()
	var r protocol.Record
	for it.Next(&r) {
		stays := b.IsControl() || w.filter.record(b, &r)
		w.keep = append(w.keep, stays)
		if stays {
			kept++
			tombstones = tombstones || r.Value == nil
		}
	}
	return kept, tombstones, it.Err()
}
