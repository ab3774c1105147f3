package logstore

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

const firstLog = "/d/crash-0/00000000000000000000.log"

// fourBatches is a store that was killed with a log of four batches; the first flushed ones are synced and
// checkpointed.
func fourBatches(t testing.TB, flushed int) (fs *vfs.Mem, data []byte, ends []int) {
	t.Helper()
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, Config{IndexIntervalBytes: 100})
	require.NoError(t, err)
	for i := range 4 {
		_, err := l.Append(testBatch(t, 2, int64(1000+i), "v"), 3, OriginClient, -1)
		require.NoError(t, err)
		ends = append(ends, int(l.SizeBytes()))
		if i+1 == flushed {
			require.NoError(t, l.Flush())
			require.NoError(t, s.checkpointAll(recoveryPointFile))
		}
	}
	s.bg.stop()
	mem = mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})
	data, err = mem.ReadFile(firstLog)
	require.NoError(t, err)
	return mem, data, ends
}

func put(t testing.TB, fs vfs.FS, path string, data []byte) {
	t.Helper()
	f, err := fs.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	require.NoError(t, err)
	_, err = f.WriteAt(data, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// outcome reopens and says what became of the log: "identical", "cut" (with the batches that are left) or
// "offline", in which case the file must be as it was.
func outcome(t testing.TB, fs vfs.FS, original, damaged []byte) (what string, end int64) {
	t.Helper()
	s, err := testStore(t, fs, Options{DefaultConfig: Config{IndexIntervalBytes: 100}})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(1)) }()
	l := s.Log(crashTP)
	require.NotNil(t, l)
	now, err := fs.ReadFile(firstLog)
	require.NoError(t, err)
	if err := l.usable(); err != nil {
		require.ErrorIs(t, err, ErrStorage)
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, firstLog, corrupt.File)
		require.True(t, bytes.Equal(damaged, now), "an offline log was changed")
		return "offline", 0
	}
	require.NotPanics(t, func() { readAll(t, l) })
	if bytes.Equal(now, original) {
		return "identical", l.LogEndOffset()
	}
	return "cut", l.LogEndOffset()
}

// TestFlippedByteIsNeverCutSilently is reliability rule R15 for every byte of a log.
func TestFlippedByteIsNeverCutSilently(t *testing.T) {
	for _, flushed := range []int{0, 2, 4} {
		mem, data, ends := fourBatches(t, flushed)
		for at := range data {
			fs := mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})
			damaged := bytes.Clone(data)
			damaged[at] ^= 0x41
			put(t, fs, firstLog, damaged)
			what, end := outcome(t, fs, data, damaged)
			inLast := at >= ends[2]
			switch field := at - lastStart(ends, at); {
			case field >= 12 && field < 16:
				// The leader epoch is outside the checksum: the batch is valid with another epoch.
				require.Equal(t, "cut", what)
				require.EqualValues(t, 8, end)
			case field < 8 && inLast && what == "cut":
				require.Greater(t, end, int64(8), "byte %d: a base offset, also outside the checksum, that is larger is valid", at)
			case field < 8:
				require.Equal(t, "offline", what, "byte %d: offsets that go back", at)
			case inLast && flushed < 4:
				require.Equal(t, "cut", what, "byte %d of the unsynced tail", at)
				require.EqualValues(t, 6, end)
			default:
				require.Equal(t, "offline", what, "byte %d, %d batches flushed", at, flushed)
			}
		}
	}
}

func lastStart(ends []int, at int) int {
	start := 0
	for _, end := range ends {
		if end <= at {
			start = end
		}
	}
	return start
}

func TestTruncatedFileLosesOnlyItsUnsyncedTail(t *testing.T) {
	for _, flushed := range []int{0, 2, 4} {
		mem, data, ends := fourBatches(t, flushed)
		for size := range data {
			fs := mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})
			put(t, fs, firstLog, data[:size])
			what, end := outcome(t, fs, data, data[:size])
			whole := 0
			for _, e := range ends {
				if e <= size {
					whole++
				}
			}
			if whole < flushed {
				require.Equal(t, "offline", what, "cut at %d", size)
				continue
			}
			require.Equal(t, "cut", what, "cut at %d", size)
			require.EqualValues(t, 2*whole, end)
		}
	}
}

