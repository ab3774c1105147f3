package logstore

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// TestReadersSeeOnlyWholeBatchesWhileAppending also runs under -race: one appender, retention, and readers
// with few open files.
func TestReadersSeeOnlyWholeBatchesWhileAppending(t *testing.T) {
	s, err := Open(t.Context(), Options{FS: vfs.OS(), Dirs: []string{t.TempDir()}, NodeID: 1, OpenFiles: 2})
	require.NoError(t, err)
	l, err := s.Create(TopicPartition{"t", 0}, UUID{1}, Config{
		SegmentBytes: 4000, IndexIntervalBytes: 100, CleanupDelete: true, RetentionBytes: 20000, RetentionMs: -1, FileDeleteDelay: time.Millisecond,
	})
	require.NoError(t, err)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				readSomewhere(t, l, r)
			}
		})
	}
	for i := range 1500 {
		info, err := l.Append(testBatch(t, 1+i%4, int64(i), "v"), 0, OriginClient, -1)
		require.NoError(t, err)
		l.SetHighWatermark(info.LastOffset + 1)
		if i%50 == 0 {
			require.NoError(t, l.DeleteOldSegments())
			require.NoError(t, l.Flush())
		}
	}
	close(stop)
	wg.Wait()
	require.NoError(t, s.Close(1))
	require.LessOrEqual(t, s.files.open, 2)
}

func readSomewhere(t *testing.T, l *Log, r *rand.Rand) {
	start, end := l.LogStartOffset(), l.HighWatermark()
	if end <= start {
		return
	}
	at := start + r.Int64N(end-start)
	upTo := at + 1 + r.Int64N(end-at)
	res, err := l.Read(at, upTo, int32(r.IntN(3000)), true)
	if errors.Is(err, ErrOffsetOutOfRange) && at < l.LogStartOffset() {
		return // retention was faster
	}
	if err != nil {
		t.Errorf("reading %d: %v", at, err)
		return
	}
	if res.Records == nil {
		if at >= l.LogStartOffset() {
			t.Errorf("nothing at %d, below the high watermark %d", at, end)
		}
		return
	}
	defer res.Records.Release()
	b, err := res.Records.AppendTo(nil)
	if err != nil {
		t.Errorf("reading %d: %v", at, err)
		return
	}
	for first := true; ; first = false {
		batch, rest, err := protocol.NextBatch(b)
		if errors.Is(err, protocol.ErrShortBatch) && !first {
			return
		}
		switch {
		case err != nil:
			t.Errorf("at %d: %v", at, err)
			return
		case !batch.CheckCRC(), batch.BaseOffset() >= upTo, first && (at < batch.BaseOffset() || at > batch.LastOffset()):
			t.Errorf("reading %d up to %d: batch %d to %d", at, upTo, batch.BaseOffset(), batch.LastOffset())
			return
		}
		b = rest
	}
}

func TestFailedWriteTakesDirectoryOfflineAndShowsNothing(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync} {
		mem := vfs.NewMem()
		var broken error
		var mu sync.Mutex
		fs := vfs.Faulty(mem, func(o vfs.Op, name string, _ int) error {
			mu.Lock()
			defer mu.Unlock()
			if o == op {
				return broken
			}
			return nil
		})
		failed := make(chan string, 1)
		s, err := testStore(t, fs, Options{OnDirFailure: func(dir string, _ error) { failed <- dir }})
		require.NoError(t, err)
		l, err := s.Create(crashTP, UUID{1}, Config{FlushMessages: 1})
		require.NoError(t, err)
		_, err = l.Append(testBatch(t, 2, 1, "a"), 0, OriginClient, -1)
		require.NoError(t, err)
		mu.Lock()
		broken = vfs.ErrTorn
		mu.Unlock()
		_, err = l.Append(testBatch(t, 2, 1, "b"), 0, OriginClient, -1)
		require.ErrorIs(t, err, ErrStorage)
		require.Equal(t, "/d", <-failed)
		mu.Lock()
		broken = nil // the disk recovers; we do not believe it
		mu.Unlock()
		_, err = l.Append(testBatch(t, 2, 1, "c"), 0, OriginClient, -1)
		require.ErrorIs(t, err, ErrStorage)
		require.ErrorIs(t, l.Flush(), ErrStorage)
		_, err = l.Read(0, 2, 1000, true)
		require.ErrorIs(t, err, ErrStorage)
		if op == vfs.OpWrite {
			require.EqualValues(t, 2, l.LogEndOffset())
		}
		_, err = s.Create(TopicPartition{"other", 0}, UUID{2}, Config{})
		require.ErrorIs(t, err, ErrStorage)
		require.Error(t, s.Close(1))

		s, err = testStore(t, mem, Options{})
		require.NoError(t, err)
		require.EqualValues(t, -1, s.PreviousBrokerEpoch(), "an offline directory is not cleanly stopped")
		l = s.Log(crashTP)
		require.NoError(t, l.usable())
		require.Contains(t, []int64{2, 4}, l.LogEndOffset())
		require.NoError(t, s.Close(1))
		verify(t, mem, "/d/crash-0")
	}
}

