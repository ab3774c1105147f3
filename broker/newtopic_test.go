package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/broker"
	"minikafka/config"
	"minikafka/internal/vfs"
)

// startOn is a broker on a file system in memory.
func startOn(t *testing.T, fsys vfs.FS) string {
	t.Helper()
	values, _, err := config.Load(config.Sources{Defaults: config.Dev("/d"), Overrides: []string{"listeners=PLAINTEXT://127.0.0.1:0"}})
	require.NoError(t, err)
	b, err := broker.New(broker.Options{Config: values, FS: fsys, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, b.Start(t.Context()))
	t.Cleanup(func() { _ = b.Stop(context.Background()) })
	return b.Endpoints()[0].Address()
}

// Logs of a new topic are made after the answer. Whatever of them a crash finds, the topic is there afterwards:
// the metadata log is the truth, and what is missing is made again.
func TestANewTopicSurvivesACrashAtEveryStepOfItsMaking(t *testing.T) {
	const partitions = 3
	for name, options := range map[string]vfs.CrashOptions{
		"kill": {Unsynced: vfs.KeepAll}, "power": {Unsynced: vfs.KeepNone},
		"power, random": {Unsynced: vfs.KeepRandom, Seed: 5}, "power, random again": {Unsynced: vfs.KeepRandom, Seed: 6},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			var mu sync.Mutex
			answered := false
			crashes := map[string]*vfs.Mem{}
			addr := startOn(t, vfs.Faulty(mem, func(op vfs.Op, path string, _ int) error {
				mu.Lock()
				defer mu.Unlock()
				if answered && op != vfs.OpRead && strings.Contains(path, "/new-") {
					crashes[fmt.Sprintf("%s %s %d", op, path, len(crashes))] = mem.CrashClone(options)
				}
				return nil
			}))
			c := client(t, addr)
			createTopic(t, c, "new", partitions)
			mu.Lock()
			answered = true
			crashes["answered"] = mem.CrashClone(options)
			mu.Unlock()
			sendAndReadBack(t, addr, partitions)
			mu.Lock()
			defer mu.Unlock()
			require.Greater(t, len(crashes), 5*partitions)
			for at, disk := range crashes {
				t.Run(at, func(t *testing.T) { sendAndReadBack(t, startOn(t, disk), partitions) })
			}
		})
	}
}

// sendAndReadBack sends a record to each partition and reads what it sent.
func sendAndReadBack(t *testing.T, addr string, partitions int) {
	t.Helper()
	start := map[int32]kgo.Offset{}
	for p := range partitions {
		start[int32(p)] = kgo.NewOffset().AtStart()
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"new": start}))
	require.NoError(t, err)
	defer c.Close()
	value := []byte(t.Name())
	for p := range partitions {
		require.NoError(t, c.ProduceSync(t.Context(), &kgo.Record{Topic: "new", Partition: int32(p), Value: value}).FirstErr())
	}
	for mine := 0; mine < partitions; {
		fetches := c.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if string(r.Value) == string(value) {
				mine++
			}
		})
	}
}
