package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"

	"minikafka/protocol"
)

// ControlRecord is a record of a control batch of the metadata log or of a snapshot.
type ControlRecord interface {
	// ControlType is the second int16 of the record's key.
	ControlType() int16

	encode(dst []byte, version int16) []byte
	decode(r *protocol.FieldReader, version int16)
}

// ErrUnknownControl is a control record of a type or version that Kafka 4.4 does not have.
var ErrUnknownControl = errors.New("unknown control record")

// AppendControlKey appends the key of a control record: int16 version 0, int16 type.
func AppendControlKey(dst []byte, controlType int16) []byte {
	return binary.BigEndian.AppendUint16(append(dst, 0, 0), uint16(controlType))
}

// AppendControl appends the value of a control record: int16 version, then the fields.
func AppendControl(dst []byte, rec ControlRecord, version int16) []byte {
	return rec.encode(binary.BigEndian.AppendUint16(dst, uint16(version)), version)
}

// DecodeControl reads a control record. Bytes after the value's end are ignored, as in Kafka. The error
// wraps ErrUnknownControl or ErrMalformedRecord.
func DecodeControl(key, value []byte) (rec ControlRecord, version int16, err error) {
	r := protocol.NewFieldReader(key)
	keyVersion, controlType := r.Int16(), r.Int16()
	if r.Err() != nil {
		return nil, 0, fmt.Errorf("control record key: %w", r.Err())
	}
	if keyVersion < 0 {
		return nil, 0, fmt.Errorf("%w: key version %d", ErrUnknownControl, keyVersion)
	}
	rec, maxVersion := newControl(controlType)
	if rec == nil {
		return nil, 0, fmt.Errorf("%w: type %d", ErrUnknownControl, controlType)
	}
	r = protocol.NewFieldReader(value)
	version = r.Int16()
	if r.Err() == nil && (version < 0 || version > maxVersion) {
		return nil, 0, fmt.Errorf("%w: %T version %d, the highest known is %d", ErrUnknownControl, rec, version, maxVersion)
	}
	if r.Err() == nil {
		rec.decode(r, version)
	}
	if r.Err() != nil {
		return nil, 0, fmt.Errorf("%T version %d: %w", rec, version, r.Err())
	}
	return rec, version, nil
}
