// Package groups drives consumer groups with real clients: members join, one is killed, one leaves, and every
// record is processed once, where "processed" means that the broker took its commit.
package groups

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/clients/sample"
)

const (
	partitions = 6
	within     = 90 * time.Second
	// sessionTimeout is the shortest that a broker takes by default.
	sessionTimeout = 6 * time.Second
)

// line dials, until it is cut: then everything it dialled is closed and nothing can be dialled any more. It is how
// a member dies without a word.
type line struct {
	mu    sync.Mutex
	conns []net.Conn
	dead  bool
}

func (l *line) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	l.conns = append(l.conns, conn)
	return conn, nil
}

// Dial is for sarama.
func (l *line) Dial(network, addr string) (net.Conn, error) {
	return l.DialContext(context.Background(), network, addr)
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// ledger counts how often each record was processed.
type ledger struct {
	mu    sync.Mutex
	times map[string]int
	by    map[string]int // records by member
}

func newLedger() *ledger { return &ledger{times: map[string]int{}, by: map[string]int{}} }

func (l *ledger) processed(member string, partition int32, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times[fmt.Sprintf("%d/%d", partition, offset)]++
	l.by[member]++
}

func (l *ledger) distinct() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.times)
}

func (l *ledger) of(member string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.by[member]
}

// again are the records that were processed more than once.
func (l *ledger) again() (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for r, n := range l.times {
		if n > 1 {
			list = append(list, fmt.Sprintf("%s %d times", r, n))
		}
	}
	return list
}

// A member of the group under test. leave ends it in good order, kill without a word.
type member struct{ leave, kill func() }

// topicFor makes a topic of this test and waits until it can be produced to.
func topicFor(t *testing.T, addr string) (string, *kgo.Client) {
	t.Helper()
	topic := sample.Topic(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, err = kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, topic)
	require.NoError(t, err)
	return topic, cl
}

// produce writes n records and waits for them.
func produce(t *testing.T, cl *kgo.Client, topic string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%d", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	require.NoError(t, cl.Flush(ctx))
}

// story is what a group goes through with any client: three members join, one is killed, one leaves, and records
// keep coming. exact says that the client tells which commits succeeded; without it a record may be processed
// again whose commit was lost with its member.
func story(t *testing.T, addr string, exact bool, join func(t *testing.T, addr, topic, group, name string, l *ledger) member) {
	t.Helper()
	topic, cl := topicFor(t, addr)
	group, l := topic+"-group", newLedger()
	total := 0
	phase := func(what string, n int, done func() bool) {
		t.Helper()
		began := time.Now()
		produce(t, cl, topic, n)
		total += n
		require.Eventually(t, func() bool { return l.distinct() == total && done() }, within, 20*time.Millisecond, what)
		t.Logf("%s: %d records in %v %v", what, n, time.Since(began).Round(time.Millisecond), l.by)
	}
	a := join(t, addr, topic, group, "a", l)
	phase("one member", 600, func() bool { return true })
	b, c := join(t, addr, topic, group, "b", l), join(t, addr, topic, group, "c", l)
	busy := func(names ...string) func() bool {
		have := map[string]int{}
		for _, n := range names {
			have[n] = l.of(n)
		}
		return func() bool {
			for n, before := range have {
				if l.of(n) == before {
					produce(t, cl, topic, partitions*10) // the next assignment's
					total += partitions * 10
					return false
				}
			}
			return true
		}
	}
	phase("three members", 3000, busy("a", "b", "c"))
	b.kill()
	phase("one was killed", 3000, busy("a", "c"))
	a.leave()
	phase("one left", 1200, busy("c"))
	again := l.again()
	if exact {
		require.Empty(t, again, "processed more than once")
	}
	t.Logf("processed again: %d of %d", len(again), total)
	requireCommitted(t, cl, topic, group)
	c.leave()
}

// requireCommitted: the group has committed the end of every partition.
func requireCommitted(t *testing.T, cl *kgo.Client, topic, group string) {
	t.Helper()
	adm := kadm.NewClient(cl)
	require.Eventually(t, func() bool {
		ends, err1 := adm.ListEndOffsets(t.Context(), topic)
		committed, err2 := adm.FetchOffsets(t.Context(), group)
		if err1 != nil || err2 != nil { // a connection of before a restart
			return false
		}
		for p := range int32(partitions) {
			end, ok := ends.Lookup(topic, p)
			at, have := committed.Lookup(topic, p)
			if !ok || !have || at.At != end.Offset {
				return false
			}
		}
		return true
	}, within, 50*time.Millisecond, "committed offsets are not the end")
}
