//go:build kafka

package interop

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestEachCompactsWhatTheOtherCompacted: what one compacted, with transactions and tombstones in it, the next one
// serves as it is, writes to, and compacts on; nothing but overwritten records goes.
func TestEachCompactsWhatTheOtherCompacted(t *testing.T) {
	for _, turns := range [][]server{{ours, kafka, ours}, {kafka, ours, kafka}} {
		t.Run("first "+string(turns[0]), func(t *testing.T) {
			t.Parallel()
			n := newNode(t, dynamic, 1, "log.cleaner.backoff.ms=300")
			n.format()
			var seen *view
			for i, s := range turns {
				n.start(s)
				if i == 0 {
					n.create("compacted", 2, "cleanup.policy", "compact", "segment.bytes", "1048576", "delete.retention.ms", "1000",
						"min.cleanable.dirty.ratio", "1.0")
				} else {
					requireCarriedOver(t, seen, n.look())
				}
				seen = n.compactOnce(i)
				if i%2 == 0 {
					n.kill()
				} else {
					n.stop()
				}
			}
			n.start(turns[1])
			requireCarriedOver(t, seen, n.look())
			n.stop()
		})
	}
}

// compactOnce writes to the compacted topic, waits until it was compacted, and returns what is left.
func (n *node) compactOnce(round int) *view {
	n.t.Helper()
	commit, abort := kgo.TryCommit, kgo.TryAbort
	cleanedTo := n.checkpoint("cleaner-offset-checkpoint", "compacted")
	n.transaction("compacted", "c", &commit).Close()
	n.transaction("compacted", "c", &abort).Close()
	n.transaction("compacted", fmt.Sprint("c", round), &commit).Close()
	n.produce(&ledger{}, "compacted", 2, 5_000_000)
	before := n.look()
	n.alter("compacted", "min.cleanable.dirty.ratio", "0.01")
	require.Eventually(n.t, func() bool {
		now := n.checkpoint("cleaner-offset-checkpoint", "compacted")
		return len(now) == 2 && (len(cleanedTo) < 2 || now[0] > cleanedTo[0] && now[1] > cleanedTo[1])
	}, time.Minute, 100*time.Millisecond, "%s compacts both partitions, from %v", n.running, cleanedTo)
	n.alter("compacted", "min.cleanable.dirty.ratio", "1.0")
	var after *view
	require.Eventually(n.t, func() bool { // a run may be under way
		last := after
		after = n.look()
		return last != nil && count(last) == count(after)
	}, time.Minute, time.Second)
	removed := 0
	for i, p := range after.topics["compacted"].partitions {
		old := before.topics["compacted"].partitions[i]
		requireSubset(n.t, old.records, p.records)
		require.Equal(n.t, lastValues(old.committed), lastValues(p.committed), "values of partition %d", i)
		require.Equal(n.t, []int64{old.end, old.lastStable}, []int64{p.end, p.lastStable})
		removed += len(old.records) - len(p.records)
	}
	require.Greater(n.t, removed, 100)
	n.t.Logf("%s, round %d: compaction removed %d of %d records", n.running, round, removed, count(before))
	return after
}

// requireSubset: what is left is as it was.
func requireSubset(t *testing.T, before, after []record) {
	t.Helper()
	for _, r := range after {
		i, found := slices.BinarySearchFunc(before, r.offset, func(b record, offset int64) int { return int(b.offset - offset) })
		require.True(t, found, "offset %d", r.offset)
		require.Equal(t, before[i], r)
	}
}

// lastValues are the values by key: a tombstone is none.
func lastValues(records []record) map[string]string {
	last := map[string]string{}
	for _, r := range records {
		switch {
		case r.isControl():
		case r.value == text(nil):
			delete(last, r.key)
		default:
			last[r.key] = r.value
		}
	}
	return last
}
