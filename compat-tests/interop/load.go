//go:build kafka

package interop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var codecs = []kgo.CompressionCodec{
	kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
}

func (n *node) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(n.t.Context(), 90*time.Second) // two Kafkas and two of ours may run on two processors
}

// create makes a topic; configs are key, value, …
func (n *node) create(name string, partitions int32, configs ...string) {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	set := map[string]*string{}
	for i := 0; i < len(configs); i += 2 {
		set[configs[i]] = &configs[i+1]
	}
	adm := kadm.NewClient(n.client())
	resp, err := adm.CreateTopic(ctx, partitions, 1, set, name)
	require.NoError(n.t, err)
	require.NoError(n.t, resp.Err, resp.ErrMessage)
	n.awaitLeaders(ctx, adm)
}

func (n *node) delete(name string) {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	_, err := kadm.NewClient(n.client()).DeleteTopic(ctx, name)
	require.NoError(n.t, err)
}

func (n *node) alter(topic, name, value string) {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	_, err := kadm.NewClient(n.client()).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic)
	require.NoError(n.t, err)
}

// ledger is what was acknowledged: it must be in every later view.
type ledger struct {
	mu    sync.Mutex
	acked map[string]map[int32]map[int64][2]string // topic, partition, offset: key and value
}

func (l *ledger) add(r *kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.acked == nil {
		l.acked = map[string]map[int32]map[int64][2]string{}
	}
	if l.acked[r.Topic] == nil {
		l.acked[r.Topic] = map[int32]map[int64][2]string{}
	}
	if l.acked[r.Topic][r.Partition] == nil {
		l.acked[r.Topic][r.Partition] = map[int64][2]string{}
	}
	l.acked[r.Topic][r.Partition][r.Offset] = [2]string{text(r.Key), text(r.Value)}
}

func (l *ledger) count() (records int) {
	for _, partitions := range l.acked {
		for _, offsets := range partitions {
			records += len(offsets)
		}
	}
	return records
}

func (l *ledger) requireIn(n *node, v *view) {
	n.t.Helper()
	for topic, partitions := range l.acked {
		for p, offsets := range partitions {
			found := 0
			for _, r := range v.topics[topic].partitions[p].records {
				if want, ok := offsets[r.offset]; ok {
					found++
					require.Equal(n.t, want, [2]string{r.key, r.value}, "%s-%d, offset %d", topic, p, r.offset)
				}
			}
			require.Equal(n.t, len(offsets), found, "acknowledged records of %s-%d", topic, p)
		}
	}
}

// produce writes records in all codecs to every partition of a topic: keys, headers, nulls, and size bytes of noise
// altogether, by idempotent producers and one that is not.
func (n *node) produce(l *ledger, topic string, partitions int32, size int, opts ...kgo.Opt) {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	share := size / len(codecs) / int(partitions)
	for i, codec := range codecs {
		o := append([]kgo.Opt{
			kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec),
			kgo.ProducerLinger(5 * time.Millisecond), kgo.ProducerBatchMaxBytes(64 << 10),
		}, opts...)
		if i == 0 {
			o = append(o, kgo.DisableIdempotentWrite())
		}
		cl := n.client(o...)
		records := n.records(topic, partitions, share)
		require.NoError(n.t, cl.ProduceSync(ctx, records...).FirstErr())
		for _, r := range records {
			l.add(r)
		}
		cl.Close()
	}
}

func (n *node) records(topic string, partitions int32, noise int) []*kgo.Record {
	var out []*kgo.Record
	now := time.Now().Truncate(time.Millisecond)
	for p := range partitions {
		for i := range 12 {
			r := &kgo.Record{
				Topic: topic, Partition: p, Key: fmt.Appendf(nil, "k%d", i%5), Value: fmt.Appendf(nil, "%s %d %s", n.running, i, strings.Repeat("x", i*9)),
				Timestamp: now.Add(time.Duration(i*7%5) * time.Second),
			}
			switch i % 6 {
			case 1:
				r.Headers = []kgo.RecordHeader{{Key: "a", Value: []byte{0, 255}}, {Key: "a", Value: nil}, {Key: "ü", Value: []byte{}}}
			case 2:
				r.Value = []byte{}
			case 3:
				r.Value = nil
			}
			out = append(out, r)
		}
		for at := 0; at < noise; at += 16 << 10 {
			value := make([]byte, min(16<<10, noise-at))
			for i := range value {
				value[i] = byte(rand.Uint32())
			}
			out = append(out, &kgo.Record{Topic: topic, Partition: p, Key: []byte("noise"), Value: value, Timestamp: now.Add(time.Second)})
		}
	}
	return out
}

