package controller

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/internal/vfs"
	"minikafka/metadata"
)

// onDisk is a controller over the operating system's files.
func onDisk(t testing.TB, dir string) *Controller {
	t.Helper()
	o := testOptions(t, vfs.OS())
	o.Dir = dir
	c, err := Open(t.Context(), o)
	require.NoError(t, err)
	return c
}

func TestCloseLeavesNoGoroutineBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble fails if one stays
		c := open(t, testOptions(t, newDataDir(t)))
		c.Subscribe("test", func(*metadata.Image, *metadata.Delta) {})
		boot(t, c)
		c.takeSnapshotAndWait(t)
		require.NoError(t, c.Close())
		require.NoError(t, c.Close(), "twice is harmless")
	})
}

func TestChangesThatWaitTogetherShareOneFlush(t *testing.T) {
	mem := newDataDir(t)
	syncs, flushes := 0, 0
	fsys := vfs.Faulty(mem, func(op vfs.Op, name string, n int) error {
		if op == vfs.OpSync {
			if syncs++; strings.HasSuffix(name, ".log") {
				flushes++
			}
			time.Sleep(2 * time.Millisecond)
		}
		return nil
	})
	c := open(t, testOptions(t, fsys))
	boot(t, c)
	before := syncs
	entries, _ := c.quorum.store.LastIndex()
	flushes = 0
	const topics = 100
	var group sync.WaitGroup
	for i := range topics {
		group.Go(func() {
			if code, err := createTopic(c, fmt.Sprint("t", i), 1); code != 0 || err != nil {
				t.Errorf("topic %d: %d %v", i, code, err)
			}
		})
	}
	group.Wait()
	require.NoError(t, c.Close())
	require.Equal(t, topics, c.Image().TopicCount())
	require.Less(t, syncs-before, topics/4)
	after, _ := c.quorum.store.LastIndex()
	require.Equal(t, flushes, int(after-entries), "what shares a flush shares a batch: a crash tears the last one only")
	t.Logf("%d topics, %d flushes", topics, syncs-before)
}

func TestSubscribersSeeEveryChangeOnceAndInOrder(t *testing.T) {
	c := open(t, testOptions(t, newDataDir(t)))
	seen := map[string]bool{}
	last := int64(-1)
	c.Subscribe("test", func(i *metadata.Image, d *metadata.Delta) {
		require.Greater(t, i.Offset, last)
		last = i.Offset
		for _, topic := range d.Topics {
			require.False(t, seen[topic.Name])
			seen[topic.Name] = true
		}
	})
	boot(t, c)
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			name := fmt.Sprint("t", i)
			_, _ = createTopic(c, name, 1)
			if c.Image().TopicByName(name) == nil {
				t.Errorf("%s was answered before it was published", name)
			}
		})
	}
	group.Wait()
	require.NoError(t, c.Close())
	require.Len(t, seen, 50)
}

func TestRequestThatIsGivenUpBeforeItsTurnLeavesNothing(t *testing.T) {
	c := open(t, testOptions(t, newDataDir(t)))
	boot(t, c)
	blocked, release := make(chan struct{}), make(chan struct{})
	go c.submit(context.Background(), &change{done: make(chan error, 1), call: func() { //nolint:errcheck // it blocks the loop, that is all
		close(blocked)
		<-release
	}}, 0)
	<-blocked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "late", NumPartitions: 1, ReplicationFactor: 1}}
	_, err := c.CreateTopics(ctx, req)
	require.ErrorIs(t, err, context.Canceled)
	req.TimeoutMillis = 1
	_, err = c.CreateTopics(t.Context(), req)
	require.ErrorIs(t, err, ErrTimedOut)
	close(release)
	require.NoError(t, c.Close())
	require.Nil(t, c.Image().TopicByName("late"))
}

func TestThousandsOfTopics(t *testing.T) {
	dir := t.TempDir()
	start := time.Now()
	c := onDisk(t, dir)
	t.Logf("leader of an empty directory after %v", time.Since(start))
	boot(t, c)
	one := func(from, to int) time.Duration {
		start := time.Now()
		for i := from; i < to; i++ {
			code, err := createTopic(c, fmt.Sprintf("topic-%d", i), 1)
			require.NoError(t, err)
			require.Zero(t, code)
		}
		return time.Since(start)
	}
	first := one(0, 1000)
	var group sync.WaitGroup
	start = time.Now()
	for worker := range 8 {
		group.Go(func() { one(1000*(worker+1), 1000*(worker+2)) })
	}
	group.Wait()
	together := time.Since(start)
	last := one(9000, 10_000)
	require.Equal(t, 10_000, c.Image().TopicCount())
	t.Logf("1,000 topics one by one: %v; 8,000 from 8 callers: %v; 1,000 more: %v", first, together, last)
	require.Less(t, last, 5*first+time.Second, "the 10,000th costs about what the first did")
	require.NoError(t, c.Close())

	c = nil
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start = time.Now()
	c = onDisk(t, dir)
	t.Logf("leader with 10,000 topics after %v", time.Since(start))
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("10,000 topics take %d KiB", (int64(after.HeapAlloc)-int64(before.HeapAlloc))/1024)
	require.Equal(t, 10_000, c.Image().TopicCount())
	start = time.Now()
	boot(t, c)
	t.Logf("registered and unfenced after %v", time.Since(start))
	require.NoError(t, c.Close())
}

