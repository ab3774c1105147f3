package controller

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"minikafka/config"
	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/metadata"
)

func testOptions(t testing.TB, fsys vfs.FS) Options {
	return Options{
		FS: fsys, Clock: clock.Real(), Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Dir: "/data", NodeID: 1, ClusterID: "AAAAAAAAQACEAAAAAAAAAA", DirectoryID: metadata.UUID{7}, LogDirectoryIDs: []metadata.UUID{{7}},
		Config: config.New(nil),
		Fatal:  func(err error) { t.Errorf("fatal: %v", err) },
	}
}

// open is a controller over fsys that the test closes.
func open(t testing.TB, o Options) *Controller {
	t.Helper()
	c, err := Open(t.Context(), o)
	require.NoError(t, err)
	return c
}

// boot registers and unfences broker 1.
func boot(t testing.TB, c *Controller) (epoch int64) {
	t.Helper()
	epoch, err := c.RegisterBroker(context.Background(), metadata.Broker{
		ID: 1, IncarnationID: randomID(), Directories: []metadata.UUID{{7}},
		Endpoints: []metadata.Endpoint{{Name: "PLAINTEXT", Host: "localhost", Port: 9092}},
	})
	require.NoError(t, err)
	require.NoError(t, c.Unfence(context.Background(), 1, epoch))
	return epoch
}

func newDataDir(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	require.NoError(t, m.MkdirAll("/data", 0o755))
	require.NoError(t, m.SyncDir("/"))
	return m
}

func TestNewClusterBeginsWithTheFeaturesThatItIsGiven(t *testing.T) {
	fsys := newDataDir(t)
	o := testOptions(t, fsys)
	o.Features = map[string]int16{"transaction.version": 1, "share.version": 0}
	c := open(t, o)
	want := map[string]int16{
		"metadata.version": 33, "eligible.leader.replicas.version": 1, "group.version": 1, "streams.version": 1, "transaction.version": 1,
	}
	require.Equal(t, want, c.Image().Features())
	require.NoError(t, c.Close())
	o.Features = map[string]int16{"transaction.version": 2}
	require.Equal(t, want, open(t, o).Image().Features(), "the cluster is there already")
	for name, level := range map[string]int16{"transaction.version": 3, "metadata.version": 30, "kraft.version": 1, "no.version": 1, "group.version": -1} {
		o := testOptions(t, newDataDir(t))
		o.Features = map[string]int16{name: level}
		_, err := Open(t.Context(), o)
		require.ErrorContains(t, err, name)
	}
}

func TestEmptyDirectoryIsFormattedLikeKafka44(t *testing.T) {
	fsys := newDataDir(t)
	start := time.Now()
	c := open(t, testOptions(t, fsys))
	t.Logf("leader after %v", time.Since(start))
	require.Equal(t, map[string]int16{
		"metadata.version": 33, "eligible.leader.replicas.version": 1, "group.version": 1,
		"share.version": 2, "streams.version": 1, "transaction.version": 2,
	}, c.Image().Features())
	require.Equal(t, "1", c.Image().Configs(metadata.Resource{Type: metadata.ResourceBroker})["min.insync.replicas"])
	require.Equal(t, int64(9), c.Image().Offset, "as in Kafka: leader change, then a transaction of nine records")
	require.NoError(t, c.Close())

	state, err := fsys.ReadFile("/data/__cluster_metadata-0/quorum-state")
	require.NoError(t, err)
	require.Equal(t, `{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}`, string(state))
	s, err := readSnapshot(fsys, "/data/__cluster_metadata-0", snapshotID{})
	require.NoError(t, err)
	require.Len(t, s.records, 6)
}

func TestRestartKeepsWhatWasAnsweredAndStartsANewEpoch(t *testing.T) {
	fsys := newDataDir(t)
	c := open(t, testOptions(t, fsys))
	epoch := boot(t, c)
	first, count, err := c.AllocateProducerIDs(t.Context(), 1, epoch)
	require.NoError(t, err)
	require.Equal(t, []int64{0, 1000}, []int64{first, int64(count)})
	require.NoError(t, c.Close())

	c = open(t, testOptions(t, fsys))
	require.Equal(t, epoch, c.Image().Broker(1).Epoch)
	next := boot(t, c)
	require.Greater(t, next, epoch)
	_, _, err = c.AllocateProducerIDs(t.Context(), 1, epoch)
	require.ErrorIs(t, err, kerr.StaleBrokerEpoch)
	first, _, err = c.AllocateProducerIDs(t.Context(), 1, next)
	require.NoError(t, err)
	require.Equal(t, int64(1000), first)
	require.Equal(t, int32(2), c.Image().Epoch)
	require.NoError(t, c.Close())
	_, err = c.RegisterBroker(t.Context(), metadata.Broker{ID: 1})
	require.ErrorIs(t, err, ErrClosed)
}

func TestAnswerComesAfterEverySubscriberHasTheImage(t *testing.T) {
	c := open(t, testOptions(t, newDataDir(t)))
	defer func() { require.NoError(t, c.Close()) }()
	var seen []int64
	c.Subscribe("test", func(i *metadata.Image, d *metadata.Delta) {
		time.Sleep(5 * time.Millisecond)
		seen = append(seen, i.Offset)
	})
	require.Len(t, seen, 1, "called at once")
	epoch := boot(t, c)
	require.Equal(t, []int64{9, epoch, epoch + 1}, seen, "no lock needed: the answer came after")
}

func TestFailedFlushEndsTheProcessAndAnswersNobody(t *testing.T) {
	boom := errors.New("boom")
	mem := newDataDir(t)
	var fail bool
	fsys := vfs.Faulty(mem, func(op vfs.Op, name string, n int) error {
		if fail && op == vfs.OpSync {
			return boom
		}
		return nil
	})
	o := testOptions(t, fsys)
	fatal := make(chan error, 2)
	o.Fatal = func(err error) { fatal <- err }
	c := open(t, o)
	epoch := boot(t, c)
	fail = true
	_, _, err := c.AllocateProducerIDs(t.Context(), 1, epoch)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, <-fatal, boom)
	require.ErrorIs(t, c.Close(), boom)
	require.Zero(t, c.Image().NextProducerID)
}
