package replication

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/config"
	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/logstore"
	"minikafka/metadata"
)

// restarted is the node after a stop, with a store that loads its logs when they are used.
func (n *node) restarted() {
	n.t.Helper()
	require.NoError(n.t, n.store.Close(1))
	n.startLazily(n.fs, "/d")
}

func (n *node) startLazily(fs vfs.FS, dirs ...string) {
	n.t.Helper()
	store, err := logstore.Open(context.Background(), logstore.Options{
		FS: fs, Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler), Dirs: dirs, NodeID: 1, Lazy: true,
	})
	require.NoError(n.t, err)
	n.store = store
	n.Manager = NewManager(Options{
		Store: store, NodeID: 1, Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler),
		Config: func() *config.Values { return n.values },
	})
}

// firstApply shows the whole image, as a start does.
func (n *node) firstApply() {
	n.Apply(n.replay.Image(), metadata.Everything(n.replay.Image()))
}

func TestPartitionIsOpenedOnItsFirstUse(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("t", 7, 3, 1)...)
	for p := range int32(3) {
		mustAppend(t, n.Partition("t", p), 2)
	}
	n.restarted()
	n.firstApply()
	require.Empty(t, n.store.Logs(), "the start loads nothing")
	// The broker's registration begins a new term of every partition.
	leader := int32(1)
	n.apply(&metadata.PartitionChangeRecord{TopicID: metadata.UUID{7}, PartitionID: 1, Leader: &leader})
	require.Empty(t, n.store.Logs(), "nor does a new term")

	p := n.Partition("t", 1)
	require.Len(t, n.store.Logs(), 1)
	_, epoch, leads := p.Leader()
	require.True(t, leads)
	require.EqualValues(t, 1, epoch, "the newest term, not the one of the start")
	require.EqualValues(t, 2, p.Log().LogEndOffset())
	require.Same(t, p, n.Partition("t", 1))
	require.EqualValues(t, 2, mustAppend(t, p, 1).FirstOffset)

	n.OpenAll()
	n.opening.Wait()
	require.Len(t, n.store.Logs(), 3)
	n.apply(&metadata.RemoveTopicRecord{TopicID: metadata.UUID{7}})
	require.Empty(t, n.store.Partitions())
}

func TestTopicOfAnotherIDIsStrayWhenItIsOpened(t *testing.T) {
	n := newNode(t)
	n.apply(topicRecords("t", 7, 1, 1)...)
	mustAppend(t, n.Partition("t", 0), 2)
	require.NoError(t, n.store.Close(1))
	n.replay = metadata.NewReplay(metadata.Empty("c"))
	n.startLazily(n.fs, "/d")
	_, _, err := n.replay.Batch(topicRecords("t", 8, 1, 1), metadata.Position{Offset: 10, Epoch: 1})
	require.NoError(t, err)
	n.firstApply()
	p := n.Partition("t", 0)
	require.EqualValues(t, 0, p.Log().LogEndOffset())
	entries, err := n.fs.ReadDir("/d")
	require.NoError(t, err)
	stray := 0
	for _, e := range entries {
		if len(e.Name()) > 6 && e.Name()[len(e.Name())-6:] == "-stray" {
			stray++
		}
	}
	require.Equal(t, 1, stray, "the records of the other topic are put aside")
}
