package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/internal/vfs"
	"minikafka/metadata"
	"minikafka/protocol"
)

// createTopic asks for a topic and returns the error code.
func createTopic(c *Controller, name string, partitions int32) (int16, error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	req.Version, req.TimeoutMillis, req.Topics = 7, 60_000, []kmsg.CreateTopicsRequestTopic{topic}
	resp, err := c.CreateTopics(context.Background(), req)
	if err != nil {
		return -1, err
	}
	return resp.Topics[0].ErrorCode, nil
}

func deleteTopic(t testing.TB, c *Controller, name string) {
	t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = 6, 60_000
	req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
	resp, err := c.DeleteTopics(context.Background(), req)
	require.NoError(t, err)
	require.Zero(t, resp.Topics[0].ErrorCode)
}

// contents is what a snapshot of the image would hold, as bytes: equal contents, equal images.
func contents(i *metadata.Image) map[string]int {
	out := map[string]int{}
	for r := range i.Records() {
		out[string(metadata.AppendRecord(nil, r, metadata.WriteVersion(r.Key())))]++
	}
	return out
}

// crash is a moment at which the machine stopped.
type crash struct {
	op       string
	disk     *vfs.Mem
	answered []string // topics whose creation had been answered and not been asked to be deleted
	deleted  []string // topics whose deletion had been answered
}

// crashes runs a workload with small snapshots and stops the machine before every operation on disk.
func crashes(t *testing.T, options vfs.CrashOptions) (out []crash, disk *vfs.Mem) {
	mem := newDataDir(t)
	var mu sync.Mutex
	var answered, deleted []string
	fsys := vfs.Faulty(mem, func(op vfs.Op, name string, n int) error {
		if op != vfs.OpOpen && op != vfs.OpRead {
			mu.Lock()
			defer mu.Unlock()
			options.Seed++
			out = append(out, crash{
				op: fmt.Sprintf("%s %s", op, name), disk: mem.CrashClone(options),
				answered: append([]string(nil), answered...), deleted: append([]string(nil), deleted...),
			})
		}
		return nil
	})
	note := func(f func()) {
		mu.Lock()
		defer mu.Unlock()
		f()
	}
	for life := range 3 {
		o := testOptions(t, fsys)
		o.Config = config.New(map[string]string{"metadata.log.max.record.bytes.between.snapshots": "1500"})
		c, err := Open(t.Context(), o)
		require.NoError(t, err)
		boot(t, c)
		for i := range 8 {
			name := fmt.Sprintf("t-%d-%d", life, i)
			code, err := createTopic(c, name, 2)
			require.NoError(t, err)
			require.Zero(t, code)
			note(func() { answered = append(answered, name) })
		}
		victim := fmt.Sprintf("t-%d-3", life)
		note(func() {
			kept := answered[:0:0]
			for _, name := range answered {
				if name != victim {
					kept = append(kept, name)
				}
			}
			answered = kept
		})
		deleteTopic(t, c, victim)
		note(func() { deleted = append(deleted, victim) })
		require.NoError(t, c.Close())
	}
	return out, mem
}

// Whatever the crash kept of unsynced writes, the next start has every answered change.
func TestEveryAnsweredChangeSurvivesACrashAtEveryOperation(t *testing.T) {
	for name, options := range map[string]vfs.CrashOptions{
		"nothing unsynced survives":    {Unsynced: vfs.KeepNone},
		"everything unsynced survives": {Unsynced: vfs.KeepAll},
		"some of it survives":          {Unsynced: vfs.KeepRandom},
	} {
		t.Run(name, func(t *testing.T) {
			all, _ := crashes(t, options)
			t.Logf("%d crashes", len(all))
			snapshots := 0
			for _, crash := range all {
				c, err := Open(t.Context(), testOptions(t, crash.disk))
				require.NoError(t, err, "crash before %s", crash.op)
				for _, topic := range crash.answered {
					require.NotNil(t, c.Image().TopicByName(topic), "crash before %s lost topic %s", crash.op, topic)
				}
				for _, topic := range crash.deleted {
					require.Nil(t, c.Image().TopicByName(topic), "crash before %s brought topic %s back", crash.op, topic)
				}
				require.Equal(t, int16(33), c.Image().Features()["metadata.version"])
				if c.newest.EndOffset > 0 {
					snapshots++
				}
				boot(t, c)
				code, err := createTopic(c, "after", 1)
				require.NoError(t, err)
				require.Zero(t, code)
				require.NoError(t, c.Close())
			}
			require.Positive(t, snapshots, "the workload has to make snapshots")
		})
	}
}

