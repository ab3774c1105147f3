//go:build kafka

package interop

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestWhatKafkaLeavesBehindIsServed: a Kafka that compacted, ran groups and transactions, deleted records and a
// topic, met a stray directory, and was killed with two transactions open. Ours serves the same by both isolation
// levels, is killed, and gives the directory back; then Kafka ends the transactions, and ours serves that.
func TestWhatKafkaLeavesBehindIsServed(t *testing.T) {
	t.Parallel()
	n := newNode(t, dynamic, 2, "log.cleaner.backoff.ms=300", "log.segment.delete.delay.ms=600000",
		"log.retention.check.interval.ms=1000",
		"log.initial.task.delay.ms=500", "log.flush.start.offset.checkpoint.interval.ms=300")
	n.format()
	n.start(kafka)
	open := n.workOnKafka()
	n.stop()
	n.makeStray("plain-0", "ghost-0")
	n.start(kafka)
	n.deleteWhatStays()
	open = append(open, n.transaction("txn", "left open", nil))
	abort := kgo.TryAbort
	n.transaction("txn", "between", &abort).Close()
	n.produce(&ledger{}, "txn", 2, 1000)
	open = append(open, n.transaction("txn", "open too", nil))
	before := n.look()
	n.kill()
	for _, cl := range open {
		cl.Close()
	}
	n.requireLeftBehind()
	txn := before.topics["txn"].partitions[0]
	require.Less(t, txn.lastStable, txn.end, "a transaction is open")

	n.start(ours)
	after := n.look()
	requireCarriedOver(t, before, after)
	var l ledger
	n.produce(&l, "txn", 2, 2000)
	n.produce(&l, "plain", 2, 2000)
	served := n.look()
	l.requireIn(n, served)
	require.Equal(t, txn.lastStable, served.topics["txn"].partitions[0].lastStable, "nothing of ours ends the transaction")
	n.kill()
	n.start(ours)
	requireCarriedOver(t, served, n.look())
	n.stop()

	n.start(kafka)
	back := n.look()
	requireCarriedOver(t, served, back)
	require.Equal(t, int64(7), n.committedOffset("g", "plain"))
	commit := kgo.TryCommit
	for _, id := range []string{"left open", "open too"} {
		n.transaction("txn", id, &commit).Close() // the new producer's first act aborts what the old one left
	}
	ended := n.look()
	require.Equal(t, ended.topics["txn"].partitions[0].end, ended.topics["txn"].partitions[0].lastStable)
	require.Greater(t, len(ended.topics["txn"].partitions[0].committed), len(before.topics["txn"].partitions[0].committed))
	n.stop()

	n.start(ours)
	requireCarriedOver(t, ended, n.look())
	n.stop()
	require.NotEmpty(t, n.found("ghost-0.*-stray"), "a stray directory is not ours to remove")
}

// workOnKafka fills topics, and waits until the cleaner has compacted one.
func (n *node) workOnKafka() []*kgo.Client {
	n.t.Helper()
	commit, abort := kgo.TryCommit, kgo.TryAbort
	n.create("plain", 2, "segment.bytes", "1048576")
	n.create("txn", 2)
	n.create("compacted", 2, "cleanup.policy", "compact", "segment.bytes", "1048576", "min.cleanable.dirty.ratio", "0.01",
		"delete.retention.ms", "0")
	n.produce(&ledger{}, "plain", 2, 3_000_000)
	n.transaction("compacted", "c", &commit).Close()
	n.transaction("compacted", "c", &abort).Close()
	for range 2 {
		n.produce(&ledger{}, "compacted", 2, 4_000_000)
	}
	for range 2 {
		n.transaction("txn", "t", &commit).Close()
		n.transaction("txn", "t", &abort).Close()
	}
	n.commitOffsets("g", "plain", 7)
	n.joinGroup("members", "plain")
	require.Eventually(n.t, func() bool {
		for _, offset := range n.checkpoint("cleaner-offset-checkpoint", "compacted") {
			if offset > 0 {
				return true
			}
		}
		return false
	}, 40*time.Second, 200*time.Millisecond, "Kafka's cleaner compacted a partition")
	n.alter("compacted", "min.cleanable.dirty.ratio", "1.0") // from here on it stays as it is
	return nil
}

