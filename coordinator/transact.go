package coordinator

import (
	"fmt"
	"time"

	"minikafka/protocol"
)

// Producer is whose transaction the records of a step belong to. VerifiedSince is the log end from before
// the transaction was verified: a marker of the producer after it refuses the step.
type Producer struct {
	ID            int64
	Epoch         int16
	VerifiedSince int64
}

// Marker ends a producer's transaction on the partition.
type Marker struct {
	ProducerID       int64
	ProducerEpoch    int16
	Commit           bool
	CoordinatorEpoch int32
	Version          int8 // the transaction's version: how the epoch is checked
}

// ProducerRules are what a batch of a producer is checked by.
type ProducerRules struct {
	VerifiedSince int64
	MarkerVersion int8
}

// Transact posts a request whose records are a batch of the producer's transaction. When the producer may
// not write them, the machine does not see it, and the error is the log's.
func (s *Shard[M]) Transact(p Producer, step Step[M]) *Call {
	return s.post(op[M]{producer: &p, step: step})
}

// EndTransaction posts a marker. The call has no answer but its error, which is the log's where the
// producer's state refuses the marker.
func (s *Shard[M]) EndTransaction(m Marker) *Call { return s.post(op[M]{marker: &m}) }

// transact serves an op of a transaction: batches of producers are never shared. An error ends the life.
func (s *Shard[M]) transact(o op[M], now time.Time) error {
	s.next++
	s.waiting[s.next] = o.call
	if err := s.flush(); err != nil {
		return err
	}
	var refused error
	if o.marker != nil {
		var err error
		if refused, err = s.mark(o, now); err != nil {
			return err
		}
	} else if refused = s.admitProducer(o.producer); refused == nil {
		s.producer = o.producer
		s.builder.Reset(s.batchOptions())
		err := s.absorb(o.step(s.machine, now, s.next), now)
		if err == nil {
			err = s.flush()
		}
		s.producer = nil
		s.builder.Reset(s.batchOptions())
		if err != nil {
			return err
		}
	}
	if refused != nil {
		delete(s.waiting, s.next)
		o.call.finish(nil, refused)
	}
	return nil
}

func (s *Shard[M]) admitProducer(p *Producer) error {
	var b protocol.Builder
	b.Reset(producerBatch(p))
	header, err := b.AppendTo(nil)
	if err != nil {
		return err
	}
	return s.o.Log.CheckProducer(header, ProducerRules{VerifiedSince: p.VerifiedSince})
}

// mark appends a marker, or says why it is refused.
func (s *Shard[M]) mark(o op[M], now time.Time) (refused, err error) {
	m := o.marker
	batch := protocol.AppendMarker(nil, m.ProducerID, m.ProducerEpoch,
		protocol.Marker{Commit: m.Commit, CoordinatorEpoch: m.CoordinatorEpoch}, now.UnixMilli())
	if err := s.o.Log.CheckProducer(batch, ProducerRules{MarkerVersion: m.Version}); err != nil {
		return err, nil
	}
	first, err := s.o.Log.Append(batch)
	switch {
	case err != nil:
		return nil, err
	case first != s.end:
		return nil, fmt.Errorf("%w: appended at offset %d, expected %d: somebody else wrote", ErrFailed, first, s.end)
	}
	s.end++
	s.machine.ReplayMarker(m.ProducerID, m.Commit)
	return nil, s.absorb(Outcome{Replies: []Reply{{Token: s.next}}}, now)
}

// batchOptions are those of the batch that is built now.
func (s *Shard[M]) batchOptions() protocol.BuilderOptions {
	if s.producer == nil {
		return protocol.NoProducer()
	}
	return producerBatch(s.producer)
}

func producerBatch(p *Producer) protocol.BuilderOptions {
	return protocol.BuilderOptions{
		ProducerID: p.ID, ProducerEpoch: p.Epoch, BaseSequence: protocol.NoSequence, Transactional: true,
	}
}
