package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// A record batch v2, big-endian (Kafka's DefaultRecordBatch):
//
//	 0 baseOffset i64          21 attributes i16       43 producerId i64
//	 8 batchLength i32         23 lastOffsetDelta i32  51 producerEpoch i16
//	12 partitionLeaderEpoch    27 baseTimestamp i64    53 baseSequence i32
//	16 magic i8                35 maxTimestamp i64     57 recordsCount i32
//	17 crc u32 (of 21..end)                            61 records
//
// batchLength counts the bytes after itself: the batch has batchLength+12. Base offset and leader epoch
// lie outside the CRC, so a leader sets them in place.
const (
	LogOverhead     = 12 // base offset and length
	BatchHeaderSize = 61
	// minLegacySize is Kafka's least batchLength at the framing layer: the overhead of a v0 message.
	minLegacySize = 14
	magicV2       = 2

	lengthAt          = 8
	leaderEpochAt     = 12
	magicAt           = 16
	crcAt             = 17
	attributesAt      = 21
	lastOffsetDeltaAt = 23
	baseTimestampAt   = 27
	maxTimestampAt    = 35
	producerIDAt      = 43
	producerEpochAt   = 51
	baseSequenceAt    = 53
	countAt           = 57
)

// Attribute bits. Only the low byte is used.
const (
	attrCodecMask     = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrDeleteHorizon = 0x40
)

// Values of absent fields.
const (
	NoTimestamp     int64 = -1
	NoProducerID    int64 = -1
	NoProducerEpoch int16 = -1
	NoSequence      int32 = -1
)

// Errors of framing and validation; handlers/errors.go maps them to Kafka's codes. Only the message of a
// *RecordErrors goes on the wire (Produce v8+ error_message); all other texts are for our log, as Kafka
// answers those codes without text.
var (
	ErrCorrupt          = errors.New("corrupt record batch")      // CORRUPT_MESSAGE
	ErrInvalidRecord    = errors.New("invalid record")            // INVALID_RECORD
	ErrInvalidTimestamp = errors.New("timestamp out of range")    // INVALID_TIMESTAMP
	ErrTooLarge         = errors.New("record batch too large")    // MESSAGE_TOO_LARGE
	ErrUnsupportedCodec = errors.New("compression not supported") // UNSUPPORTED_COMPRESSION_TYPE
)

// ErrShortBatch says that the bytes end within a batch: the tail of a fetch, or a torn write. It wraps
// ErrCorrupt for callers that do not care.
var ErrShortBatch = fmt.Errorf("%w: bytes end within a batch", ErrCorrupt)

// castagnoli selects hash/crc32's hardware path.
var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // a constant table

// Batch is a zero-copy view of one record batch v2. A Batch that NextBatch returned has its whole
// header and exactly Size bytes; the accessors of any other Batch may panic.
type Batch []byte

// NextBatch splits the first batch off b; rest is what follows, and batch aliases b. Errors: ErrShortBatch
// when b ends before the batch does (also when b is empty), else ErrCorrupt with the cause: a length
// below Kafka's minimum, or a magic other than 2 (batches of Kafka before 0.11 are not read).
func NextBatch(b []byte) (batch Batch, rest []byte, err error) {
	size, err := BatchSize(b)
	if err != nil {
		return nil, nil, err
	}
	if len(b) < size {
		return nil, nil, ErrShortBatch
	}
	return Batch(b[:size:size]), b[size:], nil
}

// BatchSize is the size in bytes of the batch whose first bytes are b, from its header alone: 17 bytes are
// enough. The errors are NextBatch's; the batch may be longer than b.
func BatchSize(b []byte) (int, error) {
	if len(b) < magicAt+1 {
		return 0, ErrShortBatch
	}
	length := int32(binary.BigEndian.Uint32(b[lengthAt:]))
	magic := int8(b[magicAt])
	switch {
	case length < minLegacySize:
		return 0, fmt.Errorf("%w: record size %d is less than the minimum record overhead (%d)", ErrCorrupt, length, minLegacySize)
	case magic != magicV2:
		return 0, fmt.Errorf("%w: invalid magic found in record: %d", ErrCorrupt, magic)
	case length < BatchHeaderSize-LogOverhead:
		return 0, fmt.Errorf("%w: record batch is %d bytes, less than the minimum overhead (%d)", ErrCorrupt, int64(length)+LogOverhead, BatchHeaderSize)
	case int64(length)+LogOverhead > math.MaxInt32:
		return 0, fmt.Errorf("%w: record size %d", ErrCorrupt, length)
	}
	return int(length) + LogOverhead, nil
}

