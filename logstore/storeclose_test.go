package logstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
)

// stopping is a store with a few logs, rolled and preallocated ones among them, none of them flushed whole.
func stopping(t *testing.T, fs vfs.FS, syncEach int) (*Store, []*Log) {
	t.Helper()
	s, err := testStore(t, fs, Options{DefaultConfig: crashConfig()})
	require.NoError(t, err)
	s.syncEach = syncEach
	var logs []*Log
	for p := range int32(4) {
		config := crashConfig()
		epoch := int32(0)
		config.Preallocate = p%2 == 1
		l, err := s.Create(TopicPartition{"stop", p}, UUID{1}, config)
		require.NoError(t, err)
		for i := range 10 {
			if i == 5 { // the file of the first epoch is there, and this one waits for the stop
				epoch = 1
				require.NoError(t, l.AssignEpoch(epoch, l.LogEndOffset()))
			}
			_, err := l.Append(testBatch(t, 2, int64(1000+i), "v"), epoch, OriginClient, -1)
			require.NoError(t, err)
			if i == 1 && p < 2 {
				require.NoError(t, l.Flush())
			}
		}
		l.SetHighWatermark(l.LogEndOffset())
		logs = append(logs, l)
	}
	return s, logs
}

// TestCrashDuringACleanStop crashes before every operation of a stop, whose logs are synced each by itself or all
// at once: what was flushed is there, and with the mark of a clean stop on disk everything is.
func TestCrashDuringACleanStop(t *testing.T) {
	for _, syncEach := range []int{0, 100} {
		mem := vfs.NewMem()
		watching, busy, crashes, marked := false, false, 0, 0
		check := func(when string, kept vfs.Unsynced) {
			crashes++
			clone := mem.CrashClone(vfs.CrashOptions{Unsynced: kept, Seed: uint64(crashes)})
			_, err := clone.Stat("/d/" + cleanShutdownFile)
			whole := err == nil || kept == vfs.KeepAll
			if err == nil {
				marked++
			}
			s, err := testStore(t, clone, Options{DefaultConfig: crashConfig()})
			require.NoError(t, err, when)
			for p := range int32(4) {
				l := s.Log(TopicPartition{"stop", p})
				if l == nil && !whole && p >= 2 {
					continue // nothing of it was flushed, its name neither
				}
				require.NotNil(t, l, when)
				if kept == vfs.KeepRandom && l.usable() != nil {
					continue // R15
				}
				require.NoError(t, l.usable(), when)
				if whole {
					require.EqualValues(t, 20, l.LogEndOffset(), when)
					require.Equal(t, epochEntries{{0, 0}, {1, 10}}, l.epochs.entries(), when)
				} else if p < 2 {
					require.GreaterOrEqual(t, l.LogEndOffset(), int64(4), when)
				}
				readAll(t, l)
			}
			require.NoError(t, s.Close(1), when)
			if kept != vfs.KeepRandom {
				for p := range 4 {
					if _, err := clone.Stat(fmt.Sprintf("/d/stop-%d", p)); err != nil {
						continue
					}
					verify(t, clone, fmt.Sprintf("/d/stop-%d", p))
				}
			}
		}
		s, _ := stopping(t, vfs.Faulty(mem, func(op vfs.Op, name string, _ int) error {
			if !watching || busy || op == vfs.OpRead {
				return nil
			}
			busy = true
			defer func() { busy = false }()
			for _, kept := range []vfs.Unsynced{vfs.KeepAll, vfs.KeepNone, vfs.KeepRandom} {
				check(fmt.Sprintf("before %s %s, %v, syncEach %d", op, name, kept, syncEach), kept)
			}
			return nil
		}), syncEach)
		s.bg.stop()
		s.bg = newBackground(s)
		watching = true
		require.NoError(t, s.Close(1))
		watching = false
		for _, kept := range []vfs.Unsynced{vfs.KeepAll, vfs.KeepNone} {
			check("after the stop", kept)
		}
		require.Greater(t, crashes, 100)
		require.GreaterOrEqual(t, marked, 2)
	}
}

// TestStopOfManyLogsSyncsOnce: the count of syncs does not grow with the logs.
func TestStopOfManyLogsSyncsOnce(t *testing.T) {
	counts := map[vfs.Op]int{}
	counting := false
	s, _ := stopping(t, vfs.Faulty(vfs.NewMem(), func(op vfs.Op, _ string, _ int) error {
		if counting {
			counts[op]++
		}
		return nil
	}), 3)
	s.bg.stop()
	counting = true
	require.Empty(t, s.closeLogs())
	require.Equal(t, 1, counts[vfs.OpSyncFS])
	require.Zero(t, counts[vfs.OpSync]+counts[vfs.OpSyncDir])
}

// TestFailedSyncOfTheFileSystemLeavesNoMarkOfACleanStop: nor do the recovery points move.
func TestFailedSyncOfTheFileSystemLeavesNoMarkOfACleanStop(t *testing.T) {
	mem := vfs.NewMem()
	broken := errors.New("no")
	s, logs := stopping(t, vfs.Faulty(mem, vfs.FailNth(vfs.OpSyncFS, "", 1, false, broken)), 0)
	require.ErrorIs(t, s.Close(1), broken)
	_, err := mem.Stat("/d/" + cleanShutdownFile)
	require.Error(t, err)
	for _, l := range logs {
		require.Less(t, l.recoveryPoint.Load(), l.LogEndOffset())
	}
	points, err := mem.ReadFile("/d/" + recoveryPointFile)
	require.True(t, err != nil || !strings.Contains(string(points), " 20\n"))
}

// TestEpochFileCutWithinANumberIsMalformed: "1 12" of "1 120" must not pass for an entry.
func TestEpochFileCutWithinANumberIsMalformed(t *testing.T) {
	whole := epochEntries{{0, 0}, {1, 120}}.format()
	for n := 1; n < len(whole); n++ {
		_, err := parseEpochs(whole[:n])
		require.ErrorIs(t, err, errMalformedCheckpoint, "%q", whole[:n])
	}
	e, err := parseEpochs(whole)
	require.NoError(t, err)
	require.Equal(t, epochEntries{{0, 0}, {1, 120}}, e)
}
