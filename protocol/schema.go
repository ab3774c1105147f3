package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Limits of one request's body. A frame's size is limited before (MaxFrameBytes).
const (
	maxTags     = 64      // in one tag section
	maxElements = 1 << 20 // of all arrays together

	// Memory that decoding with kmsg may take: a fixed part, and a multiple of the body. The most that
	// honest requests come to is 4.5 times (Fetch v4, 16 bytes a partition); a hostile one 64 to 152.
	memoryBase   = 1 << 20
	memoryFactor = 8

	// What kmsg's map of unknown tags costs: the map, and each tag in it.
	memoryTagMap = 512
	memoryTag    = 128
)

// kind is how a field is encoded; each nullable and compact kind is one with a flag.
type kind uint8

const (
	fixed     kind = iota // size bytes: one or more fields of fixed size
	text                  // a string: int16 length, or compact
	blob                  // bytes or records: int32 length, or compact
	array                 // int32 count, or compact, and elements of a layout
	object                // a struct in place; nullable: int8 before it
	forbidden             // a tag that only later versions have
)

// layout is the encoding of one struct, or of an array's element.
type layout struct {
	fields   []layoutField
	tags     []layoutField // those that any version knows, ascending
	flexible bool          // a tag section follows the fields
	size     int           // in bytes, when it never varies
	least    int           // bytes that the smallest takes
}

type layoutField struct {
	name     string // Kafka's; of a run of fixed fields the first one's
	kind     kind
	compact  bool
	nullable bool
	tag      uint32
	size     int     // of a fixed field
	elem     *layout // of arrays and objects
	memory   int     // bytes that an element, or a nullable object, takes in kmsg's types
}

// requestLayouts is an API; the zero value is none.
type requestLayouts struct {
	name     string
	min, max int16     // versions
	flexible int16     // first version with tag sections, and request header v2
	large    bool      // has an array or bytes
	layouts  []*layout // from version min on
}

// request is an API's row; nil when Kafka 4.4 has no such API.
func request(key int16) *requestLayouts {
	if key < 0 || int(key) >= len(requests) || requests[key].layouts == nil {
		return nil
	}
	return &requests[key]
}

// ErrBadRequest is a body that Kafka could not parse, or that is beyond our limits: close the connection.
var ErrBadRequest = errors.New("bad request")

// LayoutError says where and why a body was refused; it wraps ErrBadRequest.
type LayoutError struct {
	API     string
	Version int16
	Path    string // e.g. topics[3].partitions[0].records
	Reason  string
	Value   int64 // what the body says
	Limit   int64 // what could be
}

func (e *LayoutError) Error() string {
	return fmt.Sprintf("%s version %d: %s: %s (%d, limit %d)", e.API, e.Version, e.Path, e.Reason, e.Value, e.Limit)
}

// Unwrap is ErrBadRequest.
func (e *LayoutError) Unwrap() error { return ErrBadRequest }

// in puts the name of what surrounds the place before the path.
func (e *LayoutError) in(name string) *LayoutError {
	switch {
	case e.Path == "" || name == "":
		e.Path = name + e.Path
	case e.Path[0] == '[':
		e.Path = name + e.Path
	default:
		e.Path = name + "." + e.Path
	}
	return e
}

func refuse(reason string, value, limit int64) *LayoutError {
	return &LayoutError{Reason: reason, Value: value, Limit: limit}
}

// CheckRequest walks an untrusted body before kmsg decodes it: every length and count against what
// remains, nulls, tags, elements, and the memory that decoding would take. What it accepts, kmsg decodes
// within that memory. Bytes after the body are allowed, as Kafka allows them. It allocates nothing
// unless it refuses. The error is a *LayoutError, an *UnsupportedVersionError or wraps ErrUnknownAPI,
// and means: close the connection. (An ApiVersions request of a version that is not ours has no body
// that could be checked: answer it from its header.)
//
// Where kmsg and Kafka differ, this decides: a null where the layout has none is an error (kmsg takes it
// for empty); so are a compact string over 32,767 bytes, a varint of more than 32 bits and a known tag
// whose size is not that of its content (Kafka reads on at the wrong place); of a nullable struct's
// marker only -1 is null and other negative values are errors (Kafka: all negative are null; kmsg: all
// but -1 are present). A tag that only a later version has is an error, as in Kafka (kmsg takes it).
func CheckRequest(key, version int16, body []byte) error {
	api := request(key)
	if api == nil {
		return unknownAPI(key)
	}
	if version < api.min || version > api.max {
		return &UnsupportedVersionError{Key: key, Version: version, Min: api.min, Max: api.max}
	}
	w := walk{b: body, elements: maxElements, memory: memoryBase + memoryFactor*len(body)}
	if err := w.layout(api.layouts[version-api.min]); err != nil {
		err.API, err.Version = api.name, version
		return err
	}
	return nil
}

// walk is the state of one check.
type walk struct {
	b        []byte // what remains
	elements int    // what may still come
	memory   int
}

// layout walks one struct.
func (w *walk) layout(l *layout) *LayoutError {
	for i := range l.fields {
		f := &l.fields[i]
		if f.kind == fixed {
			if len(w.b) < f.size {
				return refuse("cut short", int64(f.size), int64(len(w.b))).in(f.name)
			}
			w.b = w.b[f.size:]
			continue
		}
		if err := w.value(f); err != nil {
			return err.in(f.name)
		}
	}
	if !l.flexible {
		return nil
	}
	if len(w.b) > 0 && w.b[0] == 0 { // nearly always: no tags
		w.b = w.b[1:]
		return nil
	}
	if err := w.tags(l); err != nil {
		return err
	}
	return nil
}

