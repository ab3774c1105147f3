// Package controller is the metadata quorum and the state machine on it: every create, delete and
// config change is a committed record of __cluster_metadata.
//
//	service.go        Options, Controller, how a change gets into the loop and its answer out
//	loop.go           the one goroutine: decide, propose, commit, publish, answer
//	api_*.go          the requests
//	fsm*.go           what they decide: a view of the metadata and a request in, records and an answer out; pure
//	quorum.go         raft: term and vote, what to store, what is committed
//	raftstore.go      raft's storage: one record batch of the log is one entry
//	quorumstate.go    the file quorum-state
//	snapshot.go       *.checkpoint and *.raft files; checkpointing.go: when they are written
//	open.go, scan.go  start: all is read and checked before anything is changed; format.go: an empty directory
//
// Not obvious:
//   - A broker's epoch is the offset of the first record of the batch that registers it, which may be a
//     partition change (Kafka does the same).
//   - Records are applied when they are proposed (spec), and published when they are committed.
//   - A snapshot that ends at offset 0 is the bootstrap: what `storage format` wrote. Its records are
//     written again, in a transaction, by the first leader.
//   - With an open transaction the image stays behind the log, and no snapshot is taken.
//   - Raft's index is not Kafka's offset, and starts anew where Kafka wrote the snapshot.
package controller
