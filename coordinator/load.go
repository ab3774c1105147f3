package coordinator

import (
	"errors"
	"fmt"

	"minikafka/protocol"
)

// load makes a new machine from the log, up to the end that the log has now: as leader nobody but this
// shard writes.
func (s *Shard[M]) load() error {
	if s.o.Log.LogStartOffset() < s.o.Log.LogEndOffset() {
		if err := s.o.Log.Admit(); err != nil {
			s.o.Logger.Warn("loading a partition that takes no writes", "error", err)
		}
	}
	s.machine, s.waiting, s.parked, s.actions, s.producer = s.o.NewMachine(), map[Token]*Call{}, nil, nil, nil
	s.builder.Reset(protocol.NoProducer())
	start, end := s.o.Log.LogStartOffset(), s.o.Log.LogEndOffset()
	began, skipped := s.o.Clock.Now(), 0
	for offset := start; offset < end; {
		select {
		case <-s.stop:
			return ErrNotCoordinator
		default:
		}
		b, err := s.o.Log.Read(offset, s.o.LoadBufferBytes)
		if err != nil {
			return fmt.Errorf("loading at offset %d: %w", offset, err)
		}
		next, bad, err := s.replay(b, offset, end)
		if err != nil {
			return fmt.Errorf("loading at offset %d: %w", offset, err)
		}
		if len(b) == 0 { // compaction took what was there
			next = end
		}
		if next == offset {
			return fmt.Errorf("loading: the log has nothing at offset %d, its end is %d", offset, end)
		}
		offset, skipped = next, skipped+bad
	}
	s.end = end
	now := s.o.Clock.Now()
	if end > start {
		s.o.Logger.Info("coordinator shard loaded", "logStartOffset", start, "logEndOffset", end, "took", now.Sub(began))
	}
	if skipped > 0 {
		s.o.Logger.Warn("records were passed over that are not understood", "count", skipped)
	}
	if err := s.absorb(s.machine.Loaded(now), now); err != nil {
		return err
	}
	if s.builder.Count() > 0 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.setState(nil)
	return nil
}

// replay applies the whole batches of b that hold offsets from offset up to end (exclusive), and returns
// the next offset. Records that the machine does not understand are counted and passed over.
func (s *Shard[M]) replay(b []byte, offset, end int64) (next int64, skipped int, err error) {
	for offset < end {
		batch, rest, err := protocol.NextBatch(b)
		if errors.Is(err, protocol.ErrShortBatch) {
			return offset, skipped, nil
		}
		if err != nil {
			return offset, skipped, err
		}
		bad, err := s.replayBatch(batch, offset)
		if err != nil {
			return offset, skipped, err
		}
		skipped += bad
		offset, b = max(offset, batch.NextOffset()), rest
	}
	return offset, skipped, nil
}

func (s *Shard[M]) replayBatch(batch protocol.Batch, from int64) (skipped int, err error) {
	if batch.IsControl() {
		marker, ok, err := protocol.MarkerOf(batch)
		if err == nil && ok && batch.BaseOffset() >= from {
			s.machine.ReplayMarker(batch.ProducerID(), marker.Commit)
		}
		return 0, err
	}
	producer := protocol.NoProducerID
	if batch.IsTransactional() {
		producer = batch.ProducerID()
	}
	records := batch.Iterate()
	defer records.Close()
	var r protocol.Record
	for records.Next(&r) {
		offset := batch.BaseOffset() + int64(r.OffsetDelta)
		if offset < from {
			continue
		}
		if err := s.machine.Replay(offset, producer, Record{r.Key, r.Value}); err != nil {
			skipped++
			s.o.Logger.Debug("record passed over", "offset", offset, "error", err)
		}
	}
	return skipped, records.Err()
}
