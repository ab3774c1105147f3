package handlers

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/logstore"
	"minikafka/metadata"
	"minikafka/protocol"
	"minikafka/replication"
	"minikafka/txncoord"
)

// dataNode is handlers over real partitions in memory. Topic t has one partition, topic id 7.
type dataNode struct {
	*Handlers
	t      testing.TB
	replay *metadata.Replay
}

func newDataNode(t testing.TB) *dataNode {
	t.Helper()
	values, err := config.Static(config.Dev("/d"))
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	store, err := logstore.Open(context.Background(), logstore.Options{FS: vfs.NewMem(), Clock: clock.Real(), Logger: log, Dirs: []string{"/d"}, NodeID: 1})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close(-1) })
	n := &dataNode{t: t, replay: metadata.NewReplay(metadata.Empty("c"))}
	get := func() *config.Values { return values }
	n.Handlers = &Handlers{
		NodeID: 1, Logger: log, Clock: clock.Real(), Config: get, Image: func() *metadata.Image { return n.replay.Image() }, Store: store,
		Partitions: replication.NewManager(replication.Options{Store: store, NodeID: 1, Clock: clock.Real(), Logger: log, Config: get}),
	}
	n.apply(&metadata.TopicRecord{Name: "t", TopicID: metadata.UUID{7}},
		&metadata.PartitionRecord{TopicID: metadata.UUID{7}, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1, Directories: []metadata.UUID{{1}}})
	return n
}

func (n *dataNode) apply(records ...metadata.Record) {
	n.t.Helper()
	image, delta, err := n.replay.Batch(records, metadata.Position{Offset: n.replay.Image().Offset + int64(len(records)), Epoch: 1})
	require.NoError(n.t, err)
	n.Partitions.Apply(image, delta)
}

func dataBatch(t testing.TB, transactional bool) []byte {
	t.Helper()
	var b protocol.Builder
	b.Reset(protocol.NoProducer())
	b.Append(time.Now().UnixMilli(), []byte("key"), []byte("value"), nil)
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	if transactional {
		out[22] |= 0x10
		protocol.Batch(out).SetCRC()
	}
	return out
}

func produceRequest(version, acks int16, topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 1000
	req.Topics = []kmsg.ProduceRequestTopic{{
		Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: records}},
	}}
	if version >= 13 {
		req.Topics[0].Topic, req.Topics[0].TopicID = "", [16]byte{topic[0]}
	}
	return req
}

func (n *dataNode) produced(req *kmsg.ProduceRequest) kmsg.ProduceResponseTopicPartition {
	n.t.Helper()
	resp, later := n.produce(context.Background(), &Request{}, req)
	require.Nil(n.t, later)
	return resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
}

func TestProduceAnswersPerPartition(t *testing.T) {
	n := newDataNode(t)
	row := n.produced(produceRequest(9, -1, "t", 0, dataBatch(t, false)))
	require.Equal(t, []int64{0, 0, -1, 0}, []int64{int64(row.ErrorCode), row.BaseOffset, row.LogAppendTime, row.LogStartOffset})
	row = n.produced(produceRequest(13, 1, "\x07", 0, dataBatch(t, false)))
	require.Equal(t, []int64{0, 1}, []int64{int64(row.ErrorCode), row.BaseOffset})

	broken := dataBatch(t, false)
	broken[len(broken)-1] ^= 1
	for _, c := range []struct {
		req  *kmsg.ProduceRequest
		want *kerr.Error
	}{
		{produceRequest(9, 1, "u", 0, dataBatch(t, false)), kerr.UnknownTopicOrPartition},
		{produceRequest(9, 1, "..", 0, dataBatch(t, false)), kerr.UnknownTopicOrPartition},
		{produceRequest(9, 1, "t", 1, dataBatch(t, false)), kerr.UnknownTopicOrPartition},
		{produceRequest(13, 1, "\x08", 0, dataBatch(t, false)), kerr.UnknownTopicID},
		{produceRequest(9, 5, "t", 0, dataBatch(t, false)), kerr.InvalidRequiredAcks},
		{produceRequest(9, 5, "t", 0, nil), kerr.InvalidRecord},
		{produceRequest(9, 1, "t", 0, broken), kerr.CorruptMessage},
		{produceRequest(9, 1, "t", 0, dataBatch(t, true)), kerr.TransactionalIDAuthorizationFailed},
	} {
		row := n.produced(c.req)
		require.Equal(t, c.want.Code, row.ErrorCode, c.want.Message)
		require.Equal(t, []int64{-1, -1, -1}, []int64{row.BaseOffset, row.LogAppendTime, row.LogStartOffset})
	}
	values := n.Config()
	n.Transactions = txncoord.NewService(txncoord.ServiceOptions{Config: values})
	for version, want := range map[int16]*kerr.Error{11: kerr.NotEnoughReplicas, 12: kerr.NotEnoughReplicas} {
		req, id := produceRequest(version, 1, "t", 0, dataBatch(t, true)), "x"
		req.TransactionID = &id
		require.Equal(t, want.Code, n.produced(req).ErrorCode)
	}
}