func BenchmarkCommit(b *testing.B) {
	for _, callers := range []int{1, 256} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			c := onDisk(b, b.TempDir())
			epoch := boot(b, c)
			b.SetParallelism(callers)
			b.ResetTimer()
			var group sync.WaitGroup
			for w := range callers {
				group.Go(func() {
					for i := w; i < b.N; i += callers {
						if _, _, err := c.AllocateProducerIDs(context.Background(), 1, epoch); err != nil {
							b.Error(err)
						}
					}
				})
			}
			group.Wait()
			b.StopTimer()
			if err := c.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

func TestSegmentsBelowASnapshotAreRemoved(t *testing.T) {
	fsys := newDataDir(t)
	o := testOptions(t, fsys)
	o.Config = config.New(map[string]string{
		"metadata.log.segment.bytes": "8388608", "metadata.log.max.record.bytes.between.snapshots": "3000000",
	})
	c := open(t, o)
	boot(t, c)
	value := strings.Repeat("x", 30_000)
	for i := range 700 {
		value := fmt.Sprint(i, value)
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeBroker,
			Configs:      []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: fmt.Sprint("custom.", i%5), Value: &value}},
		}}
		resp, err := c.IncrementalAlterConfigs(t.Context(), req)
		require.NoError(t, err)
		require.Zero(t, resp.Resources[0].ErrorCode)
	}
	require.NoError(t, c.Close())
	before := contents(c.Image())

	bases, err := segmentBases(fsys, logDir)
	require.NoError(t, err)
	require.Positive(t, bases[0], "the first segment is gone")
	entries, err := fsys.ReadDir(logDir)
	require.NoError(t, err)
	for _, e := range entries {
		require.False(t, strings.HasSuffix(e.Name(), ".deleted"), e.Name())
	}
	ids, err := listSnapshots(fsys, logDir)
	require.NoError(t, err)
	require.Len(t, ids, 1)

	c = open(t, o)
	require.Equal(t, before, contents(c.Image()))
	boot(t, c)
	require.NoError(t, c.Close())
}

func TestSnapshotIsTakenByTimeIfAnythingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := newDataDir(t)
		c := open(t, testOptions(t, fsys))
		boot(t, c)
		time.Sleep(time.Hour + time.Minute)
		ids, err := listSnapshots(fsys, logDir)
		require.NoError(t, err)
		require.Equal(t, []snapshotID{{c.Image().Offset + 1, 1}}, ids)
		time.Sleep(2 * time.Hour)
		again, err := listSnapshots(fsys, logDir)
		require.NoError(t, err)
		require.Equal(t, ids, again, "nothing changed meanwhile")
		require.NoError(t, c.Close())
	})
}

func TestBrokerWithMorePartitionsThanOneBatchTakesRegisters(t *testing.T) {
	fsys := newDataDir(t)
	c := open(t, testOptions(t, fsys))
	boot(t, c)
	for i := range 3 {
		code, err := createTopic(c, fmt.Sprint("t", i), 9_000)
		require.NoError(t, err)
		require.Zero(t, code)
	}
	require.NoError(t, c.Close())

	c = open(t, testOptions(t, fsys))
	entries, _ := c.quorum.store.LastIndex()
	deltas, offset := 0, c.Image().Offset
	c.Subscribe("test", func(i *metadata.Image, _ *metadata.Delta) {
		require.GreaterOrEqual(t, i.Offset, offset)
		offset = i.Offset
		deltas++
	})
	boot(t, c)
	require.NoError(t, c.Close())
	after, _ := c.quorum.store.LastIndex()
	require.Equal(t, uint64(6), after-entries, "27,001 records twice, 10,000 each")
	require.Equal(t, 1+6, deltas, "each is published")
	for topic := range c.Image().Topics() {
		for _, p := range topic.Partitions {
			require.Equal(t, []int32{1, 2}, []int32{p.Leader, p.LeaderEpoch})
		}
	}
}
