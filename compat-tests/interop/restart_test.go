//go:build kafka

package interop

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	restartPartitions = flag.String("restart-partitions", "10", "partitions of each topic: 1000,5000 is two topics")
	restartMiB        = flag.Int("restart-mib", 20, "MiB of records in all")
	restartRecord     = flag.Int("restart-record", 1000, "bytes of a record")
	restartRepeats    = flag.Int("restart-repeats", 1, "starts of each kind; the median counts")
)

// startTimes are from exec to: an answer, a Metadata with a leader everywhere, a first record of some partitions, and a
// first record of a hundred of each topic; and what the process used of the processors up to the third and the last.
type startTimes struct {
	answer, metadata, some, all time.Duration
	cpuSome, cpuAll             time.Duration
}

// TestRestartBesideKafka starts the two on the very same directory, each after its own clean stop and its own kill -9, with
// records in every partition that were not flushed. `make restart-beside` has the sizes of issue 4.
func TestRestartBesideKafka(t *testing.T) {
	n := newNode(t, dynamic, 1, "log.retention.hours=-1")
	n.format()
	n.start(ours)
	topics := n.fillForRestart()
	n.stop()
	rows := []string{fmt.Sprintf("%d partitions, %d MiB, load average %s", topics.count(), *restartMiB, loadAverage())}
	rows = append(rows, "server, end: exec → answer, Metadata, record of 5 partitions (CPU), record of 100 of each topic (CPU)")
	for _, end := range []string{"clean stop", "kill -9"} {
		for _, s := range []server{ours, kafka} {
			var took []startTimes
			for range *restartRepeats {
				took = append(took, n.restartOnce(s, end, topics))
			}
			slices.SortFunc(took, func(a, b startTimes) int { return int(a.some - b.some) })
			m := took[len(took)/2]
			rows = append(rows, fmt.Sprintf("%-12s %-10s: %v, %v, %v (%v), %v (%v)", s, end, ms(m.answer), ms(m.metadata), ms(m.some), ms(m.cpuSome), ms(m.all), ms(m.cpuAll)))
		}
	}
	t.Log("\n" + strings.Join(rows, "\n"))
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func loadAverage() string {
	data, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(data))[:3], " ")
}

// restartTopics are partitions by topic.
type restartTopics map[string]int

func (r restartTopics) count() (n int) {
	for _, partitions := range r {
		n += partitions
	}
	return n
}

func (n *node) fillForRestart() restartTopics {
	n.t.Helper()
	topics := restartTopics{}
	adm := kadm.NewClient(n.client())
	adm.SetTimeoutMillis(60_000)
	for i, text := range strings.Split(*restartPartitions, ",") {
		partitions, err := strconv.Atoi(text)
		require.NoError(n.t, err)
		name := fmt.Sprint("topic-", i)
		topics[name] = partitions
		resp, err := adm.CreateTopic(n.t.Context(), int32(partitions), 1, nil, name)
		require.NoError(n.t, err)
		require.NoError(n.t, resp.Err)
	}
	n.produceEvenly(topics, *restartMiB<<20 / *restartRecord)
	return topics
}

// produceEvenly writes records, in turn to every partition.
func (n *node) produceEvenly(topics restartTopics, records int) {
	n.t.Helper()
	cl := n.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(100_000),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RetryTimeout(2*time.Minute))
	defer cl.Close()
	value := make([]byte, *restartRecord)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	for produced := 0; produced < records; {
		for topic, partitions := range topics {
			for p := 0; p < partitions && produced < records; p++ {
				produced++
				cl.Produce(n.t.Context(), &kgo.Record{Topic: topic, Partition: int32(p), Value: value}, func(_ *kgo.Record, err error) {
					if err != nil {
						n.t.Error(err)
					}
				})
			}
		}
	}
	require.NoError(n.t, cl.Flush(n.t.Context()))
}

// restartOnce has the server write to every partition and end, and measures its next start; then it stops cleanly.
func (n *node) restartOnce(s server, end string, topics restartTopics) (took startTimes) {
	n.t.Helper()
	n.start(s)
	n.awaitLeaders(n.t.Context(), kadm.NewClient(n.client()))
	n.produceEvenly(topics, 2*topics.count())
	if end == "kill -9" {
		n.kill()
	} else {
		n.stop()
	}
	began := time.Now()
	n.start(s)
	took.answer = time.Since(began)
	n.awaitLeaders(n.t.Context(), kadm.NewClient(n.client()))
	took.metadata = time.Since(began)
	some, many := map[string]map[int32]kgo.Offset{}, map[string]map[int32]kgo.Offset{}
	for topic, partitions := range topics {
		some[topic], many[topic] = map[int32]kgo.Offset{}, map[int32]kgo.Offset{}
		for p := range partitions {
			if p%max(partitions/100, 1) == 0 { // a client takes minutes for thousands of them, on either broker
				many[topic][int32(p)] = kgo.NewOffset().AtStart()
			}
			if p%(partitions/min(partitions, 3)) == 0 || p == partitions-1 {
				some[topic][int32(p)] = kgo.NewOffset().AtStart()
			}
		}
	}
	n.firstRecords(some)
	took.some, took.cpuSome = time.Since(began), n.cpu()
	n.firstRecords(many)
	took.all, took.cpuAll = time.Since(began), n.cpu()
	n.t.Logf("%s after %s: %+v", s, end, took)
	n.stop()
	return took
}

// firstRecords returns when each of the partitions has served its first record.
func (n *node) firstRecords(from map[string]map[int32]kgo.Offset) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 5*time.Minute)
	defer cancel()
	open := map[string]bool{}
	for topic, partitions := range from {
		for p := range partitions {
			open[fmt.Sprint(topic, " ", p)] = true
		}
	}
	cl := n.client(kgo.ConsumePartitions(from), kgo.FetchMaxPartitionBytes(1), kgo.FetchMaxBytes(1<<20), kgo.MaxConcurrentFetches(1))
	defer cl.Close()
	for len(open) > 0 {
		fetches := cl.PollRecords(ctx, 1000)
		require.NoError(n.t, ctx.Err(), "%d partitions did not serve a record", len(open))
		seen := map[string][]int32{}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if key := fmt.Sprint(p.Topic, " ", p.Partition); len(p.Records) > 0 && open[key] {
				delete(open, key)
				seen[p.Topic] = append(seen[p.Topic], p.Partition)
			}
		})
		cl.PauseFetchPartitions(seen)
	}
}

// cpu is what the running server has used.
func (n *node) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	require.NoError(n.t, err)
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	ticks := int64(0)
	for _, i := range []int{11, 12} {
		v, err := strconv.ParseInt(f[i], 10, 64)
		require.NoError(n.t, err)
		ticks += v
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ
}