func TestProduceWithoutAcksHasNoAnswer(t *testing.T) {
	n := newDataNode(t)
	resp, later := n.produce(context.Background(), &Request{}, produceRequest(9, 0, "t", 0, dataBatch(t, false)))
	require.Nil(t, later)
	require.Nil(t, resp)
	resp, _ = n.produce(context.Background(), &Request{}, produceRequest(9, 0, "u", 0, dataBatch(t, false)))
	require.ErrorIs(t, resp.(*CloseConn).Reason, ErrUnknownTopic)
}

func TestProduceTimesOutWhenFollowersDoNotFetch(t *testing.T) {
	n := newDataNode(t)
	n.apply(&metadata.TopicRecord{Name: "r", TopicID: metadata.UUID{9}},
		&metadata.PartitionRecord{TopicID: metadata.UUID{9}, Replicas: []int32{1, 2}, ISR: []int32{1, 2}, Leader: 1, Directories: []metadata.UUID{{1}, {1}}})
	req := produceRequest(9, -1, "r", 0, dataBatch(t, false))
	req.TimeoutMillis = 10
	resp, later := n.produce(context.Background(), &Request{}, req)
	require.Nil(t, resp)
	row := later(context.Background()).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	require.Equal(t, kerr.RequestTimedOut.Code, row.ErrorCode)
	require.Zero(t, row.BaseOffset, "the records stay")
}

func fetchRequest(offset int64, wait int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 12, wait, 1, 1<<20
	row := kmsg.NewFetchRequestTopicPartition()
	row.FetchOffset, row.PartitionMaxBytes = offset, 1<<20
	req.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{row}}}
	return req
}

func TestFetchWaitsForRecordsAndForNothingElse(t *testing.T) {
	n := newDataNode(t)
	resp, later := n.fetch(context.Background(), &Request{}, fetchRequest(0, 60000))
	require.Nil(t, resp)
	answered := make(chan kmsg.Response, 1)
	go func() { answered <- later(t.Context()) }()
	n.produced(produceRequest(9, 1, "t", 0, dataBatch(t, false)))
	got := (<-answered).(*protocol.FetchResponse)
	require.Len(t, got.Sources, 1)
	require.Equal(t, len(dataBatch(t, false)), got.Sources[0].Size())
	require.EqualValues(t, 1, got.Topics[0].Partitions[0].HighWatermark)
	got.Sources[0].Release()

	for name, c := range map[string]struct {
		change func(*kmsg.FetchRequest)
		want   *kerr.Error
	}{
		"beyond the end":       {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 9 }, kerr.OffsetOutOfRange},
		"newer epoch":          {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 3 }, kerr.UnknownLeaderEpoch},
		"not a follower":       {func(r *kmsg.FetchRequest) { r.ReplicaID = 5 }, kerr.NotLeaderForPartition},
		"with a leader epoch":  {func(r *kmsg.FetchRequest) { r.ReplicaID, r.Topics[0].Partitions[0].CurrentLeaderEpoch = 5, 0 }, kerr.UnknownLeaderEpoch},
		"unknown topic":        {func(r *kmsg.FetchRequest) { r.Topics[0].Topic = "u" }, kerr.UnknownTopicOrPartition},
		"unknown id":           {func(r *kmsg.FetchRequest) { r.Version = 13 }, kerr.UnknownTopicID},
		"epoch that ended ago": {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LastFetchedEpoch = 4 }, kerr.OffsetOutOfRange},
	} {
		req := fetchRequest(1, 60000)
		c.change(req)
		resp, later := n.fetch(context.Background(), &Request{}, req)
		require.Nil(t, later, name)
		row := resp.(*protocol.FetchResponse).Topics[0].Partitions[0]
		require.Equal(t, c.want.Code, row.ErrorCode, name)
		require.Equal(t, []int64{-1, -1, -1}, []int64{row.HighWatermark, row.LastStableOffset, row.LogStartOffset}, name)
	}
}

