//go:build kafka

package dumplog

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/brokerproc"
)

// TestKafkasToolFindsNothingWrongAfterKills kills our broker while transactions, their offsets, idempotent records in
// all codecs and keys of a compacted topic are written. Both tools look at what the kill left, before anything
// recovered it; the next broker recovers, and goes on with the same.
func TestKafkasToolFindsNothingWrongAfterKills(t *testing.T) {
	b, err := brokerproc.New(t.TempDir(), append([]string{"log.flush.offset.checkpoint.interval.ms=300"}, cleanerProperties...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Kill() })
	data := filepath.Join(b.Dir, "data")
	const kills = 2
	for life := range kills + 1 {
		require.NoError(t, b.Run())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if life == 0 {
			create(ctx, t, b.Addr, "plain", nil)
			create(ctx, t, b.Addr, "txn", nil)
			create(ctx, t, b.Addr, "short", map[string]string{"retention.bytes": "1000000", "file.delete.delay.ms": "0"})
			create(ctx, t, b.Addr, "compacted", map[string]string{
				"cleanup.policy": "compact", "delete.retention.ms": "200", "file.delete.delay.ms": "100", "min.cleanable.dirty.ratio": "0.01",
			})
			_, _ = loadKeys(ctx, t, b.Addr, "plain")
		}
		stop := underLoad(ctx, t, b.Addr, fmt.Sprint("once-", life)) // the members of a dead one are waited for
		time.Sleep(2 * time.Second)
		if life < kills {
			require.NoError(t, b.Kill())
		}
		written := stop()
		cancel()
		require.Greater(t, written["txn"], 20, "%v", written)
		require.NotZero(t, written["offsets"], "%v", written)
		require.Greater(t, written["compacted"], 200, "%v", written)
		if life == kills {
			require.NoError(t, b.Stop())
		}
		t.Logf("life %d: %v", life, written)
		switch life {
		case kills - 1: // a kill on what an earlier one left
			compareAll(t, data, byUsKilled)
		case kills:
			compareAll(t, data, byUs)
		}
	}
}

// pace is what a writer waits between its requests: Kafka's tool looks at a time index in quadratic time.
const pace = 20 * time.Millisecond

// loader writes to all topics of a broker that may die.
type loader struct {
	t       *testing.T
	addr    string
	ctx     context.Context
	end     context.CancelFunc
	writers sync.WaitGroup

	mu      sync.Mutex
	clients []*kgo.Client
	written map[string]int // acknowledged
}

// underLoad writes until stop is called, which says how many records were acknowledged.
func underLoad(ctx context.Context, t *testing.T, addr, group string) (stop func() map[string]int) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	l := &loader{t: t, addr: addr, ctx: ctx, end: cancel, written: map[string]int{}}
	for i, topic := range []string{"plain", "short", "compacted"} {
		var producers []*kgo.Client
		for _, codec := range codecs[i:] {
			producers = append(producers, l.client(kgo.ProducerBatchCompression(codec)))
		}
		l.writers.Go(func() { l.writeKeys(topic, producers) })
	}
	for i := range 2 {
		id := fmt.Sprint("dumplog-", i)
		cl := l.client(kgo.TransactionalID(id), kgo.TransactionTimeout(30*time.Second))
		l.writers.Go(func() { l.writeTransactions(cl, id) })
	}
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(addr), kgo.TransactionalID("once"), kgo.TransactionTimeout(30*time.Second),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics("plain"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(20_000), kgo.SessionTimeout(6*time.Second), kgo.RetryTimeout(2*time.Second))
	require.NoError(t, err)
	l.clients = append(l.clients, session.Client())
	l.writers.Go(func() { l.writeOffsets(session) })
	return l.stop
}

func (l *loader) client(opts ...kgo.Opt) *kgo.Client {
	cl := client(l.t, l.addr, append(opts, kgo.RetryTimeout(2*time.Second))...)
	l.clients = append(l.clients, cl)
	return cl
}

// stop closes the clients: a producer with a sequence does not give up what it sent for less.
func (l *loader) stop() map[string]int {
	l.end()
	var closing sync.WaitGroup
	for _, cl := range l.clients {
		closing.Go(cl.Close)
	}
	closing.Wait()
	l.writers.Wait()
	return l.written
}

func (l *loader) note(topic string, n int) {
	l.mu.Lock()
	l.written[topic] += n
	l.mu.Unlock()
}

func (l *loader) writeKeys(topic string, producers []*kgo.Client) {
	value := make([]byte, 2000)
	for i := 0; l.ctx.Err() == nil; i++ {
		records := make([]*kgo.Record, 30)
		for j := range records {
			value[j]++
			records[j] = &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "key %d", (i*30+j)%500), Value: append([]byte(nil), value...)}
			if j%7 == 0 {
				records[j].Value = nil
			}
		}
		if producers[i%len(producers)].ProduceSync(l.ctx, records...).FirstErr() == nil {
			l.note(topic, len(records))
		}
		time.Sleep(pace)
	}
}

func (l *loader) writeTransactions(cl *kgo.Client, id string) {
	for i := 0; l.ctx.Err() == nil; i++ {
		if cl.BeginTransaction() != nil {
			return
		}
		for _, topic := range []string{"txn", "compacted"} {
			if cl.ProduceSync(l.ctx, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "%s %d", id, i%9), Value: []byte(id)}).FirstErr() == nil {
				l.note(topic, 1)
			}
		}
		_ = cl.EndTransaction(l.ctx, kgo.TransactionEndTry(i%3 != 0)) // the kill may come before its answer
		time.Sleep(pace)
	}
}

// writeOffsets is a consumer with exactly-once: its offsets are in transactions.
func (l *loader) writeOffsets(session *kgo.GroupTransactSession) {
	for i := 0; l.ctx.Err() == nil; i++ {
		if session.PollRecords(l.ctx, 20).NumRecords() == 0 || session.Begin() != nil {
			continue
		}
		if session.ProduceSync(l.ctx, &kgo.Record{Topic: "txn", Value: []byte("once")}).FirstErr() != nil {
			return
		}
		if committed, err := session.End(l.ctx, kgo.TransactionEndTry(i%4 != 3)); err == nil && committed {
			l.note("offsets", 1)
		}
		time.Sleep(pace)
	}
}
