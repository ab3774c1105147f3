package txncoord

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"minikafka/config"
	"minikafka/coordinator"
	"minikafka/internal/clock"
	"minikafka/metadata"
)

// writer notes markers; it fails or waits as told.
type writer struct {
	mu      sync.Mutex
	fail    error
	hold    chan struct{} // nil: it does not wait
	written []coordinator.Marker
}

func (w *writer) WriteMarker(ctx context.Context, _ string, _ int32, m coordinator.Marker) error {
	w.mu.Lock()
	hold, fail := w.hold, w.fail
	w.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		return fail
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written = append(w.written, m)
	return nil
}

func (w *writer) set(fail error, hold chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail, w.hold = fail, hold
}

func newTestService(t *testing.T, w *writer) (s *Service, lead func(epoch int32)) {
	log := &coordinator.MemLog{}
	s = NewService(ServiceOptions{
		NodeID: 1, Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler), Config: config.New(map[string]string{}),
		Level:       func() int16 { return 2 },
		OpenLog:     func(int32) coordinator.Log { return log },
		ProducerIDs: NewProducerIDs(func(context.Context) (int64, int32, error) { return 1000, 1000, nil }),
		Markers:     w,
	})
	t.Cleanup(s.Close)
	lead = func(epoch int32) {
		topic := &metadata.Topic{ID: metadata.UUID{1}, Name: Topic, Partitions: []metadata.Partition{{Leader: 1, LeaderEpoch: epoch}}}
		s.Apply(metadata.Empty(""), &metadata.Delta{Topics: map[metadata.UUID]*metadata.Topic{topic.ID: topic}})
	}
	return s, lead
}

func ongoing(t *testing.T, s *Service) End {
	t.Helper()
	got := s.InitProducerID(t.Context(), Init{TransactionalID: "t", TimeoutMs: 60000, ProducerID: -1, Epoch: -1})
	require.Equal(t, Identity{ProducerID: 1000}, got)
	added, e := Wait[Added](t.Context(), s.AddPartitions(Add{TransactionalID: "t", ProducerID: 1000, Version: 2, Partitions: p0}))
	require.Nil(t, e)
	require.Nil(t, added.Code)
	return End{TransactionalID: "t", ProducerID: 1000, Commit: true, VersionTwo: true}
}

func TestMarkersAreTriedUntilTheyAreWritten(t *testing.T) {
	w := &writer{}
	s, lead := newTestService(t, w)
	require.Equal(t, kerr.NotCoordinator, s.EndTxn(t.Context(), End{TransactionalID: "t"}).Code)
	lead(4)
	end := ongoing(t, s)
	w.set(errors.New("no leader"), nil)
	require.Equal(t, Identity{ProducerID: 1000, Epoch: 1}, s.EndTxn(t.Context(), end))
	time.Sleep(2 * markerRetryDelay)
	w.set(nil, nil)
	require.Equal(t, Identity{ProducerID: 1000, Epoch: 1}, s.EndTxn(t.Context(), end), "a retry waits for the markers")
	marker := coordinator.Marker{ProducerID: 1000, ProducerEpoch: 1, Commit: true, CoordinatorEpoch: 4, Version: 2}
	require.Equal(t, []coordinator.Marker{marker, marker}, w.written)
}

func TestNewLeaderEpochWritesTheMarkersThatTheOldOneOwed(t *testing.T) {
	w := &writer{hold: make(chan struct{})}
	s, lead := newTestService(t, w)
	lead(4)
	end := ongoing(t, s)
	require.Nil(t, s.EndTxn(t.Context(), end).Code)
	lead(4)
	require.Empty(t, w.written)
	hold := w.hold
	lead(5) // stops the senders of epoch 4, which wait
	close(hold)
	require.Eventually(t, func() bool { return s.EndTxn(t.Context(), end).Code == nil }, 5*time.Second, time.Millisecond)
	require.Len(t, w.written, len(p0))
	for _, m := range w.written {
		require.EqualValues(t, 5, m.CoordinatorEpoch)
	}
}
