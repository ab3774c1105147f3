package replication

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/logstore"
	"minikafka/metadata"
)

// reborn is a node on what a crash left, whose metadata log knows topic t.
func reborn(t *testing.T, fs vfs.FS, topicID byte) *node {
	t.Helper()
	n := &node{t: t, fs: nil, replay: metadata.NewReplay(metadata.Empty("c")), values: newNode(t).values}
	n.startLazily(fs, "/d")
	_, _, err := n.replay.Batch(topicRecords("t", topicID, 2, 1), metadata.Position{Offset: 10, Epoch: 1})
	require.NoError(t, err)
	n.firstApply()
	return n
}

func strays(t *testing.T, fs vfs.FS) (names []string) {
	t.Helper()
	entries, err := fs.ReadDir("/d")
	require.NoError(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-stray") {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestCrashWhileATopicIsMadeLeavesNoStray crashes before every operation from the creation of two logs to the first
// records of one of them. The metadata log had the topic before.
func TestCrashWhileATopicIsMadeLeavesNoStray(t *testing.T) {
	mem := vfs.NewMem()
	watching, busy, crashes, written := false, false, 0, int64(0)
	rule := func(op vfs.Op, name string, _ int) error {
		if !watching || busy || op == vfs.OpRead || op == vfs.OpOpen && strings.HasSuffix(name, "checkpoint") {
			return nil
		}
		busy = true
		defer func() { busy = false }()
		for _, kept := range []vfs.Unsynced{vfs.KeepAll, vfs.KeepNone, vfs.KeepRandom, vfs.KeepRandom} {
			crashes++
			clone := mem.CrashClone(vfs.CrashOptions{Unsynced: kept, Seed: uint64(crashes)})
			n := reborn(t, clone, 7)
			for p := range int32(2) {
				log := n.Partition("t", p).Log()
				require.NotNil(t, log, "before %s %s, %v", op, name, kept)
				require.Equal(t, logstore.UUID{7}, log.TopicID())
				if kept == vfs.KeepAll && p == 0 {
					require.GreaterOrEqual(t, log.LogEndOffset(), written)
				}
				mustAppend(t, n.Partition("t", p), 1)
			}
			require.Empty(t, strays(t, clone), "before %s %s, %v", op, name, kept)
			require.NoError(t, n.store.Close(1))
		}
		return nil
	}
	n := newNode(t)
	require.NoError(t, n.store.Close(1))
	n.startLazily(vfs.Faulty(mem, rule), "/d")
	watching = true
	n.apply(topicRecords("t", 7, 2, 1)...)
	for p := range int32(2) {
		require.NotNil(t, n.Partition("t", p))
	}
	for range 2 {
		mustAppend(t, n.Partition("t", 0), 3)
		written += 3
		require.NoError(t, n.Partition("t", 0).Log().Flush())
	}
	watching = false
	require.Greater(t, crashes, 60)
}

// TestTornTopicIDIsTheMetadataLogsAgain: with records too; what is missing, or another topic's, is not.
func TestTornTopicIDIsTheMetadataLogsAgain(t *testing.T) {
	const whole = "version: 0\ntopic_id: BwAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct {
		name, content string
		remove, stray bool
	}{
		{name: "empty"}, {name: "short", content: whole[:20]}, {name: "garbled", content: "\x00\x00\x00"}, {name: "whole", content: whole},
		{name: "missing, with records", remove: true, stray: true},
		{name: "another topic's", content: strings.Replace(whole, "Bw", "CA", 1), stray: true},
	} {
		n := newNode(t)
		n.apply(topicRecords("t", 7, 2, 1)...)
		mustAppend(t, n.Partition("t", 0), 2)
		require.NoError(t, n.store.Close(1))
		path := "/d/t-0/partition.metadata"
		require.NoError(t, n.fs.Remove(path))
		if !c.remove {
			f, err := n.fs.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte(c.content), 0)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
		again := reborn(t, n.fs, 7)
		log := again.Partition("t", 0).Log()
		require.Equal(t, logstore.UUID{7}, log.TopicID(), c.name)
		require.Len(t, strays(t, n.fs), map[bool]int{true: 1}[c.stray], c.name)
		if !c.stray {
			require.EqualValues(t, 2, log.LogEndOffset(), c.name)
		}
		data, err := n.fs.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, whole, string(data), c.name)
		require.NoError(t, again.store.Close(1))
	}
}
