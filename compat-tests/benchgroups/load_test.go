//go:build kafka

package benchgroups

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	loadGroups = flag.Int("groups", 1000, "groups of the load tests")
	loadSize   = flag.Int("members", 10, "members of each")
	sharing    = flag.Int("sharing", 1, "consumer members of one connection, where ulimit -n is low")
	quiet      = flag.Duration("quiet", 30*time.Second, "how long the quiet groups are measured")
	onKafka    = flag.Bool("kafka", false, "the load tests run against Apache Kafka, to compare")
)

// loaded is a broker that may have a connection for each member.
func loaded(t *testing.T) *broker {
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if want := uint64(3 * *loadGroups * *loadSize / *sharing); limit.Cur < want {
		raised := syscall.Rlimit{Cur: want, Max: max(limit.Max, want)}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
			t.Logf("ulimit -n stays %d (%v): the broker keeps 8192 for segment files, and an eighth", limit.Cur, err)
		}
	}
	if *onKafka {
		return startKafka(t)
	}
	return startOurs(t)
}

// latencies collects how long answers took.
type latencies struct {
	mu   sync.Mutex
	took []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	l.took = append(l.took, d)
	l.mu.Unlock()
}

// quantiles sorts them and forgets them.
func (l *latencies) quantiles() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.took) == 0 {
		return "none"
	}
	slices.Sort(l.took)
	at := func(q float64) time.Duration {
		return l.took[min(int(q*float64(len(l.took))), len(l.took)-1)].Round(10 * time.Microsecond)
	}
	text := fmt.Sprintf("p50 %v, p99 %v, max %v", at(0.5), at(0.99), at(1))
	l.took = nil
	return text
}

// measure watches quiet groups, whose heartbeats are counted.
func measure(t *testing.T, b *broker, heartbeats func() int64, l *latencies) (cores float64) {
	l.quantiles()
	cpu, beats, began := b.cpu(t), heartbeats(), time.Now()
	time.Sleep(*quiet)
	took := time.Since(began).Seconds()
	cores = (b.cpu(t) - cpu).Seconds() / took
	n := heartbeats() - beats
	t.Logf("quiet: %.0f heartbeats/s, %.1f %% of a core (%.0f us each), %d MiB, heartbeat %s", float64(n)/took, 100*cores,
		1e6*cores*took/float64(max(n, 1)), b.memory(t), l.quantiles())
	return cores
}

// TestThousandsOfClassicMembers: they join at once, and are then quiet.
func TestThousandsOfClassicMembers(t *testing.T) {
	b := loaded(t)
	b.topic(t, "load", int32(*loadSize))
	base := b.memory(t)
	var heartbeats, synced, lost atomic.Int64
	var l latencies
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer running.Wait()
	defer stop()
	cpu, began := b.cpu(t), time.Now()
	for i := range *loadGroups * *loadSize {
		c, err := dial(b.addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() }) // after the members have ended
		m := &classicMember{conn: c, group: fmt.Sprintf("classic-%d", i%*loadGroups), topic: "load", heartbeats: &heartbeats, synced: &synced, lost: &lost, latency: l.add}
		running.Go(func() {
			if err := m.live(ctx); err != nil {
				t.Errorf("member of %s: %v", m.group, err)
			}
		})
	}
	require.Eventually(t, func() bool { return synced.Load() == int64(*loadGroups**loadSize) }, 3*time.Minute, 10*time.Millisecond)
	time.Sleep(2 * classicInterval) // the last to join may have begun one more rebalance
	require.Eventually(t, func() bool { return synced.Load() == int64(*loadGroups**loadSize) }, time.Minute, 10*time.Millisecond)
	t.Logf("%d classic members in %d groups have their assignments within %v, %v of CPU; memory %d MiB before, %d after",
		*loadGroups**loadSize, *loadGroups, time.Since(began).Round(time.Millisecond), b.cpu(t)-cpu, base, b.memory(t))
	profile(t, b)
	require.Less(t, measure(t, b, heartbeats.Load, &l), 0.6)
	require.Zero(t, lost.Load(), "members that were not known any more")
}

// TestThousandsOfConsumerMembers: the same by KIP-848.
func TestThousandsOfConsumerMembers(t *testing.T) {
	b := loaded(t)
	id := b.topic(t, "load", int32(*loadSize))
	base := b.memory(t)
	var l latencies
	groups := make([]*group, *loadGroups)
	for i := range groups {
		groups[i] = newGroup(b, fmt.Sprintf("consumer-%d", i), "load", id, *loadSize)
		groups[i].latency = l.add
	}
	var c *conn
	cpu, began := b.cpu(t), time.Now()
	for i := range *loadGroups * *loadSize {
		if i%*sharing == 0 {
			var err error
			c, err = dial(b.addr)
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
		}
		m := groups[i%*loadGroups].enter(fmt.Sprintf("member-%d", i), c)
		defer m.stop()
	}
	for _, g := range groups {
		_, err := g.awaitSettled(*loadSize, 3*time.Minute)
		require.NoError(t, err)
	}
	t.Logf("%d consumer members in %d groups are stable after %v, %v of CPU; memory %d MiB before, %d after",
		*loadGroups**loadSize, *loadGroups, time.Since(began).Round(time.Millisecond), b.cpu(t)-cpu, base, b.memory(t))
	beats := func() (n int64) {
		for _, g := range groups {
			n += g.heartbeats.Load()
		}
		return n
	}
	time.Sleep(5 * time.Second)
	profile(t, b)
	cores := measure(t, b, beats, &l)
	for _, g := range groups {
		_, err := g.settled(*loadSize)
		require.NoError(t, err)
	}
	require.Less(t, cores, 0.6)
}

// profile waits for who wants to look at the process: BENCH_HOLD is how long.
func profile(t *testing.T, b *broker) {
	if hold, err := time.ParseDuration(os.Getenv("BENCH_HOLD")); err == nil {
		t.Logf("pid %d at %s", b.pid, b.addr)
		time.Sleep(hold)
	}
}
