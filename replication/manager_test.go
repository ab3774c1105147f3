package replication

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/config"
	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/logstore"
	"minikafka/metadata"
	"minikafka/protocol"
)

// node is a manager over a store in memory, fed by a replay of metadata records.
type node struct {
	t     testing.TB
	fs    *vfs.Mem
	store *logstore.Store
	*Manager
	replay *metadata.Replay
	offset int64
	values *config.Values
}

func newNode(t testing.TB) *node {
	t.Helper()
	values, err := config.Static(config.Dev("/d"))
	require.NoError(t, err)
	n := &node{t: t, fs: vfs.NewMem(), replay: metadata.NewReplay(metadata.Empty("c")), values: values}
	n.start()
	t.Cleanup(func() { _ = n.store.Close(-1) })
	return n
}

// start opens the store, as after a restart.
func (n *node) start() {
	store, err := logstore.Open(context.Background(), logstore.Options{
		FS: n.fs, Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler), Dirs: []string{"/d"}, NodeID: 1,
	})
	require.NoError(n.t, err)
	n.store = store
	n.Manager = NewManager(Options{
		Store: store, NodeID: 1, Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler),
		Config: func() *config.Values { return n.values },
	})
}

// apply commits records and shows the change to the manager.
func (n *node) apply(records ...metadata.Record) {
	n.t.Helper()
	n.offset += int64(len(records))
	image, delta, err := n.replay.Batch(records, metadata.Position{Offset: n.offset, Epoch: 1})
	require.NoError(n.t, err)
	n.Apply(image, delta)
}

func topicRecords(name string, id byte, partitions int, leader int32) []metadata.Record {
	records := []metadata.Record{&metadata.TopicRecord{Name: name, TopicID: metadata.UUID{id}}}
	for i := range partitions {
		records = append(records, &metadata.PartitionRecord{
			PartitionID: int32(i), TopicID: metadata.UUID{id}, Replicas: []int32{leader}, ISR: []int32{leader},
			Leader: leader, Directories: []metadata.UUID{{1}},
		})
	}
	return records
}

func testBatch(t testing.TB, n int) []byte {
	t.Helper()
	var b protocol.Builder
	b.Reset(protocol.NoProducer())
	for range n {
		b.Append(time.Now().UnixMilli(), []byte("key"), []byte("value"), nil)
	}
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	return out
}

func mustAppend(t testing.TB, p *Partition, n int) AppendResult {
	t.Helper()
	r, err := p.Append(AppendRequest{Batch: testBatch(t, n), Acks: -1, ProduceVersion: 9})
	require.NoError(t, err)
	return r
}

func TestAppliedPartitionIsUsableAtOnce(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("t", 7, 2, 1)...)
	p := n.Partition("t", 1)
	require.NotNil(t, p)
	require.Nil(t, n.Partition("t", 2))
	require.Nil(t, n.Partition("t", -1))
	require.Nil(t, n.Partition("u", 0))
	require.Equal(t, metadata.UUID{7}, metadata.UUID(p.Log().TopicID()))
	r := mustAppend(t, p, 3)
	require.EqualValues(t, 0, r.FirstOffset)
	require.EqualValues(t, 2, r.LastOffset)
	done, err := p.Committed(r.LastOffset, r.LeaderEpoch)
	require.True(t, done)
	require.NoError(t, err)
	start, hw, lso, end := p.Offsets()
	require.Equal(t, []int64{0, 3, 3, 3}, []int64{start, hw, lso, end})
	read, err := p.Read(ReadRequest{MaxBytes: 1 << 20, CurrentLeaderEpoch: 0, LastFetchedEpoch: -1})
	require.NoError(t, err)
	defer read.Records.Release()
	require.Nil(t, read.Aborted)
	b, err := read.Records.AppendTo(nil)
	require.NoError(t, err)
	batch, _, err := protocol.NextBatch(b)
	require.NoError(t, err)
	require.EqualValues(t, 3, batch.Count())
}