func TestDeletedNameCanBeUsedAgainAtOnce(t *testing.T) {
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, Config{FileDeleteDelay: time.Hour})
	require.NoError(t, err)
	for range 10 {
		_, err = l.Append(testBatch(t, 1, 1, "a"), 0, OriginClient, -1)
		require.NoError(t, err)
	}
	require.NoError(t, l.Flush())
	l.SetHighWatermark(10)
	require.NoError(t, l.IncrementLogStartOffset(7))
	require.NoError(t, s.checkpointAll(recoveryPointFile, logStartFile, highWatermarkFile))
	r, err := l.Read(8, 10, 1000, true)
	require.NoError(t, err)
	require.NoError(t, s.Delete(crashTP))
	_, err = r.Records.AppendTo(nil)
	require.NoError(t, err, "a reader keeps the file of a deleted log")
	r.Records.Release()
	_, err = l.Append(testBatch(t, 1, 1, "a"), 0, OriginClient, -1)
	require.ErrorIs(t, err, ErrStorage)

	l, err = s.Create(crashTP, UUID{2}, Config{})
	require.NoError(t, err)
	_, err = l.Append(testBatch(t, 1, 1, "b"), 0, OriginClient, -1)
	require.NoError(t, err)
	mem = mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})
	s, err = testStore(t, mem, Options{})
	require.NoError(t, err)
	l = s.Log(crashTP)
	require.NoError(t, l.usable(), "the checkpoints of the deleted log are not the new one's")
	require.Equal(t, UUID{2}, l.TopicID())
	require.EqualValues(t, 0, l.LogStartOffset())
	require.EqualValues(t, 1, l.LogEndOffset())
	require.Eventually(t, func() bool {
		entries, err := mem.ReadDir("/d")
		require.NoError(t, err)
		for _, e := range entries {
			if _, suffix, err := parseDirName(e.Name()); err == nil && suffix == deleteDirSuffix {
				return false
			}
		}
		return true
	}, 5*time.Second, time.Millisecond, "what the last process deleted is removed at start")
	require.NoError(t, s.Close(1))
}

func TestSecondProcessIsLockedOut(t *testing.T) {
	dir := t.TempDir()
	o := Options{FS: vfs.OS(), Dirs: []string{dir}, NodeID: 1}
	s, err := Open(t.Context(), o)
	require.NoError(t, err)
	_, err = Open(t.Context(), o)
	require.ErrorContains(t, err, "in use")
	require.NoError(t, s.Close(1))
	o.NodeID = 2
	_, err = Open(t.Context(), o)
	require.ErrorContains(t, err, "node 1")
}

