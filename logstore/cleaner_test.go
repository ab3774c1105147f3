package logstore

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// TestCleanerNeverDisturbsReadersOrWriters compacts all the time while records are appended, read from
// random offsets, looked up by time, flushed, and truncated.
func TestCleanerNeverDisturbsReadersOrWriters(t *testing.T) {
	c := compactConfig()
	c.SegmentBytes, c.FileDeleteDelay = 3000, time.Millisecond
	s, err := testStore(t, vfs.NewMem(), Options{DefaultConfig: c, OpenFiles: 4, Cleaner: CleanerConfig{Backoff: time.Millisecond, Threads: 2}})
	require.NoError(t, err)
	l, err := s.Create(compactTP, UUID{1}, c)
	require.NoError(t, err)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for reader := range 3 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(reader), 7))
			for {
				select {
				case <-stop:
					return
				default:
				}
				readKeyed(t, l, r)
			}
		})
	}
	last := map[string]string{}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 3000 {
		key, value := fmt.Sprintf("k%d", r.IntN(50)), fmt.Sprintf("v%d", i)
		_, err := l.Append(testBatchOfKey(t, key, key+" "+value), 0, OriginClient, -1)
		require.NoError(t, err)
		last[key] = key + " " + value
		switch r.IntN(200) {
		case 0:
			require.NoError(t, l.Flush())
		case 1, 2, 3:
			l.SetHighWatermark(l.LogEndOffset())
		case 4: // a follower that was ahead: truncation above the high watermark, and the records again
			l.SetHighWatermark(l.LogEndOffset())
			end := l.LogEndOffset()
			_, err := l.Append(testBatchOfKey(t, "k0", "k0 lost"), 0, OriginClient, -1)
			require.NoError(t, err)
			require.NoError(t, l.TruncateTo(end))
		}
	}
	l.SetHighWatermark(l.LogEndOffset())
	require.Eventually(t, func() bool { return l.cleanedTo.Load() == l.segments().active().base }, 20*time.Second, time.Millisecond)
	close(stop)
	wg.Wait()
	require.NoError(t, l.usable())
	found := map[string]string{}
	count := 0
	for _, b := range readAll(t, l) {
		it := b.Iterate()
		var rec protocol.Record
		for it.Next(&rec) {
			found[string(rec.Key)] = string(rec.Value)
			count++
		}
		it.Close()
	}
	require.Equal(t, last, found)
	require.Less(t, count, 500)
	require.NoError(t, s.Close(1))
}

// readKeyed reads somewhere: what comes is whole, in order, at or after the offset that was asked for, and
// each value is its key's.
func readKeyed(t *testing.T, l *Log, r *rand.Rand) {
	end := l.LogEndOffset()
	from := r.Int64N(end + 1)
	next := from
	err := l.Batches(from, end, func(b protocol.Batch) error {
		if !b.CheckCRC() || b.LastOffset() < next {
			return fmt.Errorf("batch %d-%d after %d", b.BaseOffset(), b.LastOffset(), next)
		}
		next = b.NextOffset()
		it := b.Iterate()
		defer it.Close()
		var rec protocol.Record
		for it.Next(&rec) {
			if string(rec.Value[:len(rec.Key)]) != string(rec.Key) {
				return fmt.Errorf("key %s has value %s", rec.Key, rec.Value)
			}
		}
		return it.Err()
	})
	if err != nil && l.LogEndOffset() < end {
		return // truncated meanwhile
	}
	if err != nil {
		t.Errorf("reading from %d: %v", from, err)
	}
	if _, err := l.OffsetForTimestamp(1000, end); err != nil {
		t.Errorf("looking up a time: %v", err)
	}
}

