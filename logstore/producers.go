package logstore

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"minikafka/protocol"
)

// recentBatches is how many batches a producer may have in flight and still be recognised on a retry.
const recentBatches = 5

// batchSpan is what is remembered of one batch.
type batchSpan struct {
	LastSequence int32
	LastOffset   int64
	OffsetDelta  int32 // last offset less first
	Timestamp    int64 // the batch's max timestamp, ms
}

// FirstOffset is the batch's base offset.
func (b batchSpan) FirstOffset() int64 { return b.LastOffset - int64(b.OffsetDelta) }

// firstSequence undoes IncrementSequence.
func (b batchSpan) firstSequence() int32 {
	if b.LastSequence < 0 {
		return protocol.NoSequence
	}
	if first := int64(b.LastSequence) - int64(b.OffsetDelta); first < 0 {
		return int32(first + math.MaxInt32 + 1)
	}
	return b.LastSequence - b.OffsetDelta
}

// producerEntry is the state of one producer id on the partition.
type producerEntry struct {
	ProducerID       int64
	Epoch            int16 // -1: none known
	CoordinatorEpoch int32 // of the last marker; -1: none seen
	LastTimestamp    int64 // ms
	TxnFirstOffset   int64 // of the open transaction; -1: none
	markerOffset     int64 // of the last marker since the state was restored; -1: none

	batches [recentBatches]batchSpan
	count   int // of batches; the last one is the newest. All are of Epoch
}

func (p *producerEntry) last() batchSpan {
	if p.count == 0 {
		return batchSpan{LastSequence: protocol.NoSequence, LastOffset: -1}
	}
	return p.batches[p.count-1]
}

func (p *producerEntry) setEpoch(epoch int16) {
	if p.Epoch != epoch {
		p.Epoch, p.count = epoch, 0
	}
}

func (p *producerEntry) add(b batchSpan) {
	if p.count == recentBatches {
		copy(p.batches[:], p.batches[1:])
		p.count--
	}
	p.batches[p.count] = b
	p.count++
}

// txnSpan is a transaction on the partition; MarkerOffset is -1 while it is open.
type txnSpan struct {
	ProducerID, FirstOffset, MarkerOffset int64
	Aborted                               bool
}

// producerState is what idempotence and transactions need to know of a partition: a machine without I/O
// or clock. check says whether an append is allowed and changes nothing; apply records an append that was
// written or read back. Owner: the log, under its append mutex.
//
// Invariants: open has one row for each entry with TxnFirstOffset >= 0, ordered by FirstOffset; completed
// holds ended transactions until the high watermark passes their marker.
type producerState struct {
	expiration time.Duration // producer.id.expiration.ms
	byID       map[int64]*producerEntry
	open       []txnSpan
	completed  []txnSpan // ordered by FirstOffset
}

func newProducerState(expiration time.Duration) *producerState {
	return &producerState{expiration: expiration, byID: map[int64]*producerEntry{}}
}

// AppendRules say who appends and how strictly the producer state looks.
type AppendRules struct {
	Origin Origin
	// TransactionV2 is a producer that adds partitions by producing (Produce v12+): without state here,
	// its first sequence must be 0.
	TransactionV2 bool
	// MarkerVersion is the transaction version of a marker (WriteTxnMarkers v2): from 2 on, the marker's
	// epoch must be larger than the data's.
	MarkerVersion int8
	// Verification is what the transaction coordinator has said of transactional records.
	Verification Verification
}

// Verification is the proof that a producer's transaction has the partition, got before the append from
// the transaction coordinator. Since is Log.VerificationPoint from before the coordinator was asked: a marker of
// the producer at or above it has ended that transaction, and records that came after it would open one
// that nobody ends. The zero Verification asks for none.
type Verification struct {
	Needed bool
	Since  int64
}

// duplicate finds the batch among the producer's recent ones: same epoch, same first and last sequence.
func (s *producerState) duplicate(b protocol.Batch) (batchSpan, bool) {
	p := s.byID[b.ProducerID()]
	if p == nil || p.Epoch != b.ProducerEpoch() || b.BaseSequence() < 0 {
		return batchSpan{}, false
	}
	first, last := b.BaseSequence(), b.LastSequence()
	for _, old := range p.batches[:p.count] {
		if old.LastSequence == last && old.firstSequence() == first {
			return old, true
		}
	}
	return batchSpan{}, false
}

