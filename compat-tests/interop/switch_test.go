//go:build kafka

package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// history is one directory's life over many servers.
type history struct {
	*node
	ledger    ledger
	seen      *view             // what the last server served last
	disk      map[string][]byte // and left
	highestID int64             // producer ids below were given away
	groupAt   int64
	kept      []string // by Kafka, of what ours hands on
	brokers   []string // dynamic configs of brokers
	again     bool     // the topic that each server makes anew is there
	open      *openTransaction
	ended     map[string]bool // transactions that another server ended than began them, and whether they were committed
}

// snapshots: one of the directories gets a metadata snapshot every few changes, by whoever serves it.
var snapshots = map[form]string{
	static:  "metadata.log.max.snapshot.interval.ms=3600000",
	dynamic: "metadata.log.max.record.bytes.between.snapshots=2000",
}

// TestOneDirectoryServedByBothInTurn: ours, Kafka, ours, … three times each, on the same server.properties. Each
// server adds records, topics, configurations, and is stopped or killed. What the next one serves is the same.
func TestOneDirectoryServedByBothInTurn(t *testing.T) {
	for _, f := range []form{static, dynamic} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			h := &history{highestID: -1, groupAt: -1, node: newNode(t, f, 2, snapshots[f],
				"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS",
				"allow.everyone.if.no.acl.found=true")} // else ours does not start: it has no access control
			if f == dynamic {
				h.format()
			} else { // ours formats an empty directory, and Kafka finds it so; the metadata has a directory of its own
				h.separateMetadata()
			}
			for round := range 3 {
				for i, s := range []server{ours, kafka} {
					// Each server is stopped and killed; the two forms differ in when.
					killed := (round+i+map[form]int{static: 0, dynamic: 1}[f])%2 == 1
					h.life(s, round, killed)
				}
			}
			h.life(ours, 3, false)
			if f == dynamic {
				h.requireMetadataSnapshot()
			}
			h.requireDumpsClean(h.ledger.count(), true)
			h.dump(h.found("__consumer_offsets-*/*.log"), "--offsets-decoder")
			h.dump(h.found("__transaction_state-*/*.log"), "--transaction-log-decoder")
		})
	}
}

// life starts a server on what the one before left, looks, works and ends.
func (h *history) life(s server, round int, killed bool) {
	h.t.Helper()
	start := time.Now()
	h.start(s)
	ready := time.Since(start)
	v := h.look()
	if h.seen != nil {
		requireCarriedOver(h.t, h.seen, v, "rolled")
	}
	h.ledger.requireIn(h.node, v)
	h.requireFreshProducerIDs()
	if h.groupAt >= 0 {
		require.Equal(h.t, h.groupAt, h.committedOffset("g", "rolled"), "the offset of a group")
	}
	h.requireKept(s)
	h.endOpen()
	h.work(s, round)
	if s == kafka {
		h.keep(round)
		h.kept = h.node.kept()
	}
	h.setConfig(kmsg.ConfigResourceTypeBroker, "", "log.retention.ms", fmt.Sprint(700_000_000+round))
	h.brokers = h.configs(kmsg.ConfigResourceTypeBroker, "1")
	h.open = h.leaveOpen("txn", fmt.Sprintf("open-%d-%c", round, s[0]), round%2 == 0)
	h.seen = h.look()
	require.Less(h.t, h.seen.topics["txn"].partitions[0].lastStable, h.seen.topics["txn"].partitions[0].end, "a transaction is open")
	h.requireEnded()
	h.ledger.requireIn(h.node, h.seen)
	h.highestID = max(h.highestID, h.producerID(), highestProducerID(h.seen))
	if killed {
		h.killUnderLoad(&h.ledger, "rolled")
	} else {
		h.stop()
	}
	disk := h.files(appendOnly)
	if h.disk != nil {
		requireGrown(h.t, h.disk, disk)
	}
	h.disk = disk
	h.t.Logf("%s, %s, round %d: ready after %s, %d topics, %d records; killed %t", h.form, s, round, ready.Round(time.Millisecond), len(h.seen.topics), count(h.seen), killed)
}

