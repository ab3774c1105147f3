package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"minikafka/internal/vfs"
)

// Framing of what lies in a .log file. Magic 2 is a batch; magic 0 and 1 (message sets that an old Apache
// Kafka wrote) have the same first 17 bytes and are served as they are.
const (
	framePrefix   = 12 // base offset and length; the length counts what follows it
	magicAt       = 16
	headerSize    = 61
	legacyMinimum = 14 // smallest length field of a message set
	batchMinimum  = headerSize - framePrefix
)

// errShort says that the file ends inside a batch; errFrame that the bytes are no batch at all.
var (
	errShort = errors.New("file ends inside a record batch")
	errFrame = errors.New("not a record batch")
)

// batchHeader is what the log wants of a batch on disk.
type batchHeader struct {
	position     int64
	size         int64 // whole batch, bytes
	baseOffset   int64
	lastOffset   int64
	maxTimestamp int64
	epoch        int32 // -1 in message sets
	magic        int8
}

func (h *batchHeader) end() int64 { return h.position + h.size }

// parseHeader reads a header from b, which holds the file's bytes at position: at least headerSize of
// them, or all up to the file's end.
func parseHeader(b []byte, position int64) (batchHeader, error) {
	h := batchHeader{position: position, epoch: -1, maxTimestamp: -1}
	if len(b) < framePrefix+legacyMinimum {
		return h, errShort
	}
	h.baseOffset = int64(binary.BigEndian.Uint64(b))
	length := int32(binary.BigEndian.Uint32(b[8:]))
	h.size = int64(length) + framePrefix
	h.magic = int8(b[magicAt])
	switch {
	case length < legacyMinimum, h.magic < 0, h.magic > 2, h.baseOffset < 0:
		return h, fmt.Errorf("%w: length %d, magic %d, offset %d", errFrame, length, h.magic, h.baseOffset)
	case h.magic < 2:
		h.lastOffset = h.baseOffset // of a compressed set: that of its last message
		if h.magic == 1 {
			h.maxTimestamp = int64(binary.BigEndian.Uint64(b[18:]))
		}
		return h, nil
	case length < batchMinimum:
		return h, fmt.Errorf("%w: length %d", errFrame, length)
	case len(b) < headerSize:
		return h, errShort
	}
	h.epoch = int32(binary.BigEndian.Uint32(b[12:]))
	delta := int32(binary.BigEndian.Uint32(b[23:]))
	h.lastOffset = h.baseOffset + int64(delta)
	h.maxTimestamp = int64(binary.BigEndian.Uint64(b[35:]))
	if binary.BigEndian.Uint32(b[57:]) == 0 {
		h.maxTimestamp = -1 // compaction left the header alone, and kept the timestamp of what is gone
	}
	if delta < 0 || h.lastOffset < 0 {
		return h, fmt.Errorf("%w: last offset delta %d", errFrame, delta)
	}
	return h, nil
}

// headerScanner walks the batch headers of a file without reading the records of large batches.
type headerScanner struct {
	f        vfs.File
	position int64 // of the next batch
	end      int64 // where the walk stops
	buf      []byte
	pooled   *[]byte
	bufAt    int64 // file position of buf[0]
	filled   int
	headerAt int  // of the last batch, in buf
	large    bool // the last batch was larger than buf: read headers only
}

const scanBuffer = 8 << 10

var scanBuffers = sync.Pool{New: func() any { b := make([]byte, scanBuffer); return &b }} //nolint:gochecknoglobals // a pool

// scanHeaders starts a walk of [position, end). The caller ends it with done.
func scanHeaders(f vfs.File, position, end int64) *headerScanner {
	pooled := scanBuffers.Get().(*[]byte)
	return &headerScanner{f: f, position: position, end: end, buf: *pooled, pooled: pooled}
}

func (s *headerScanner) done() {
	scanBuffers.Put(s.pooled)
	s.buf, s.pooled = nil, nil
}

// next returns the next header; io.EOF at the end. A batch that does not end before the end is errShort.
func (s *headerScanner) next() (batchHeader, error) {
	if s.position >= s.end {
		return batchHeader{}, io.EOF
	}
	b, err := s.peek()
	if err != nil {
		return batchHeader{}, err
	}
	h, err := parseHeader(b, s.position)
	if err != nil {
		return h, err
	}
	if h.end() > s.end {
		return h, errShort
	}
	s.large = h.size > scanBuffer/2
	s.headerAt = int(h.position - s.bufAt)
	s.position = h.end()
	return h, nil
}

// header is the bytes of the batch that next returned last, at least its header.
func (s *headerScanner) header() []byte { return s.buf[s.headerAt:s.filled] }

// peek returns at least a header's bytes at position, or all that are left.
func (s *headerScanner) peek() ([]byte, error) {
	want := int(min(s.end-s.position, headerSize))
	from := s.position - s.bufAt
	if s.filled > 0 && from >= 0 && from+int64(want) <= int64(s.filled) {
		return s.buf[from:s.filled], nil
	}
	n := int(min(s.end-s.position, int64(len(s.buf))))
	if s.large {
		n = want
	}
	if err := readFull(s.f, s.buf[:n], s.position); err != nil {
		s.filled = 0
		return nil, err
	}
	s.bufAt, s.filled = s.position, n
	return s.buf[:n], nil
}

// readFull reads len(b) bytes at position.
func readFull(f vfs.File, b []byte, position int64) error {
	n, err := f.ReadAt(b, position)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading %d bytes at %d of %s: %w", len(b), position, f.Name(), err)
}
