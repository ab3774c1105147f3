//go:build kafka

package interop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// view is all that a client can see of a server's topics.
type view struct {
	cluster  string
	features map[string]int16
	topics   map[string]*topicView
}

type topicView struct {
	id         kadm.TopicID
	configs    map[string]string // every one, defaults too
	partitions []*partitionView
}

type partitionView struct {
	leaderEpoch               int32
	logStart, end, lastStable int64
	records                   []record // read_uncommitted, with control records
	committed                 []record // read_committed, with control records
}

// record is a record as a client has it, with what its batch says.
type record struct {
	offset, timestamp, producerID int64
	leaderEpoch                   int32
	producerEpoch                 int16
	attrs                         string
	key, value, headers           string
}

func (r *record) isControl() bool { return strings.HasSuffix(r.attrs, "control true") }

func text(b []byte) string {
	if b == nil {
		return "null"
	}
	return "=" + string(b)
}

func recordOf(r *kgo.Record) record {
	var headers strings.Builder
	for _, h := range r.Headers {
		fmt.Fprintf(&headers, "%q:%q ", h.Key, text(h.Value))
	}
	return record{
		offset: r.Offset, timestamp: r.Timestamp.UnixMilli(), producerID: r.ProducerID, leaderEpoch: r.LeaderEpoch,
		producerEpoch: r.ProducerEpoch, headers: headers.String(), key: text(r.Key), value: text(r.Value),
		attrs: fmt.Sprintf("codec %d, timestamp type %d, transactional %t, control %t", r.Attrs.CompressionType(),
			r.Attrs.TimestampType(), r.Attrs.IsTransactional(), r.Attrs.IsControl()),
	}
}

func (n *node) client(opts ...kgo.Opt) *kgo.Client {
	n.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(n.addr), kgo.MetadataMinAge(50 * time.Millisecond), kgo.RetryTimeout(20 * time.Second),
	}, opts...)...)
	require.NoError(n.t, err)
	n.t.Cleanup(cl.Close)
	return cl
}

// look reads everything: topics, configurations, and every record twice, by both isolation levels.
func (n *node) look() *view {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*time.Minute)
	defer cancel()
	adm := kadm.NewClient(n.client())
	topics := n.awaitLeaders(ctx, adm)
	v := &view{topics: map[string]*topicView{}, features: map[string]int16{}}
	versions, err := adm.BrokerMetadata(ctx)
	require.NoError(n.t, err)
	v.cluster = versions.Cluster
	n.features(ctx, v)
	starts, err := adm.ListStartOffsets(ctx, topics.Names()...)
	require.NoError(n.t, err)
	ends, err := adm.ListEndOffsets(ctx, topics.Names()...)
	require.NoError(n.t, err)
	stable, err := adm.ListCommittedOffsets(ctx, topics.Names()...)
	require.NoError(n.t, err)
	for name, topic := range topics {
		t := &topicView{id: topic.ID, configs: map[string]string{}}
		v.topics[name] = t
		for _, p := range topic.Partitions.Sorted() {
			offset := func(l kadm.ListedOffsets) int64 {
				o, ok := l.Lookup(name, p.Partition)
				require.True(n.t, ok && o.Err == nil, "%s-%d: %v", name, p.Partition, o.Err)
				return o.Offset
			}
			t.partitions = append(t.partitions, &partitionView{
				leaderEpoch: p.LeaderEpoch, logStart: offset(starts), end: offset(ends), lastStable: offset(stable),
			})
		}
	}
	if len(topics) == 0 {
		return v
	}
	configs, err := adm.DescribeTopicConfigs(ctx, topics.Names()...)
	require.NoError(n.t, err)
	for _, c := range configs {
		require.NoError(n.t, c.Err, c.Name)
		for _, entry := range c.Configs {
			v.topics[c.Name].configs[entry.Key] = entry.MaybeValue()
		}
	}
	n.read(ctx, v, kgo.ReadUncommitted(), func(p *partitionView) (int64, *[]record) { return p.end, &p.records })
	n.read(ctx, v, kgo.ReadCommitted(), func(p *partitionView) (int64, *[]record) { return p.lastStable, &p.committed })
	return v
}

func (n *node) features(ctx context.Context, v *view) {
	n.t.Helper()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "interop", "1"
	resp, err := req.RequestWith(ctx, n.client())
	require.NoError(n.t, err)
	for _, f := range resp.FinalizedFeatures {
		v.features[f.Name] = f.MaxVersionLevel
	}
}

