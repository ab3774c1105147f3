// Package coordinator runs deterministic machines whose state is a log: one Shard per led partition of an
// internal topic.
//
// A shard's loop takes what is queued, lets the machine decide each request, replays the records that
// the machine wants into it at once, appends the records of all of them as one batch, and gives the
// replies out when the high watermark has passed what they saw. Outside of a round,
//
//	memory = replay of the local log up to its end offset.
//
// What is not obvious:
//   - Replay comes before the append, so that the next request of the round sees what the one before it
//     did. That is sound because a failed append, or one that lands elsewhere than expected (somebody
//     else wrote to the partition), drops the machine with all its soft state and loads the log again.
//   - A request without records is a read: its reply waits too, for the end offset that it saw, so that
//     nobody learns of what is not committed.
//   - Whether a write can succeed (leader, enough in-sync replicas) is asked before the machine sees it.
//   - Nobody waits in the loop but the loop itself: replies go into a place that the waiter owns.
package coordinator

import (
	"time"

	"minikafka/internal/clock"
)

// Token names a request that waits for its reply, within one shard.
type Token uint64

// Record is one record of the log; a nil Value is a tombstone.
type Record struct{ Key, Value []byte }

// Reply is a request's answer, of a type that machine and caller agree on.
type Reply struct {
	Token  Token
	Answer any
}

// Event is something to log: a message and slog's attributes.
type Event struct {
	Message string
	Args    []any
}

// Outcome is what a step decided. The records are atomic: all in one batch.
type Outcome struct {
	Records []Record
	Replies []Reply
	Events  []Event
	// Actions are given to Options.Act, in order, when the records are committed. Those that are not when
	// the shard ends are dropped: the machine finds them again in Loaded.
	Actions []any
}

// Machine is state without I/O, clock or goroutine. Its steps are calls on the machine itself.
type Machine interface {
	// Replay applies a record. Before Loaded it builds the state; after it, it is told of the records of
	// its own steps. NoProducerID (-1) is a record outside of a transaction. An error says that the record
	// is not understood; it is logged and passed over.
	Replay(offset, producerID int64, r Record) error
	// ReplayMarker ends a producer's transaction.
	ReplayMarker(producerID int64, commit bool)
	// Loaded is called once, when the log has been replayed.
	Loaded(now time.Time) Outcome
	// Tick does what is due. The zero Wake of a machine is "never".
	Tick(now time.Time) Outcome
	// Wake is when Tick has to be called, at the latest.
	Wake() time.Time
}

// Log is the partition as its leader sees it.
type Log interface {
	// Admit says whether a write can succeed now; the error is shown to the client's side as it is.
	Admit() error
	// Append writes one batch. The offset is where its first record landed.
	Append(batch []byte) (firstOffset int64, err error)
	// CheckProducer says whether the producer's state takes a batch of a transaction: a header without
	// records, or a marker.
	CheckProducer(batch []byte, r ProducerRules) error
	// Read returns bytes from the batch that holds offset, up to the log end; the last batch may be cut.
	// At least one whole batch is returned however small maxBytes is, none at the log end.
	Read(offset int64, maxBytes int32) ([]byte, error)
	LogStartOffset() int64
	LogEndOffset() int64
	HighWatermark() int64
	// Watch registers a one-slot channel that gets a token when the high watermark may have moved.
	Watch(c chan struct{}) (cancel func())
	// MaxBatchBytes is the largest batch that Append takes.
	MaxBatchBytes() int
}

// Clock is what a shard's time comes from.
type Clock = clock.Clock
