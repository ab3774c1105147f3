package logstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// model is what a log must hold: the batches by value, and how much of it is on disk for good.
type model struct {
	ends    []int64          // offset after each batch
	content map[int64]string // base offset -> bytes
	start   int64            // log start
	end     int64            // log end
	flushed int64            // below it nothing may be lost, whatever crashes
	history map[string]bool  // every batch ever written, "offset:bytes"
}

func newModel() *model { return &model{content: map[int64]string{}, history: map[string]bool{}} }

func (m *model) note(offset int64, b string) { m.history[fmt.Sprintf("%d:%s", offset, b)] = true }

// check holds a reopened log against the model: it is a prefix of what was written, without a hole, and
// has everything that was flushed.
func (m *model) check(t *testing.T, l *Log, kept vfs.Unsynced) {
	t.Helper()
	require.LessOrEqual(t, l.LogStartOffset(), max(m.start, 0))
	require.GreaterOrEqual(t, l.LogEndOffset(), m.flushed, "flushed records are lost")
	next := l.LogStartOffset()
	for _, b := range readAll(t, l) {
		require.LessOrEqual(t, b.BaseOffset(), next)
		next = b.NextOffset()
		require.True(t, m.history[fmt.Sprintf("%d:%s", b.BaseOffset(), b[12:])], "a batch at %d that nobody wrote", b.BaseOffset())
		if b.BaseOffset() < m.flushed {
			require.Equal(t, m.content[b.BaseOffset()], string(b[12:]), "a flushed batch is not the one that was written")
		}
	}
	require.Equal(t, l.LogEndOffset(), next)
	if kept == vfs.KeepAll {
		require.GreaterOrEqual(t, l.LogEndOffset(), m.end, "a killed process lost records")
	}
}

// driver runs random operations on a log and its model.
type driver struct {
	t     *testing.T
	r     *rand.Rand
	m     *model
	s     *Store
	l     *Log
	epoch int32
	n     int
}

var crashTP = TopicPartition{"crash", 0}

func crashConfig() Config {
	return Config{SegmentBytes: 900, IndexIntervalBytes: 150, SegmentMs: time.Hour, RetentionMs: -1, RetentionBytes: -1, CleanupDelete: true}
}

func (d *driver) step() error {
	d.n++
	switch k := d.r.IntN(20); {
	case k < 12:
		return d.append()
	case k < 14:
		end := d.m.end
		if err := d.l.Flush(); err != nil {
			return err
		}
		d.m.flushed = end
		return nil
	case k == 14:
		d.epoch++
		return nil
	case k == 15:
		return d.truncate(d.m.start + d.r.Int64N(d.m.end-d.m.start+1))
	case k == 16:
		return d.deleteRecords()
	case k == 17:
		d.l.SetHighWatermark(d.m.end)
		return d.s.checkpointAll(recoveryPointFile, logStartFile, highWatermarkFile)
	case k == 18 && d.r.IntN(10) == 0:
		return d.startAnew(d.m.end + 5)
	}
	return nil
}

func (d *driver) append() error {
	b := testBatch(d.t, 1+d.r.IntN(4), int64(1000+d.n), fmt.Sprintf("n%d", d.n))
	count := int64(protocol.Batch(b).Count())
	protocol.Batch(b).SetLeaderEpoch(d.epoch)
	content := string(b[12:])
	d.m.note(d.m.end, content) // may be there even if the append fails
	info, err := d.l.Append(b, d.epoch, OriginClient, -1)
	if err != nil {
		return err
	}
	require.Equal(d.t, d.m.end, info.FirstOffset)
	d.m.content[d.m.end] = content
	d.m.end += count
	d.m.ends = append(d.m.ends, d.m.end)
	return nil
}

func (d *driver) truncate(to int64) error {
	cut := int64(-1) // down to a batch boundary
	for _, end := range d.m.ends {
		if end <= to && end >= d.m.start {
			cut = end
		}
	}
	if cut < 0 {
		return nil
	}
	d.m.flushed = min(d.m.flushed, cut)
	d.m.end = cut // a crash on the way may leave the old end: history says so
	for len(d.m.ends) > 0 && d.m.ends[len(d.m.ends)-1] > cut {
		d.m.ends = d.m.ends[:len(d.m.ends)-1]
	}
	return d.l.TruncateTo(cut)
}

func (d *driver) deleteRecords() error {
	d.l.SetHighWatermark(d.m.end)
	d.m.start += d.r.Int64N(d.m.end - d.m.start + 1)
	if err := d.l.IncrementLogStartOffset(d.m.start); err != nil {
		return err
	}
	return d.l.DeleteOldSegments()
}

func (d *driver) startAnew(at int64) error {
	d.m.start, d.m.end, d.m.flushed, d.m.ends = at, 0, 0, nil
	err := d.l.TruncateFullyAndStartAt(at)
	d.m.end = at
	return err
}

// newDriver makes a log; every second seed's preallocates its segments.
func newDriver(t *testing.T, fs vfs.FS, seed uint64) *driver {
	t.Helper()
	s, err := testStore(t, fs, Options{DefaultConfig: crashConfig()})
	require.NoError(t, err)
	config := crashConfig()
	config.Preallocate = seed%2 == 1
	l, err := s.Create(crashTP, UUID{1}, config)
	require.NoError(t, err)
	return &driver{t: t, r: rand.New(rand.NewPCG(seed, 0)), m: newModel(), s: s, l: l}
}

