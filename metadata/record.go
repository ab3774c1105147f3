package metadata

import (
	"encoding/binary"
	"fmt"

	"minikafka/protocol"
)

// Record is one record of the metadata log (`__cluster_metadata`), of a type in record_gen.go.
type Record interface {
	// Key is the record type's number in Kafka.
	Key() int16

	encode(dst []byte, version int16) []byte
	decode(r *protocol.FieldReader, version int16)
}

// frameVersion is the first varint of each metadata record; Kafka knows no other.
const frameVersion = 1

// ErrMalformedRecord is protocol's, for those who decode metadata records.
var ErrMalformedRecord = protocol.ErrMalformedRecord

// UnknownRecordError is a record of a type or version that Kafka 4.4 does not have: a newer server wrote
// it. Whoever replays a log must stop there, because an image without it would be wrong.
type UnknownRecordError struct {
	Frame   uint64 // frame version, if it is not 1; the others are then unset
	Key     uint64
	Version uint64
}

func (e *UnknownRecordError) Error() string {
	if e.Frame != 0 {
		return fmt.Sprintf("metadata record of unknown frame version %d", e.Frame)
	}
	if rec, max := lookup(e.Key); rec != nil {
		return fmt.Sprintf("metadata record %T (key %d) of unknown version %d, the highest known is %d", rec, e.Key, e.Version, max)
	}
	return fmt.Sprintf("metadata record of unknown key %d, version %d", e.Key, e.Version)
}

// lookup is newRecord for a key as the wire has it.
func lookup(key uint64) (rec Record, maxVersion int16) {
	if key > 0x7fff {
		return nil, 0
	}
	return newRecord(int16(key))
}

// AppendRecord appends a record's value as the metadata log has it: varints of frame version, key and
// version, then the fields. Fields that the version lacks are left out. The record's key is null.
func AppendRecord(dst []byte, rec Record, version int16) []byte {
	dst = append(dst, frameVersion)
	dst = binary.AppendUvarint(dst, uint64(rec.Key()))
	dst = binary.AppendUvarint(dst, uint64(version))
	return rec.encode(dst, version)
}

// DecodeRecord reads a record's value. Nothing in the result aliases b. The error is an
// *UnknownRecordError or wraps ErrMalformedRecord.
func DecodeRecord(b []byte) (rec Record, version int16, err error) {
	r := protocol.NewFieldReader(b)
	frame, key, v := r.Uvarint(), r.Uvarint(), r.Uvarint()
	if r.Err() != nil {
		return nil, 0, fmt.Errorf("frame: %w", r.Err())
	}
	if frame != frameVersion {
		return nil, 0, &UnknownRecordError{Frame: frame}
	}
	rec, maxVersion := lookup(key)
	if rec == nil || v > uint64(maxVersion) {
		return nil, 0, &UnknownRecordError{Key: key, Version: v}
	}
	rec.decode(r, int16(v))
	if err := r.End(); err != nil {
		return nil, 0, fmt.Errorf("%T version %d: %w", rec, v, err)
	}
	return rec, int16(v), nil
}

// WriteVersion is the highest version of a record type, in which it is written at metadata.version 33
// (4.4-IV2). It is -1 for an unknown key.
func WriteVersion(key int16) int16 {
	rec, maxVersion := newRecord(key)
	if rec == nil {
		return -1
	}
	return maxVersion
}

// Levels of metadata.version from which on record types have the versions that VersionFor names; dumped from
// what Kafka 4.4.0 writes in clusters formatted as 3.7, 4.0, 4.2, 4.3 and 4.4.
const (
	levelDirectories = 17 // 3.7-IV2: partitions have directories
	levelELR         = 23 // 4.0-IV1: and eligible leader replicas
	levelCordoned    = 30 // 4.3-IV0: brokers have cordoned directories
)

// MinWriteLevel is the lowest metadata.version at which records can be written: below, partitions have no
// directories.
const MinWriteLevel = levelDirectories

// VersionFor is the version in which Kafka writes this record at a metadata.version from MinWriteLevel on, so
// that each Kafka that can serve the cluster reads it. A broker's registration change is written in the lowest
// version that can say it.
func VersionFor(rec Record, level int16) int16 {
	switch r := rec.(type) {
	case *PartitionRecord, *PartitionChangeRecord:
		if level < levelELR {
			return 1
		}
	case *RegisterBrokerRecord:
		if level < levelCordoned {
			return 3
		}
	case *BrokerRegistrationChangeRecord:
		switch {
		case r.CordonedLogDirs != nil && level >= levelCordoned:
			return 3
		case len(r.LogDirs) > 0:
			return 2
		case r.InControlledShutdown != 0:
			return 1
		}
		return 0
	}
	return WriteVersion(rec.Key())
}