// transaction writes through a transactional producer and ends as told: a TransactionEndTry, or left open.
func (n *node) transaction(topic, id string, end *kgo.TransactionEndTry) *kgo.Client {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	cl := n.client(kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionTimeout(10*time.Minute))
	require.NoError(n.t, cl.BeginTransaction())
	require.NoError(n.t, cl.ProduceSync(ctx, n.records(topic, 2, 0)...).FirstErr())
	if end != nil {
		require.NoError(n.t, cl.EndTransaction(ctx, *end))
	}
	return cl
}

// openTransaction is one that nobody has ended: a record of each of two partitions, whose value is its id, and an offset of a group.
type openTransaction struct {
	cl               *kgo.Client
	id, topic, group string
	offset           int64
	commit           kgo.TransactionEndTry // how it will end
}

func (n *node) leaveOpen(topic, id string, commit bool) *openTransaction {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	o := &openTransaction{id: id, topic: topic, group: "in-transactions", offset: rand.Int64N(1 << 40), commit: kgo.TransactionEndTry(commit)}
	o.cl = n.client(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(10*time.Minute))
	require.NoError(n.t, o.cl.BeginTransaction())
	for p := range int32(2) {
		require.NoError(n.t, o.cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: p, Value: []byte(id)}).FirstErr())
	}
	topics, err := kadm.NewClient(o.cl).ListTopics(ctx, topic)
	require.NoError(n.t, err)
	producerID, epoch, err := o.cl.ProducerID(ctx)
	require.NoError(n.t, err)
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = id, o.group, producerID, epoch, -1
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, topics[topic].ID
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset = o.offset
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	require.Eventually(n.t, func() bool { // as a client: until the coordinator is loaded
		resp, err := req.RequestWith(ctx, o.cl)
		if err != nil || !kerr.IsRetriable(kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)) {
			require.NoError(n.t, err)
			require.NoError(n.t, kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode))
			return true
		}
		return false
	}, 30*time.Second, 100*time.Millisecond)
	return o
}

// end ends the transaction on the server that runs now, and waits for its markers.
func (o *openTransaction) end(n *node) {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	require.NoError(n.t, o.cl.EndTransaction(ctx, o.commit), "transaction %s", o.id)
	o.cl.Close()
	adm := kadm.NewClient(n.client())
	require.Eventually(n.t, func() bool {
		ends, err := adm.ListEndOffsets(ctx, o.topic)
		require.NoError(n.t, err)
		stable, err := adm.ListCommittedOffsets(ctx, o.topic)
		require.NoError(n.t, err)
		for p := range int32(2) {
			end, _ := ends.Lookup(o.topic, p)
			lastStable, _ := stable.Lookup(o.topic, p)
			if end.Offset != lastStable.Offset {
				return false
			}
		}
		return true
	}, 30*time.Second, 50*time.Millisecond, "the markers of transaction %s", o.id)
}

// commitOffsets stores offsets of a group: what is in __consumer_offsets must come back to Kafka.
func (n *node) commitOffsets(group, topic string, at int64) {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, at, -1)
	require.NoError(n.t, kadm.NewClient(n.client()).CommitAllOffsets(ctx, group, offsets))
}

func (n *node) committedOffset(group, topic string) int64 {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	offsets, err := kadm.NewClient(n.client()).FetchOffsets(ctx, group)
	require.NoError(n.t, err)
	o, ok := offsets.Lookup(topic, 0)
	require.True(n.t, ok, "group %s has no offset", group)
	return o.At
}

// producerID asks for a fresh one.
func (n *node) producerID() int64 {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch, req.TransactionTimeoutMillis = -1, -1, 60000
	resp, err := req.RequestWith(ctx, n.client())
	require.NoError(n.t, err)
	require.Zero(n.t, resp.ErrorCode)
	return resp.ProducerID
}

// killUnderLoad kills the server while a producer writes to two partitions of topic. What was acknowledged is noted.
func (n *node) killUnderLoad(l *ledger, topic string) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(n.t.Context())
	cl := n.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(20<<10), kgo.ProducerLinger(time.Millisecond))
	var acked sync.WaitGroup
	acked.Add(20)
	delivered := 0
	for _, r := range n.records(topic, 2, 6_000_000) {
		cl.Produce(ctx, r, func(r *kgo.Record, err error) { // one call at a time
			if err != nil {
				return
			}
			l.add(r)
			if delivered++; delivered <= 20 {
				acked.Done()
			}
		})
	}
	acked.Wait()
	n.kill()
	cancel()
	cl.Close()
}
