package protocol

import (
	"encoding/binary"
	"fmt"
)

// ControlType is the type in a control record's key (Kafka's ControlRecordType).
type ControlType int16

// The control records.
const (
	ControlAbort          ControlType = 0
	ControlCommit         ControlType = 1
	ControlLeaderChange   ControlType = 2
	ControlSnapshotHeader ControlType = 3
	ControlSnapshotFooter ControlType = 4
	ControlKRaftVersion   ControlType = 5
	ControlKRaftVoters    ControlType = 6
)

const (
	controlKeySize = 4 // version i16 = 0, type i16
	markerSize     = 6 // version i16 = 0, coordinator epoch i32
)

// Marker ends a transaction on a partition (EndTxnMarker).
type Marker struct {
	Commit           bool
	CoordinatorEpoch int32
}

// ControlTypeOf reads a control record's key. Versions above 0 may have more bytes, which are ignored.
// ErrInvalidRecord for a key that is too short or of a negative version.
func ControlTypeOf(key []byte) (ControlType, error) {
	if len(key) < controlKeySize || int16(binary.BigEndian.Uint16(key)) < 0 {
		return 0, fmt.Errorf("%w: control record key % x", ErrInvalidRecord, key)
	}
	return ControlType(binary.BigEndian.Uint16(key[2:])), nil
}

// MarkerOf reads a control batch's transaction marker. ok is false when it has none: compaction emptied
// it, or it is another kind of control batch. ErrInvalidRecord when it does not parse.
func MarkerOf(b Batch) (m Marker, ok bool, err error) {
	if b.Count() == 0 {
		return Marker{}, false, nil
	}
	it := b.Iterate()
	defer it.Close()
	var r Record
	if !it.Next(&r) {
		return Marker{}, false, it.Err()
	}
	kind, err := ControlTypeOf(r.Key)
	if err != nil {
		return Marker{}, false, err
	}
	if kind != ControlAbort && kind != ControlCommit {
		return Marker{}, false, nil
	}
	if len(r.Value) < markerSize || int16(binary.BigEndian.Uint16(r.Value)) < 0 {
		return Marker{}, false, fmt.Errorf("%w: transaction marker % x", ErrInvalidRecord, r.Value)
	}
	return Marker{kind == ControlCommit, int32(binary.BigEndian.Uint32(r.Value[2:]))}, true, nil
}

// AppendMarker appends a transaction marker: a control batch of 78 bytes with base offset 0 (the log sets
// it and the leader epoch).
func AppendMarker(dst []byte, producerID int64, producerEpoch int16, m Marker, timestampMs int64) []byte {
	kind := ControlAbort
	if m.Commit {
		kind = ControlCommit
	}
	var value [markerSize]byte
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	var b Builder
	b.Reset(BuilderOptions{ProducerID: producerID, ProducerEpoch: producerEpoch, BaseSequence: NoSequence, Transactional: true, Control: true})
	b.Append(timestampMs, controlKey(kind), value[:], nil)
	return b.appendUncompressed(dst)
}

// ControlRecord is one record of a control batch that belongs to no transaction; Value is encoded already.
type ControlRecord struct {
	Type  ControlType
	Value []byte
}

// AppendControl appends a control batch of raft: leader change, snapshot header and footer, voters.
func AppendControl(dst []byte, baseOffset int64, leaderEpoch int32, timestampMs int64, records ...ControlRecord) []byte {
	var b Builder
	b.Reset(BuilderOptions{BaseOffset: baseOffset, LeaderEpoch: leaderEpoch, ProducerID: NoProducerID, ProducerEpoch: NoProducerEpoch, BaseSequence: NoSequence, Control: true})
	for _, r := range records {
		b.Append(timestampMs, controlKey(r.Type), r.Value, nil)
	}
	return b.appendUncompressed(dst)
}

func controlKey(kind ControlType) []byte {
	return []byte{0, 0, byte(kind >> 8), byte(kind)}
}
