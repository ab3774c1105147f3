package metadata

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func ptr[T any](v T) *T { return &v }

func topicID(n int) UUID { return UUID{15: byte(n), 14: byte(n >> 8), 13: byte(n >> 16), 0: 1} }

// at is the position of a batch that ends at offset.
func at(offset int64) Position { return Position{Offset: offset, Epoch: 1, Timestamp: 1000 + offset} }

func mustApply(t testing.TB, from *Image, offset int64, records ...Record) (*Image, *Delta) {
	t.Helper()
	image, delta, err := Apply(from, records, at(offset))
	require.NoError(t, err)
	return image, delta
}

func newTopic(n int, name string) []Record {
	return []Record{
		&TopicRecord{Name: name, TopicID: topicID(n)},
		&ConfigRecord{ResourceType: ResourceTopic, ResourceName: name, Name: "retention.ms", Value: ptr("1000")},
		&PartitionRecord{TopicID: topicID(n), Replicas: []int32{1}, ISR: []int32{1}, Leader: 1, Directories: []UUID{{1}}},
	}
}

func TestApplyLeavesTheOldImageAsItWas(t *testing.T) {
	one, _ := mustApply(t, Empty("c"), 2, newTopic(1, "a.b")...)
	two, delta := mustApply(t, one, 5,
		&PartitionChangeRecord{TopicID: topicID(1), Leader: ptr(NoLeader), ISR: []int32{}},
		&ConfigRecord{ResourceType: ResourceTopic, ResourceName: "a.b", Name: "retention.ms", Value: ptr("2")},
		&RegisterBrokerRecord{BrokerID: 1, BrokerEpoch: 5, Fenced: true},
		&FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 33})
	three, gone := mustApply(t, two, 6, &RemoveTopicRecord{TopicID: topicID(1)})

	require.Equal(t, int32(1), one.TopicByName("a.b").Partitions[0].Leader)
	require.Equal(t, "1000", one.Configs(Resource{ResourceTopic, "a.b"})["retention.ms"])
	require.Nil(t, one.Broker(1))
	require.Empty(t, one.Features())

	p := two.TopicByID(topicID(1)).Partitions[0]
	require.Equal(t, NoLeader, p.Leader)
	require.Equal(t, []int32{1, 1}, []int32{p.LeaderEpoch, p.PartitionEpoch})
	require.Equal(t, "2", two.Configs(Resource{ResourceTopic, "a.b"})["retention.ms"])
	require.Contains(t, delta.Topics, topicID(1))
	require.Contains(t, delta.Configs, Resource{ResourceTopic, "a.b"})
	require.Contains(t, delta.Brokers, int32(1))
	require.True(t, delta.Features)
	name, found := two.Collision("a_b")
	require.True(t, found)
	require.Equal(t, "a.b", name)

	require.Nil(t, three.TopicByName("a.b"))
	require.Nil(t, three.Configs(Resource{ResourceTopic, "a.b"}))
	require.Same(t, two.TopicByID(topicID(1)), gone.DeletedTopics[topicID(1)])
	require.Contains(t, gone.Configs, Resource{ResourceTopic, "a.b"})
	_, found = three.Collision("a_b")
	require.False(t, found)
	require.Equal(t, int64(6), three.Offset)
}

func TestTopicMadeAndRemovedInOneBatchLeavesNoTrace(t *testing.T) {
	records := append(newTopic(1, "a"), &RemoveTopicRecord{TopicID: topicID(1)})
	image, delta := mustApply(t, Empty("c"), 4, records...)
	require.Zero(t, image.TopicCount())
	require.Empty(t, delta.Topics)
	require.Empty(t, delta.DeletedTopics)
}

func TestEveryRecordThatNamesALeaderStartsALeaderEpoch(t *testing.T) {
	image, _ := mustApply(t, Empty("c"), 2, newTopic(1, "a")...)
	image, _ = mustApply(t, image, 3, &PartitionChangeRecord{TopicID: topicID(1), Leader: ptr(int32(1))})
	image, _ = mustApply(t, image, 4, &PartitionChangeRecord{TopicID: topicID(1), ISR: []int32{1}})
	p := image.TopicByName("a").Partitions[0]
	require.Equal(t, int32(1), p.LeaderEpoch)
	require.Equal(t, int32(2), p.PartitionEpoch)
}