func TestIdempotentProducerOverRestart(t *testing.T) {
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, Config{SegmentBytes: 600})
	require.NoError(t, err)
	batch := func(seq int32) []byte {
		var b protocol.Builder
		b.Reset(protocol.BuilderOptions{ProducerID: 9, ProducerEpoch: 1, BaseSequence: seq})
		b.Append(time.Now().UnixMilli(), nil, []byte("v"), nil)
		out, err := b.AppendTo(nil)
		require.NoError(t, err)
		return out
	}
	for seq := range int32(20) {
		_, err := l.Append(batch(seq), 0, OriginClient, -1)
		require.NoError(t, err)
	}
	for _, clean := range []bool{false, true} {
		if clean {
			require.NoError(t, s.Close(1))
		} else {
			mem = mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})
		}
		s, err = testStore(t, mem, Options{DefaultConfig: Config{SegmentBytes: 600}})
		require.NoError(t, err)
		l = s.Log(crashTP)
		info, err := l.Append(batch(19), 0, OriginClient, -1)
		require.NoError(t, err)
		require.True(t, info.Duplicate)
		require.EqualValues(t, 19, info.FirstOffset)
		_, err = l.Append(batch(25), 0, OriginClient, -1)
		require.ErrorIs(t, err, ErrOutOfOrderSeq)
		require.EqualValues(t, 20, l.LogEndOffset())
	}
	require.NoError(t, s.Close(1))
}

func TestFollowerAppendRules(t *testing.T) {
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, Config{})
	require.NoError(t, err)
	at := func(offset int64, epoch int32) protocol.Batch {
		b := protocol.Batch(testBatch(t, 2, 1, "v"))
		b.SetBaseOffset(offset)
		b.SetLeaderEpoch(epoch)
		return b
	}
	info, err := l.Append(append(append(at(0, 1), at(2, 2)...), at(4, 3)...), 2, OriginReplication, -1)
	require.NoError(t, err)
	require.EqualValues(t, 4, l.LogEndOffset(), "a batch of a newer epoch than the fetch's is left out")
	require.EqualValues(t, 0, info.FirstOffset)
	require.EqualValues(t, 2, l.EpochAt(3))
	_, err = l.Append(at(2, 2), 2, OriginReplication, -1)
	require.ErrorIs(t, err, protocol.ErrCorrupt, "below the log end")
	bad := at(4, 2)
	bad[70] ^= 1
	_, err = l.Append(bad, 2, OriginReplication, -1)
	require.ErrorIs(t, err, protocol.ErrCorrupt)
	require.NoError(t, l.TruncateTo(2))
	_, err = l.Append(at(2, 3), 3, OriginReplication, -1)
	require.NoError(t, err)
	require.EqualValues(t, 3, l.LatestEpoch())
	epoch, end := l.EndOffsetForEpoch(2)
	require.EqualValues(t, 1, epoch)
	require.EqualValues(t, 2, end)
	require.NoError(t, s.Close(1))
	verify(t, mem, "/d/crash-0")
}

// TestMetadataLogLivesWithoutStore is what the controller asks of OpenLog.
func TestMetadataLogLivesWithoutStore(t *testing.T) {
	mem := vfs.NewMem()
	o := LogOptions{
		FS: mem, Dir: "/m/__cluster_metadata-0", TopicPartition: TopicPartition{"__cluster_metadata", 0}, Recover: true,
		Config: Config{SegmentBytes: 500, RetentionBytes: -1, RetentionMs: -1},
	}
	require.NoError(t, mem.MkdirAll("/m", 0o755))
	require.NoError(t, mem.SyncDir("/")) // the caller's
	l, err := OpenLog(t.Context(), o)
	require.NoError(t, err)
	for i := range 30 {
		info, err := l.Append(testBatch(t, 2, 1, "r"), int32(1+i/10), OriginRaft, -1)
		require.NoError(t, err)
		require.EqualValues(t, 2*i, info.FirstOffset)
	}
	require.NoError(t, l.Flush())
	l.SetHighWatermark(50)
	require.ErrorIs(t, l.IncrementLogStartOffset(51), ErrOffsetOutOfRange)
	require.NoError(t, l.IncrementLogStartOffset(40))
	require.EqualValues(t, 40, l.LogStartOffset())
	first := l.segments()[0].base
	require.Greater(t, first, int64(30), "segments below the snapshot go at once")
	require.LessOrEqual(t, first, int64(40))
	require.NoError(t, l.TruncateTo(56))
	require.Len(t, readAll(t, l), 8)

	mem = mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepNone})
	o.FS = mem
	l, err = OpenLog(t.Context(), o)
	require.NoError(t, err)
	require.EqualValues(t, 56, l.LogEndOffset())
	require.EqualValues(t, 3, l.LatestEpoch())
	require.NoError(t, l.TruncateFullyAndStartAt(100))
	require.EqualValues(t, 100, l.LogEndOffset())
	_, err = l.Append(testBatch(t, 1, 1, "r"), 9, OriginRaft, -1)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	l, err = OpenLog(t.Context(), o)
	require.NoError(t, err)
	require.EqualValues(t, 100, l.LogStartOffset())
	require.EqualValues(t, 101, l.LogEndOffset())
	require.EqualValues(t, 9, l.LatestEpoch())
	require.NoError(t, l.Close())
	verify(t, mem, o.Dir)
}

