// Package txncheck runs transactions against a broker that is killed and stopped and whose clients' requests are
// held, repeated and cut off, and then looks for what must never be seen.
//
// The parts: producers.go (transactional ids of both versions of the protocol, that commit, abort, vanish, overstay
// and are usurped), copiers.go (a group that copies a topic by transactions that hold its offsets), plain.go
// (idempotent producers without transactions), readers.go (who polls all the time, and the truth in the end),
// watch.go (offsets of the group, last stable offsets that do not move), faults.go (what is done to which requests),
// broker.go (ours, or Apache Kafka for comparison). Package history says what is wrong with what they recorded.
package txncheck
