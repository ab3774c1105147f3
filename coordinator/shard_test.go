package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/clock"
	"minikafka/protocol"
)

// counter is a machine that counts: each record is a number to add.
type counter struct {
	total  int
	wake   time.Time
	ticks  int
	loaded bool
	aborts int
}

func (c *counter) Replay(_, producerID int64, r Record) error {
	if string(r.Key) == "odd" {
		return errors.New("not a number")
	}
	if producerID >= 0 {
		return nil
	}
	c.total += len(r.Value)
	return nil
}

func (c *counter) ReplayMarker(_ int64, commit bool) {
	if !commit {
		c.aborts++
	}
}

func (c *counter) Loaded(time.Time) Outcome { c.loaded = true; return Outcome{} }
func (c *counter) Wake() time.Time          { return c.wake }

func (c *counter) Tick(time.Time) Outcome {
	c.ticks++
	c.wake = time.Time{}
	return Outcome{Records: []Record{{Key: []byte("tick"), Value: []byte{0}}}}
}

// add answers with the total after the addition.
func add(n int) Step[*counter] {
	return func(c *counter, _ time.Time, from Token) Outcome {
		return Outcome{
			Records: []Record{{Key: []byte("add"), Value: make([]byte, n)}},
			Replies: []Reply{{from, c.total + n}},
		}
	}
}

func total(c *counter, _ time.Time, from Token) Outcome {
	return Outcome{Replies: []Reply{{from, c.total}}}
}

func start(t *testing.T, l *MemLog) *Shard[*counter] {
	t.Helper()
	s := Start(options(l))
	t.Cleanup(s.Stop)
	return s
}

func options(l *MemLog) Options[*counter] {
	return Options[*counter]{
		Log: l, NewMachine: func() *counter { return &counter{} }, Clock: clock.Real(),
		Logger: slog.New(slog.DiscardHandler), CommitTimeout: 5 * time.Second, LoadBufferBytes: 100,
	}
}

func answer(t *testing.T, c *Call) int {
	t.Helper()
	got, err := c.Wait(t.Context())
	require.NoError(t, err)
	return got.(int)
}

func TestStateIsTheReplayOfTheLog(t *testing.T) {
	l := &MemLog{}
	s := start(t, l)
	sum := 0
	for n := range 20 {
		sum += n
		require.Equal(t, sum, answer(t, s.Write(add(n))))
	}
	again := Start(options(l))
	defer again.Stop()
	require.Eventually(t, func() bool {
		got, err := again.Read(total).Wait(t.Context())
		return err == nil && got == sum
	}, time.Second, time.Millisecond)
}

func TestRequestsThatWaitTogetherShareOneAppend(t *testing.T) {
	l := &MemLog{}
	s := start(t, l)
	block := make(chan struct{})
	s.Read(func(*counter, time.Time, Token) Outcome { <-block; return Outcome{} })
	var calls []*Call
	for range 100 {
		calls = append(calls, s.Write(add(1)))
	}
	close(block)
	for i, c := range calls {
		require.Equal(t, i+1, answer(t, c), "each sees what the ones before it did")
	}
	require.LessOrEqual(t, l.appended, 2)
}

func TestReplyWaitsForTheHighWatermark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &MemLog{held: true}
		s := Start(options(l))
		defer s.Stop()
		write, read := s.Write(add(7)), s.Read(total)
		synctest.Wait()
		_, _, ready := write.Ready()
		require.False(t, ready)
		_, _, ready = read.Ready()
		require.False(t, ready, "a read does not show what is not committed")
		l.set(func() { l.hw = l.end })
		require.Equal(t, 7, answer(t, write))
		require.Equal(t, 7, answer(t, read))
	})
}

func TestReplyThatWaitsTooLongTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(options(&MemLog{held: true}))
		defer s.Stop()
		began := time.Now()
		_, err := s.Write(add(1)).Wait(t.Context())
		require.ErrorIs(t, err, ErrTimedOut)
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

func TestWriteIsRefusedBeforeTheMachineSeesIt(t *testing.T) {
	l := &MemLog{admit: ErrUnavailable}
	s := start(t, l)
	_, err := s.Write(add(5)).Wait(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, 0, answer(t, s.Read(total)))
}

func TestDeposedLeaderAnswersNoReads(t *testing.T) {
	s := start(t, &MemLog{admit: ErrNotCoordinator})
	_, err := s.Read(total).Wait(t.Context())
	require.ErrorIs(t, err, ErrNotCoordinator)
}

func TestTickIsCalledWhenTheMachineWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &MemLog{}
		s := Start(options(l))
		defer s.Stop()
		s.Read(func(c *counter, now time.Time, _ Token) Outcome { c.wake = now.Add(time.Hour); return Outcome{} })
		time.Sleep(time.Hour + time.Second)
		ticks := func(c *counter, _ time.Time, from Token) Outcome { return Outcome{Replies: []Reply{{from, c.ticks}}} }
		require.Equal(t, 1, answer(t, s.Read(ticks)))
		require.Equal(t, int64(1), l.LogEndOffset())
	})
}

func TestTickWaitsUntilWritesAreAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &MemLog{}
		s := Start(options(l))
		defer s.Stop()
		s.Read(func(c *counter, now time.Time, _ Token) Outcome { c.wake = now.Add(time.Second); return Outcome{} })
		l.set(func() { l.admit = ErrUnavailable })
		time.Sleep(time.Minute)
		require.Zero(t, l.LogEndOffset())
		l.set(func() { l.admit = nil })
		time.Sleep(time.Second)
		require.Equal(t, int64(1), l.LogEndOffset())
	})
}

