package coordinator

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/protocol"
)

func TestBatchOfATransactionIsNotShared(t *testing.T) {
	l := &MemLog{}
	s := start(t, l)
	require.Equal(t, 2, answer(t, s.Write(add(2))))
	require.Equal(t, 5, answer(t, s.Transact(Producer{ID: 7, Epoch: 3}, add(3))))
	require.Equal(t, 6, answer(t, s.Write(add(4))), "what is in a transaction does not count yet")
	_, err := s.EndTransaction(Marker{ProducerID: 7, ProducerEpoch: 4, CoordinatorEpoch: 9}).Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, answer(t, s.Write(add(1))), "offsets go on behind the marker")
	l.mu.Lock()
	defer l.mu.Unlock()
	var producers []int64
	for _, b := range l.batches {
		producers = append(producers, b.ProducerID())
		require.Equal(t, b.ProducerID() == 7, b.IsTransactional())
	}
	require.Equal(t, []int64{-1, 7, -1, 7, -1}, producers)
	marker, ok, err := protocol.MarkerOf(l.batches[3])
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, protocol.Marker{CoordinatorEpoch: 9}, marker)
}

func TestProducerThatMayNotWriteIsRefusedAndNothingElse(t *testing.T) {
	fenced := errors.New("fenced")
	l := &MemLog{refuse: fenced}
	s := start(t, l)
	_, err := s.Transact(Producer{ID: 7}, add(3)).Wait(t.Context())
	require.ErrorIs(t, err, fenced)
	_, err = s.EndTransaction(Marker{ProducerID: 7}).Wait(t.Context())
	require.ErrorIs(t, err, fenced)
	require.Equal(t, 2, answer(t, s.Write(add(2))))
	require.EqualValues(t, 1, l.LogEndOffset())
}

func TestActionsWaitForTheHighWatermark(t *testing.T) {
	l := &MemLog{held: true}
	o := options(l)
	acted := make(chan any, 1)
	o.Act = func(action any) { acted <- action }
	s := Start(o)
	defer s.Stop()
	call := s.Write(func(_ *counter, _ time.Time, from Token) Outcome {
		return Outcome{Records: []Record{{Key: []byte("add")}}, Replies: []Reply{{from, 0}}, Actions: []any{"go"}}
	})
	require.Eventually(t, func() bool { return l.LogEndOffset() == 1 }, 5*time.Second, time.Millisecond)
	require.Empty(t, acted)
	l.set(func() { l.held, l.hw = false, l.end })
	answer(t, call)
	require.Equal(t, "go", <-acted)
}