// joinGroup consumes a little as a member of a group: its records go to __consumer_offsets.
func (n *node) joinGroup(group, topic string) {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	cl := n.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	var err error
	for {
		// Errors of a coordinator that is loading come here, too. A member that was put out of the group, because its
		// server or it was too slow, joins again within the poll.
		fetches := cl.PollRecords(ctx, 10)
		if ctx.Err() != nil {
			n.t.Fatalf("a member of group %s reads nothing of %s: %v, or cannot commit: %v", group, topic, fetches.Err(), err)
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err = cl.CommitUncommittedOffsets(ctx); err == nil {
			break
		}
		if !kerr.IsRetriable(err) && !slices.ContainsFunc(rejoin, func(e *kerr.Error) bool { return errors.Is(err, e) }) {
			require.NoError(n.t, err)
		}
		n.t.Logf("%s: commit in group %s: %v", n.running, group, err)
		cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {0: {}, 1: {}, 2: {}}}) // read, and commit, again
	}
	require.NoError(n.t, cl.LeaveGroupContext(ctx))
}

// rejoin are the errors of a commit after which a client joins its group again.
var rejoin = []*kerr.Error{kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration}

// deleteWhatStays deletes records and a topic whose files then wait for log.segment.delete.delay.ms.
func (n *node) deleteWhatStays() {
	n.t.Helper()
	n.create("gone", 2)
	n.produce(&ledger{}, "gone", 2, 1000)
	n.delete("gone")
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	adm := kadm.NewClient(n.client())
	ends, err := adm.ListEndOffsets(ctx, "plain")
	require.NoError(n.t, err)
	end, _ := ends.Lookup("plain", 1)
	cut := kadm.Offsets{}
	cut.AddOffset("plain", 1, end.Offset-20, -1)
	_, err = adm.DeleteRecords(ctx, cut)
	require.NoError(n.t, err)
	require.Eventually(n.t, func() bool {
		return len(n.found("plain-1/*.log.deleted")) > 0 && len(n.checkpoint("log-start-offset-checkpoint", "plain")) > 0
	}, 20*time.Second, 100*time.Millisecond, "segments are going, and a kill does not undo it")
}

func (n *node) found(pattern string) (paths []string) {
	for _, dir := range n.logDirs {
		more, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(n.t, err)
		paths = append(paths, more...)
	}
	return paths
}

// checkpoint are the offsets that a checkpoint file has for a topic's partitions.
func (n *node) checkpoint(file, topic string) (offsets []int64) {
	for _, path := range n.found(file) {
		data, err := os.ReadFile(path)
		require.NoError(n.t, err)
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == topic {
				offset, err := strconv.ParseInt(f[2], 10, 64)
				require.NoError(n.t, err)
				offsets = append(offsets, offset)
			}
		}
	}
	return offsets
}

// makeStray copies a partition's directory to the name of one that no metadata knows.
func (n *node) makeStray(from, to string) {
	n.t.Helper()
	source := n.found(from)[0]
	target := filepath.Join(filepath.Dir(source), to)
	require.NoError(n.t, os.CopyFS(target, os.DirFS(source)))
	require.NoError(n.t, os.WriteFile(filepath.Join(target, "partition.metadata"), []byte("version: 0\ntopic_id: AAAAAAAAQACEBBBBBBBBBA"), 0o600))
}

// requireLeftBehind makes sure that the directory has what the test is about.
func (n *node) requireLeftBehind() {
	n.t.Helper()
	for _, pattern := range []string{"gone-*-delete", "ghost-0.*-stray", "plain-1/*.log.deleted", "txn-*/*.txnindex", "__consumer_offsets-*", "__transaction_state-*"} {
		require.NotEmpty(n.t, n.found(pattern), pattern)
	}
	for _, dir := range n.logDirs {
		entries, err := os.ReadDir(dir)
		require.NoError(n.t, err)
		require.True(n.t, len(entries) > 6, "partitions in %s", dir)
	}
	preallocated := 0
	for _, path := range append(n.found("*/*.index"), n.found("*/*.timeindex")...) {
		if data, err := os.ReadFile(path); err == nil && len(data) > 10<<20-12 && bytes.Count(data, []byte{0}) > len(data)/2 {
			preallocated++
		}
	}
	require.NotZero(n.t, preallocated, "Kafka preallocates the indexes of active segments")
}
