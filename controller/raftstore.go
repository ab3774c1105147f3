package controller

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"minikafka/internal/invariant"
	"minikafka/logstore"
	"minikafka/metadata"
	"minikafka/protocol"
)

// metadataLog is what the quorum needs of a logstore.Log.
type metadataLog interface {
	Append(batches []byte, leaderEpoch int32, origin logstore.Origin, logAppendTime int64) (logstore.AppendInfo, error)
	Batches(from, upTo int64, fn func(b protocol.Batch) error) error
	Flush() error
	LogStartOffset() int64
	LogEndOffset() int64
	SetHighWatermark(hw int64)
	IncrementLogStartOffset(offset int64) error
	TruncateTo(offset int64) error
	TruncateFullyAndStartAt(offset int64) error
	Close() error
}

// entryMeta is one raft entry: a record batch of the log.
type entryMeta struct {
	term   uint64
	offset int64 // base offset of the batch
	last   int64 // its last offset
}

// raftStore is raft's Storage over the metadata log. Raft's index is the ordinal of the batch, counted
// from the snapshot. An entry's data is the batch as the proposer made it; the leader's empty entry is a
// LeaderChange control batch on disk, and has no data.
type raftStore struct {
	log       metadataLog
	snapIndex uint64 // entries[0] has index snapIndex+1
	snapTerm  uint64
	entries   []entryMeta
	// unapplied holds the data of entries that are not applied yet, so that committing reads no file.
	unapplied map[uint64][]byte
	hard      *raftpb.HardState
	conf      *raftpb.ConfState
	// leaderChange makes the control batch of the leader's empty entry.
	leaderChange func() []byte
}

// raftID is a voter's id in raft: a hash of node id and directory id, so that a node that lost its disk
// never comes back under the id that had promised something.
func raftID(node int32, directory metadata.UUID) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s", node, directory) // a hash never fails
	return h.Sum64()>>2 + 1                         // above zero, below raft's local ids
}

// InitialState implements raft.Storage.
func (s *raftStore) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return s.hard, s.conf, nil
}

// FirstIndex implements raft.Storage.
func (s *raftStore) FirstIndex() (uint64, error) { return s.snapIndex + 1, nil }

// LastIndex implements raft.Storage.
func (s *raftStore) LastIndex() (uint64, error) { return s.snapIndex + uint64(len(s.entries)), nil }

// Term implements raft.Storage.
func (s *raftStore) Term(i uint64) (uint64, error) {
	switch {
	case i < s.snapIndex:
		return 0, raft.ErrCompacted
	case i == s.snapIndex:
		return s.snapTerm, nil
	case i > s.snapIndex+uint64(len(s.entries)):
		return 0, raft.ErrUnavailable
	}
	return s.meta(i).term, nil
}

// Snapshot implements raft.Storage. Snapshots travel between voters outside of raft's messages.
func (s *raftStore) Snapshot() (*raftpb.Snapshot, error) {
	return nil, raft.ErrSnapshotTemporarilyUnavailable
}

// Entries implements raft.Storage.
func (s *raftStore) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo <= s.snapIndex {
		return nil, raft.ErrCompacted
	}
	if last, _ := s.LastIndex(); hi > last+1 {
		return nil, raft.ErrUnavailable
	}
	if _, ok := s.unapplied[lo]; ok {
		return s.recent(lo, hi, maxSize), nil
	}
	return s.read(lo, hi, maxSize)
}

// entryOverhead is counted for each entry on top of its data.
const entryOverhead = 32

func (s *raftStore) entry(i uint64, data []byte) *raftpb.Entry {
	return &raftpb.Entry{Term: new(s.meta(i).term), Index: new(i), Data: data}
}

// recent are entries that are not applied yet, from lo on.
func (s *raftStore) recent(lo, hi, maxSize uint64) (out []*raftpb.Entry) {
	size := uint64(0)
	for i := lo; i < hi; i++ {
		data, ok := s.unapplied[i]
		if size += uint64(len(data)) + entryOverhead; !ok || size > maxSize && len(out) > 0 {
			break
		}
		out = append(out, s.entry(i, data))
	}
	return out
}

