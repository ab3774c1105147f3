package protocol

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// A record in a batch; varints are zig-zag:
//
//	length varint · attributes i8 = 0 · timestampDelta varlong · offsetDelta varint ·
//	keyLength varint (-1 null) key · valueLength varint (-1 null) value ·
//	headerCount varint { keyLength varint, key, valueLength varint (-1 null), value }
//
// length counts what follows it.

// MaxDecompressedBytes is the most that the records of one batch may decompress to, unless a topic's
// max.decompressed.message.bytes allows a single record more. Memory is bounded by the largest record, not by
// this: it bounds the time that a compression bomb costs.
const MaxDecompressedBytes = 256 << 20

// AnyRecordSize is Kafka's default of max.decompressed.message.bytes: no limit on a record of its own.
const AnyRecordSize = math.MaxInt32 - 8

// Record is one record of a batch. Key, Value and headers alias the iterator's buffer: they are valid
// until its Next or Close.
type Record struct {
	TimestampDelta int64  // to the batch's base timestamp (ignore it when the batch is LogAppendTime)
	OffsetDelta    int32  // to the batch's base offset
	Key, Value     []byte // nil is null
	HeaderCount    int
	headers        []byte
}

// Headers appends the record's headers to dst; their bytes alias the record's.
func (r *Record) Headers(dst []RecordHeader) []RecordHeader {
	i := 0
	for range r.HeaderCount {
		var key, value []byte
		key, i = bytesAt(r.headers, i)
		value, i = bytesAt(r.headers, i)
		dst = append(dst, RecordHeader{string(key), value})
	}
	return dst
}

// RecordIterator walks the records of a batch, decompressing as it goes. Errors: ErrInvalidRecord for
// records that break the format or do not agree with the header's count, ErrUndecodable for a body that
// does not decompress, ErrTooLarge for one of more than MaxDecompressedBytes.
type RecordIterator struct {
	left   int32
	most   int64       // size of the largest record of a compressed batch
	body   []byte      // uncompressed rest
	stream *bodyStream // nil for uncompressed batches
	skim   bool        // do not buffer large records: their Key and Value are empty or nil, and no headers
	ended  bool
	err    error
}

// Iterate starts at the first record. Close the iterator: it gives a decoder back. An unknown codec shows
// as an error of Err.
func (b Batch) Iterate() RecordIterator { return b.IterateWithin(AnyRecordSize) }

// IterateWithin is Iterate with max.decompressed.message.bytes: a larger record of a compressed batch is
// ErrRecordSize. 0 is AnyRecordSize.
func (b Batch) IterateWithin(most int32) RecordIterator {
	if most <= 0 {
		most = AnyRecordSize
	}
	it := RecordIterator{left: b.Count(), body: b.Body(), most: int64(most)}
	if b.Codec() != CodecNone && it.left > 0 {
		all := int64(MaxDecompressedBytes)
		if most < AnyRecordSize {
			all = max(all, int64(most)+binary.MaxVarintLen32)
		}
		it.stream, it.err = openStream(b.Codec(), b.Body(), all)
	}
	return it
}

// Close gives the decoder back. The iterator's records are no longer valid.
func (it *RecordIterator) Close() {
	if it.stream != nil {
		it.stream.close()
		it.stream = nil
	}
	it.ended = true
}

// Err is why Next returned false; nil at the end.
func (it *RecordIterator) Err() error { return it.err }

// Next reads the next record into r; false at the end or on an error.
func (it *RecordIterator) Next(r *Record) bool {
	if it.err != nil || it.ended {
		return false
	}
	if it.left <= 0 {
		it.ended, it.err = true, it.checkEnd()
		return false
	}
	it.left--
	if it.stream != nil {
		it.err = it.nextStreamed(r)
	} else {
		it.err = it.nextPlain(r)
	}
	return it.err == nil
}

var (
	errPrematureEOF = fmt.Errorf("%w: incorrect declared batch size, premature EOF reached", ErrInvalidRecord)
	errRemaining    = fmt.Errorf("%w: incorrect declared batch size, records still remaining in file", ErrInvalidRecord)
	// ErrRecordSize is a record of a compressed batch that is larger than max.decompressed.message.bytes.
	ErrRecordSize = fmt.Errorf("%w: invalid record size", ErrInvalidRecord)
	errStructure  = fmt.Errorf("%w: found invalid record structure", ErrInvalidRecord)
)

func (it *RecordIterator) nextPlain(r *Record) error {
	body, end := bytesAt(it.body, 0)
	if body == nil {
		return errPrematureEOF
	}
	it.body = it.body[end:]
	return parseRecord(body, r)
}

