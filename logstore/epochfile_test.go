package logstore

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// The file of leader epochs is written by flushes alone, so what a crash leaves of it may be older than the records;
// the epochs of all that is left must be right all the same.
func TestEpochsAreRightAfterACrashAtEveryOperation(t *testing.T) {
	tp := TopicPartition{"t", 0}
	open := func(fs vfs.FS) (*Store, error) {
		return Open(context.Background(), Options{FS: fs, Dirs: []string{"/d"}, NodeID: 1})
	}
	for _, options := range []vfs.CrashOptions{
		{Unsynced: vfs.KeepNone}, {Unsynced: vfs.KeepAll}, {Unsynced: vfs.KeepRandom, Seed: 1}, {Unsynced: vfs.KeepRandom, Seed: 2},
	} {
		mem := vfs.NewMem()
		crashes := map[string]*vfs.Mem{}
		s, err := open(vfs.Faulty(mem, func(op vfs.Op, path string, _ int) error {
			if op != vfs.OpRead {
				crashes[fmt.Sprintf("%v %d: %s %s", options, len(crashes), op, path)] = mem.CrashClone(options)
			}
			return nil
		}))
		require.NoError(t, err)
		l, err := s.Create(tp, UUID{1}, Config{SegmentBytes: 600})
		require.NoError(t, err)
		for epoch := range int32(12) {
			require.NoError(t, l.AssignEpoch(epoch, l.LogEndOffset()))
			for i := range 3 {
				_, err := l.Append(testBatch(t, 2, int64(1000+i), "value"), epoch, OriginClient, -1)
				require.NoError(t, err)
			}
			if epoch%5 == 3 {
				require.NoError(t, l.Flush())
				require.NoError(t, s.checkpointAll(recoveryPointFile))
			}
		}
		require.NoError(t, s.Close(1))
		crashes["the end"] = mem
		for at, disk := range crashes {
			s, err := open(disk)
			require.NoError(t, err, at)
			if l := s.Log(tp); l != nil {
				requireEpochsOfBatches(t, l, at)
			}
			require.NoError(t, s.Close(2))
		}
	}
}

func requireEpochsOfBatches(t *testing.T, l *Log, at string) {
	t.Helper()
	last := int32(-1)
	require.NoError(t, l.Batches(l.LogStartOffset(), l.LogEndOffset(), func(b protocol.Batch) error {
		last = b.LeaderEpoch()
		require.Equal(t, last, l.EpochAt(b.BaseOffset()), "%s: offset %d", at, b.BaseOffset())
		return nil
	}))
	require.Equal(t, last, l.LatestEpoch(), at)
}

// Of thousands of new topics, and of those that a start finds, the first records wait for no disk.
func TestFirstRecordsSyncNothing(t *testing.T) {
	syncs := 0
	s, err := Open(context.Background(), Options{
		FS: vfs.Faulty(vfs.NewMem(), func(op vfs.Op, _ string, _ int) error {
			if op == vfs.OpSync || op == vfs.OpSyncDir {
				syncs++
			}
			return nil
		}), Dirs: []string{"/d"}, NodeID: 1,
	})
	require.NoError(t, err)
	syncs = 0
	l, err := s.Create(TopicPartition{"t", 0}, UUID{1}, Config{})
	require.NoError(t, err)
	for epoch := range int32(3) {
		_, err = l.Append(testBatch(t, 2, 1000, "value"), epoch, OriginClient, -1)
		require.NoError(t, err)
	}
	require.Zero(t, syncs)
	require.EqualValues(t, 2, l.LatestEpoch())
	require.NoError(t, l.Flush())
	require.Equal(t, 4, syncs, "partition.metadata and the names in the directory, the directory's own name, records")
	require.NoError(t, s.Close(1))
}