// check says whether a batch may be appended (ask duplicate first). The base offset is only for the
// message. Errors: ErrProducerEpoch, ErrOutOfOrderSeq, ErrTxnState, ErrCoordinatorEpoch, each with a text;
// protocol.ErrInvalidRecord for a marker that does not parse. Replication and raft are never refused.
func (s *producerState) check(b protocol.Batch, r AppendRules) error {
	if !b.HasProducerID() || r.Origin == OriginReplication || r.Origin == OriginRaft {
		return nil
	}
	p := s.byID[b.ProducerID()]
	if b.IsControl() {
		return s.checkMarker(b, p, r)
	}
	known := protocol.NoProducerEpoch
	if p != nil {
		known = p.Epoch
	}
	if b.ProducerEpoch() < known {
		return epochError(b, known)
	}
	if r.Origin == OriginClient {
		if err := checkSequence(b, p, r); err != nil {
			return err
		}
	}
	if p != nil && p.TxnFirstOffset >= 0 && !b.IsTransactional() {
		return fmt.Errorf("%w: expected transactional write from producer %d at offset %d", ErrTxnState, b.ProducerID(), b.BaseOffset())
	}
	if b.IsTransactional() {
		return checkVerified(b, p, r.Verification)
	}
	return nil
}

// checkVerified: records join the open transaction of their epoch, or one that the coordinator knows of.
func checkVerified(b protocol.Batch, p *producerEntry, v Verification) error {
	switch {
	case !v.Needed || p == nil || p.markerOffset < v.Since:
		return nil
	case p.TxnFirstOffset >= 0 && p.Epoch == b.ProducerEpoch():
		return nil
	}
	return fmt.Errorf("%w: the transaction of producer %d ended at offset %d, after it was verified at %d",
		ErrTxnState, b.ProducerID(), p.markerOffset, v.Since)
}

func epochError(b protocol.Batch, known int16) error {
	return fmt.Errorf("%w: epoch of producer %d at offset %d is %d, which is smaller than the last seen epoch %d",
		ErrProducerEpoch, b.ProducerID(), b.BaseOffset(), b.ProducerEpoch(), known)
}

func checkSequence(b protocol.Batch, p *producerEntry, r AppendRules) error {
	first := b.BaseSequence()
	switch {
	case p == nil || p.Epoch == protocol.NoProducerEpoch:
		if r.TransactionV2 && first != 0 && p == nil {
			return fmt.Errorf("%w: expected sequence 0 for transactions v2 idempotent producer with no existing state", ErrOutOfOrderSeq)
		}
		return nil // retention or DeleteRecords may have removed what came before
	case b.ProducerEpoch() != p.Epoch:
		if first != 0 {
			return fmt.Errorf("%w: invalid sequence number for new epoch of producer %d at offset %d: %d (request epoch), %d (seq. number), %d (current producer epoch)",
				ErrOutOfOrderSeq, b.ProducerID(), b.BaseOffset(), b.ProducerEpoch(), first, p.Epoch)
		}
		return nil
	}
	last := p.last().LastSequence
	if int64(first) == int64(last)+1 || (first == 0 && last == math.MaxInt32) {
		return nil
	}
	return fmt.Errorf("%w: out of order sequence number for producer %d at offset %d: %d (incoming seq. number), %d (current end sequence number)",
		ErrOutOfOrderSeq, b.ProducerID(), b.BaseOffset(), first, last)
}

func (s *producerState) checkMarker(b protocol.Batch, p *producerEntry, r AppendRules) error {
	m, ok, err := protocol.MarkerOf(b)
	if err != nil || !ok || p == nil {
		return err
	}
	epoch := b.ProducerEpoch()
	retry := p.TxnFirstOffset < 0 || epoch == math.MaxInt16 // of a marker that is already here; or no epoch is left
	if epoch < p.Epoch {
		return epochError(b, p.Epoch)
	}
	if r.MarkerVersion >= 2 && epoch == p.Epoch && !retry {
		return fmt.Errorf("%w: the marker of producer %d at offset %d has epoch %d, which is not larger than its transaction's",
			ErrProducerEpoch, b.ProducerID(), b.BaseOffset(), epoch)
	}
	if m.CoordinatorEpoch < p.CoordinatorEpoch {
		return fmt.Errorf("%w: invalid coordinator epoch for producer %d at offset %d: %d (zombie), %d (current)",
			ErrCoordinatorEpoch, b.ProducerID(), b.BaseOffset(), m.CoordinatorEpoch, p.CoordinatorEpoch)
	}
	return nil
}

// apply records a batch with its final offsets. For the marker of an open transaction it returns that
// transaction, MarkerOffset set: an aborted one goes into the transaction index with lastStableOffset.
func (s *producerState) apply(b protocol.Batch) *txnSpan {
	if !b.HasProducerID() {
		return nil
	}
	if b.IsControl() {
		return s.applyMarker(b)
	}
	p := s.entry(b.ProducerID())
	p.setEpoch(b.ProducerEpoch())
	p.add(batchSpan{b.LastSequence(), b.LastOffset(), b.LastOffsetDelta(), b.MaxTimestamp()})
	p.LastTimestamp = b.MaxTimestamp()
	if b.IsTransactional() && p.TxnFirstOffset < 0 {
		p.TxnFirstOffset = b.BaseOffset()
		s.open = insert(s.open, txnSpan{b.ProducerID(), b.BaseOffset(), -1, false})
	}
	return nil
}