func TestEpochIsCheckedBeforeLeadership(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("t", 7, 1, 1)...)
	p := n.Partition("t", 0)
	n.apply(&metadata.PartitionChangeRecord{PartitionID: 0, TopicID: metadata.UUID{7}, Leader: ptr(int32(-1))})
	require.ErrorIs(t, p.CheckEpoch(0), ErrFencedLeaderEpoch)
	require.ErrorIs(t, p.CheckEpoch(2), ErrUnknownLeaderEpoch)
	require.ErrorIs(t, p.CheckEpoch(1), ErrNotLeader)
	require.ErrorIs(t, p.CheckEpoch(-1), ErrNotLeader)
	_, err := p.Append(AppendRequest{Batch: testBatch(t, 1), Acks: 1, ProduceVersion: 9})
	require.ErrorIs(t, err, ErrNotLeader)
	n.apply(&metadata.PartitionChangeRecord{PartitionID: 0, TopicID: metadata.UUID{7}, Leader: ptr(int32(1))})
	require.NoError(t, p.CheckEpoch(2))
	require.EqualValues(t, 2, p.Log().LatestEpoch(), "a term begins in the log, even without records")
}

func ptr[T any](v T) *T { return &v }

func TestDeletedTopicEndsItsWaitersAndFreesItsName(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("t", 7, 1, 1)...)
	old := n.Partition("t", 0)
	mustAppend(t, old, 5)
	ended := make(chan error)
	go func() { ended <- old.AwaitCommit(t.Context(), 99, 0) }()
	n.apply(&metadata.RemoveTopicRecord{TopicID: metadata.UUID{7}})
	require.ErrorIs(t, <-ended, ErrUnknownPartition)
	require.Nil(t, n.Partition("t", 0))
	n.apply(topicRecords("t", 8, 1, 1)...)
	_, hw, _, end := n.Partition("t", 0).Offsets()
	require.Equal(t, []int64{0, 0}, []int64{hw, end})
	_, err := old.Read(ReadRequest{MaxBytes: 1, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1})
	require.ErrorIs(t, err, ErrUnknownPartition)
}

func TestTopicMadeAgainWithinOneDeltaIsEmpty(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("t", 7, 1, 1)...)
	mustAppend(t, n.Partition("t", 0), 5)
	n.apply(append([]metadata.Record{&metadata.RemoveTopicRecord{TopicID: metadata.UUID{7}}}, topicRecords("t", 8, 1, 1)...)...)
	p := n.Partition("t", 0)
	require.Equal(t, metadata.UUID{8}, p.TopicID())
	require.Zero(t, p.Log().LogEndOffset())
}

func TestRestartKeepsRecordsAndMarksStrayWhatIsNotOurs(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("kept", 7, 1, 1)...)
	n.apply(topicRecords("gone", 8, 1, 1)...)
	n.apply(topicRecords("again", 9, 1, 1)...)
	for _, name := range []string{"kept", "gone", "again"} {
		mustAppend(t, n.Partition(name, 0), 5)
	}
	require.NoError(t, n.store.Close(1))
	n.replay = metadata.NewReplay(metadata.Empty("c"))
	n.start()
	n.apply(append(topicRecords("kept", 7, 1, 1), topicRecords("again", 10, 1, 1)...)...)
	_, hw, _, _ := n.Partition("kept", 0).Offsets()
	require.EqualValues(t, 5, hw)
	_, hw, _, _ = n.Partition("again", 0).Offsets()
	require.Zero(t, hw)
	require.Nil(t, n.store.Log(logstore.TopicPartition{Topic: "gone"}))
}

func TestConfigChangesReachLogsAndValidation(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("t", 7, 1, 1)...)
	p := n.Partition("t", 0)
	set := func(kind int8, resource, name, value string) {
		n.apply(&metadata.ConfigRecord{ResourceType: kind, ResourceName: resource, Name: name, Value: &value})
	}
	set(metadata.ResourceTopic, "t", "max.message.bytes", "70")
	_, err := p.Append(AppendRequest{Batch: testBatch(t, 1), Acks: 1, ProduceVersion: 9})
	require.ErrorIs(t, err, protocol.ErrTooLarge)
	set(metadata.ResourceTopic, "t", "max.message.bytes", "7000")
	mustAppend(t, p, 1)

	n.values = n.values.WithDynamic(nil, map[string]string{"log.cleanup.policy": "compact"})
	set(metadata.ResourceBroker, "", "log.cleanup.policy", "compact")
	_, err = p.DeleteRecords(context.Background(), -1)
	require.ErrorIs(t, err, ErrPolicyViolation)
	set(metadata.ResourceTopic, "t", "cleanup.policy", "compact,delete")
	low, err := p.DeleteRecords(context.Background(), -1)
	require.NoError(t, err)
	require.EqualValues(t, 1, low)
	_, err = p.DeleteRecords(context.Background(), 2)
	require.ErrorIs(t, err, logstore.ErrOffsetOutOfRange)
	low, err = p.DeleteRecords(context.Background(), 0)
	require.NoError(t, err)
	require.EqualValues(t, 1, low)
}

