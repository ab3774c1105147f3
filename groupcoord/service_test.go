package groupcoord

import (
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/coordinator"
	"minikafka/internal/clock"
	"minikafka/metadata"
)

// world is a service over partitions in memory, with the leaders that a test sets.
type world struct {
	s    *Service
	logs []*coordinator.MemLog
	ids  int
}

func newWorld(t *testing.T, properties map[string]string) *world {
	t.Helper()
	w := &world{logs: []*coordinator.MemLog{{}, {}, {}, {}}}
	if properties == nil {
		properties = map[string]string{}
	}
	properties["group.initial.rebalance.delay.ms"] = "0"
	w.s = NewService(ServiceOptions{
		NodeID: 1, Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler), Config: config.New(properties),
		OpenLog:     func(p int32) coordinator.Log { return w.logs[p] },
		NewMemberID: func() string { w.ids++; return "id" },
	})
	t.Cleanup(w.s.Close)
	return w
}

// lead makes node 1 the leader of these partitions, node 2 of the others.
func (w *world) lead(mine ...int32) {
	topic := &metadata.Topic{ID: metadata.UUID{1}, Name: Topic, Partitions: make([]metadata.Partition, len(w.logs))}
	for i := range topic.Partitions {
		topic.Partitions[i].Leader = 2
	}
	for _, p := range mine {
		topic.Partitions[p].Leader = 1
	}
	w.s.Apply(metadata.Empty(""), &metadata.Delta{Topics: map[metadata.UUID]*metadata.Topic{topic.ID: topic}})
}

func (w *world) commit(t *testing.T, group, topic string, at int64) *kerr.Error {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: at}}}}
	resp, e := Wait[*kmsg.OffsetCommitResponse](t.Context(), w.s.OffsetCommit(req))
	if e == nil {
		require.Zero(t, resp.Topics[0].Partitions[0].ErrorCode)
	}
	return e
}

func (w *world) fetch(t *testing.T, group, topic string) (int64, *kerr.Error) {
	t.Helper()
	f := Fetch{Group: group, Topics: []FetchTopic{{Topic: topic, Partitions: []int32{0}}}}
	resp, e := Wait[*kmsg.OffsetFetchResponseGroup](t.Context(), w.s.OffsetFetch(f))
	if e != nil {
		return 0, e
	}
	return resp.Topics[0].Partitions[0].Offset, nil
}

// groupIn is a name whose coordinator is a partition.
func (w *world) groupIn(partition int32) string {
	for i := 0; ; i++ {
		if name := "g" + strconv.Itoa(i); w.s.PartitionFor(name) == partition {
			return name
		}
	}
}

func TestOnlyTheLeaderCoordinates(t *testing.T) {
	w := newWorld(t, nil)
	w.lead(0, 2)
	require.Nil(t, w.commit(t, w.groupIn(0), "t", 5))
	require.Equal(t, kerr.NotCoordinator, w.commit(t, w.groupIn(1), "t", 5))
	_, e := w.fetch(t, w.groupIn(3), "t")
	require.Equal(t, kerr.NotCoordinator, e)
	require.Len(t, w.s.List(nil, nil), 2)
}

func TestGroupsComeBackWithLeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.lead(0, 1)
		group := w.groupIn(0)
		require.Nil(t, w.commit(t, group, "t", 5))
		w.lead(1)
		require.Equal(t, kerr.NotCoordinator, w.commit(t, group, "t", 6))
		w.lead(0, 1)
		synctest.Wait()
		at, e := w.fetch(t, group, "t")
		require.Nil(t, e)
		require.EqualValues(t, 5, at)
		w.s.Close()
	})
}

func TestParkedJoinIsAnsweredWhenLeadershipGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]string{})
		w.lead(0)
		group := w.groupIn(0)
		join := func(id string) *Call {
			req := kmsg.NewPtrJoinGroupRequest()
			req.Group, req.MemberID, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = group, id, "consumer", 6000, 60000
			req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
			return w.s.JoinGroup(Client{}, req)
		}
		first, e := Wait[*kmsg.JoinGroupResponse](t.Context(), join(""))
		require.Nil(t, e)
		require.EqualValues(t, 1, first.Generation)
		second := join("")
		synctest.Wait()
		_, _, ready := second.Ready()
		require.False(t, ready, "it waits for the first to rejoin")
		w.lead()
		_, e = Wait[*kmsg.JoinGroupResponse](t.Context(), second)
		require.Equal(t, kerr.NotCoordinator, e)
	})
}

func TestOffsetsOfDeletedTopicsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.lead(0, 1, 2, 3)
		for p := range int32(4) {
			require.Nil(t, w.commit(t, w.groupIn(p), "t", 5))
			require.Nil(t, w.commit(t, w.groupIn(p), "u", 6))
		}
		deleted := &metadata.Topic{ID: metadata.UUID{9}, Name: "t"}
		w.s.Apply(metadata.Empty(""), &metadata.Delta{DeletedTopics: map[metadata.UUID]*metadata.Topic{deleted.ID: deleted}})
		synctest.Wait()
		for p := range int32(4) {
			at, e := w.fetch(t, w.groupIn(p), "t")
			require.Nil(t, e)
			require.EqualValues(t, -1, at)
			at, e = w.fetch(t, w.groupIn(p), "u")
			require.Nil(t, e)
			require.EqualValues(t, 6, at)
		}
		w.s.Close()
	})
}

func TestTooFewReplicasRefuseWritesOnly(t *testing.T) {
	w := newWorld(t, nil)
	w.lead(0)
	group := w.groupIn(0)
	require.Nil(t, w.commit(t, group, "t", 5))
	w.logs[0].RefuseWrites(coordinator.ErrUnavailable)
	require.Equal(t, kerr.CoordinatorNotAvailable, w.commit(t, group, "t", 6))
	at, e := w.fetch(t, group, "t")
	require.Nil(t, e)
	require.EqualValues(t, 5, at)
}

func TestClosedServiceStaysClosed(t *testing.T) {
	w := newWorld(t, nil)
	w.lead(0)
	w.s.Close()
	w.lead(0)
	require.Equal(t, kerr.NotCoordinator, w.commit(t, w.groupIn(0), "t", 5))
}
