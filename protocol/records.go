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

// MaxDecompressedBytes is the most that the records of one batch may decompress to. Memory is bounded by
// the largest record, not by this: it bounds the time that a compression bomb costs.
const MaxDecompressedBytes = 256 << 20

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
	p := parser{b: r.headers}
	for range r.HeaderCount {
		key, value := p.bytes(), p.bytes()
		dst = append(dst, RecordHeader{string(key), value})
	}
	return dst
}

// RecordIterator walks the records of a batch, decompressing as it goes. Errors: ErrInvalidRecord for
// records that break the format or do not agree with the header's count, ErrCorrupt for a body that does
// not decompress or is larger than MaxDecompressedBytes.
type RecordIterator struct {
	left   int32
	body   []byte      // uncompressed rest
	stream *bodyStream // nil for uncompressed batches
	skim   bool        // do not buffer large records: their Key and Value are empty or nil, and no headers
	ended  bool
	err    error
}

// Iterate starts at the first record. Close the iterator: it gives a decoder back. An unknown codec shows
// as an error of Err.
func (b Batch) Iterate() RecordIterator {
	it := RecordIterator{left: b.Count(), body: b.Body()}
	if b.Codec() != CodecNone && it.left > 0 {
		it.stream, it.err = openStream(b.Codec(), b.Body(), MaxDecompressedBytes)
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
	errStructure    = fmt.Errorf("%w: found invalid record structure", ErrInvalidRecord)
)

func (it *RecordIterator) nextPlain(r *Record) error {
	size, n := binary.Varint(it.body)
	if n <= 0 || n > binary.MaxVarintLen32 || size < 0 || size > int64(len(it.body)-n) {
		return errPrematureEOF
	}
	body := it.body[n : n+int(size)]
	it.body = it.body[n+int(size):]
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
	if errors.Is(err, ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
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

// parseRecord decodes the record whose bytes after the length are exactly b.
func parseRecord(b []byte, r *Record) error {
	p := parser{b: b}
	p.skip(1) // attributes
	r.TimestampDelta = p.varint(binary.MaxVarintLen64)
	r.OffsetDelta = int32(p.varint(binary.MaxVarintLen32))
	r.Key = p.bytes()
	r.Value = p.bytes()
	count := p.varint(binary.MaxVarintLen32)
	if p.bad || count < 0 || count > int64(len(p.b)) {
		return errStructure
	}
	r.HeaderCount, r.headers = int(count), p.b
	for range count {
		if size := p.varint(binary.MaxVarintLen32); size < 0 {
			return errStructure
		} else {
			p.skip(size)
		}
		p.bytes()
	}
	if p.bad || len(p.b) > 0 {
		return errStructure
	}
	return nil
}

// parser reads a record's fields; after the first field that does not fit, bad is set and all are zero.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) skip(n int64) {
	if n > int64(len(p.b)) {
		p.bad, p.b = true, nil
		return
	}
	p.b = p.b[n:]
}

func (p *parser) varint(maxLen int) int64 {
	if len(p.b) > 0 && p.b[0] < 0x80 { // most are one byte
		v := int64(p.b[0]>>1) ^ -int64(p.b[0]&1)
		p.b = p.b[1:]
		return v
	}
	v, n := binary.Varint(p.b)
	if n <= 0 || n > maxLen || (maxLen == binary.MaxVarintLen32 && (v > math.MaxInt32 || v < math.MinInt32)) {
		p.bad, p.b = true, nil
		return 0
	}
	p.b = p.b[n:]
	return v
}

// bytes reads a nullable field: a negative length is nil.
func (p *parser) bytes() []byte {
	n := p.varint(binary.MaxVarintLen32)
	if n < 0 || p.bad {
		return nil
	}
	if n > int64(len(p.b)) {
		p.bad, p.b = true, nil
		return nil
	}
	field := p.b[:n:n]
	p.b = p.b[n:]
	return field
}
