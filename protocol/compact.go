package protocol

import (
	"encoding/binary"
	"math"
)

// What compaction makes of a batch (Kafka's MemoryRecords.filterTo). Base offset, last offset delta,
// producer, sequence, leader epoch, codec and timestamp type stay, so that offsets and sequence numbers
// do not change when records go.

// NoDeleteHorizon says that a batch has no delete horizon.
const NoDeleteHorizon int64 = -1

// AppendRetained appends b with only the records that keep names by their ordinal. deleteHorizonMs >= 0
// sets the delete horizon, which is then what the timestamp deltas add to. At least one record must stay:
// a batch without records is AppendEmptied's. The codec stays, its level is the default one, as in Kafka. most is
// IterateWithin's. Errors are the iterator's, a compressor's, or ErrTooLarge.
func AppendRetained(dst []byte, b Batch, keep func(ordinal int) bool, deleteHorizonMs int64, most int32, scratch []byte) (out, scratchOut []byte, err error) {
	it := b.IterateWithin(most)
	defer it.Close()
	var (
		r       Record
		headers []RecordHeader
		count   int32
		base    = deleteHorizonMs
		largest = NoTimestamp
		body    = scratch[:0]
	)
	for ordinal := 0; it.Next(&r); ordinal++ {
		if !keep(ordinal) {
			continue
		}
		timestamp := b.BaseTimestamp() + r.TimestampDelta
		if b.IsLogAppendTime() {
			timestamp = b.MaxTimestamp()
		}
		if count == 0 && deleteHorizonMs < 0 {
			base = timestamp
		}
		largest = max(largest, timestamp)
		headers = r.Headers(headers[:0])
		body = appendRecord(body, timestamp-base, r.OffsetDelta, r.Key, r.Value, headers)
		count++
	}
	if err := it.Err(); err != nil {
		return dst, body, err
	}
	start := len(dst)
	dst = append(dst, b[:BatchHeaderSize]...)
	if dst, err = AppendCompressed(dst, b.Codec(), 0, body); err != nil {
		return dst[:start], body, err
	}
	if len(dst)-start > math.MaxInt32 {
		return dst[:start], body, ErrTooLarge
	}
	attributes := b.lowAttributes() &^ attrDeleteHorizon
	if deleteHorizonMs >= 0 {
		attributes |= attrDeleteHorizon
	}
	if b.IsLogAppendTime() {
		largest = b.MaxTimestamp()
	}
	Batch(dst[start:]).finishCompacted(attributes, base, largest, count)
	return dst, body, nil
}

// AppendEmptied appends the header of b as a batch without records: what is left of the last batch of a
// producer, whose sequence number must not be lost.
func AppendEmptied(dst []byte, b Batch) []byte {
	start := len(dst)
	dst = append(dst, b[:BatchHeaderSize]...)
	attributes := b.lowAttributes() &^ (attrDeleteHorizon | attrCodecMask)
	Batch(dst[start:]).finishCompacted(attributes, NoTimestamp, b.MaxTimestamp(), 0)
	return dst
}

func (b Batch) lowAttributes() uint16 { return uint16(b[attributesAt+1]) }

func (b Batch) finishCompacted(attributes uint16, baseTimestamp, maxTimestamp int64, count int32) {
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-LogOverhead))
	binary.BigEndian.PutUint16(b[attributesAt:], attributes)
	binary.BigEndian.PutUint64(b[baseTimestampAt:], uint64(baseTimestamp))
	binary.BigEndian.PutUint64(b[maxTimestampAt:], uint64(maxTimestamp))
	binary.BigEndian.PutUint32(b[countAt:], uint32(count))
	b.SetCRC()
}