func (it *RecordIterator) nextStreamed(r *Record) error {
	size, err := binary.ReadVarint(it.stream)
	if err != nil {
		return endOfStream(err)
	}
	if size < 0 || size > math.MaxInt32 {
		return errStructure
	}
	if size > it.most {
		return fmt.Errorf("%w: %d exceeds the configured maximum record size of %d", ErrRecordSize, size, it.most)
	}
	if it.skim && size > streamBufferSize {
		return endOfStream(skimRecord(it.stream, size, r))
	}
	body, err := it.stream.take(int(size))
	if err != nil {
		return endOfStream(err)
	}
	return parseRecord(body, r)
}

// endOfStream turns the stream's end into what it means here.
func endOfStream(err error) error {
	if err == nil || errors.Is(err, ErrInvalidRecord) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errPrematureEOF
	}
	if errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUndecodable, err)
}

func (it *RecordIterator) checkEnd() error {
	if it.stream == nil {
		if len(it.body) > 0 {
			return errRemaining
		}
		return nil
	}
	switch _, err := it.stream.ReadByte(); {
	case err == nil:
		return errRemaining
	case errors.Is(err, io.EOF):
		return nil
	default:
		return endOfStream(err)
	}
}

// skimRecord checks a record of size bytes without holding it: r gets the deltas and whether key and
// value are null. Errors: ErrInvalidRecord, or the stream's.
func skimRecord(s *bodyStream, size int64, r *Record) error {
	end := s.taken() + size
	var err error
	varint := func() (v int64) {
		if err == nil {
			v, err = binary.ReadVarint(s)
		}
		return v
	}
	skip := func() []byte { // one nullable field
		n := varint()
		if n < 0 || err != nil {
			return nil
		}
		if n > end-s.taken() {
			err = errStructure
			return nil
		}
		err = s.skip(n)
		return []byte{}
	}
	_, err = s.ReadByte() // attributes
	*r = Record{TimestampDelta: varint(), OffsetDelta: int32(varint()), Key: skip(), Value: skip()}
	headers := varint()
	if headers < 0 || headers > size {
		return cmp.Or(err, errStructure)
	}
	for i := int64(0); i < 2*headers && err == nil; i++ {
		if field := skip(); field == nil && i%2 == 0 { // only a header's value may be null
			return cmp.Or(err, errStructure)
		}
	}
	if err == nil && s.taken() != end {
		err = errStructure
	}
	return err
}

// parseRecord decodes the record whose bytes after the length are exactly b. It is the inner loop of every
// produce request: positions in locals, no helper object.
func parseRecord(b []byte, r *Record) error {
	var delta, count int64
	var i int
	r.TimestampDelta, i = varintAt(b, 1) // after the attributes
	delta, i = varintAt(b, i)
	r.OffsetDelta = int32(delta)
	r.Key, i = bytesAt(b, i)
	r.Value, i = bytesAt(b, i)
	count, i = varintAt(b, i)
	if int64(r.OffsetDelta) != delta || count < 0 || count > int64(len(b)-i) {
		return errStructure
	}
	r.HeaderCount, r.headers = int(count), b[i:]
	for ; count > 0; count-- {
		var key []byte
		if key, i = bytesAt(b, i); key == nil {
			return errStructure
		}
		_, i = bytesAt(b, i)
	}
	if i != len(b) {
		return errStructure
	}
	return nil
}

// pastEnd is a position that no later read comes back from.
const pastEnd = math.MaxInt

// varintAt reads a zig-zag varint at position i and returns the position after it, pastEnd if there is none.
func varintAt(b []byte, i int) (v int64, next int) {
	if i < len(b) && b[i] < 0x80 { // most are one byte
		return int64(b[i]>>1) ^ -int64(b[i]&1), i + 1
	}
	return longVarintAt(b, i)
}

func longVarintAt(b []byte, i int) (v int64, next int) {
	if i >= len(b) {
		return 0, pastEnd
	}
	if i+1 < len(b) && b[i+1] < 0x80 { // the lengths of records up to 8 KiB
		u := uint64(b[i]&0x7f) | uint64(b[i+1])<<7
		return int64(u>>1) ^ -int64(u&1), i + 2
	}
	v, n := binary.Varint(b[i:])
	if n <= 0 {
		return 0, pastEnd
	}
	return v, i + n
}

// bytesAt reads a nullable field at position i: nil for a negative length, and when there is none (then
// next is pastEnd).
func bytesAt(b []byte, i int) (field []byte, next int) {
	n, i := varintAt(b, i)
	if n < 0 {
		return nil, i
	}
	if n > int64(len(b)-i) {
		return nil, pastEnd
	}
	end := i + int(n)
	return b[i:end:end], end
}
