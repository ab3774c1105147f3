package txncoord

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoProducerIDComesTwiceAndAllOfABlockAreUsed(t *testing.T) {
	var next atomic.Int64
	p := NewProducerIDs(func(context.Context) (int64, int32, error) { return next.Add(10) - 10, 10, nil })
	const callers, each = 8, 100
	var mu sync.Mutex
	seen := map[int64]bool{}
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range each {
				id, err := p.Next(context.Background())
				mu.Lock()
				if err != nil || seen[id] {
					t.Errorf("id %d, error %v", id, err)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	require.Len(t, seen, callers*each)
	require.Equal(t, int64(callers*each), next.Load(), "no block was thrown away")
}

func TestFailedAllocationIsTriedAgain(t *testing.T) {
	boom := errors.New("boom")
	fail := true
	p := NewProducerIDs(func(context.Context) (int64, int32, error) {
		if fail {
			return 0, 0, boom
		}
		return 1000, 1000, nil
	})
	_, err := p.Next(t.Context())
	require.ErrorIs(t, err, boom)
	fail = false
	id, err := p.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(1000), id)
}

func TestBlockThatWasHandedOutBeforeIsRefused(t *testing.T) {
	p := NewProducerIDs(func(context.Context) (int64, int32, error) { return 0, 1, nil })
	_, err := p.Next(t.Context())
	require.NoError(t, err)
	_, err = p.Next(t.Context())
	require.ErrorContains(t, err, "a block of 1 from 0 after one that ended at 1")
}

func TestWaiterGivesUpWithItsContext(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	p := NewProducerIDs(func(context.Context) (int64, int32, error) {
		close(started)
		<-release
		return 0, 10, nil
	})
	first := make(chan int64)
	go func() {
		id, _ := p.Next(context.Background())
		first <- id
	}()
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
	close(release)
	require.Equal(t, int64(0), <-first)
}
