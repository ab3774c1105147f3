// Package restart measures how long a broker with many partitions takes from exec to the first answers, after a
// clean stop and after kill -9, and what it needs: memory, descriptors.
package restart

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/brokerproc"
)

var (
	small   = flag.Int("small", 100, "partitions of the first topic")
	large   = flag.Int("large", 500, "partitions of the second topic")
	records = flag.Int("records", 200_000, "records in all")
	dir     = flag.String("dir", "", "keep the broker's directory here, and use what an earlier run left")
	size    = flag.Int("size", 100, "bytes of a record")
	repeats = flag.Int("repeats", 3, "restarts of each kind; the median counts, for machines that do other work")
	// make restart gives the bounds that the full size must meet; these are for machines that run all tests at once.
	cleanBound = flag.Duration("clean-bound", time.Second, "exec to the last first Fetch after a clean stop")
	killBound  = flag.Duration("kill-bound", 3*time.Second, "the same after kill -9")
)

// TestRestartsFastWithManyPartitions produces, restarts after clean stops and kills, and looks at partitions of both
// topics right after the first Metadata: each must serve its first record, and be as long as it was.
func TestRestartsFastWithManyPartitions(t *testing.T) {
	if *dir == "" {
		*dir = t.TempDir()
	}
	_, err := os.Stat(filepath.Join(*dir, "data"))
	b, err2 := brokerproc.New(*dir)
	require.NoError(t, err2)
	t.Cleanup(func() { _ = b.Kill() })
	require.NoError(t, b.Run())
	if err != nil {
		fill(t, b)
	}
	want = total(t, b, "small") + total(t, b, "large")
	logUse(t, b, "after the load")
	for _, kind := range []struct {
		name  string
		end   func() error
		bound time.Duration
	}{{"kill", b.Kill, *killBound}, {"clean", b.Stop, *cleanBound}} {
		t.Run(kind.name, func(t *testing.T) {
			var took []time.Duration
			for range *repeats {
				took = append(took, restart(t, b, kind.end))
				if kind.name == "kill" {
					touch(t, b)
				}
			}
			slices.Sort(took)
			require.Less(t, took[len(took)/2], kind.bound)
			logUse(t, b, "after a start after "+kind.name)
		})
	}
}

// TestServesMorePartitionsThanDescriptors runs the broker under ulimit -n 256.
func TestServesMorePartitionsThanDescriptors(t *testing.T) {
	b, err := brokerproc.New(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Kill() })
	require.NoError(t, b.RunUnder("sh", "-c", `ulimit -n 256 && exec "$@"`, "sh"))
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	require.NoError(t, err)
	defer cl.Close()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(b.Log())
		}
	})
	create(t, cl, "many", 1000)
	produce(t, b, map[string]int{"many": 1000}, 20_000)
	logUse(t, b, "1,000 partitions, 256 descriptors")
	n, err := descriptors(b)
	require.NoError(t, err)
	require.LessOrEqual(t, n, 256)
	for _, end := range []func() error{b.Kill, b.Stop} {
		require.NoError(t, end())
		require.NoError(t, b.RunUnder("sh", "-c", `ulimit -n 256 && exec "$@"`, "sh"))
		require.Equal(t, int64(20_000), total(t, b, "many"))
		require.Equal(t, 20_000, consume(t, b, "many", 20_000))
	}
}

// restart ends the broker and returns the time from exec to the last of the first answers.
func restart(t *testing.T, b *brokerproc.Broker, end func() error) time.Duration {
	t.Helper()
	began := time.Now()
	require.NoError(t, end())
	stopped := time.Since(began)
	began = time.Now()
	require.NoError(t, b.Run())
	conn := dial(t, b.Addr)
	defer func() { _ = conn.Close() }()
	require.Equal(t, *small+*large, conn.partitions())
	metadata := time.Since(began)
	for _, tp := range []struct {
		topic     string
		partition int
	}{{"large", *large - 1}, {"small", 0}, {"small", *small / 2}, {"large", 0}, {"large", *large / 3}} {
		require.NotEmpty(t, conn.fetch(tp.topic, int32(tp.partition)), "%s-%d", tp.topic, tp.partition)
	}
	fetched := time.Since(began)
	require.Equal(t, want, total(t, b, "small")+total(t, b, "large"))
	t.Logf("stop %v; exec → Metadata %v → Fetch of five partitions %v", stopped.Round(time.Millisecond),
		metadata.Round(time.Millisecond), fetched.Round(time.Millisecond))
	return fetched
}

// want is the number of records that are there.
var want int64

// touch appends to every partition, so that the next kill finds unflushed records everywhere again.
func touch(t *testing.T, b *brokerproc.Broker) {
	produce(t, b, map[string]int{"small": *small, "large": *large}, *small+*large)
	want += int64(*small + *large)
}

func fill(t *testing.T, b *brokerproc.Broker) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	require.NoError(t, err)
	defer cl.Close()
	create(t, cl, "small", *small)
	create(t, cl, "large", *large)
	produce(t, b, map[string]int{"small": *small, "large": *large}, *records)
}

func create(t *testing.T, cl *kgo.Client, topic string, partitions int) {
	began := time.Now()
	admin := kadm.NewClient(cl)
	admin.SetTimeoutMillis(60_000)
	_, err := admin.CreateTopic(t.Context(), int32(partitions), 1, nil, topic)
	require.NoError(t, err)
	t.Logf("topic of %d partitions created in %v", partitions, time.Since(began).Round(time.Millisecond))
}

// produce spreads n records over the partitions.
func produce(t *testing.T, b *brokerproc.Broker, topics map[string]int, n int) {
	began := time.Now()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(100*time.Millisecond), kgo.MaxBufferedRecords(min(n+1, 2_100_000)), kgo.MaxBufferedBytes(1<<30), kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(t, err)
	defer cl.Close()
	value := make([]byte, *size)
	for produced := 0; produced < n; {
		for topic, partitions := range topics {
			for p := 0; p < partitions && produced < n; p++ {
				produced++
				cl.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: int32(p), Value: value}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	require.NoError(t, cl.Flush(t.Context()))
	t.Logf("%d records produced in %v", n, time.Since(began).Round(time.Millisecond))
}

// total is the sum of a topic's end offsets.
func total(t *testing.T, b *brokerproc.Broker, topic string) int64 {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	require.NoError(t, err)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	require.NoError(t, err)
	require.NoError(t, ends.Error())
	sum := int64(0)
	ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
	return sum
}

func consume(t *testing.T, b *brokerproc.Broker, topic string, want int) int {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer cl.Close()
	n := 0
	for n < want {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		n += fetches.NumRecords()
	}
	return n
}

func logUse(t *testing.T, b *brokerproc.Broker, when string) {
	now, peak, err := b.RSS()
	require.NoError(t, err)
	n, err := descriptors(b)
	require.NoError(t, err)
	t.Logf("%s: RSS %d MiB (peak %d), %d descriptors", when, now>>20, peak>>20, n)
}

func descriptors(b *brokerproc.Broker) (int, error) {
	entries, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(b.Pid()), "fd"))
	return len(entries), err
}
