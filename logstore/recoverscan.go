package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"

	"minikafka/internal/vfs"
)

// CorruptError says where a log is broken in a way that recovery must not cut: valid batches follow, or
// the place was already on disk for good. Nothing on disk was changed.
type CorruptError struct {
	File     string
	Position int64 // bytes into the file
	Offset   int64 // the offset expected there
	Reason   string
	Cause    error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is corrupt at position %d (offset %d): %v; %s", e.File, e.Position, e.Offset, e.Cause, e.Reason)
}

func (e *CorruptError) Unwrap() error { return e.Cause }

// Remedy is what an operator can do who has no other copy: nobody else may decide that records go.
func (e *CorruptError) Remedy() string {
	return fmt.Sprintf("to keep what lies before and give up the records from offset %d on: stop the broker, delete the files of later segments in %s, "+
		"run truncate -s %d %s, delete %s in the log directory, and start", e.Offset, filepath.Dir(e.File), e.Position, e.File, recoveryPointFile)
}

var errChecksum = errors.New("wrong checksum")

// batchReader reads whole batches in file order into one buffer that it reuses.
type batchReader struct {
	f        vfs.File
	position int64
	end      int64
	buf      []byte // holds the file's bytes from bufAt
	bufAt    int64
}

const recoverChunk = 1 << 20

// next returns the next whole batch, its checksum verified; io.EOF at the end. The position of an error
// is r.position.
func (r *batchReader) next() (batchHeader, []byte, error) {
	if r.position >= r.end {
		return batchHeader{}, nil, io.EOF
	}
	b, err := r.bytes(min(headerSize, r.end-r.position))
	if err != nil {
		return batchHeader{}, nil, err
	}
	h, err := parseHeader(b, r.position)
	if err != nil {
		return h, nil, err
	}
	if h.end() > r.end {
		return h, nil, errShort
	}
	if b, err = r.bytes(h.size); err != nil {
		return h, nil, err
	}
	if !checksumOK(b) {
		return h, nil, errChecksum
	}
	r.position = h.end()
	return h, b, nil
}

// bytes returns n bytes at position, which lie within the end.
func (r *batchReader) bytes(n int64) ([]byte, error) {
	from := r.position - r.bufAt
	if from >= 0 && from+n <= int64(len(r.buf)) {
		return r.buf[from : from+n], nil
	}
	want := min(max(n, recoverChunk), r.end-r.position)
	if int64(cap(r.buf)) < want {
		r.buf = make([]byte, want)
	}
	r.buf = r.buf[:want]
	if err := readFull(r.f, r.buf, r.position); err != nil {
		r.buf = r.buf[:0]
		return nil, err
	}
	r.bufAt = r.position
	return r.buf[:n], nil
}

// checksumOK verifies a whole batch of any magic.
func checksumOK(b []byte) bool {
	if int8(b[magicAt]) == 2 {
		return crc32.Checksum(b[21:], castagnoli) == binary.BigEndian.Uint32(b[17:])
	}
	return crc32.ChecksumIEEE(b[magicAt:]) == binary.BigEndian.Uint32(b[framePrefix:])
}

// validBatchAfter looks for a whole, valid batch with an offset above expected anywhere after the broken
// one at position: then what lies there is no torn tail. The broken batch's own length cannot be trusted,
// so every byte is a candidate; the checks before the checksum make that cheap, and work bounds the bytes
// that are ever summed, so that no file can make this slow. When the bound is met the answer is the
// careful one.
func validBatchAfter(f vfs.File, position, end, expected int64, epoch int32) (bool, error) {
	work := 4*(end-position) + 64<<20
	r, sum := batchReader{f: f, end: end}, batchReader{f: f, end: end}
	for at := position + 1; at+headerSize <= end; {
		data, err := f.NextData(at)
		if err != nil {
			return false, err
		}
		if at = max(at, data-headerSize); at+headerSize > end { // a preallocated file ends in a hole
			break
		}
		r.position = at
		n := min(recoverChunk, end-at)
		window, err := r.bytes(n)
		if err != nil {
			return false, err
		}
		next := at + n - headerSize + 1
		for i := 0; i+headerSize <= len(window); i++ {
			if window[i+magicAt] != 2 {
				continue
			}
			h, err := parseHeader(window[i:i+headerSize], at+int64(i))
			if err != nil || h.end() > end || h.baseOffset < expected || h.epoch < epoch || h.baseOffset-expected > 1<<31 {
				continue
			}
			if work -= h.size; work < 0 {
				return true, nil
			}
			sum.position = h.position
			if _, _, err := sum.next(); err == nil {
				return true, nil
			} else if !errors.Is(err, errChecksum) {
				return false, err
			}
		}
		at = next
	}
	return false, nil
}

// onlyZeroes says that a file holds nothing from position to end: it was preallocated, and not written there.
func onlyZeroes(f vfs.File, position, end int64) (bool, error) {
	r := batchReader{f: f, position: position, end: end}
	for {
		data, err := f.NextData(r.position)
		if err != nil {
			return false, err
		}
		if r.position = data; data >= end {
			return true, nil
		}
		b, err := r.bytes(min(zeroChunk, end-data))
		if err != nil {
			return false, err
		}
		for _, x := range b {
			if x != 0 {
				return false, nil
			}
		}
		r.position += int64(len(b))
	}
}

const zeroChunk = 64 << 10
