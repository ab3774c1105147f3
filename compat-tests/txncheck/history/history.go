// Package history holds what transactional clients did and saw, and finds what must never be in it.
//
// The anomalies are those of Jepsen's workload for Kafka, as definitions: each Kind says which. Every record that a
// client sends has a value of its own, so that each place where it shows up later can be held against what its
// sender was told. What Kafka's model allows is counted and not an anomaly: cycles of writes alone (G0), and those
// of reads that need a write order to close (see Report).
package history

import (
	"fmt"
	"time"
)

// Partition names a partition.
type Partition struct {
	Topic string
	Index int32
}

func (p Partition) String() string { return fmt.Sprintf("%s-%d", p.Topic, p.Index) }

// Value tells a record from all others. The upper half is its writer: one life of one client.
type Value uint64

// ValueOf is the value of a writer's record.
func ValueOf(writer, seq uint32) Value { return Value(writer)<<32 | Value(seq) }

// Writer is whose it is.
func (v Value) Writer() uint32 { return uint32(v >> 32) }

func (v Value) String() string { return fmt.Sprintf("%d/%d", uint32(v>>32), uint32(v)) }

// Fate is what the client knows of how its transaction ended.
type Fate int8

// The fates. Aborted is also what was never asked to be committed.
const (
	Aborted Fate = iota
	Unknown      // the commit was asked for and not answered, or not clearly: all or nothing
	Committed
)

// Write is a record that was sent.
type Write struct {
	Value     Value
	Partition Partition
	Offset    int64 // as acknowledged; -1: it was not
	Source    Value // of a copy: what it was copied from; 0: none
}

// Txn is a transaction, or one record of a producer without transactions.
type Txn struct {
	// ID is its transactional id, or who sent it without.
	ID     string
	Fate   Fate
	Plain  bool // no transaction: one write, Committed when it was acknowledged, else Unknown
	Writes []Write
	Reads  []Value // what was consumed in it
	// Asked is when the commit was asked for, Answered when it was answered well; zero: never.
	Asked, Answered time.Duration
	// Fenced is when another client was told that it has the transactional id now; zero: never.
	Fenced time.Duration
}

// Seen is a record as somebody saw it.
type Seen struct {
	Offset int64
	Value  Value
	At     time.Duration
}

// Reader is one client that polled partitions, alone.
type Reader struct {
	Name      string
	Committed bool // read_committed
	Polled    map[Partition][]Seen
	// From are the offsets at which it began, and then it only looked into those partitions; nil: it read all of them
	// from their beginning, and had the time to come to the end.
	From map[Partition]int64
}

// Entry is a record of a partition as it is in the end. Visible: a reader of committed records gets it.
type Entry struct {
	Offset  int64
	Value   Value
	Source  Value
	Visible bool
}

// OffsetRead is the committed offset of a group as it was read.
type OffsetRead struct {
	Partition Partition
	Offset    int64
	At        time.Duration
}

// Copying is a group that copies topics by transactions that hold its offsets.
type Copying struct {
	Inputs  []Partition
	Output  string // topic
	Offsets []OffsetRead
	Final   map[Partition]int64
}

// Pinned is a last stable offset that did not move although records lay beyond it.
type Pinned struct {
	Partition Partition
	Offset    int64
	For       time.Duration
}

// History is all of it.
type History struct {
	Txns    []*Txn
	Readers []*Reader
	// Logs are the partitions in the end, in the order of offsets.
	Logs   map[Partition][]Entry
	Copies []Copying
	// Pinned are the longest; PinnedMost is the time from which on one is an anomaly.
	Pinned     []Pinned
	PinnedMost time.Duration
	// Open are transactions that are open in the end, in words.
	Open []string
}