func TestFailedAppendDropsTheMachineAndLoadsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &MemLog{}
		s := Start(options(l))
		defer s.Stop()
		require.Equal(t, 3, answer(t, s.Write(add(3))))
		parked := s.Read(func(*counter, time.Time, Token) Outcome { return Outcome{} })
		l.set(func() { l.fail = errors.New("broken disk") })
		_, err := s.Write(add(4)).Wait(t.Context())
		require.ErrorIs(t, err, ErrNotCoordinator)
		_, err = parked.Wait(t.Context())
		require.ErrorIs(t, err, ErrNotCoordinator)
		l.set(func() { l.fail = nil })
		time.Sleep(time.Second)
		require.Equal(t, 3, answer(t, s.Read(total)), "what was not appended never happened")
	})
}

func TestForeignWriteIsReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &MemLog{}
		s := Start(options(l))
		defer s.Stop()
		require.Equal(t, 3, answer(t, s.Write(add(3))))
		var b protocol.Builder
		b.Reset(protocol.NoProducer())
		b.Append(1, []byte("add"), make([]byte, 10), nil)
		foreign, err := b.AppendTo(nil)
		require.NoError(t, err)
		_, err = l.Append(foreign)
		require.NoError(t, err)
		_, err = s.Write(add(1)).Wait(t.Context())
		require.ErrorIs(t, err, ErrFailed)
		time.Sleep(time.Second)
		require.Equal(t, 14, answer(t, s.Read(total)))
	})
}

func TestPanicOfAStepEndsOnlyThisLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(options(&MemLog{}))
		defer s.Stop()
		bad := s.Write(func(*counter, time.Time, Token) Outcome { panic("a bug") })
		behind := s.Write(add(2))
		_, err := bad.Wait(t.Context())
		require.ErrorIs(t, err, ErrFailed)
		_, err = behind.Wait(t.Context())
		if err != nil {
			require.ErrorIs(t, err, ErrFailed)
		}
		time.Sleep(time.Second)
		_, err = s.Write(add(2)).Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestOutcomeLargerThanABatchIsAppendedInParts(t *testing.T) {
	l := &MemLog{batchSize: 1000}
	s := start(t, l)
	call := s.Write(func(_ *counter, _ time.Time, from Token) Outcome {
		o := Outcome{Replies: []Reply{{from, 0}}}
		for i := range 50 {
			o.Records = append(o.Records, Record{Key: fmt.Append(nil, i), Value: make([]byte, 100)})
		}
		return o
	})
	answer(t, call)
	require.Equal(t, 5000, answer(t, s.Read(total)))
	require.Greater(t, l.appended, 5)
}

func TestLoadingPassesOverWhatItDoesNotKnow(t *testing.T) {
	l := &MemLog{}
	var b protocol.Builder
	b.Reset(protocol.NoProducer())
	b.Append(1, []byte("odd"), make([]byte, 10), nil)
	b.Append(1, []byte("add"), make([]byte, 4), nil)
	batch, err := b.AppendTo(nil)
	require.NoError(t, err)
	_, err = l.Append(batch)
	require.NoError(t, err)
	_, err = l.Append(protocol.AppendMarker(nil, 5, 0, protocol.Marker{}, 1))
	require.NoError(t, err)
	s := start(t, l)
	require.Eventually(t, func() bool {
		got, err := s.Read(func(c *counter, _ time.Time, from Token) Outcome {
			return Outcome{Replies: []Reply{{from, c.total + 100*c.aborts}}}
		}).Wait(t.Context())
		return err == nil && got == 104
	}, time.Second, time.Millisecond)
}

func TestLoadingGoesOverTheGapsThatCompactionLeaves(t *testing.T) {
	l := &MemLog{}
	s := start(t, l)
	for range 10 {
		answer(t, s.Write(add(1)))
	}
	l.set(func() { l.batches = slices.Concat(l.batches[1:3], l.batches[5:8]) })
	again := start(t, l)
	require.Eventually(t, func() bool {
		got, err := again.Read(total).Wait(t.Context())
		return err == nil && got == 5
	}, time.Second, time.Millisecond)
	require.Equal(t, 6, answer(t, again.Write(add(1))))
	require.Equal(t, int64(11), l.LogEndOffset())
}

func TestStopAnswersWhoWaits(t *testing.T) {
	l := &MemLog{held: true}
	s := Start(options(l))
	never := s.Read(func(*counter, time.Time, Token) Outcome { return Outcome{} })
	uncommitted := s.Write(add(1))
	s.Stop()
	for _, c := range []*Call{never, uncommitted, s.Write(add(1))} {
		_, err := c.Wait(t.Context())
		require.ErrorIs(t, err, ErrNotCoordinator)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s := start(t, &MemLog{held: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Write(add(1)).Wait(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestManyWritersAtOnce(t *testing.T) {
	l := &MemLog{}
	s := start(t, l)
	var g sync.WaitGroup
	for range 16 {
		g.Go(func() {
			for range 500 {
				_, err := s.Write(add(1)).Wait(t.Context())
				require.NoError(t, err)
			}
		})
	}
	g.Wait()
	require.Equal(t, 8000, answer(t, s.Read(total)))
	require.Equal(t, int64(8000), l.LogEndOffset())
}
