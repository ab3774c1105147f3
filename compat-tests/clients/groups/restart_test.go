package groups

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/brokerproc"
)

// TestCommittedOffsetsSurviveKills commits rising offsets in four groups while the broker is killed and restarted:
// what was acknowledged is there, and nothing goes back.
func TestCommittedOffsetsSurviveKills(t *testing.T) {
	b := brokerproc.Start(t)
	topic, cl := topicFor(t, b.Addr)
	adm := kadm.NewClient(cl)
	const groups = 4
	var acknowledged, attempted [groups]atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for g := range groups {
		writers.Go(func() {
			for at := int64(1); ctx.Err() == nil; at++ {
				attempted[g].Store(at)
				var offsets kadm.Offsets
				for p := range int32(4) {
					offsets.AddOffset(topic, p, at, 0)
				}
				limited, done := context.WithTimeout(ctx, 20*time.Second)
				resp, err := adm.CommitOffsets(limited, fmt.Sprintf("kill-%d", g), offsets)
				done()
				if err == nil && resp.Error() == nil {
					acknowledged[g].Store(at)
				}
			}
		})
	}
	for range 6 {
		time.Sleep(400 * time.Millisecond)
		require.NoError(t, b.Kill())
		var before [groups]int64
		for g := range groups {
			before[g] = acknowledged[g].Load()
		}
		require.NoError(t, b.Run())
		for g := range groups {
			requireAtLeast(t, adm, topic, fmt.Sprintf("kill-%d", g), before[g], &attempted[g])
		}
	}
	cancel()
	writers.Wait()
	require.NoError(t, b.Stop())
	require.NoError(t, b.Run())
	for g := range groups {
		require.Greater(t, acknowledged[g].Load(), int64(20))
		t.Logf("group %d: %d commits", g, acknowledged[g].Load())
		requireAtLeast(t, adm, topic, fmt.Sprintf("kill-%d", g), acknowledged[g].Load(), &attempted[g])
	}
}

func requireAtLeast(t *testing.T, adm *kadm.Client, topic, group string, least int64, attempted *atomic.Int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	offsets, err := adm.FetchOffsets(ctx, group)
	for err != nil && ctx.Err() == nil { // a connection of before the restart
		offsets, err = adm.FetchOffsets(ctx, group)
	}
	require.NoError(t, err)
	for p := range int32(4) {
		at, ok := offsets.Lookup(topic, p)
		require.True(t, ok)
		require.GreaterOrEqual(t, at.At, least, "partition %d of %s went back", p, group)
		require.LessOrEqual(t, at.At, attempted.Load())
	}
}

// TestMembersGoOnAfterAKill: members keep their place over a restart of the broker, and no error reaches the
// application.
func TestMembersGoOnAfterAKill(t *testing.T) {
	t.Run("classic", func(t *testing.T) { membersGoOn(t, franz(kgo.Balancers(kgo.RangeBalancer()))) })
	t.Run("consumer", func(t *testing.T) { membersGoOn(t, consumerProtocol()) })
}

func membersGoOn(t *testing.T, join func(t *testing.T, addr, topic, group, name string, l *ledger) member) {
	t.Helper()
	b := brokerproc.Start(t)
	topic, cl := topicFor(t, b.Addr)
	group, l := topic+"-group", newLedger()
	join(t, b.Addr, topic, group, "a", l)
	join(t, b.Addr, topic, group, "c", l)
	total := 0
	for range 3 {
		produce(t, cl, topic, 600)
		total += 600
		require.Eventually(t, func() bool { return l.distinct() == total }, within, 20*time.Millisecond)
		require.NoError(t, b.Kill())
		require.NoError(t, b.Run())
	}
	produce(t, cl, topic, 600)
	require.Eventually(t, func() bool { return l.distinct() == total+600 }, within, 20*time.Millisecond)
	require.Empty(t, l.again())
	requireCommitted(t, cl, topic, group)
}

// TestFirstRecordOfAFreshGroup measures from the client's start to its first record, with delay 0.
func TestFirstRecordOfAFreshGroup(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	topic, cl := topicFor(t, addr)
	produce(t, cl, topic, partitions)
	const runs = 20
	times := make([]time.Duration, 0, runs)
	for i := range runs {
		began := time.Now()
		c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumerGroup(fmt.Sprintf("%s-%d", topic, i)), kgo.ConsumeTopics(topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), within)
		fetches := c.PollFetches(ctx)
		cancel()
		require.NoError(t, fetches.Err())
		require.NotZero(t, fetches.NumRecords())
		times = append(times, time.Since(began))
		c.Close()
	}
	t.Logf("first: %v; others: %s", times[0], spread(times[1:]))
}