// TestCleanerTakesTheDirtiestLogFirst also shows that a log below its ratio waits for max.compaction.lag.ms.
func TestCleanerTakesTheDirtiestLogFirst(t *testing.T) {
	at := clock.NewManual(time.UnixMilli(1_700_000_000_000))
	s, err := testStore(t, vfs.NewMem(), Options{Clock: at, Cleaner: CleanerConfig{Disabled: true}})
	require.NoError(t, err)
	create := func(name string, batches int, change func(c *Config)) *Log {
		c := compactConfig()
		c.MinCleanableDirtyRatio = 0.5
		if change != nil {
			change(&c)
		}
		l, err := s.Create(TopicPartition{name, 0}, UUID{1}, c)
		require.NoError(t, err)
		for i := range batches {
			fill(t, l, at, i)
		}
		return l
	}
	clean := func(l *Log) {
		cleanNow(t, s, l, 1<<20)
	}
	little := create("little", 100, nil) // cleaned, and then a third of it dirty again
	clean(little)
	for i := range 30 {
		fill(t, little, at, 1000+i)
	}
	much := create("much", 100, nil)
	create("plain", 100, func(c *Config) { c.CleanupCompact = false })
	young := create("young", 100, func(c *Config) { c.MinCompactionLagMs = time.Hour })
	c, ok := s.cleaner.take()
	require.True(t, ok)
	require.Same(t, much, c.log)
	_, ok = s.cleaner.take()
	require.False(t, ok, "one is in progress, the others are not due")
	_, err = s.cleaner.clean(&c)
	s.cleaner.release(c.log, err)
	require.NoError(t, err)

	at.Advance(2 * time.Hour)
	c, ok = s.cleaner.take()
	require.True(t, ok)
	require.Same(t, young, c.log, "min.compaction.lag.ms is over")
	s.cleaner.release(c.log, nil)
	clean(young)
	_, ok = s.cleaner.take()
	require.False(t, ok)

	config := *little.config.Load()
	config.MaxCompactionLagMs = time.Hour
	little.SetConfig(config)
	c, ok = s.cleaner.take()
	require.True(t, ok)
	require.Same(t, little, c.log, "max.compaction.lag.ms is over")
	s.cleaner.release(c.log, nil)
	require.NoError(t, s.Close(1))
}

func fill(t *testing.T, l *Log, at *clock.Manual, i int) {
	t.Helper()
	var b protocol.Builder
	b.Reset(protocol.NoProducer())
	b.Append(at.Now().UnixMilli(), fmt.Appendf(nil, "key %d", i), []byte("value"), nil)
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	_, err = l.Append(out, 0, OriginClient, -1)
	require.NoError(t, err)
	l.SetHighWatermark(l.LogEndOffset())
}

// TestCleanerRunsByItselfAndChangesItsThreads drives the loop by the clock.
func TestCleanerRunsByItselfAndChangesItsThreads(t *testing.T) {
	at := clock.NewManual(time.UnixMilli(1_700_000_000_000))
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{Clock: at, Cleaner: CleanerConfig{Disabled: true}})
	require.NoError(t, err)
	l, err := s.Create(compactTP, UUID{1}, compactConfig())
	require.NoError(t, err)
	for i := range 100 {
		fill(t, l, at, i%10)
	}
	at.Advance(time.Minute)
	require.EqualValues(t, -1, l.cleanedTo.Load(), "the cleaner is off")
	threads := func() int {
		s.cleaner.mu.Lock()
		defer s.cleaner.mu.Unlock()
		return s.cleaner.running
	}
	s.SetCleanerConfig(CleanerConfig{Threads: 3, Backoff: time.Second})
	require.Equal(t, 3, threads())
	before := l.SizeBytes()
	require.Eventually(t, func() bool {
		at.Advance(time.Second)
		return l.cleanedTo.Load() == l.segments().active().base
	}, 10*time.Second, time.Millisecond)
	require.Less(t, l.SizeBytes(), before/2)
	offsets, err := readOffsets(mem, "/d/"+cleanerFile)
	require.NoError(t, err)
	require.Equal(t, map[TopicPartition]int64{compactTP: l.cleanedTo.Load()}, offsets)
	s.SetCleanerConfig(CleanerConfig{Threads: 1, Backoff: time.Second})
	require.Eventually(t, func() bool {
		at.Advance(time.Second)
		return threads() == 1
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Close(1))
}

// TestCorruptBatchMakesALogUncleanableAndStays: compaction reads everything, so it is the one who finds it.
func TestCorruptBatchMakesALogUncleanableAndStays(t *testing.T) {
	at := clock.NewManual(time.UnixMilli(1_700_000_000_000))
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{Clock: at, Cleaner: CleanerConfig{Disabled: true}})
	require.NoError(t, err)
	l, err := s.Create(compactTP, UUID{1}, compactConfig())
	require.NoError(t, err)
	for i := range 100 {
		fill(t, l, at, i%10)
	}
	path := "/d/compacted-0/00000000000000000000.log"
	data, err := mem.ReadFile(path)
	require.NoError(t, err)
	data[protocol.BatchHeaderSize+5] ^= 1
	put(t, mem, path, data)
	c, ok := s.cleaner.take()
	require.True(t, ok)
	_, err = s.cleaner.clean(&c)
	require.ErrorIs(t, err, errChecksum)
	s.cleaner.release(l, err)
	require.NoError(t, l.usable(), "the log goes on serving")
	after, err := mem.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, data, after)
	_, ok = s.cleaner.take()
	require.False(t, ok, "it is not tried again")
	require.NoError(t, s.Close(1))
}
