// Package logstore is Kafka's log on disk: segments, indexes, the leader-epoch cache, producer state,
// checkpoints, recovery and retention, in Kafka's own formats (docs/format.md).
package logstore
