package controller

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"minikafka/metadata"
)

// A metadata batch is an uncompressed record batch v2 (log-format.md, section 3) without a producer.
// Metadata records have a null key; control records a key of version and type.
const (
	batchHeaderSize   = 61
	batchLengthStart  = 12 // batchLength counts from here
	attributeControl  = 0x20
	attributeCodec    = 0x07
	maxReadBatchBytes = 64 << 20 // of one batch that is read; Kafka writes at most 8 MiB
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // a table

var errBadBatch = errors.New("invalid record batch")

// rawRecord is one record of a batch.
type rawRecord struct{ key, value []byte }

// encodeBatch makes a batch at base offset and leader epoch 0; the log sets both, the CRC covers neither.
func encodeBatch(records []rawRecord, control bool, timestamp int64) []byte {
	size := batchHeaderSize
	for _, r := range records {
		size += len(r.key) + len(r.value) + 24
	}
	b := make([]byte, batchHeaderSize, size)
	b[16] = 2
	if control {
		b[22] = attributeControl
	}
	binary.BigEndian.PutUint32(b[23:], uint32(len(records)-1)) //nolint:gosec // bounded by the request
	binary.BigEndian.PutUint64(b[27:], uint64(timestamp))      //nolint:gosec // bits
	binary.BigEndian.PutUint64(b[35:], uint64(timestamp))      //nolint:gosec // bits
	for i := 43; i < 57; i++ {
		b[i] = 0xff // no producer id, epoch, sequence
	}
	binary.BigEndian.PutUint32(b[57:], uint32(len(records))) //nolint:gosec // bounded by the request
	var body []byte
	for i, r := range records {
		body = append(body[:0], 0, 0) // attributes, timestamp delta
		body = binary.AppendVarint(body, int64(i))
		body = appendVarBytes(body, r.key)
		body = appendVarBytes(body, r.value)
		body = append(body, 0) // headers
		b = binary.AppendVarint(b, int64(len(body)))
		b = append(b, body...)
	}
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-batchLengthStart)) //nolint:gosec // bounded
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

func appendVarBytes(dst, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(v))), v...)
}

// encodeRecords makes a data batch.
func encodeRecords(records []metadata.Record, timestamp int64) []byte {
	raw := make([]rawRecord, len(records))
	for i, r := range records {
		raw[i].value = metadata.AppendRecord(nil, r, metadata.WriteVersion(r.Key()))
	}
	return encodeBatch(raw, false, timestamp)
}

// controlBatch makes a batch of control records, each in version 0.
func controlBatch(timestamp int64, records ...metadata.ControlRecord) []byte {
	raw := make([]rawRecord, len(records))
	for i, r := range records {
		raw[i].key = metadata.AppendControlKey(nil, r.ControlType())
		raw[i].value = metadata.AppendControl(nil, r, 0)
	}
	return encodeBatch(raw, true, timestamp)
}

// batchView is a checked batch: sizes and CRC are right.
type batchView []byte

// viewBatch checks the batch at the start of b, which may hold more.
func viewBatch(b []byte) (batchView, error) {
	if len(b) < batchHeaderSize {
		return nil, fmt.Errorf("%w: %d bytes are less than a header", errBadBatch, len(b))
	}
	size := int64(int32(binary.BigEndian.Uint32(b[8:]))) + batchLengthStart //nolint:gosec // bits
	if size < batchHeaderSize || size > maxReadBatchBytes || size > int64(len(b)) {
		return nil, fmt.Errorf("%w: its size is %d, %d bytes remain", errBadBatch, size, len(b))
	}
	v := batchView(b[:size:size])
	if v[16] != 2 {
		return nil, fmt.Errorf("%w: magic is %d", errBadBatch, v[16])
	}
	if got, want := crc32.Checksum(v[21:], castagnoli), binary.BigEndian.Uint32(v[17:]); got != want {
		return nil, fmt.Errorf("%w: CRC-32C is %08x, not %08x", errBadBatch, got, want)
	}
	if v.baseOffset() < 0 || v.count() < 0 || v.lastOffset() < v.baseOffset() {
		return nil, fmt.Errorf("%w: offsets %d to %d", errBadBatch, v.baseOffset(), v.lastOffset())
	}
	return v, nil
}