func TestHighWatermarkWaitsForFollowers(t *testing.T) {
	n := newNode(t)
	n.apply(&metadata.TopicRecord{Name: "t", TopicID: metadata.UUID{7}},
		&metadata.PartitionRecord{TopicID: metadata.UUID{7}, Replicas: []int32{1, 2}, ISR: []int32{1, 2}, Leader: 1, Directories: []metadata.UUID{{1}, {1}}})
	p := n.Partition("t", 0)
	r := mustAppend(t, p, 2)
	done, _ := p.Committed(r.LastOffset, r.LeaderEpoch)
	require.False(t, done)
	read, err := p.Read(ReadRequest{MaxBytes: 1 << 20, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1})
	require.NoError(t, err)
	require.Nil(t, read.Records)
	committed := make(chan error)
	go func() { committed <- p.AwaitCommit(t.Context(), r.LastOffset, r.LeaderEpoch) }()
	n.apply(&metadata.PartitionChangeRecord{TopicID: metadata.UUID{7}, ISR: []int32{1}})
	require.NoError(t, <-committed)

	set := "2"
	n.apply(&metadata.ConfigRecord{ResourceType: metadata.ResourceTopic, ResourceName: "t", Name: "min.insync.replicas", Value: &set})
	_, err = p.Append(AppendRequest{Batch: testBatch(t, 1), Acks: -1, ProduceVersion: 9})
	require.ErrorIs(t, err, ErrNotEnoughReplicas)
	_, err = p.Append(AppendRequest{Batch: testBatch(t, 1), Acks: 1, ProduceVersion: 9})
	require.NoError(t, err)
	_, hw, _, end := p.Offsets()
	require.Equal(t, []int64{2, 3}, []int64{hw, end})
}

func TestDivergence(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("t", 7, 1, 1)...)
	p := n.Partition("t", 0)
	mustAppend(t, p, 4)
	for range 2 { // epoch 2 begins at 4
		n.apply(&metadata.PartitionChangeRecord{TopicID: metadata.UUID{7}, Leader: ptr(int32(1))})
	}
	mustAppend(t, p, 4)
	ask := func(offset int64, epoch int32) (int32, int64, error) {
		r, err := p.Read(ReadRequest{Offset: offset, MaxBytes: 1 << 20, CurrentLeaderEpoch: -1, LastFetchedEpoch: epoch})
		if r.Records != nil {
			r.Records.Release()
		}
		return r.DivergingEpoch, r.DivergingEndOffset, err
	}
	epoch, end, err := ask(6, 0)
	require.NoError(t, err)
	require.Equal(t, []int64{0, 4}, []int64{int64(epoch), end})
	epoch, _, err = ask(4, 0)
	require.NoError(t, err)
	require.EqualValues(t, -1, epoch)
	_, _, err = ask(6, 3)
	require.ErrorIs(t, err, logstore.ErrOffsetOutOfRange)
}

func TestNoWakeUpIsLost(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("t", 7, 1, 1)...)
	p := n.Partition("t", 0)
	const writers, each = 4, 200
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if _, err := p.Append(AppendRequest{Batch: testBatch(t, 1), Acks: 1, ProduceVersion: 9}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 3 {
		wg.Go(func() {
			for offset := range int64(writers * each) {
				if err := p.AwaitCommit(ctx, offset, 0); err != nil {
					t.Error(offset, err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, p.watchers.count.Load())
	require.EqualValues(t, writers*each, p.highWatermark.Load())
}

func TestAppendWithoutWaitersDoesNotAllocate(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("t", 7, 1, 1)...)
	p := n.Partition("t", 0)
	hw := int64(0)
	require.Zero(t, testing.AllocsPerRun(100, func() { hw++; p.publish(hw) }))
}
