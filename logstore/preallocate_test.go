package logstore

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
)

func fileSize(t testing.TB, fs vfs.FS, path string) int64 {
	t.Helper()
	info, err := fs.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

func preallocated(segmentBytes int32) Config {
	return Config{SegmentBytes: segmentBytes, IndexIntervalBytes: 100, RetentionMs: -1, RetentionBytes: -1, Preallocate: true}
}

func TestPreallocatedSegmentHasItsFullSizeUntilItIsRolledOrClosed(t *testing.T) {
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, preallocated(1000))
	require.NoError(t, err)
	require.EqualValues(t, 1000, fileSize(t, mem, firstLog))
	var size int64
	for len(l.segments()) == 1 {
		size = l.SizeBytes()
		_, err := l.Append(testBatch(t, 2, 1000, "v"), 0, OriginClient, -1)
		require.NoError(t, err)
	}
	require.Positive(t, size)
	require.Equal(t, size, fileSize(t, mem, firstLog), "a rolled segment is trimmed")
	second := l.segments().active().filePath(logSuffix)
	require.EqualValues(t, 1000, fileSize(t, mem, second))
	size = l.SizeBytes() - size
	require.NoError(t, s.Close(1))
	require.Equal(t, size, fileSize(t, mem, second), "a clean stop trims")
	verify(t, mem, "/d/crash-0")
}

// TestRolledSegmentIsTrimmedOnDiskBeforeTheRecoveryPointPassesIt: recovery trusts the length of a file below it.
func TestRolledSegmentIsTrimmedOnDiskBeforeTheRecoveryPointPassesIt(t *testing.T) {
	const unflushed, flushed, flushing = 0, 1, 2
	for how := unflushed; how <= flushing; how++ {
		mem := vfs.NewMem()
		s, err := testStore(t, mem, Options{})
		require.NoError(t, err)
		s.bg.stop()
		l, err := s.Create(crashTP, UUID{1}, preallocated(1000))
		require.NoError(t, err)
		for len(l.segments()) == 1 {
			if how != unflushed {
				require.NoError(t, l.Flush())
			}
			if how == flushing { // has synced, and has not moved the recovery point yet
				l.recoveryPoint.Store(0)
			}
			_, err := l.Append(testBatch(t, 2, 1000, "v"), 0, OriginClient, -1)
			require.NoError(t, err)
		}
		require.NoError(t, l.flushInactive())
		require.NoError(t, l.Flush())
		end := l.LogEndOffset()
		require.NoError(t, s.checkpointAll(recoveryPointFile))
		mem = mem.CrashClone(vfs.CrashOptions{})
		s, err = testStore(t, mem, Options{})
		require.NoError(t, err)
		l = s.Log(crashTP)
		require.NoError(t, l.usable())
		require.Equal(t, end, l.LogEndOffset())
		require.NoError(t, s.Close(1))
		verify(t, mem, "/d/crash-0")
	}
}

// TestUnwrittenRestOfARolledSegmentIsNoHole: the trim of a rolled segment was lost, its records and the next
// segment were not. A preallocated segment that lacks records still is one.
func TestUnwrittenRestOfARolledSegmentIsNoHole(t *testing.T) {
	for _, lost := range []bool{false, true} {
		mem := vfs.NewMem()
		s, err := testStore(t, mem, Options{})
		require.NoError(t, err)
		s.bg.stop()
		l, err := s.Create(crashTP, UUID{1}, preallocated(1000))
		require.NoError(t, err)
		var ends []int64
		for len(l.segments()) == 1 {
			ends = append(ends, l.SizeBytes())
			_, err := l.Append(testBatch(t, 2, 1000, "v"), 0, OriginClient, -1)
			require.NoError(t, err)
		}
		end := l.LogEndOffset()
		mem = mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})
		f, err := mem.OpenFile(firstLog, os.O_RDWR, 0)
		require.NoError(t, err)
		if lost {
			require.NoError(t, f.Truncate(ends[len(ends)-2]))
		}
		require.NoError(t, f.Truncate(1000))
		s, err = testStore(t, mem, Options{})
		require.NoError(t, err)
		l = s.Log(crashTP)
		if lost {
			require.ErrorIs(t, l.usable(), ErrStorage)
			require.EqualValues(t, 1000, fileSize(t, mem, firstLog), "nothing was changed")
		} else {
			require.NoError(t, l.usable())
			require.Equal(t, end, l.LogEndOffset())
			require.Equal(t, ends[len(ends)-1], fileSize(t, mem, firstLog))
		}
		require.NoError(t, s.Close(1))
	}
}

// TestRecoveryDoesNotReadWhatWasPreallocated is on the real file system: a gigabyte of nothing behind a torn batch.
func TestRecoveryDoesNotReadWhatWasPreallocated(t *testing.T) {
	dir := t.TempDir()
	open := func() *Store {
		s, err := Open(t.Context(), Options{FS: vfs.OS(), Dirs: []string{dir}, NodeID: 1})
		require.NoError(t, err)
		return s
	}
	s := open()
	l, err := s.Create(crashTP, UUID{1}, preallocated(1<<30))
	require.NoError(t, err)
	_, err = l.Append(testBatch(t, 2, 1000, "v"), 0, OriginClient, -1)
	require.NoError(t, err)
	size := l.SizeBytes()
	torn := testBatch(t, 2, 1000, "v")
	require.NoError(t, l.segments().active().write(torn[:len(torn)-5]))
	path := filepath.Join(dir, "crash-0", filepath.Base(firstLog))
	require.EqualValues(t, 1<<30, fileSize(t, vfs.OS(), path))
	s.cleaner.stop() // a kill
	s.bg.stop()
	s.unlock()

	began := time.Now()
	s = open()
	require.Less(t, time.Since(began), 200*time.Millisecond)
	require.EqualValues(t, 2, s.Log(crashTP).LogEndOffset())
	require.Equal(t, size, fileSize(t, vfs.OS(), path))
	require.NoError(t, s.Close(1))
}