func TestManyPartitionsNeedFewDescriptors(t *testing.T) {
	s, err := Open(t.Context(), Options{FS: vfs.OS(), Dirs: []string{t.TempDir()}, NodeID: 1, OpenFiles: 16})
	require.NoError(t, err)
	for i := range 200 {
		l, err := s.Create(TopicPartition{"t", int32(i)}, UUID{1}, Config{})
		require.NoError(t, err)
		_, err = l.Append(testBatch(t, 1, 1, "v"), 0, OriginClient, -1)
		require.NoError(t, err)
		require.LessOrEqual(t, s.files.open, 16)
	}
	for _, l := range s.Logs() {
		require.Len(t, readAll(t, l), 1)
		require.LessOrEqual(t, s.files.open, 16)
	}
	require.NoError(t, s.Close(1))
	require.Zero(t, s.files.open)
}

func TestRetentionBySizeAndTime(t *testing.T) {
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	now := time.Now().UnixMilli()
	for _, c := range []struct {
		config Config
		left   bool // something of the old records
	}{
		{Config{RetentionBytes: 1200, RetentionMs: -1, CleanupDelete: true}, true},
		{Config{RetentionBytes: -1, RetentionMs: time.Hour, CleanupDelete: true}, false},
		{Config{RetentionBytes: 0, RetentionMs: 0}, true},
	} {
		c.config.SegmentBytes, c.config.SegmentMs = 500, 1000*time.Hour
		l, err := s.Create(crashTP, UUID{1}, c.config)
		require.NoError(t, err)
		for range 40 {
			_, err := l.Append(testBatch(t, 1, now-2*time.Hour.Milliseconds(), "old"), 0, OriginClient, -1)
			require.NoError(t, err)
		}
		before := l.SizeBytes()
		require.NoError(t, l.DeleteOldSegments())
		require.Equal(t, before, l.SizeBytes(), "nothing above the high watermark goes")
		l.SetHighWatermark(40)
		require.NoError(t, l.DeleteOldSegments())
		require.EqualValues(t, 40, l.LogEndOffset())
		switch {
		case !c.config.CleanupDelete:
			require.Equal(t, before, l.SizeBytes())
		case c.left:
			require.GreaterOrEqual(t, l.SizeBytes(), c.config.RetentionBytes)
			require.Less(t, l.SizeBytes(), c.config.RetentionBytes+500)
		default:
			require.Zero(t, l.SizeBytes())
			require.EqualValues(t, 40, l.LogStartOffset())
		}
		require.NoError(t, s.Delete(crashTP))
	}
	require.NoError(t, s.Close(1))
}

func TestSecondCloseDoesNothing(t *testing.T) {
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close(7))
	again, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close(8), "the directory is another's by now")
	_, err = mem.Stat("/d/" + cleanShutdownFile)
	require.Error(t, err, "which has not stopped")
	require.EqualValues(t, 7, again.PreviousBrokerEpoch())
	require.NoError(t, again.Close(9))
}