// TestRandomOperationsMatchModel also reopens after each run and verifies all files.
func TestRandomOperationsMatchModel(t *testing.T) {
	for seed := range uint64(40) {
		mem := vfs.NewMem()
		d := newDriver(t, mem, seed)
		for range 200 {
			require.NoError(t, d.step(), "seed %d", seed)
			require.Equal(t, d.m.end, d.l.LogEndOffset(), "seed %d step %d", seed, d.n)
			require.Equal(t, d.m.start, d.l.LogStartOffset(), "seed %d step %d", seed, d.n)
		}
		next := d.m.start
		for _, b := range readAll(t, d.l) {
			require.Equal(t, d.m.content[b.BaseOffset()], string(b[12:]))
			require.LessOrEqual(t, b.BaseOffset(), next)
			next = b.NextOffset()
		}
		require.Equal(t, d.m.end, next)
		require.NoError(t, d.s.Close(1))
		verify(t, mem, "/d/crash-0")
		s, err := testStore(t, mem, Options{DefaultConfig: crashConfig()})
		require.NoError(t, err)
		l := s.Log(crashTP)
		require.NotNil(t, l)
		require.Equal(t, d.m.end, l.LogEndOffset(), "seed %d", seed)
		require.Equal(t, d.m.start, l.LogStartOffset(), "seed %d", seed)
		require.NoError(t, s.Close(1))
	}
}

// TestCrashAtEveryWriteLeavesValidPrefix clones the disk before each write, sync, rename and removal, as a
// kill (everything stays), a power failure (nothing unsynced stays) and a torn one (some of it does), and
// reopens each clone.
func TestCrashAtEveryWriteLeavesValidPrefix(t *testing.T) {
	for seed := range uint64(6) {
		var d *driver
		mem := vfs.NewMem()
		busy := false
		crashes := 0
		rule := func(op vfs.Op, name string, _ int) error {
			if busy || d == nil || op == vfs.OpRead {
				return nil
			}
			busy = true
			defer func() { busy = false }()
			crashes++
			for i, kept := range []vfs.Unsynced{vfs.KeepAll, vfs.KeepNone, vfs.KeepRandom} {
				if (crashes+i)%3 != 0 && testing.Short() {
					continue
				}
				clone := mem.CrashClone(vfs.CrashOptions{Unsynced: kept, Seed: seed*1000 + uint64(crashes)})
				d.reopen(t, clone, kept, fmt.Sprintf("seed %d step %d before %s %s, %v", seed, d.n, op, name, kept))
			}
			return nil
		}
		dr := newDriver(t, vfs.Faulty(mem, rule), seed)
		dr.s.bg.stop() // its writes would come from another goroutine
		d = dr
		for range 60 {
			require.NoError(t, d.step())
		}
		require.Greater(t, crashes, 100)
		done := d
		d = nil
		require.NoError(t, errors.Join(done.s.closeLogs()[done.s.dirs[0]]))
	}
}

func (d *driver) reopen(t *testing.T, clone *vfs.Mem, kept vfs.Unsynced, when string) {
	t.Helper()
	s, err := testStore(t, clone, Options{DefaultConfig: crashConfig()})
	require.NoError(t, err, when)
	l := s.Log(crashTP)
	if l == nil {
		require.Zero(t, d.m.flushed, when)
		require.NoError(t, s.Close(1))
		return
	}
	if err := l.usable(); err != nil {
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt, when)
		// R15: unsynced segments that a power failure tore in the middle stay for a human to judge.
		require.Equal(t, vfs.KeepRandom, kept, "%s: %v", when, err)
		require.GreaterOrEqual(t, corrupt.Offset, d.m.flushed, when)
		require.NoError(t, s.Close(1))
		return
	}
	if !t.Run("", func(t *testing.T) { d.m.check(t, l, kept) }) {
		t.Fatal(when)
	}
	require.NoError(t, s.Close(1), when)
	verify(t, clone, "/d/crash-0")
}

// TestFlushNeverCoversAnAppendThatIsBeingPublished holds an append between publishing the log end and the size.
func TestFlushNeverCoversAnAppendThatIsBeingPublished(t *testing.T) {
	s, err := testStore(t, vfs.NewMem(), Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, Config{})
	require.NoError(t, err)
	batch := testBatch(t, 1, 1000, "v")
	_, err = l.Append(batch, 0, OriginClient, -1)
	require.NoError(t, err)
	require.NoError(t, l.Flush())
	active := l.segments().active()

	l.appendMu.Lock()
	require.NoError(t, active.write(batch))
	l.leo.Add(1)
	flushed := make(chan error)
	go func() { flushed <- l.Flush() }()
	time.Sleep(20 * time.Millisecond)
	active.size.Add(int64(len(batch)))
	l.appendMu.Unlock()

	require.NoError(t, <-flushed)
	require.Equal(t, l.leo.Load(), l.recoveryPoint.Load())
	require.Equal(t, active.size.Load(), active.synced.Load())
}