func (b Batch) i16(at int) int16 { return int16(binary.BigEndian.Uint16(b[at:])) }
func (b Batch) i32(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
func (b Batch) i64(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }

// BaseOffset is the offset of the first record (kept by compaction).
func (b Batch) BaseOffset() int64 { return b.i64(0) }

// Size is the size in bytes as the header says it, header included.
func (b Batch) Size() int { return int(b.i32(lengthAt)) + LogOverhead }

// LeaderEpoch is the leader epoch at which the batch was appended.
func (b Batch) LeaderEpoch() int32 { return b.i32(leaderEpochAt) }

// Magic is the format version: 2.
func (b Batch) Magic() int8 { return int8(b[magicAt]) }

// CRC is the stored checksum.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[crcAt:]) }

// CheckCRC reports whether the stored checksum is that of the bytes.
func (b Batch) CheckCRC() bool { return b.CRC() == b.computeCRC() }

func (b Batch) computeCRC() uint32 { return crc32.Checksum(b[attributesAt:], castagnoli) }

// Attributes are the attribute bits.
func (b Batch) Attributes() int16 { return b.i16(attributesAt) }

// Codec is the compression of the records; it may be one that does not exist (5 to 7).
func (b Batch) Codec() Codec { return Codec(b[attributesAt+1] & attrCodecMask) }

// IsLogAppendTime reports the timestamp type: the batch's max timestamp stands for every record's.
func (b Batch) IsLogAppendTime() bool { return b[attributesAt+1]&attrLogAppendTime != 0 }

// IsTransactional is true for data and markers of transactions.
func (b Batch) IsTransactional() bool { return b[attributesAt+1]&attrTransactional != 0 }

// IsControl is true for batches that no client sees: transaction markers, leader changes and the like.
func (b Batch) IsControl() bool { return b[attributesAt+1]&attrControl != 0 }

// DeleteHorizonMs is when compaction may drop tombstones and markers of this batch; false: not set.
func (b Batch) DeleteHorizonMs() (int64, bool) {
	return b.i64(baseTimestampAt), b[attributesAt+1]&attrDeleteHorizon != 0
}

// LastOffsetDelta is the last offset less the base offset (kept by compaction).
func (b Batch) LastOffsetDelta() int32 { return b.i32(lastOffsetDeltaAt) }

// LastOffset is the offset of the last record (inclusive).
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the offset after the batch.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// BaseTimestamp is what the records' timestamp deltas add to, in ms.
func (b Batch) BaseTimestamp() int64 { return b.i64(baseTimestampAt) }

// MaxTimestamp is the largest timestamp of the records in ms, -1 for none.
func (b Batch) MaxTimestamp() int64 { return b.i64(maxTimestampAt) }

// ProducerID is the idempotent producer's id, -1 for none.
func (b Batch) ProducerID() int64 { return b.i64(producerIDAt) }

// HasProducerID reports whether an idempotent or transactional producer wrote the batch.
func (b Batch) HasProducerID() bool { return b.ProducerID() > NoProducerID }

// ProducerEpoch is the producer's epoch, -1 for none.
func (b Batch) ProducerEpoch() int16 { return b.i16(producerEpochAt) }

// BaseSequence is the sequence number of the first record, -1 for none.
func (b Batch) BaseSequence() int32 { return b.i32(baseSequenceAt) }

// LastSequence is the sequence number of the last record, -1 for none; after 2147483647 comes 0.
func (b Batch) LastSequence() int32 {
	base := b.BaseSequence()
	if base == NoSequence {
		return NoSequence
	}
	return IncrementSequence(base, b.LastOffsetDelta())
}

// Count is the number of records; 0 is legal after compaction.
func (b Batch) Count() int32 { return b.i32(countAt) }

// Body is the records, compressed as one block when Codec is not CodecNone.
func (b Batch) Body() []byte { return b[BatchHeaderSize:] }

// SetBaseOffset sets the base offset in place; the CRC does not cover it.
func (b Batch) SetBaseOffset(offset int64) { binary.BigEndian.PutUint64(b, uint64(offset)) }

// SetLeaderEpoch sets the leader epoch in place; the CRC does not cover it.
func (b Batch) SetLeaderEpoch(epoch int32) {
	binary.BigEndian.PutUint32(b[leaderEpochAt:], uint32(epoch))
}

// SetMaxTimestamp sets timestamp type and max timestamp in place, and the CRC if either changed.
func (b Batch) SetMaxTimestamp(logAppendTime bool, maxTimestamp int64) {
	if b.IsLogAppendTime() == logAppendTime && b.MaxTimestamp() == maxTimestamp {
		return
	}
	attributes := int16(b[attributesAt+1]) &^ attrLogAppendTime // the high byte is cleared, as Kafka does
	if logAppendTime {
		attributes |= attrLogAppendTime
	}
	binary.BigEndian.PutUint16(b[attributesAt:], uint16(attributes))
	binary.BigEndian.PutUint64(b[maxTimestampAt:], uint64(maxTimestamp))
	b.SetCRC()
}

// SetCRC stores the checksum of the bytes.
func (b Batch) SetCRC() { binary.BigEndian.PutUint32(b[crcAt:], b.computeCRC()) }

// IncrementSequence is Kafka's: the sequence n after s, where 0 follows 2147483647.
func IncrementSequence(s, n int32) int32 {
	if s > math.MaxInt32-n {
		return n - (math.MaxInt32 - s) - 1
	}
	return s + n
}
