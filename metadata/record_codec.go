package metadata

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// reader takes the fields of one record from b. After its first error every method returns zero and
// consumes nothing, so that callers look at err once, at the end. No length is believed before it is
// compared with what remains.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformedRecord, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

// end is the error of the whole, which bytes that are left over are too.
func (r *reader) end() error {
	if len(r.b) > 0 {
		r.fail("%d bytes after its end", len(r.b))
	}
	return r.err
}

// take is the next n bytes, not copied; nil when there are fewer.
func (r *reader) take(n uint64) []byte {
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

// uvarint reads at most five bytes, as Kafka does: 32 bits.
func (r *reader) uvarint() uint64 {
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

func (r *reader) fixed(n uint64) uint64 {
	var v uint64
	for _, b := range r.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

func (r *reader) boolean() bool    { return r.fixed(1) != 0 }
func (r *reader) int8() int8       { return int8(r.fixed(1)) }
func (r *reader) int16() int16     { return int16(r.fixed(2)) }
func (r *reader) uint16() uint16   { return uint16(r.fixed(2)) }
func (r *reader) int32() int32     { return int32(r.fixed(4)) }
func (r *reader) int64() int64     { return int64(r.fixed(8)) }
func (r *reader) float64() float64 { return math.Float64frombits(r.fixed(8)) }

func (r *reader) uuid() (u UUID) {
	copy(u[:], r.take(16))
	return u
}

// compactLength reads a length plus one; zero is null.
func (r *reader) compactLength(nullable bool) (n uint64, null bool) {
	n = r.uvarint()
	if n == 0 {
		if !nullable {
			r.fail("null where none may be")
		}
		return 0, true
	}
	return n - 1, false
}

// compactCount reads an array's count, which must fit what remains if each element takes at least
// elementMin bytes. Null is true for a null array and after an error.
func (r *reader) compactCount(elementMin int, nullable bool) (n int, null bool) {
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
func (r *reader) stringBytes(n uint64) []byte {
	if n > math.MaxInt16 {
		r.fail("a string of %d bytes", n)
	}
	return r.take(n)
}

func (r *reader) compactString() string {
	n, _ := r.compactLength(false)
	return string(r.stringBytes(n))
}

func (r *reader) compactNullableString() *string {
	n, null := r.compactLength(true)
	if null || r.err != nil {
		return nil
	}
	s := string(r.stringBytes(n))
	return &s
}

func (r *reader) compactBytes() []byte {
	n, _ := r.compactLength(false)
	return append([]byte{}, r.take(n)...)
}

// tags visits a tag section: the number and a reader of just that tag's bytes, which must all be read.
func (r *reader) tags() iter.Seq2[uint64, *reader] {
	return func(yield func(uint64, *reader) bool) {
		for n := r.uvarint(); n > 0 && r.err == nil; n-- {
			tag := r.uvarint()
			one := &reader{b: r.take(r.uvarint()), err: r.err}
			if r.err != nil {
				return
			}
			more := yield(tag, one)
			if err := one.end(); err != nil {
				r.err, r.b = fmt.Errorf("tag %d: %w", tag, err), nil
			}
			if !more {
				return
			}
		}
	}
}

// skip passes over what remains: an unknown tag.
func (r *reader) skip() { r.b = nil }

func (r *reader) skipTags() {
	for _, tag := range r.tags() {
		tag.skip()
	}
}

// taggedFields collects a tag section; tags are added in ascending order.
type taggedFields struct {
	n     uint64
	bytes []byte
}

func (t *taggedFields) add(tag uint64, value func(dst []byte) []byte) {
	b := value(nil)
	t.bytes = binary.AppendUvarint(t.bytes, tag)
	t.bytes = binary.AppendUvarint(t.bytes, uint64(len(b)))
	t.bytes = append(t.bytes, b...)
	t.n++
}

func (t *taggedFields) appendTo(dst []byte) []byte {
	return append(binary.AppendUvarint(dst, t.n), t.bytes...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendFloat64(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
}

func appendCompactCount(dst []byte, n int, null bool) []byte {
	if null {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(n)+1)
}

func appendCompactString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))+1), s...)
}

func appendCompactNullableString(dst []byte, s *string) []byte {
	if s == nil {
		return append(dst, 0)
	}
	return appendCompactString(dst, *s)
}

func appendCompactBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))+1), b...)
}
