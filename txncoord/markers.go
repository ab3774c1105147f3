package txncoord

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"minikafka/coordinator"
)

// ErrMarkerFenced is a MarkerWriter's word that another coordinator, or a newer epoch of the producer, was
// there before.
var ErrMarkerFenced = errors.New("the marker is fenced")

// markerRetryDelay is how long a partition that takes no markers is left alone.
const markerRetryDelay = 50 * time.Millisecond

// Marker ends a transaction on a partition.
type Marker = coordinator.Marker

// MarkerWriter writes markers on the partitions of transactions.
type MarkerWriter interface {
	// WriteMarker returns when the marker is committed, or the partition is no more. After an error that
	// is not ErrMarkerFenced it is called again.
	WriteMarker(ctx context.Context, topic string, partition int32, m coordinator.Marker) error
}

// senders write the markers of a shard's transactions, those of one transactional id one after another.
type senders struct {
	writer  MarkerWriter
	clock   coordinator.Clock
	logger  *slog.Logger
	shard   *shard
	started sync.WaitGroup // until the shard is there to be told

	mu      sync.Mutex
	running map[string]*sender
	stopped bool
	all     sync.WaitGroup
}

type sender struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func newSenders(w MarkerWriter, c coordinator.Clock, l *slog.Logger, sh *shard) *senders {
	return &senders{writer: w, clock: c, logger: l, shard: sh, running: map[string]*sender{}}
}

// send starts a sender. One of the same id that is still at work belongs to an earlier life of the
// shard: it is stopped first.
func (s *senders) send(m markers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	mine, before := &sender{cancel, make(chan struct{})}, s.running[m.id]
	s.running[m.id] = mine
	s.all.Go(func() {
		defer s.finished(m.id, mine)
		if before != nil {
			before.cancel()
			<-before.done
		}
		s.started.Wait()
		s.run(ctx, m)
	})
}

func (s *senders) finished(id string, mine *sender) {
	mine.cancel()
	close(mine.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[id] == mine {
		delete(s.running, id)
	}
}

// stop ends all senders and waits for them.
func (s *senders) stop() {
	s.mu.Lock()
	s.stopped = true
	for _, one := range s.running {
		one.cancel()
	}
	s.mu.Unlock()
	s.all.Wait()
}

// run writes every marker and then says so.
func (s *senders) run(ctx context.Context, m markers) {
	marker := coordinator.Marker{
		ProducerID: m.producerID, ProducerEpoch: m.epoch, Commit: m.commit,
		CoordinatorEpoch: s.shard.epoch, Version: int8(m.version),
	}
	for _, p := range m.partitions {
		if !s.write(ctx, p, marker, m.id) {
			return
		}
	}
	for {
		_, err := s.shard.Write(func(machine *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
			return machine.Completed(now, t, m.id, m.producerID, m.epoch)
		}).Wait(ctx)
		switch {
		case err == nil, errors.Is(err, coordinator.ErrNotCoordinator), errors.Is(err, coordinator.ErrFailed):
			return // a shard that loads anew sends the markers once more
		case !s.pause(ctx):
			return
		}
	}
}

// write writes one marker, however long it takes; false: the sender was stopped.
func (s *senders) write(ctx context.Context, p TopicPartition, marker coordinator.Marker, id string) bool {
	for tries := 0; ctx.Err() == nil; tries++ {
		err := s.writer.WriteMarker(ctx, p.Topic, p.Partition, marker)
		switch {
		case err == nil:
			return true
		case errors.Is(err, ErrMarkerFenced):
			s.logger.Warn("transaction marker is fenced", "transactionalId", id, "topic", p.Topic, "partition", p.Partition,
				"producerId", marker.ProducerID, "epoch", marker.ProducerEpoch, "error", err)
			return true
		case tries == 0:
			s.logger.Info("transaction marker is tried again", "transactionalId", id, "topic", p.Topic,
				"partition", p.Partition, "error", err)
		}
		if !s.pause(ctx) {
			return false
		}
	}
	return false
}

func (s *senders) pause(ctx context.Context) bool {
	timer := s.clock.NewTimer(markerRetryDelay)
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-ctx.Done():
		return false
	}
}
