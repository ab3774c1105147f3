package replication

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/metadata"
)

const futureName = "t-0.0123456789abcdef0123456789abcdef-future"

// moving is a disk that Kafka left in the middle of a move of t-0 from /a to /b: three records in both.
func moving(t *testing.T, current bool) (*vfs.Mem, metadata.UUID) {
	t.Helper()
	n := &node{t: t, fs: vfs.NewMem(), replay: metadata.NewReplay(metadata.Empty("c")), values: newNode(t).values}
	n.startLazily(n.fs, "/a", "/b")
	n.apply(topicRecords("t", 7, 1, 1)...)
	mustAppend(t, n.Partition("t", 0), 3)
	require.Equal(t, "/a", n.Partition("t", 0).Log().Dir())
	there := metadata.UUID(n.store.Dirs()[1].ID)
	require.NoError(t, n.store.Close(1))
	require.NoError(t, n.fs.Rename("/b/.kafka_cleanshutdown", "/b/.was"))
	require.NoError(t, n.fs.Mkdir("/b/"+futureName, 0o755))
	entries, err := n.fs.ReadDir("/a/t-0")
	require.NoError(t, err)
	for _, e := range entries {
		data, err := n.fs.ReadFile("/a/t-0/" + e.Name())
		require.NoError(t, err)
		f, err := n.fs.OpenFile("/b/"+futureName+"/"+e.Name(), 0x42, 0o644) // O_RDWR|O_CREATE
		require.NoError(t, err)
		_, err = f.WriteAt(data, 0)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	if !current {
		require.NoError(t, n.fs.RemoveAll("/a/t-0"))
	}
	return n.fs, there
}

// names of partition directories in /b, their random part left out.
func names(t *testing.T, fs vfs.FS) (list []string) {
	t.Helper()
	entries, err := fs.ReadDir("/b")
	require.NoError(t, err)
	for _, e := range entries {
		if e.IsDir() {
			name, rest, _ := strings.Cut(e.Name(), ".")
			list = append(list, strings.TrimRight(name+strings.TrimLeft(rest, "0123456789abcdef"), "."))
		}
	}
	return list
}

func TestCopiesOfAnUnfinishedMoveAreNeitherServedNorLost(t *testing.T) {
	for _, c := range []struct {
		name                     string
		known, assigned, current bool
		dir, left                string // of the log; what is in /b
		end                      int64
	}{
		{"being copied", true, false, true, "/a", "t-0-future", 3},
		{"copied, and assigned, and the old log is there", true, true, true, "/a", "t-0-stray", 3},
		{"copied, and assigned, and the old log is gone", true, true, false, "/b", "t-0", 3},
		{"of a topic that was deleted", false, false, false, "", "t-0-stray", 0},
	} {
		fs, there := moving(t, c.current)
		n := &node{t: t, replay: metadata.NewReplay(metadata.Empty("c")), values: newNode(t).values}
		n.startLazily(fs, "/a", "/b")
		records := topicRecords("other", 9, 1, 1)
		if c.known {
			records = topicRecords("t", 7, 1, 1)
			if c.assigned {
				records[1].(*metadata.PartitionRecord).Directories = []metadata.UUID{there}
			}
		}
		_, _, err := n.replay.Batch(records, metadata.Position{Offset: 10, Epoch: 1})
		require.NoError(t, err)
		n.firstApply()
		require.Equal(t, []string{c.left}, names(t, fs), c.name)
		if c.known {
			log := n.Partition("t", 0).Log()
			require.Equal(t, c.dir, log.Dir(), c.name)
			require.Equal(t, c.end, log.LogEndOffset(), c.name)
			mustAppend(t, n.Partition("t", 0), 1)
			n.apply(&metadata.RemoveTopicRecord{TopicID: metadata.UUID{7}})
			require.NotContains(t, names(t, fs), "t-0-future", "the copy goes with its topic")
		}
		require.NoError(t, n.store.Close(1))
	}
}