// awaitLeaders: a server answers before it leads everything.
func (n *node) awaitLeaders(ctx context.Context, adm *kadm.Client) kadm.TopicDetails {
	n.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		topics, err := adm.ListTopicsWithInternal(ctx)
		if err == nil && ledByUs(topics) {
			return topics
		}
		require.True(n.t, time.Now().Before(deadline), "not every partition has a leader: %v", err)
	}
}

func ledByUs(topics kadm.TopicDetails) bool {
	for _, t := range topics {
		for _, p := range t.Partitions {
			if t.Err != nil || p.Err != nil || p.Leader != 1 {
				return false
			}
		}
	}
	return true
}

// read fills the records of every partition up to its end.
func (n *node) read(ctx context.Context, v *view, level kgo.IsolationLevel, of func(*partitionView) (int64, *[]record)) {
	n.t.Helper()
	from := map[string]map[int32]kgo.Offset{}
	open := 0
	for name, t := range v.topics {
		for i, p := range t.partitions {
			if end, _ := of(p); end > p.logStart {
				if from[name] == nil {
					from[name] = map[int32]kgo.Offset{}
				}
				from[name][int32(i)] = kgo.NewOffset().At(p.logStart)
				open++
			}
		}
	}
	if open == 0 {
		return
	}
	cl := n.client(kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(), kgo.FetchMaxWait(500*time.Millisecond))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for open > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			n.t.Fatalf("not read to the end: %s", missing(v, of))
		}
		fetches.EachError(func(topic string, p int32, err error) { n.t.Fatalf("reading %s-%d: %v", topic, p, err) })
		fetches.EachRecord(func(r *kgo.Record) {
			end, into := of(v.topics[r.Topic].partitions[r.Partition])
			*into = append(*into, recordOf(r))
			if r.Offset+1 == end {
				open--
			}
		})
	}
}

func missing(v *view, of func(*partitionView) (int64, *[]record)) string {
	var b strings.Builder
	for name, t := range v.topics {
		for i, p := range t.partitions {
			end, records := of(p)
			last := p.logStart - 1
			if k := len(*records); k > 0 {
				last = (*records)[k-1].offset
			}
			if last+1 < end {
				fmt.Fprintf(&b, "%s-%d read to %d of %d; ", name, i, last+1, end)
			}
		}
	}
	return b.String()
}

// requireCarriedOver: after is what the next server serves of what the one before served. The topics in grown were
// written to since.
func requireCarriedOver(t *testing.T, before, after *view, grown ...string) {
	t.Helper()
	require.Equal(t, before.cluster, after.cluster, "cluster id")
	require.Equal(t, before.features, after.features, "finalized features")
	for name := range after.topics {
		require.Contains(t, before.topics, name, "a topic that was not there before")
	}
	for name, b := range before.topics {
		a := after.topics[name]
		require.NotNil(t, a, "topic %s is gone", name)
		require.Equal(t, b.id, a.id, "id of %s", name)
		if kafkaVersion != "4.4.0" { // it has other configurations, too
			maps.DeleteFunc(b.configs, func(key, _ string) bool { _, ok := a.configs[key]; return !ok })
			maps.DeleteFunc(a.configs, func(key, _ string) bool { _, ok := b.configs[key]; return !ok })
		}
		require.Equal(t, b.configs, a.configs, "configs of %s", name)
		require.Len(t, a.partitions, len(b.partitions), name)
		for i := range b.partitions {
			requirePartition(t, fmt.Sprintf("%s-%d", name, i), b.partitions[i], a.partitions[i], slices.Contains(grown, name) || strings.HasPrefix(name, "__"))
		}
	}
}

// requirePartition: Kafka's coordinators write into an internal partition as soon as they load it, hence more.
func requirePartition(t *testing.T, name string, before, after *partitionView, more bool) {
	t.Helper()
	require.GreaterOrEqual(t, after.leaderEpoch, before.leaderEpoch, "leader epoch of %s", name)
	require.Equal(t, before.logStart, after.logStart, "log start of %s", name)
	if !more {
		require.Equal(t, before.end, after.end, "high watermark of %s", name)
		require.Equal(t, before.lastStable, after.lastStable, "last stable offset of %s", name)
	}
	requireSame(t, name, before.records, after.records, more)
	requireSame(t, name+", read_committed", before.committed, after.committed, more)
}

func requireSame(t *testing.T, name string, before, after []record, more bool) {
	t.Helper()
	require.GreaterOrEqual(t, len(after), len(before), "records of %s", name)
	if !more {
		require.Len(t, after, len(before), "records of %s", name)
	}
	for i := range before {
		if before[i] != after[i] {
			require.Equal(t, before[i], after[i], "record %d of %s", i, name)
		}
	}
}
