package logstore

import (
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
)

// checkpointOf is what a checkpoint file says of crashTP, -1 for nothing.
func checkpointOf(t *testing.T, fsys vfs.FS, name string) int64 {
	t.Helper()
	offsets, err := readOffsets(fsys, "/d/"+name)
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	if offset, ok := offsets[crashTP]; ok {
		return offset
	}
	return -1
}

// TestEachCheckpointHasItsOwnInterval runs in fake time: three files, three intervals.
func TestEachCheckpointHasItsOwnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		s, err := testStore(t, mem, Options{
			HighWatermarkInterval: 10 * time.Second, RecoveryPointInterval: 70 * time.Second, LogStartInterval: 100 * time.Second,
		})
		require.NoError(t, err)
		l, err := s.Create(crashTP, UUID{1}, Config{RetentionMs: -1, RetentionBytes: -1})
		require.NoError(t, err)
		_, err = l.Append(testBatch(t, 4, 1, "a"), 0, OriginClient, -1)
		require.NoError(t, err)
		require.NoError(t, l.Flush())
		l.SetHighWatermark(4)
		l.logStart.Store(2)
		says := func(after time.Duration, highWatermark, recoveryPoint, logStart int64) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			require.Equal(t, []int64{highWatermark, recoveryPoint, logStart}, []int64{
				checkpointOf(t, mem, highWatermarkFile), checkpointOf(t, mem, recoveryPointFile), checkpointOf(t, mem, logStartFile),
			})
		}
		says(9*time.Second, -1, -1, -1)
		says(2*time.Second, 4, -1, -1)
		says(58*time.Second, 4, -1, -1) // 69 s
		says(2*time.Second, 4, 4, -1)
		says(28*time.Second, 4, 4, -1) // 99 s
		says(2*time.Second, 4, 4, 2)
		require.NoError(t, s.Close(1))
	})
}

// TestCheckpointWithIntervalZeroIsWrittenOnce: that is what Kafka's scheduler makes of it.
func TestCheckpointWithIntervalZeroIsWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		s, err := testStore(t, mem, Options{HighWatermarkInterval: Never, RecoveryPointInterval: Never, LogStartInterval: Never})
		require.NoError(t, err)
		l, err := s.Create(crashTP, UUID{1}, Config{RetentionMs: -1, RetentionBytes: -1})
		require.NoError(t, err)
		_, err = l.Append(testBatch(t, 4, 1, "a"), 0, OriginClient, -1)
		require.NoError(t, err)
		require.NoError(t, l.Flush())
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 4, checkpointOf(t, mem, recoveryPointFile))
		_, err = l.Append(testBatch(t, 4, 1, "b"), 0, OriginClient, -1)
		require.NoError(t, err)
		require.NoError(t, l.Flush())
		time.Sleep(time.Hour)
		synctest.Wait()
		require.EqualValues(t, 4, checkpointOf(t, mem, recoveryPointFile))
		require.NoError(t, s.Close(1))
		require.EqualValues(t, 8, checkpointOf(t, mem, recoveryPointFile), "a clean stop writes it whatever the interval")
	})
}