func TestFetchThatWaitsIsToldOfDeletion(t *testing.T) {
	n := newDataNode(t)
	_, later := n.fetch(context.Background(), &Request{}, fetchRequest(0, 60000))
	answered := make(chan kmsg.Response, 1)
	go func() { answered <- later(t.Context()) }()
	n.apply(&metadata.RemoveTopicRecord{TopicID: metadata.UUID{7}})
	require.Equal(t, kerr.UnknownTopicOrPartition.Code, (<-answered).(*protocol.FetchResponse).Topics[0].Partitions[0].ErrorCode)
}

func TestFetchSessionAnswersOnlyWhatIsNew(t *testing.T) {
	n := newDataNode(t)
	full := fetchRequest(0, 0)
	full.SessionEpoch = 0
	resp, _ := n.fetch(context.Background(), &Request{}, full)
	first := resp.(*protocol.FetchResponse)
	require.Positive(t, first.SessionID)
	require.Len(t, first.Topics, 1)
	next := func(epoch int32) *protocol.FetchResponse {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.MinBytes, req.MaxBytes, req.SessionID, req.SessionEpoch = 12, 1, 1<<20, first.SessionID, epoch
		resp, later := n.fetch(context.Background(), &Request{}, req)
		require.Nil(t, later)
		return resp.(*protocol.FetchResponse)
	}
	require.Empty(t, next(1).Topics)
	n.produced(produceRequest(9, 1, "t", 0, dataBatch(t, false)))
	got := next(2)
	require.Len(t, got.Topics, 1)
	got.Sources[0].Release()
	require.Equal(t, kerr.InvalidFetchSessionEpoch.Code, next(2).ErrorCode)
}

func TestListOffsetsAndDeleteRecords(t *testing.T) {
	n := newDataNode(t)
	for range 3 {
		n.produced(produceRequest(9, 1, "t", 0, dataBatch(t, false)))
	}
	list := func(version int16, timestamp int64) (code int16, offset int64) {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version = version
		row := kmsg.NewListOffsetsRequestTopicPartition()
		row.Timestamp = timestamp
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{row}}}
		resp, _ := n.listOffsets(context.Background(), &Request{}, req)
		got := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		return got.ErrorCode, got.Offset
	}
	for _, c := range []struct {
		version         int16
		timestamp, want int64
		code            int16
	}{
		{1, -1, 3, 0}, {1, -2, 0, 0}, {6, -3, -1, 35}, {8, -4, 0, 0}, {9, -5, -1, 0}, {11, -6, -1, 0}, {10, -6, -1, 35},
		{11, -7, -1, 35}, {5, time.Now().Add(time.Hour).UnixMilli(), -1, 0}, {5, 0, 0, 0},
	} {
		code, offset := list(c.version, c.timestamp)
		require.Equal(t, []int64{int64(c.code), c.want}, []int64{int64(code), offset}, "%v", c)
	}
	for _, c := range [][3]int64{{2, 0, 2}, {-2, 1, -1}, {-1, 0, 3}, {1, 0, 3}} { // offset, code, low watermark
		req := kmsg.NewPtrDeleteRecordsRequest()
		twice := []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 99}, {Offset: c[0]}} // the last row counts
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: twice}}
		resp, _ := n.deleteRecords(context.Background(), &Request{}, req)
		rows := resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions
		require.Len(t, rows, 1)
		require.Equal(t, c[1:], []int64{int64(rows[0].ErrorCode), rows[0].LowWatermark})
	}
	_, offset := list(1, -2)
	require.EqualValues(t, 3, offset)
}

func BenchmarkProduceHandler(b *testing.B) {
	n := newDataNode(b)
	batch, r, ctx := dataBatch(b, false), &Request{}, context.Background()
	req := produceRequest(9, -1, "t", 0, batch)
	b.ReportAllocs()
	for b.Loop() {
		protocol.Batch(batch).SetBaseOffset(0)
		if resp, _ := n.produce(ctx, r, req); resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode != 0 {
			b.Fatal("refused")
		}
	}
}

func BenchmarkFetchHandler(b *testing.B) {
	n := newDataNode(b)
	n.produced(produceRequest(9, 1, "t", 0, dataBatch(b, false)))
	req, r, ctx := fetchRequest(0, 0), &Request{}, context.Background()
	b.ReportAllocs()
	for b.Loop() {
		resp, _ := n.fetch(ctx, r, req)
		resp.(*protocol.FetchResponse).Sources[0].Release()
	}
}