var errEnough = errors.New("enough")

// read reads entries from the log, in one go. A control batch has no data: it is not the state machine's.
func (s *raftStore) read(lo, hi, maxSize uint64) (out []*raftpb.Entry, err error) {
	size, i := uint64(0), lo
	err = s.log.Batches(s.meta(lo).offset, s.meta(hi-1).last+1, func(b protocol.Batch) error {
		batch, err := checkBatch(b)
		if err != nil {
			return err
		}
		if m := s.meta(i); batch.BaseOffset() != m.offset || batch.LastOffset() != m.last {
			return fmt.Errorf("%w: offsets %d to %d instead of %d to %d", protocol.ErrCorrupt, batch.BaseOffset(), batch.LastOffset(), m.offset, m.last)
		}
		var data []byte
		if !batch.IsControl() {
			data = slices.Clone(batch)
		}
		if size += uint64(len(data)) + entryOverhead; size > maxSize && len(out) > 0 {
			return errEnough
		}
		out = append(out, s.entry(i, data))
		i++
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("reading entry %d of the metadata log: %w", i, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("reading entry %d of the metadata log: %w: nothing is there", lo, protocol.ErrCorrupt)
	}
	return out, nil
}

func (s *raftStore) meta(i uint64) entryMeta { return s.entries[i-s.snapIndex-1] }

// append writes entries that raft wants stored and makes them durable: one write for each term among
// them, one fdatasync for all. Entries that contradict stored ones replace them.
func (s *raftStore) append(entries []*raftpb.Entry) error {
	first := entries[0].GetIndex()
	if last, _ := s.LastIndex(); first <= last {
		cut := s.meta(first).offset
		if err := s.log.TruncateTo(cut); err != nil {
			return fmt.Errorf("truncating the metadata log to %d: %w", cut, err)
		}
		s.entries = s.entries[:first-s.snapIndex-1]
	}
	for len(entries) > 0 {
		term, n := entries[0].GetTerm(), 0
		var batches []byte
		next := s.log.LogEndOffset()
		for ; n < len(entries) && entries[n].GetTerm() == term; n++ {
			data := entries[n].GetData()
			s.unapplied[entries[n].GetIndex()] = data
			if data == nil {
				data = s.leaderChange()
			}
			m := entryMeta{term: term, offset: next, last: next + int64(protocol.Batch(data).LastOffsetDelta())}
			s.entries = append(s.entries, m)
			next = m.last + 1
			batches = append(batches, data...)
		}
		info, err := s.log.Append(batches, int32(term), logstore.OriginRaft, -1)
		if err != nil {
			return fmt.Errorf("appending to the metadata log: %w", err)
		}
		invariant.Check(info.LastOffset+1 == next, "the log ends at %d after an append, not at %d", info.LastOffset+1, next)
		entries = entries[n:]
	}
	if err := s.log.Flush(); err != nil {
		return fmt.Errorf("flushing the metadata log: %w", err)
	}
	return nil
}

// applied lets go of the data of an entry that the state machine has.
func (s *raftStore) applied(i uint64) { delete(s.unapplied, i) }

// endAt is the index of the entry that ends at offset (exclusive): 0 and false if no entry does.
func (s *raftStore) endAt(offset int64) (index, term uint64, ok bool) {
	lo, hi := 0, len(s.entries)
	for lo < hi {
		mid := (lo + hi) / 2
		if s.entries[mid].last+1 < offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(s.entries) || s.entries[lo].last+1 != offset {
		return 0, 0, false
	}
	return s.snapIndex + 1 + uint64(lo), s.entries[lo].term, true
}

// compact forgets the entries up to index, which a snapshot holds.
func (s *raftStore) compact(index uint64) {
	m := s.meta(index)
	s.entries = append([]entryMeta(nil), s.entries[index-s.snapIndex:]...)
	s.snapIndex, s.snapTerm = index, m.term
}

// lastTerm is the term of the last entry.
func (s *raftStore) lastTerm() uint64 {
	if len(s.entries) == 0 {
		return s.snapTerm
	}
	return s.entries[len(s.entries)-1].term
}