func TestDerivedFilesAreRebuilt(t *testing.T) {
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	c := Config{IndexIntervalBytes: 100, SegmentBytes: 1500}
	l, err := s.Create(crashTP, UUID{1}, c)
	require.NoError(t, err)
	for i := range 40 {
		_, err := l.Append(testBatch(t, 2, int64(1000+i), "v"), int32(i/10), OriginClient, -1)
		require.NoError(t, err)
	}
	require.NoError(t, s.Close(1))
	original := verify(t, mem, "/d/crash-0")
	entries, err := mem.ReadDir("/d/crash-0")
	require.NoError(t, err)
	for _, clean := range []bool{true, false} {
		for _, e := range entries {
			_, suffix, ok := parseSegmentFileName(e.Name())
			if suffix == logSuffix || !ok && e.Name() != epochsFile {
				continue
			}
			for _, garbage := range [][]byte{nil, []byte("garbage that is no index at all!!"), {}} {
				if clean && len(garbage) == 0 && garbage != nil && suffix != snapshotSuffix {
					continue // an empty index is a legal, sparse one
				}
				fs := mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})
				path := "/d/crash-0/" + e.Name()
				if garbage == nil {
					require.NoError(t, fs.Remove(path))
				} else {
					put(t, fs, path, garbage)
				}
				if !clean {
					require.NoError(t, removeCleanShutdown(fs, "/d"))
					require.NoError(t, fs.Remove("/d/"+recoveryPointFile))
				}
				s, err := testStore(t, fs, Options{DefaultConfig: c})
				require.NoError(t, err)
				l := s.Log(crashTP)
				require.NoError(t, l.usable(), path)
				require.EqualValues(t, 80, l.LogEndOffset(), path)
				require.Len(t, readAll(t, l), 40)
				require.EqualValues(t, 3, l.LatestEpoch(), path)
				require.EqualValues(t, 1, l.EpochAt(25), path)
				found, err := l.OffsetForTimestamp(1015, 80)
				require.NoError(t, err)
				require.EqualValues(t, 29, found.Offset, path)
				require.NoError(t, s.Close(1))
				if !clean {
					require.Len(t, verify(t, fs, "/d/crash-0"), len(original))
				}
			}
		}
	}
}

func FuzzRecoverSegment(f *testing.F) {
	_, data, ends := fourBatches(f, 0)
	f.Add(data)
	f.Add(data[:ends[2]+30])
	f.Add(append(bytes.Clone(data[:ends[1]]), data...))
	f.Add([]byte{})
	f.Add(make([]byte, 300))
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := vfs.NewMem()
		require.NoError(t, fs.MkdirAll("/d/t-0", 0o755))
		put(t, fs, "/d/t-0/00000000000000000000.log", b)
		l, err := OpenLog(t.Context(), LogOptions{FS: fs, Dir: "/d/t-0", TopicPartition: TopicPartition{"t", 0}, Recover: true})
		now, rerr := fs.ReadFile("/d/t-0/00000000000000000000.log")
		require.NoError(t, rerr)
		if err != nil {
			var corrupt *CorruptError
			require.True(t, errors.As(err, &corrupt), "%v", err)
			require.True(t, bytes.Equal(b, now))
			return
		}
		require.True(t, bytes.HasPrefix(b, now))
		next := int64(0)
		require.NoError(t, l.Batches(0, l.LogEndOffset(), func(batch protocol.Batch) error {
			require.GreaterOrEqual(t, batch.BaseOffset(), next)
			next = batch.NextOffset()
			return nil
		}))
		require.Equal(t, l.LogEndOffset(), next)
		require.NoError(t, l.Close())
	})
}

// TestRemedyOfACorruptLogKeepsWhatLiesBefore does what the message says.
func TestRemedyOfACorruptLogKeepsWhatLiesBefore(t *testing.T) {
	mem, data, ends := fourBatches(t, 4)
	data[ends[1]+70] ^= 1
	put(t, mem, firstLog, data)
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	var corrupt *CorruptError
	require.ErrorAs(t, s.Log(crashTP).usable(), &corrupt)
	require.NoError(t, s.Close(1))
	require.EqualValues(t, ends[1], corrupt.Position)
	require.Contains(t, corrupt.Remedy(), "truncate -s ")

	put(t, mem, corrupt.File, data[:corrupt.Position])
	require.NoError(t, mem.Remove("/d/"+recoveryPointFile))
	s, err = testStore(t, mem, Options{})
	require.NoError(t, err)
	l := s.Log(crashTP)
	require.NoError(t, l.usable())
	require.Equal(t, corrupt.Offset, l.LogEndOffset())
	require.NoError(t, s.Close(2))
}