func (s *producerState) entry(id int64) *producerEntry {
	p := s.byID[id]
	if p == nil {
		p = &producerEntry{ProducerID: id, Epoch: protocol.NoProducerEpoch, CoordinatorEpoch: -1, LastTimestamp: protocol.NoTimestamp, TxnFirstOffset: -1, markerOffset: -1}
		s.byID[id] = p
	}
	return p
}

// applyMarker ignores markers that compaction emptied and control records that do not end a transaction.
func (s *producerState) applyMarker(b protocol.Batch) *txnSpan {
	m, ok, err := protocol.MarkerOf(b)
	if err != nil || !ok {
		return nil
	}
	p := s.entry(b.ProducerID())
	var done *txnSpan
	if p.TxnFirstOffset >= 0 {
		done = &txnSpan{p.ProducerID, p.TxnFirstOffset, b.BaseOffset(), !m.Commit}
		s.open = slices.DeleteFunc(s.open, func(t txnSpan) bool { return t.ProducerID == p.ProducerID })
		s.completed = insert(s.completed, *done)
	}
	p.setEpoch(b.ProducerEpoch())
	p.CoordinatorEpoch = m.CoordinatorEpoch
	p.LastTimestamp = b.MaxTimestamp()
	p.TxnFirstOffset, p.markerOffset = -1, b.BaseOffset()
	return done
}

func insert(list []txnSpan, t txnSpan) []txnSpan {
	i := sort.Search(len(list), func(i int) bool { return list[i].FirstOffset > t.FirstOffset })
	return slices.Insert(list, i, t)
}

// lastStableOffset is the transaction index's column for a transaction that apply returned: the first
// offset of the earliest transaction that is still open, else the offset after the marker.
func (s *producerState) lastStableOffset(t txnSpan) int64 {
	if len(s.open) > 0 {
		return s.open[0].FirstOffset
	}
	return t.MarkerOffset + 1
}

// firstUnstable is the first offset of the earliest transaction that is open, or ended by a marker at or
// above the high watermark; false when there is none. The log bounds it below by its start.
func (s *producerState) firstUnstable() (offset int64, ok bool) {
	offset = math.MaxInt64
	for _, list := range [2][]txnSpan{s.open, s.completed} {
		if len(list) > 0 {
			offset = min(offset, list[0].FirstOffset)
		}
	}
	return offset, offset != math.MaxInt64
}

// onHighWatermark forgets ended transactions whose marker is below it (also: below the log start). It is
// cheap when there are none.
func (s *producerState) onHighWatermark(offset int64) {
	if len(s.completed) > 0 {
		s.completed = slices.DeleteFunc(s.completed, func(t txnSpan) bool { return t.MarkerOffset < offset })
	}
}

// expire forgets producers that were silent for the expiration time; an open transaction keeps its own.
func (s *producerState) expire(nowMs int64) {
	for id, p := range s.byID {
		if s.expired(p, nowMs) {
			delete(s.byID, id)
		}
	}
}

func (s *producerState) expired(p *producerEntry, nowMs int64) bool {
	return p.TxnFirstOffset < 0 && nowMs-p.LastTimestamp >= s.expiration.Milliseconds()
}

// reset forgets everything.
func (s *producerState) reset() {
	clear(s.byID)
	s.open, s.completed = nil, nil
}

// active lists all producers by id.
func (s *producerState) active() []ActiveProducer {
	list := make([]ActiveProducer, 0, len(s.byID))
	for _, p := range s.byID {
		list = append(list, ActiveProducer{
			ProducerID: p.ProducerID, Epoch: p.Epoch, LastSequence: p.last().LastSequence,
			LastTimestamp: p.LastTimestamp, CoordinatorEpoch: p.CoordinatorEpoch, CurrentTxnStartOffset: p.TxnFirstOffset,
		})
	}
	slices.SortFunc(list, func(a, b ActiveProducer) int { return cmp.Compare(a.ProducerID, b.ProducerID) })
	return list
}

// lastDataOffsets is what compaction must keep, even emptied: the last data offset of each producer, -1
// for one that is only known by a marker of its epoch.
func (s *producerState) lastDataOffsets() map[int64]producerEnd {
	ends := make(map[int64]producerEnd, len(s.byID))
	for id, p := range s.byID {
		ends[id] = producerEnd{p.last().LastOffset, p.Epoch}
	}
	return ends
}

type producerEnd struct {
	LastDataOffset int64
	Epoch          int16
}