func (v batchView) baseOffset() int64 { return int64(binary.BigEndian.Uint64(v)) } //nolint:gosec // bits
func (v batchView) lastOffset() int64 {
	return v.baseOffset() + int64(int32(binary.BigEndian.Uint32(v[23:]))) //nolint:gosec // bits
}
func (v batchView) leaderEpoch() int32 { return int32(binary.BigEndian.Uint32(v[12:])) } //nolint:gosec // bits
func (v batchView) timestamp() int64   { return int64(binary.BigEndian.Uint64(v[35:])) } //nolint:gosec // bits
func (v batchView) count() int32       { return int32(binary.BigEndian.Uint32(v[57:])) } //nolint:gosec // bits
func (v batchView) isControl() bool    { return v[22]&attributeControl != 0 }

func (v batchView) position() metadata.Position {
	return metadata.Position{Offset: v.lastOffset(), Epoch: v.leaderEpoch(), Timestamp: v.timestamp()}
}

// raw splits the batch into records, which alias it.
func (v batchView) raw() ([]rawRecord, error) {
	if v[22]&attributeCodec != 0 {
		return nil, fmt.Errorf("batch at offset %d is compressed: no metadata log of Kafka's is", v.baseOffset())
	}
	var out []rawRecord
	rest := []byte(v[batchHeaderSize:])
	for i := range v.count() {
		body, after, ok := varBytes(rest)
		if !ok || body == nil {
			return nil, fmt.Errorf("%w: record %d of the batch at offset %d is cut short", errBadBatch, i, v.baseOffset())
		}
		r, ok := parseRecord(body)
		if !ok {
			return nil, fmt.Errorf("%w: record %d of the batch at offset %d", errBadBatch, i, v.baseOffset())
		}
		out, rest = append(out, r), after
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after the records of the batch at offset %d", errBadBatch, len(rest), v.baseOffset())
	}
	return out, nil
}

func parseRecord(body []byte) (r rawRecord, ok bool) {
	if len(body) < 1 {
		return r, false
	}
	rest := body[1:] // attributes
	for range 2 {    // timestamp delta, offset delta
		_, n := binary.Varint(rest)
		if n <= 0 {
			return r, false
		}
		rest = rest[n:]
	}
	if r.key, rest, ok = varBytes(rest); !ok {
		return r, false
	}
	r.value, _, ok = varBytes(rest)
	return r, ok
}

// varBytes reads a zig-zag length and that many bytes; -1 is nil.
func varBytes(b []byte) (v, rest []byte, ok bool) {
	n, used := binary.Varint(b)
	if used <= 0 || n < -1 || n > int64(len(b)-used) {
		return nil, nil, false
	}
	if b = b[used:]; n < 0 {
		return nil, b, true
	}
	return b[:n:n], b[n:], true
}

// records decodes a data batch; a control batch has none. An unknown type or version is an error that
// names it.
func (v batchView) records() ([]metadata.Record, error) {
	if v.isControl() {
		return nil, nil
	}
	raw, err := v.raw()
	if err != nil {
		return nil, err
	}
	out := make([]metadata.Record, len(raw))
	for i, r := range raw {
		if out[i], _, err = metadata.DecodeRecord(r.value); err != nil {
			return nil, fmt.Errorf("offset %d: %w", v.baseOffset()+int64(i), err)
		}
	}
	return out, nil
}

// controls decodes a control batch.
func (v batchView) controls() ([]metadata.ControlRecord, error) {
	raw, err := v.raw()
	if err != nil {
		return nil, err
	}
	out := make([]metadata.ControlRecord, len(raw))
	for i, r := range raw {
		if out[i], _, err = metadata.DecodeControl(r.key, r.value); err != nil {
			return nil, fmt.Errorf("offset %d: %w", v.baseOffset()+int64(i), err)
		}
	}
	return out, nil
}

// putOffsets stamps a batch of ours. Both fields lie outside of the CRC.
func putOffsets(batch []byte, base int64, epoch int32) {
	binary.BigEndian.PutUint64(batch, uint64(base))       //nolint:gosec // bits
	binary.BigEndian.PutUint32(batch[12:], uint32(epoch)) //nolint:gosec // bits
}
