package protocol

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// RecordHeader is one header of a record; a nil Value is null.
type RecordHeader struct {
	Key   string
	Value []byte
}

// BuilderOptions are the batch's fields that do not come from its records. The zero producer fields name
// producer 0: a batch without a producer has NoProducerID, NoProducerEpoch and NoSequence.
type BuilderOptions struct {
	BaseOffset    int64
	LeaderEpoch   int32
	Codec         Codec
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
	// LogAppendTimeMs, when positive, sets the timestamp type and is the max timestamp.
	LogAppendTimeMs int64
}

// NoProducer are the options of a batch that no producer wrote.
func NoProducer() BuilderOptions {
	return BuilderOptions{ProducerID: NoProducerID, ProducerEpoch: NoProducerEpoch, BaseSequence: NoSequence}
}

// Builder makes one record batch. The zero value is not ready: call Reset. It keeps its buffer from
// batch to batch.
type Builder struct {
	o             BuilderOptions
	records       []byte
	count         int32
	baseTimestamp int64
	maxTimestamp  int64
}

// Reset starts a new batch.
func (b *Builder) Reset(o BuilderOptions) {
	*b = Builder{o: o, records: b.records[:0], maxTimestamp: NoTimestamp}
}

// Count is the number of records so far.
func (b *Builder) Count() int { return int(b.count) }

// Size is the size in bytes of the batch if it is not compressed.
func (b *Builder) Size() int { return BatchHeaderSize + len(b.records) }

// Append adds a record; nil key or value is null. The bytes are copied.
func (b *Builder) Append(timestampMs int64, key, value []byte, headers []RecordHeader) {
	if b.count == 0 {
		b.baseTimestamp = timestampMs
	}
	b.maxTimestamp = max(b.maxTimestamp, timestampMs)
	b.records = appendRecord(b.records, timestampMs-b.baseTimestamp, b.count, key, value, headers)
	b.count++
}

// AppendTo finishes the batch and appends it to dst. A batch without records is legal only on disk. The
// error is a compressor's, or ErrTooLarge for a batch of 2 GiB.
func (b *Builder) AppendTo(dst []byte) ([]byte, error) {
	if b.o.Codec == CodecNone {
		if b.Size() > math.MaxInt32 {
			return nil, ErrTooLarge
		}
		return b.appendUncompressed(dst), nil
	}
	start := len(dst)
	dst = append(dst, make([]byte, BatchHeaderSize)...)
	dst, err := AppendCompressed(dst, b.o.Codec, 0, b.records)
	if err != nil {
		return nil, err
	}
	if len(dst)-start > math.MaxInt32 {
		return nil, ErrTooLarge
	}
	b.writeHeader(dst[start:])
	return dst, nil
}

func (b *Builder) appendUncompressed(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, BatchHeaderSize)...)
	dst = append(dst, b.records...)
	b.writeHeader(dst[start:])
	return dst
}

func (b *Builder) writeHeader(h []byte) {
	attributes := uint16(b.o.Codec)
	if b.o.Transactional {
		attributes |= attrTransactional
	}
	if b.o.Control {
		attributes |= attrControl
	}
	maxTimestamp, baseTimestamp := b.maxTimestamp, b.baseTimestamp
	if b.o.LogAppendTimeMs > 0 {
		attributes |= attrLogAppendTime
		maxTimestamp = b.o.LogAppendTimeMs
	}
	if b.count == 0 {
		baseTimestamp = NoTimestamp
	}
	binary.BigEndian.PutUint64(h, uint64(b.o.BaseOffset))
	binary.BigEndian.PutUint32(h[lengthAt:], uint32(len(h)-LogOverhead))
	binary.BigEndian.PutUint32(h[leaderEpochAt:], uint32(b.o.LeaderEpoch))
	h[magicAt] = magicV2
	binary.BigEndian.PutUint16(h[attributesAt:], attributes)
	binary.BigEndian.PutUint32(h[lastOffsetDeltaAt:], uint32(max(b.count-1, 0)))
	binary.BigEndian.PutUint64(h[baseTimestampAt:], uint64(baseTimestamp))
	binary.BigEndian.PutUint64(h[maxTimestampAt:], uint64(maxTimestamp))
	binary.BigEndian.PutUint64(h[producerIDAt:], uint64(b.o.ProducerID))
	binary.BigEndian.PutUint16(h[producerEpochAt:], uint16(b.o.ProducerEpoch))
	binary.BigEndian.PutUint32(h[baseSequenceAt:], uint32(b.o.BaseSequence))
	binary.BigEndian.PutUint32(h[countAt:], uint32(b.count))
	Batch(h).SetCRC()
}

// appendRecord encodes one record (format: records.go).
func appendRecord(dst []byte, timestampDelta int64, offsetDelta int32, key, value []byte, headers []RecordHeader) []byte {
	size := 1 + varintSize(timestampDelta) + varintSize(int64(offsetDelta)) + bytesSize(key) + bytesSize(value) + varintSize(int64(len(headers)))
	for _, h := range headers {
		size += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0) // attributes
	dst = binary.AppendVarint(dst, timestampDelta)
	dst = binary.AppendVarint(dst, int64(offsetDelta))
	dst = appendBytes(dst, key)
	dst = appendBytes(dst, value)
	dst = binary.AppendVarint(dst, int64(len(headers)))
	for _, h := range headers {
		dst = binary.AppendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

// varintSize is the length of binary.AppendVarint's zig-zag encoding.
func varintSize(v int64) int {
	zigzag := uint64(v)<<1 ^ uint64(v>>63)
	return (bits.Len64(zigzag|1) + 6) / 7
}
