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