func TestRecordsThatContradictTheImageAreRefusedAndNamed(t *testing.T) {
	image, _ := mustApply(t, Empty("c"), 2, newTopic(1, "a")...)
	for name, rec := range map[string]Record{
		"there is no topic":   &RemoveTopicRecord{TopicID: topicID(9)},
		"exists with id":      &TopicRecord{Name: "a", TopicID: topicID(2)},
		"which has 1":         &PartitionChangeRecord{TopicID: topicID(1), PartitionID: 1},
		"of topic a":          &PartitionRecord{TopicID: topicID(1), PartitionID: 2},
		"is not registered":   &BrokerRegistrationChangeRecord{BrokerID: 7},
		"nothing to remove":   &RemoveAccessControlEntryRecord{ID: topicID(1)},
		"cannot stand here":   &EndTransactionRecord{},
		"there is no topic b": &ClearElrRecord{TopicName: "b"},
	} {
		_, _, err := Apply(image, []Record{&NoOpRecord{}, rec}, at(9))
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, fmt.Sprintf("record 1 (%T) of the batch that ends at offset 9", rec))
	}
}

func TestTransactionTakesEffectAtItsEnd(t *testing.T) {
	r := NewReplay(Empty("c"))
	image, delta, err := r.Batch([]Record{&NoOpRecord{}, &BeginTransactionRecord{}, newTopic(1, "a")[0]}, at(2))
	require.NoError(t, err)
	require.Nil(t, delta)
	require.Equal(t, int64(-1), image.Offset, "the image stays before the transaction")
	require.True(t, r.Open())

	_, _, err = r.Batch([]Record{&BeginTransactionRecord{}}, at(3))
	require.Error(t, err, "a transaction in a transaction")

	image, delta, err = r.Batch([]Record{newTopic(1, "a")[2], &EndTransactionRecord{}, newTopic(2, "b")[0]}, at(5))
	require.NoError(t, err)
	require.Len(t, delta.Topics, 2)
	require.Equal(t, int64(5), image.Offset)
	require.False(t, r.Open())
}

func TestAbortedTransactionDropsOnlyItsRecords(t *testing.T) {
	r := NewReplay(Empty("c"))
	_, _, err := r.Batch([]Record{newTopic(1, "kept")[0], &BeginTransactionRecord{}, newTopic(2, "dropped")[0]}, at(2))
	require.NoError(t, err)
	image, _, err := r.Batch([]Record{&AbortTransactionRecord{}, newTopic(3, "after")[0]}, at(4))
	require.NoError(t, err)
	require.NotNil(t, image.TopicByName("kept"))
	require.NotNil(t, image.TopicByName("after"))
	require.Nil(t, image.TopicByName("dropped"))
	_, _, err = r.Batch([]Record{&EndTransactionRecord{}}, at(5))
	require.Error(t, err)
}

// everyKind is a record of each kind that a snapshot keeps.
func everyKind() []Record {
	user := "u"
	records := []Record{
		&FeatureLevelRecord{Name: "group.version", FeatureLevel: 1},
		&FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 33},
		&RegisterControllerRecord{ControllerID: 1, EndPoints: []ControllerEndpoint{{Name: "CONTROLLER", Host: "h", Port: 9093}}},
		&RegisterBrokerRecord{
			BrokerID: 1, BrokerEpoch: 4, IncarnationID: UUID{3}, Rack: ptr("r"), Fenced: true, LogDirs: []UUID{{1}},
			EndPoints: []BrokerEndpoint{{Name: "PLAINTEXT", Host: "h", Port: 9092}},
			Features:  []BrokerFeature{{Name: "metadata.version", MinSupportedVersion: 7, MaxSupportedVersion: 33}},
		},
		&BrokerRegistrationChangeRecord{BrokerID: 1, BrokerEpoch: 4, Fenced: ChangeUnfence, CordonedLogDirs: []UUID{}},
		&ConfigRecord{ResourceType: ResourceBroker, Name: "min.insync.replicas", Value: ptr("1")},
		&ClientQuotaRecord{Entity: []QuotaEntity{{EntityType: "user", EntityName: &user}, {EntityType: "client-id"}}, QuotaKey: "consumer_byte_rate", Value: 5},
		&ProducerIdsRecord{BrokerID: 1, BrokerEpoch: 4, NextProducerID: 2000},
		&AccessControlEntryRecord{ID: UUID{9}, ResourceType: 2, ResourceName: "a", PatternType: 3, Principal: "User:x", Host: "*", Operation: 3, PermissionType: 3},
		&UserScramCredentialRecord{Name: "x", Mechanism: 1, Salt: []byte{1}, StoredKey: []byte{2}, ServerKey: []byte{3}, Iterations: 4096},
		&DelegationTokenRecord{Owner: "o", Requester: "q", Renewers: []string{"r"}, TokenID: "t"},
		&ZkMigrationStateRecord{ZkMigrationState: 1},
	}
	for n := range 3 {
		records = append(records, newTopic(n, fmt.Sprintf("t%d", n))...)
	}
	return append(records, &PartitionChangeRecord{
		TopicID: topicID(1), ISR: []int32{}, Leader: ptr(NoLeader), EligibleLeaderReplicas: []int32{1}, LastKnownELR: []int32{1},
	})
}

