package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
)

// What the generated codecs of records (metadata/record_gen.go, groupcoord/record_gen.go) stand on.

// ErrMalformedRecord is a record's key or value that is cut short, announces more than there is, has a null
// where none may be, or has bytes after its end.
var ErrMalformedRecord = errors.New("malformed record")

// FieldReader takes the fields of one record from bytes. After its first error every method returns zero
// and consumes nothing, so that callers look at Err once, at the end. No length is believed before it is
// compared with what remains.
type FieldReader struct {
	b   []byte
	err error
}

// NewFieldReader reads b, which stays the caller's: what the methods return is copied.
func NewFieldReader(b []byte) *FieldReader { return &FieldReader{b: b} }

// Err is the first error.
func (r *FieldReader) Err() error { return r.err }

func (r *FieldReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformedRecord, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

// End is the error of the whole, which bytes that are left over are too.
func (r *FieldReader) End() error {
	if len(r.b) > 0 {
		r.fail("%d bytes after its end", len(r.b))
	}
	return r.err
}

// take is the next n bytes, not copied; nil when there are fewer.
func (r *FieldReader) take(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.b)) {
		r.fail("%d bytes announced, %d remain", n, len(r.b))
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// Uvarint reads at most five bytes, as Kafka does: 32 bits.
func (r *FieldReader) Uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[:min(len(r.b), binary.MaxVarintLen32)])
	if n <= 0 || v > math.MaxUint32 {
		r.fail("bad varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *FieldReader) fixed(n uint64) uint64 {
	var v uint64
	for _, b := range r.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

// Boolean is a byte that is not zero.
func (r *FieldReader) Boolean() bool { return r.fixed(1) != 0 }

// Int8 is a byte.
func (r *FieldReader) Int8() int8 { return int8(r.fixed(1)) }

// Int16 is two bytes, big endian as all.
func (r *FieldReader) Int16() int16 { return int16(r.fixed(2)) }

// Uint16 is two bytes.
func (r *FieldReader) Uint16() uint16 { return uint16(r.fixed(2)) }

// Int32 is four bytes.
func (r *FieldReader) Int32() int32 { return int32(r.fixed(4)) }

// Int64 is eight bytes.
func (r *FieldReader) Int64() int64 { return int64(r.fixed(8)) }

// Float64 is eight bytes.
func (r *FieldReader) Float64() float64 { return math.Float64frombits(r.fixed(8)) }

// UUID is 16 bytes.
func (r *FieldReader) UUID() (u [16]byte) {
	copy(u[:], r.take(16))
	return u
}

// compactLength reads a length plus one; zero is null.
func (r *FieldReader) compactLength(nullable bool) (n uint64, null bool) {
	n = r.Uvarint()
	if n == 0 {
		if !nullable {
			r.fail("null where none may be")
		}
		return 0, true
	}
	return n - 1, false
}

// CompactCount reads an array's count, which must fit what remains if each element takes at least
// elementMin bytes. Null is true for a null array and after an error.
func (r *FieldReader) CompactCount(elementMin int, nullable bool) (n int, null bool) {
	count, null := r.compactLength(nullable)
	if null || r.err != nil {
		return 0, true
	}
	if count > uint64(len(r.b)/elementMin) {
		r.fail("%d elements announced, %d bytes remain", count, len(r.b))
		return 0, true
	}
	return int(count), false
}

// stringBytes are n bytes of text, of which Kafka allows no more than an int16 can count.
func (r *FieldReader) stringBytes(n uint64) []byte {
	if n > math.MaxInt16 {
		r.fail("a string of %d bytes", n)
	}
	return r.take(n)
}

// CompactString is a varint and so much text.
func (r *FieldReader) CompactString() string {
	n, _ := r.compactLength(false)
	return string(r.stringBytes(n))
}

// CompactNullableString is nil for null.
func (r *FieldReader) CompactNullableString() *string {
	n, null := r.compactLength(true)
	if null || r.err != nil {
		return nil
	}
	s := string(r.stringBytes(n))
	return &s
}

// CompactBytes is a copy.
func (r *FieldReader) CompactBytes() []byte {
	n, _ := r.compactLength(false)
	return append([]byte{}, r.take(n)...)
}

// Tags visits a tag section: the number and a reader of just that tag's bytes, which must all be read.
func (r *FieldReader) Tags() iter.Seq2[uint64, *FieldReader] {
	return func(yield func(uint64, *FieldReader) bool) {
		for n := r.Uvarint(); n > 0 && r.err == nil; n-- {
			tag := r.Uvarint()
			one := &FieldReader{b: r.take(r.Uvarint()), err: r.err}
			if r.err != nil {
				return
			}
			more := yield(tag, one)
			if err := one.End(); err != nil {
				r.err, r.b = fmt.Errorf("tag %d: %w", tag, err), nil
			}
			if !more {
				return
			}
		}
	}
}

// Skip passes over what remains: an unknown tag.
func (r *FieldReader) Skip() { r.b = nil }

// SkipTags passes over a tag section.
func (r *FieldReader) SkipTags() {
	for _, tag := range r.Tags() {
		tag.Skip()
	}
}

// TaggedFields collects a tag section; tags are added in ascending order.
type TaggedFields struct {
	n     uint64
	bytes []byte
}

// Add adds a field; value appends it.
func (t *TaggedFields) Add(tag uint64, value func(dst []byte) []byte) {
	b := value(nil)
	t.bytes = binary.AppendUvarint(t.bytes, tag)
	t.bytes = binary.AppendUvarint(t.bytes, uint64(len(b)))
	t.bytes = append(t.bytes, b...)
	t.n++
}

// AppendTo appends the section.
func (t *TaggedFields) AppendTo(dst []byte) []byte {
	return append(binary.AppendUvarint(dst, t.n), t.bytes...)
}

// AppendBool appends a byte.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendFloat64 appends eight bytes.
func AppendFloat64(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
}

// AppendCompactCount appends an array's count.
func AppendCompactCount(dst []byte, n int, null bool) []byte {
	if null {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(n)+1)
}

// AppendCompactString appends a varint and the text.
func AppendCompactString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))+1), s...)
}

// AppendCompactNullableString appends null for nil.
func AppendCompactNullableString(dst []byte, s *string) []byte {
	if s == nil {
		return append(dst, 0)
	}
	return AppendCompactString(dst, *s)
}

// AppendCompactBytes appends a varint and the bytes.
func AppendCompactBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))+1), b...)
}
