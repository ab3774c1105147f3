//go:build kafka

package benchgroups

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	members    = 50
	partitions = 100
	rounds     = 3
)

// figures of one broker.
type figures struct {
	stable, replaced     []time.Duration
	joinCPU              []time.Duration
	first, firstConsumer []time.Duration
	commits              float64       // a second
	commitCPU            time.Duration // of each
	memory               int           // MiB, after the commits
}

// TestGroupsBesideKafka runs everything against both brokers, in turns.
func TestGroupsBesideKafka(t *testing.T) {
	brokers := []*broker{startKafka(t), startOurs(t)}
	got := map[string]*figures{}
	for _, b := range brokers {
		got[b.name] = &figures{}
		b.topic(t, "warm", 4)
		commit(t, b, "warm", 3*time.Second) // the JVM compiles
		storm(t, b, "warm-up")
		firstRecord(t, b, "warm-up", 3, false)
	}
	for round := range rounds {
		for _, b := range brokers {
			f := got[b.name]
			stable, cpu, replaced := storm(t, b, fmt.Sprintf("storm-%d", round))
			f.stable, f.joinCPU, f.replaced = append(f.stable, stable), append(f.joinCPU, cpu), append(f.replaced, replaced)
			f.first = append(f.first, firstRecord(t, b, fmt.Sprintf("classic-%d", round), 10, false)...)
			f.firstConsumer = append(f.firstConsumer, firstRecord(t, b, fmt.Sprintf("consumer-%d", round), 10, true)...)
		}
	}
	for _, b := range brokers {
		f := got[b.name]
		f.commits, f.commitCPU = commit(t, b, "warm", 5*time.Second)
		f.memory = b.memory(t)
	}
	kafka, ours := got["Apache Kafka"], got["minikafka"]
	row := func(what string, k, o any) { t.Logf("%-52s %14v %14v", what, k, o) }
	row("", "Apache Kafka", "minikafka")
	row("50 members join at once: stable after, median", median(kafka.stable), median(ours.stable))
	row("  broker CPU until then, median", median(kafka.joinCPU), median(ours.joinCPU))
	row("one of 50 leaves: replaced after, median", median(kafka.replaced), median(ours.replaced))
	row("first record of a fresh classic group, p50", median(kafka.first), median(ours.first))
	row("  max", slices.Max(kafka.first), slices.Max(ours.first))
	row("first record of a fresh consumer group, p50", median(kafka.firstConsumer), median(ours.firstConsumer))
	row("  max", slices.Max(kafka.firstConsumer), slices.Max(ours.firstConsumer))
	row("commits/s of 4 partitions, 32 connections", int(kafka.commits), int(ours.commits))
	row("  broker CPU each", kafka.commitCPU, ours.commitCPU)
	row("  resident MiB", kafka.memory, ours.memory)
	require.LessOrEqual(t, median(ours.stable), 1500*time.Millisecond, "50 members join")
	require.LessOrEqual(t, median(ours.replaced), 700*time.Millisecond, "one of 50 leaves")
	require.LessOrEqual(t, median(ours.first), median(kafka.first)/2, "first record of a classic group")
	require.LessOrEqual(t, median(ours.firstConsumer), median(kafka.firstConsumer)/2, "first record of a consumer group")
	require.LessOrEqual(t, max(slices.Max(ours.first), slices.Max(ours.firstConsumer)), 50*time.Millisecond, "first record, longest")
	require.GreaterOrEqual(t, ours.commits, 3*kafka.commits, "commits")
	require.LessOrEqual(t, ours.commitCPU, kafka.commitCPU/4, "CPU of a commit")
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2].Round(10 * time.Microsecond)
}

// storm lets members join a new group at once, and then one leave.
func storm(t *testing.T, b *broker, name string) (stable, cpu, replaced time.Duration) {
	id := b.topic(t, name, partitions)
	g := newGroup(b, name, name, id, partitions)
	before, began := b.cpu(t), time.Now()
	var all []*member
	for i := range members {
		m, err := g.join(fmt.Sprintf("member-%02d", i))
		require.NoError(t, err)
		all = append(all, m)
	}
	at, err := g.awaitSettled(members, time.Minute)
	require.NoError(t, err)
	stable, cpu = at.Sub(began).Round(time.Millisecond), b.cpu(t)-before
	time.Sleep(2 * time.Second) // it is quiet
	began = time.Now()
	all[7].leave()
	at, err = g.awaitSettled(members-1, time.Minute)
	require.NoError(t, err)
	replaced = at.Sub(began).Round(time.Millisecond)
	var leaving sync.WaitGroup
	for i, m := range all {
		if i != 7 {
			leaving.Go(m.leave)
		}
	}
	leaving.Wait()
	t.Logf("%s: %d members stable after %v (%v of CPU, %d heartbeats in all), one replaced after %v",
		b.name, members, stable, cpu, g.heartbeats.Load(), replaced)
	return stable, cpu, replaced
}

// firstRecord measures from the making of a client to the first record that a new group of it polls.
func firstRecord(t *testing.T, b *broker, name string, times int, consumer bool) (took []time.Duration) {
	topic := "first-" + name
	b.topic(t, topic, 4)
	producer, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.DefaultProduceTopic(topic))
	require.NoError(t, err)
	defer producer.Close()
	for range 8 {
		require.NoError(t, producer.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr())
	}
	for i := range times {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		options := []kgo.Opt{
			kgo.SeedBrokers(b.addr), kgo.ConsumerGroup(fmt.Sprintf("%s-%d", topic, i)), kgo.ConsumeTopics(topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		}
		if consumer {
			options = append(options, kgo.ServerSideBalancer())
		}
		began := time.Now()
		cl, err := kgo.NewClient(options...)
		require.NoError(t, err)
		fetches := cl.PollFetches(ctx)
		took = append(took, time.Since(began))
		require.NoError(t, fetches.Err0())
		require.NotZero(t, fetches.NumRecords())
		cl.Close()
		cancel()
	}
	return took
}

// commit commits 4 partitions over and over on 32 connections, each in a group of its own.
func commit(t *testing.T, b *broker, topic string, lasts time.Duration) (perSecond float64, cpu time.Duration) {
	const connections = 32
	var conns [connections]*conn
	for i := range conns {
		c, err := dial(b.addr)
		require.NoError(t, err)
		defer c.Close()
		conns[i] = c
		require.Eventually(t, func() bool {
			resp, err := c.do(commitRequest(fmt.Sprintf("commit-%d", i), topic), 9)
			return err == nil && resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode == 0
		}, time.Minute, 20*time.Millisecond)
	}
	var n atomic.Int64
	var writers sync.WaitGroup
	before, began := b.cpu(t), time.Now()
	for i, c := range conns {
		writers.Go(func() {
			req := commitRequest(fmt.Sprintf("commit-%d", i), topic)
			for time.Since(began) < lasts {
				resp, err := c.do(req, 9)
				if err != nil || resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[3].ErrorCode != 0 {
					t.Errorf("commit: %v %v", err, resp)
					return
				}
				n.Add(1)
			}
		})
	}
	writers.Wait()
	took, spent := time.Since(began), b.cpu(t)-before
	return float64(n.Load()) / took.Seconds(), (spent / time.Duration(max(n.Load(), 1))).Round(100 * time.Nanosecond)
}

func commitRequest(group, topic string) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	rt := kmsg.OffsetCommitRequestTopic{Topic: topic}
	for p := range int32(4) {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.Metadata = p, 1, kmsg.StringPtr("")
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	return req
}