// encoded is a set of records as bytes, in no order.
func encoded(records []Record) map[string]int {
	out := map[string]int{}
	for _, r := range records {
		out[string(AppendRecord(nil, r, WriteVersion(r.Key())))]++
	}
	return out
}

func collect(i *Image) (out []Record) {
	for r := range i.Records() {
		out = append(out, r)
	}
	return out
}

func TestSnapshotOfAnImageMakesTheSameImage(t *testing.T) {
	image, _ := mustApply(t, Empty("c"), 30, everyKind()...)
	records := collect(image)
	require.Equal(t, "metadata.version", records[0].(*FeatureLevelRecord).Name, "it decides how the rest is read")

	decoded := make([]Record, len(records))
	for i, r := range records {
		var err error
		decoded[i], _, err = DecodeRecord(AppendRecord(nil, r, WriteVersion(r.Key())))
		require.NoError(t, err)
	}
	again, _ := mustApply(t, Empty("c"), 30, decoded...)
	require.Equal(t, encoded(records), encoded(collect(again)))
	require.False(t, again.Broker(1).Fenced)
	require.Equal(t, []int32{1}, again.TopicByName("t1").Partitions[0].ELR)
	require.Equal(t, int64(2000), again.NextProducerID)
	require.Len(t, records, 12-1+9, "one record of each kind but the registration change, and three topics")
}

func TestRemovingRecordsTakeKeptOnesAway(t *testing.T) {
	image, _ := mustApply(t, Empty("c"), 30, everyKind()...)
	user := "u"
	image, _ = mustApply(t, image, 31,
		&RemoveAccessControlEntryRecord{ID: UUID{9}},
		&RemoveUserScramCredentialRecord{Name: "x", Mechanism: 1},
		&RemoveDelegationTokenRecord{TokenID: "t"},
		&UnregisterControllerRecord{ControllerID: 1},
		&ClientQuotaRecord{Entity: []QuotaEntity{{EntityType: "client-id"}, {EntityType: "user", EntityName: &user}}, QuotaKey: "consumer_byte_rate", Remove: true},
		&UnregisterBrokerRecord{BrokerID: 1, BrokerEpoch: 4},
		&FeatureLevelRecord{Name: "group.version"})
	for r := range image.Records() {
		switch r.Key() {
		case KeyFeatureLevel, KeyTopic, KeyPartition, KeyConfig, KeyProducerIds, KeyZkMigrationState:
		default:
			require.Failf(t, "still there", "%T", r)
		}
	}
	require.Equal(t, map[string]int16{"metadata.version": 33}, image.Features())
}

func TestPublisherCallsSubscribersInOrderAfterTheImageIsThere(t *testing.T) {
	p := NewPublisher(Empty("c"))
	var calls []string
	subscribe := func(name string) {
		p.Subscribe(name, func(i *Image, d *Delta) {
			require.Same(t, i, p.Image())
			calls = append(calls, fmt.Sprintf("%s %d %d", name, i.Offset, len(d.Topics)))
		})
	}
	subscribe("first")
	image, delta := mustApply(t, p.Image(), 2, newTopic(1, "a")...)
	p.Publish(image, delta)
	subscribe("second")
	next, delta := mustApply(t, image, 5, newTopic(2, "b")...)
	p.Publish(next, delta)
	require.Equal(t, []string{"first -1 0", "first 2 1", "second 2 1", "first 5 1", "second 5 1"}, calls)
}

// TestOneChangeAmongTenThousandTopicsIsCheap is a guard against copying the whole image: with that, one
// change costs 10,000 times what it costs now.
func TestOneChangeAmongTenThousandTopicsIsCheap(t *testing.T) {
	image := Empty("c")
	before := memory()
	start := time.Now()
	const topics = 10_000
	for n := range topics {
		image, _ = mustApply(t, image, int64(n), newTopic(n, fmt.Sprintf("topic-%d", n))...)
	}
	t.Logf("%d topics one by one: %v, %d KiB", topics, time.Since(start), (memory()-before)/1024)
	require.Equal(t, topics, image.TopicCount())
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			mustApply(b, image, topics, newTopic(topics+i, "one-more")...)
		}
	})
	t.Logf("one more: %s %s", allocated, allocated.MemString())
	require.Less(t, allocated.AllocedBytesPerOp(), int64(200<<10))
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