func TestSnapshotAndTailMakeTheSameImageAsTheWholeLog(t *testing.T) {
	_, disk := crashes(t, vfs.CrashOptions{})
	c := open(t, testOptions(t, disk))
	defer func() { require.NoError(t, c.Close()) }()
	require.Positive(t, c.newest.EndOffset)

	replay := metadata.NewReplay(metadata.Empty("x"))
	_, _, err := scanLog(disk, "/data/__cluster_metadata-0", 0, func(b protocol.Batch) error { // no segment was closed: all of it is there
		records, err := recordsOf(b)
		if err == nil {
			_, _, err = replay.Batch(records, positionOf(b))
		}
		return err
	})
	require.NoError(t, err)
	require.Equal(t, contents(replay.Image()), contents(c.Image()))
	require.Equal(t, replay.Image().Offset, c.Image().Offset)
}

// life boots a controller, makes topics, deletes one and closes it; it stops at the first error. answered
// are the topics that must be there, gone those that must not.
func life(t *testing.T, c *Controller) (answered []string, gone string, err error) {
	epoch, err := c.RegisterBroker(t.Context(), metadata.Broker{ID: 1, Directories: []metadata.UUID{{7}}})
	if err == nil {
		err = c.Unfence(t.Context(), 1, epoch)
	}
	for i := 0; i < 8 && err == nil; i++ {
		name := fmt.Sprint("t", i)
		if _, err = createTopic(c, name, 1); err == nil {
			answered = append(answered, name)
		}
	}
	if err != nil {
		return answered, "", err
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.Topics = 6, []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("t0")}}
	answered = answered[1:] // nobody knows until the answer
	if _, err = c.DeleteTopics(t.Context(), req); err == nil {
		gone = "t0"
	}
	return answered, gone, err
}

func TestAnyErrorOfTheDiskEndsTheControllerAndLosesNothing(t *testing.T) {
	boom := errors.New("boom")
	for n := 1; ; n++ {
		mem, count, failed := newDataDir(t), 0, ""
		o := testOptions(t, vfs.Faulty(mem, func(op vfs.Op, name string, _ int) error {
			if op == vfs.OpOpen || op == vfs.OpRead {
				return nil
			}
			if count++; count == n {
				failed = fmt.Sprint(op, " ", name)
				return boom
			}
			return nil
		}))
		o.Logger = slog.New(slog.DiscardHandler)
		o.Config = config.New(map[string]string{"metadata.log.max.record.bytes.between.snapshots": "700"})
		fatal := make(chan error, 1)
		o.Fatal = func(err error) { fatal <- err }
		var answered []string
		var gone string
		c, err := Open(t.Context(), o)
		if err == nil {
			answered, gone, err = life(t, c)
			closed := c.Close()
			if err != nil {
				require.ErrorIs(t, <-fatal, boom, "%s: the process has to end", failed)
			} else {
				err = closed // a clean stop that is not clean: the next start recovers
			}
		}
		if failed == "" {
			require.NoError(t, err)
			require.Greater(t, n, 50, "the workload writes more than this")
			return
		}
		if err != nil {
			require.ErrorIs(t, err, boom, failed)
		}
		for _, unsynced := range []vfs.Unsynced{vfs.KeepNone, vfs.KeepAll} {
			disk := mem.CrashClone(vfs.CrashOptions{Unsynced: unsynced})
			c, err := Open(t.Context(), testOptions(t, disk))
			require.NoError(t, err, failed)
			for _, name := range answered {
				require.NotNil(t, c.Image().TopicByName(name), "after a failed %s: %s", failed, name)
			}
			if gone != "" {
				require.Nil(t, c.Image().TopicByName(gone), failed)
			}
			require.NoError(t, c.Close())
		}
	}
}
