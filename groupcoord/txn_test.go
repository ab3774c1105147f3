package groupcoord

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

func TestOffsetsOfATransactionArePendingUntilItsMarker(t *testing.T) {
	w := newWorld(t, nil)
	w.lead(0)
	group := w.groupIn(0)
	require.Nil(t, w.commit(t, group, "t", 5))
	commit := func(producer int64, at int64, generation int32) int16 {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.Generation = group, generation
		req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: at}}}}
		resp, e := Wait[*kmsg.OffsetCommitResponse](t.Context(), w.s.TxnOffsetCommit(Producer{ID: producer}, req))
		require.Nil(t, e)
		return resp.Topics[0].Partitions[0].ErrorCode
	}
	end := func(producer int64, commit bool) {
		_, err := w.s.EndTransaction(0, coordinator.Marker{ProducerID: producer, Commit: commit}).Wait(t.Context())
		require.NoError(t, err)
	}
	fetched := func() int64 {
		at, e := w.fetch(t, group, "t")
		require.Nil(t, e)
		return at
	}
	require.Zero(t, commit(7, 9, -1))
	require.Equal(t, kerr.UnknownMemberID.Code, commit(7, 9, 4))
	require.EqualValues(t, 5, fetched())
	end(7, false)
	require.EqualValues(t, 5, fetched())
	require.Zero(t, commit(8, 11, -1))
	end(7, true)
	require.EqualValues(t, 5, fetched(), "another producer's marker")
	end(8, true)
	require.EqualValues(t, 11, fetched())
	_, err := w.s.EndTransaction(1, coordinator.Marker{}).Wait(t.Context())
	require.ErrorIs(t, err, coordinator.ErrNotCoordinator)
}
