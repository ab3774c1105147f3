// Package logstore is Kafka's log on disk: segments, indexes, the leader-epoch cache, producer state,
// checkpoints, recovery and retention, in Kafka's own formats (docs/format.md).
//
// A Store owns the log directories and every partition's Log; OpenLog opens one log without a store (the
// metadata log). An append is append.go: stamp, check producers, roll, one write, index, publish. A read
// is read.go: a file range of an immutable list of segments. recover.go and rebuild.go open what the last
// process left.
//
// Flushes that come while one runs share the next: flushround.go.
//
// Locks, in this order: Log.flushMu (held across fdatasync) → Log.appendMu → segment.indexMu, fileCache;
// Store.createMu → Store.cpMu → Store.mu. Readers take none but the last two of the first row, for memory
// work.
//
// A Store opened with Options.Lazy only lists its logs: storelazy.go loads each on its first use. An epoch
// reaches its file with the first flush of its records, and a clean stop leaves untouched logs alone: a start
// and a stop cost no sync for logs that nobody wrote to.
//
// Non-obvious, each found by a crash test:
//   - An append publishes the log end before the segment's size, and a reader loads them the other way
//     round: what it sees within the size is below the log end that it compares with.
//   - Recovery trusts the indexes of segments that end at or below the recovery point, so a segment that is
//     rolled when everything is flushed syncs its indexes there and then.
//   - A truncation lowers the recovery point on disk before it cuts, makes the removal of later segments
//     durable before it cuts, and syncs what lies before the cut: else a power failure leaves a hole with
//     valid batches behind it, which recovery rightly refuses.
//   - A name that is created again must not inherit the checkpoints of the deleted log: Store.forget.
//   - Base offset and leader epoch are outside a batch's checksum: a valid batch whose offsets go back is
//     corruption, not a torn tail.
package logstore