func (h *history) requireFreshProducerIDs() {
	h.t.Helper()
	id := h.producerID()
	require.Greater(h.t, id, h.highestID, "a producer id was given away twice")
	h.highestID = id
}

func (h *history) requireKept(s server) {
	h.t.Helper()
	if h.brokers != nil {
		require.Equal(h.t, h.brokers, h.configs(kmsg.ConfigResourceTypeBroker, "1"), "dynamic broker configs")
	}
	if s == kafka && h.kept != nil {
		require.Equal(h.t, h.kept, h.node.kept(), "what Kafka had in its metadata")
	}
}

// remake deletes a topic and makes it anew: same name, other id, offsets from 0.
func (h *history) remake() {
	h.t.Helper()
	if h.again {
		h.delete("dropped-again")
	}
	h.create("dropped-again", 1)
	h.produce(&ledger{}, "dropped-again", 1, 1000)
	h.again = true
}

func (h *history) work(s server, round int) {
	h.t.Helper()
	if round == 0 && s == ours {
		h.create("rolled", 2, "segment.bytes", "1048576", "index.interval.bytes", "512")
		h.create("appendtime", 1, "message.timestamp.type", "LogAppendTime", "compression.type", "zstd")
		h.create("txn", 2)
	}
	h.remake()
	own := fmt.Sprintf("made.by_%c-%d", s[0], round)
	h.create(own, 3, "max.message.bytes", "100000")
	h.produce(&h.ledger, own, 3, 20_000)
	h.produce(&h.ledger, "rolled", 2, 2_800_000)
	h.produce(&h.ledger, "appendtime", 1, 20_000)
	h.alter("rolled", "retention.ms", fmt.Sprint(900_000_000+10*round+len(s)))
	h.groupAt = int64(100*round + len(s))
	h.commitOffsets("g", "rolled", h.groupAt)
	h.joinGroup("members", own)
	dropped := fmt.Sprintf("dropped-%d", round)
	if s == ours {
		h.create(dropped, 2)
		h.produce(&ledger{}, dropped, 2, 1000)
	} else {
		h.delete(dropped)
	}
	commit, abort := kgo.TryCommit, kgo.TryAbort
	h.transaction("txn", "tx", &commit).Close()
	h.transaction("txn", "tx", &abort).Close()
	h.transaction("txn", fmt.Sprint("tx", round), &commit).Close()
}

// endOpen ends, by the producer that began it on the server before, the transaction that was open at the switch. The
// offset that was in it counts if it is committed.
func (h *history) endOpen() {
	h.t.Helper()
	if h.open == nil {
		return
	}
	h.open.end(h.node)
	if h.ended == nil {
		h.ended = map[string]bool{}
	}
	h.ended[h.open.id] = bool(h.open.commit)
	if h.open.commit {
		require.Eventually(h.t, func() bool { return h.open.offset == h.committedOffset(h.open.group, h.open.topic) },
			20*time.Second, 50*time.Millisecond, "the offset in transaction %s", h.open.id)
	} else {
		require.NotEqual(h.t, h.open.offset, h.committedOffset(h.open.group, h.open.topic), "the offset in transaction %s", h.open.id)
	}
}

// requireEnded: read_committed has the transactions that were committed, and only those; of both sides.
func (h *history) requireEnded() {
	h.t.Helper()
	for _, p := range h.seen.topics["txn"].partitions {
		found := map[string]bool{}
		for _, r := range p.committed {
			found[r.value] = true
		}
		for id, committed := range h.ended {
			require.Equal(h.t, committed, found["="+id], "transaction %s is seen by read_committed", id)
		}
	}
}

func highestProducerID(v *view) int64 {
	highest := int64(-1)
	for _, t := range v.topics {
		for _, p := range t.partitions {
			for _, r := range p.records {
				highest = max(highest, r.producerID)
			}
		}
	}
	return highest
}

func count(v *view) (records int) {
	for _, t := range v.topics {
		for _, p := range t.partitions {
			records += len(p.records)
		}
	}
	return records
}