// value walks a field.
func (w *walk) value(f *layoutField) *LayoutError {
	switch f.kind {
	case text:
		return w.text(f)
	case blob:
		n, err := w.length(f)
		if err != nil || n < 0 {
			return err
		}
		return w.skip(n)
	case array:
		return w.array(f)
	case object:
		return w.object(f)
	case fixed:
		return w.skip(f.size)
	case forbidden:
	}
	return refuse("tag is not valid in this version", int64(f.tag), 0)
}

func (w *walk) skip(n int) *LayoutError {
	if n > len(w.b) {
		return refuse("more bytes announced than there are", int64(n), int64(len(w.b)))
	}
	w.b = w.b[n:]
	return nil
}

// take charges memory.
func (w *walk) take(bytes int) *LayoutError {
	w.memory -= bytes
	if w.memory < 0 {
		return refuse("decoding would take too much memory", int64(bytes), int64(bytes+w.memory))
	}
	return nil
}

func (w *walk) text(f *layoutField) *LayoutError {
	var n int
	if f.compact {
		var err *LayoutError
		if n, err = w.length(f); err != nil {
			return err
		}
		if n > math.MaxInt16 {
			return refuse("string too long", int64(n), math.MaxInt16)
		}
	} else {
		if len(w.b) < 2 {
			return refuse("cut short", 2, int64(len(w.b)))
		}
		n = int(int16(binary.BigEndian.Uint16(w.b)))
		w.b = w.b[2:]
		if n < 0 && !f.nullable {
			return refuse("null where none may be", int64(n), 0)
		}
	}
	if n < 0 {
		return nil
	}
	if err := w.skip(n); err != nil {
		return err
	}
	if f.nullable {
		n += 16 // the string that the pointer points to
	}
	return w.take(n)
}

// length reads a length or count of int32 or compact form; negative is null, which is allowed.
func (w *walk) length(f *layoutField) (int, *LayoutError) {
	var n int
	if f.compact {
		v, err := w.uvarint()
		if err != nil {
			return 0, err
		}
		n = int(v) - 1
	} else {
		if len(w.b) < 4 {
			return 0, refuse("cut short", 4, int64(len(w.b)))
		}
		n = int(int32(binary.BigEndian.Uint32(w.b)))
		w.b = w.b[4:]
	}
	if n < 0 && !f.nullable {
		return 0, refuse("null where none may be", int64(n), 0)
	}
	return n, nil
}

func (w *walk) uvarint() (uint32, *LayoutError) {
	if len(w.b) > 0 && w.b[0] < 0x80 {
		v := w.b[0]
		w.b = w.b[1:]
		return uint32(v), nil
	}
	head := w.b[:min(len(w.b), binary.MaxVarintLen32)]
	v, n := binary.Uvarint(head)
	if n <= 0 || v > math.MaxUint32 {
		return 0, refuse("varint without end or too large", int64(len(head)), binary.MaxVarintLen32)
	}
	w.b = w.b[n:]
	return uint32(v), nil
}

func (w *walk) array(f *layoutField) *LayoutError {
	n, err := w.length(f)
	if err != nil || n <= 0 {
		return err
	}
	if n > len(w.b)/f.elem.least {
		return refuse("more elements announced than there can be", int64(n), int64(len(w.b)/f.elem.least))
	}
	if w.elements -= n; w.elements < 0 {
		return refuse("too many elements", int64(n), int64(n+w.elements))
	}
	if err := w.take(n * f.memory); err != nil {
		return err
	}
	if f.elem.size > 0 {
		return w.skip(n * f.elem.size)
	}
	for i := range n {
		if err := w.layout(f.elem); err != nil {
			return err.in("[" + strconv.Itoa(i) + "]")
		}
	}
	return nil
}

func (w *walk) object(f *layoutField) *LayoutError {
	if f.nullable {
		if len(w.b) == 0 {
			return refuse("cut short", 1, 0)
		}
		present := int8(w.b[0])
		w.b = w.b[1:]
		if present == -1 {
			return nil
		}
		if present < 0 {
			return refuse("bad marker of a nullable struct", int64(present), -1)
		}
		if err := w.take(f.memory); err != nil {
			return err
		}
	}
	return w.layout(f.elem)
}

// tags walks a tag section: known ones by their layout, to exactly their end.
func (w *walk) tags(l *layout) *LayoutError {
	n, err := w.uvarint()
	if err != nil {
		return err.in("tags")
	}
	if n > maxTags {
		return refuse("too many tags", int64(n), maxTags).in("tags")
	}
	unknown := 0
	for range n {
		number, err := w.uvarint()
		if err != nil {
			return err.in("tags")
		}
		size, err := w.uvarint()
		if err != nil {
			return err.in("tags")
		}
		if int(size) > len(w.b) {
			return refuse("more bytes announced than there are", int64(size), int64(len(w.b))).in("tags")
		}
		f := l.tag(number)
		if f == nil {
			unknown++
			w.b = w.b[size:]
			continue
		}
		if err := w.tag(f, int(size)); err != nil {
			return err.in(f.name)
		}
	}
	if unknown > 0 {
		return w.take(memoryTagMap + unknown*memoryTag)
	}
	return nil
}

// tag walks one known tag, which has the next size bytes to itself.
func (w *walk) tag(f *layoutField, size int) *LayoutError {
	rest := w.b[size:]
	w.b = w.b[:size]
	if err := w.value(f); err != nil {
		return err
	}
	if len(w.b) > 0 {
		return refuse("tag longer than its content", int64(size), int64(size-len(w.b)))
	}
	w.b = rest
	return nil
}

func (l *layout) tag(number uint32) *layoutField {
	for i := range l.tags {
		if l.tags[i].tag == number {
			return &l.tags[i]
		}
	}
	return nil
}
