package logstore

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlushReturnsAfterASyncThatBeganAfterIt(t *testing.T) {
	var (
		r              flushRounds
		written, syncs atomic.Int64
		durable        atomic.Int64
		running        atomic.Bool
		wg             sync.WaitGroup
	)
	disk := func() error {
		if !running.CompareAndSwap(false, true) {
			t.Error("two syncs at a time")
		}
		at := written.Load()
		time.Sleep(50 * time.Microsecond)
		durable.Store(at)
		syncs.Add(1)
		running.Store(false)
		return nil
	}
	for range 16 {
		wg.Go(func() {
			for range 200 {
				mine := written.Add(1)
				if err := r.flush(disk); err != nil || durable.Load() < mine {
					t.Errorf("durable up to %d, written %d: %v", durable.Load(), mine, err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Less(t, syncs.Load(), int64(16*200), "nobody shared a sync")
}

func TestAllWaitersOfARoundGetItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r flushRounds
		broken, syncs := errors.New("broken disk"), 0
		disk := func() error { // the first sync is good, the second is not
			time.Sleep(time.Second)
			if syncs++; syncs == 2 {
				return broken
			}
			return nil
		}
		results := make([]error, 4)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				results[i] = r.flush(disk)
			})
		}
		wg.Wait()
		require.Equal(t, []error{nil, broken, broken, broken}, results)
		require.NoError(t, r.flush(disk), "the error is that round's alone")
		require.Equal(t, 3, syncs)
	})
}
