package logstore

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

func TestStoreKeepsRecordsOverRestart(t *testing.T) {
	for _, clean := range []bool{true, false} {
		fs := vfs.NewMem()
		open := func() *Store {
			s, err := Open(context.Background(), Options{FS: fs, Dirs: []string{"/d"}, NodeID: 1})
			require.NoError(t, err)
			return s
		}
		s := open()
		tp := TopicPartition{"t", 0}
		l, err := s.Create(tp, UUID{1}, Config{IndexIntervalBytes: 100, SegmentBytes: 5000})
		require.NoError(t, err)
		for i := range 100 {
			info, err := l.Append(testBatch(t, 3, int64(1000+i), "value of some length"), 5, OriginClient, -1)
			require.NoError(t, err)
			require.EqualValues(t, 3*i, info.FirstOffset)
		}
		require.EqualValues(t, 300, l.LogEndOffset())
		if clean {
			require.NoError(t, s.Close(7))
		} else {
			fs = fs.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})
		}
		s = open()
		require.Equal(t, map[bool]int64{true: 7, false: -1}[clean], s.PreviousBrokerEpoch())
		l = s.Log(tp)
		require.NotNil(t, l)
		require.EqualValues(t, 300, l.LogEndOffset())
		require.Equal(t, UUID{1}, l.TopicID())
		require.EqualValues(t, 5, l.LatestEpoch())
		at := int64(0)
		require.NoError(t, l.Batches(0, 300, func(b protocol.Batch) error {
			require.Equal(t, at, b.BaseOffset())
			require.True(t, b.CheckCRC())
			at = b.NextOffset()
			return nil
		}))
		require.EqualValues(t, 300, at)
		found, err := l.OffsetForTimestamp(1050, 300)
		require.NoError(t, err)
		require.EqualValues(t, 3*48+2, found.Offset)
		found, err = l.MaxTimestamp()
		require.NoError(t, err)
		require.EqualValues(t, 299, found.Offset)
		require.NoError(t, s.Close(8))
	}
}

func TestLazyStoreLoadsOnUseAndKeepsTheRestAsItWas(t *testing.T) {
	fs := vfs.NewMem()
	open := func(lazy bool) *Store {
		s, err := Open(context.Background(), Options{FS: fs, Dirs: []string{"/d"}, NodeID: 1, Lazy: lazy})
		require.NoError(t, err)
		return s
	}
	s := open(false)
	for p := range int32(3) {
		l, err := s.Create(TopicPartition{"t", p}, UUID{1}, Config{})
		require.NoError(t, err)
		_, err = l.Append(testBatch(t, 5, 1000, "value"), 0, OriginClient, -1)
		require.NoError(t, err)
		l.SetHighWatermark(5)
	}
	require.NoError(t, s.Close(1))

	s = open(true)
	require.Empty(t, s.Logs())
	require.Len(t, s.Partitions(), 3)
	require.True(t, s.Unloaded(TopicPartition{"t", 1}))
	l := s.Log(TopicPartition{"t", 1})
	require.EqualValues(t, 5, l.LogEndOffset())
	require.Same(t, l, s.Log(TopicPartition{"t", 1}))
	require.Len(t, s.Logs(), 1)
	require.Len(t, s.Partitions(), 3)
	require.NoError(t, s.Close(2)) // with two logs that nobody loaded

	s = open(true)
	require.EqualValues(t, 2, s.PreviousBrokerEpoch(), "what was not loaded is as clean as it was")
	_, err := s.Create(TopicPartition{"t", 0}, UUID{1}, Config{})
	require.Error(t, err, "an unloaded log is not made again")
	require.NoError(t, s.checkpointAll(highWatermarkFile, recoveryPointFile))
	fs = fs.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})

	s = open(true)
	require.EqualValues(t, -1, s.PreviousBrokerEpoch())
	require.NotNil(t, s.Log(TopicPartition{"t", 2}))
	require.NoError(t, s.Close(3))
	s = open(false)
	require.EqualValues(t, -1, s.PreviousBrokerEpoch(), "logs that a kill left were not recovered: no clean stop")
	for p := range int32(3) {
		l := s.Log(TopicPartition{"t", p})
		require.EqualValues(t, 5, l.LogEndOffset())
		require.EqualValues(t, 5, l.HighWatermark(), "the checkpoint kept the rows of unloaded logs")
	}
	require.NoError(t, s.Close(4))
}

func TestReadersThatHoldEveryDescriptorGetCopies(t *testing.T) {
	s, err := Open(context.Background(), Options{FS: vfs.NewMem(), Dirs: []string{"/d"}, NodeID: 1, OpenFiles: 2})
	require.NoError(t, err)
	var held []*Slice
	for p := range int32(5) {
		l, err := s.Create(TopicPartition{"t", p}, UUID{1}, Config{})
		require.NoError(t, err)
		_, err = l.Append(testBatch(t, 1, 1000, "value"), 0, OriginClient, -1)
		require.NoError(t, err)
		r, err := l.Read(0, 1, 1<<20, true)
		require.NoError(t, err)
		held = append(held, r.Records)
		require.LessOrEqual(t, s.files.open, 2)
	}
	for i, r := range held {
		require.Equal(t, i >= 2, r.f == nil)
		b, err := r.AppendTo(nil)
		require.NoError(t, err)
		require.Len(t, b, r.Size())
		require.True(t, checksumOK(b))
		r.Release()
	}
	require.NoError(t, s.Close(1))
}
