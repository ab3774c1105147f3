package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sort"

	"minikafka/internal/vfs"
)

// The two sparse indexes of a segment, big-endian, entries strictly increasing:
//
//	.index      8 bytes   0 lastOffset-base i32 · 4 position i32     position is where the batch whose
//	                                                                  last offset it is begins
//	.timeindex 12 bytes   0 timestamp i64 · 8 offset-base i32         the largest timestamp so far, and
//	                                                                  the last offset of the batch that has it
//
// A live index is memory: appending costs no system call. The file is written when the segment is rolled
// or closed; after a kill, recovery rebuilds the indexes of every segment at or after the recovery point,
// and those are the only ones whose files may be old. Closed segments hold neither memory nor descriptor:
// a reader loads an index, or searches the file.
const (
	offsetEntrySize = 8
	timeEntrySize   = 12
)

// errCorruptIndex says that an index file is not one that Kafka or we would write: rebuild it.
var errCorruptIndex = errors.New("corrupt index file")

type offsetEntry struct {
	relative int32 // last offset of the batch, less the segment's base
	position int32 // of the batch's first byte in the .log
}

// offsetIndex maps offsets to positions. Not safe for concurrent use: a reader of the active segment
// copies what it needs under the log's lock.
type offsetIndex struct {
	base       int64
	entries    []offsetEntry
	maxEntries int
}

// newOffsetIndex makes an empty index; maxBytes is segment.index.bytes.
func newOffsetIndex(base int64, maxBytes int32) *offsetIndex {
	return &offsetIndex{base: base, maxEntries: int(maxBytes) / offsetEntrySize}
}

// parseOffsetIndex decodes a file. Zero entries at the end (Kafka preallocates, and trims only on a clean
// stop) are dropped. errCorruptIndex when entries do not increase or half an entry is left.
func parseOffsetIndex(base int64, maxBytes int32, data []byte) (*offsetIndex, error) {
	x := newOffsetIndex(base, maxBytes)
	if len(data)%offsetEntrySize != 0 {
		return nil, fmt.Errorf("%w: %d bytes", errCorruptIndex, len(data))
	}
	last := offsetEntry{-1, -1}
	for ; len(data) > 0; data = data[offsetEntrySize:] {
		e := offsetEntryAt(data)
		if e == (offsetEntry{}) && allZero(data) {
			break
		}
		if e.relative <= last.relative || e.position <= last.position {
			return nil, fmt.Errorf("%w: entry %d after %d", errCorruptIndex, e, last)
		}
		x.entries = append(x.entries, e)
		last = e
	}
	return x, nil
}

func offsetEntryAt(b []byte) offsetEntry {
	return offsetEntry{int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[4:]))}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// loadOffsetIndex reads a file. Errors: the file system's (fs.ErrNotExist when missing), errCorruptIndex.
func loadOffsetIndex(fsys vfs.FS, path string, base int64, maxBytes int32) (*offsetIndex, error) {
	data, err := fsys.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseOffsetIndex(base, maxBytes, data)
}

// append adds an entry for the batch that starts at position. It must be larger than the last one, fit
// into 31 bits, and the index not full: anything else is a bug of the caller and an error here.
func (x *offsetIndex) append(lastOffset, position int64) error {
	relative := lastOffset - x.base
	switch {
	case x.isFull():
		return fmt.Errorf("offset index of segment %d is full (%d entries)", x.base, len(x.entries))
	case relative < 0 || relative > math.MaxInt32 || position < 0 || position > math.MaxInt32:
		return fmt.Errorf("offset index of segment %d: entry (%d, %d) does not fit", x.base, lastOffset, position)
	case len(x.entries) > 0 && int32(relative) <= x.entries[len(x.entries)-1].relative:
		return fmt.Errorf("offset index of segment %d: offset %d is not after the last one, %d", x.base, lastOffset, x.lastOffset())
	}
	x.entries = append(x.entries, offsetEntry{int32(relative), int32(position)})
	return nil
}

// isFull makes the log roll.
func (x *offsetIndex) isFull() bool { return len(x.entries) >= x.maxEntries }

// lastOffset is that of the last entry, the segment's base when there is none.
func (x *offsetIndex) lastOffset() int64 {
	if len(x.entries) == 0 {
		return x.base
	}
	return x.base + int64(x.entries[len(x.entries)-1].relative)
}

// lookup returns the largest entry with offset <= target: scan the .log from position. (base, 0) when
// there is none.
func (x *offsetIndex) lookup(target int64) (offset, position int64) {
	i := sort.Search(len(x.entries), func(i int) bool { return x.base+int64(x.entries[i].relative) > target })
	if i == 0 {
		return x.base, 0
	}
	e := x.entries[i-1]
	return x.base + int64(e.relative), int64(e.position)
}

// upperBound is the offset of the first entry whose position is at least position: an offset that is not
// before the data that ends there. False when there is none: take the next segment's base. Kafka's search
// does not see that the very first entry is equal, and takes the one after it; so do we.
func (x *offsetIndex) upperBound(position int64) (offset int64, ok bool) {
	i := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].position) >= position })
	if i == 0 && len(x.entries) > 0 && int64(x.entries[0].position) == position {
		i = 1
	}
	if i == len(x.entries) {
		return 0, false
	}
	return x.base + int64(x.entries[i].relative), true
}

// truncateTo drops entries with offset >= offset.
func (x *offsetIndex) truncateTo(offset int64) {
	x.entries = x.entries[:sort.Search(len(x.entries), func(i int) bool { return x.base+int64(x.entries[i].relative) >= offset })]
}

// write stores the index, trimmed to its entries; sync makes it durable. An index is derived, so it is
// written in place: a torn one does not parse or is rebuilt.
func (x *offsetIndex) write(fsys vfs.FS, path string, sync bool) error {
	data := make([]byte, 0, len(x.entries)*offsetEntrySize)
	for _, e := range x.entries {
		data = binary.BigEndian.AppendUint32(data, uint32(e.relative))
		data = binary.BigEndian.AppendUint32(data, uint32(e.position))
	}
	return writeInPlace(fsys, path, data, sync)
}

type timeEntry struct {
	timestamp int64
	relative  int32
}

// timeIndex maps timestamps to offsets. Not safe for concurrent use.
type timeIndex struct {
	base       int64
	entries    []timeEntry
	maxEntries int
}

// newTimeIndex makes an empty index; maxBytes is segment.index.bytes.
func newTimeIndex(base int64, maxBytes int32) *timeIndex {
	return &timeIndex{base: base, maxEntries: int(maxBytes) / timeEntrySize}
}

// parseTimeIndex decodes a file, as parseOffsetIndex does.
func parseTimeIndex(base int64, maxBytes int32, data []byte) (*timeIndex, error) {
	x := newTimeIndex(base, maxBytes)
	if len(data)%timeEntrySize != 0 {
		return nil, fmt.Errorf("%w: %d bytes", errCorruptIndex, len(data))
	}
	last := timeEntry{math.MinInt64, -1}
	for ; len(data) > 0; data = data[timeEntrySize:] {
		e := timeEntry{int64(binary.BigEndian.Uint64(data)), int32(binary.BigEndian.Uint32(data[8:]))}
		if e == (timeEntry{}) && allZero(data) {
			break
		}
		if e.timestamp <= last.timestamp || e.relative < last.relative || e.relative < 0 {
			return nil, fmt.Errorf("%w: entry %d after %d", errCorruptIndex, e, last)
		}
		x.entries = append(x.entries, e)
		last = e
	}
	return x, nil
}

// loadTimeIndex reads a file. Errors: the file system's (fs.ErrNotExist when missing), errCorruptIndex.
func loadTimeIndex(fsys vfs.FS, path string, base int64, maxBytes int32) (*timeIndex, error) {
	data, err := fsys.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseTimeIndex(base, maxBytes, data)
}

// maybeAppend adds (timestamp, offset) if the timestamp is larger than the last one; equal and smaller
// ones are skipped. The last slot is kept for the closing entry of a roll: closing may take it.
func (x *timeIndex) maybeAppend(timestamp, offset int64, closing bool) error {
	last, lastOffset := x.lastEntry()
	if timestamp <= last || timestamp < 0 {
		return nil
	}
	relative := offset - x.base
	switch {
	case len(x.entries) >= x.maxEntries || (!closing && x.isFull()):
		return fmt.Errorf("time index of segment %d is full (%d entries)", x.base, len(x.entries))
	case relative < 0 || relative > math.MaxInt32:
		return fmt.Errorf("time index of segment %d: offset %d does not fit", x.base, offset)
	case offset < lastOffset:
		return fmt.Errorf("time index of segment %d: offset %d is before the last one, %d", x.base, offset, lastOffset)
	}
	x.entries = append(x.entries, timeEntry{timestamp, int32(relative)})
	return nil
}

// isFull makes the log roll; one slot is left.
func (x *timeIndex) isFull() bool { return len(x.entries) >= x.maxEntries-1 }

// lastEntry is (-1, base) when there is none.
func (x *timeIndex) lastEntry() (timestamp, offset int64) {
	if len(x.entries) == 0 {
		return -1, x.base
	}
	e := x.entries[len(x.entries)-1]
	return e.timestamp, x.base + int64(e.relative)
}

// lookup returns the largest entry with timestamp <= target; (-1, base) when there is none. Every record
// with a larger timestamp than the entry's lies after its offset.
func (x *timeIndex) lookup(target int64) (timestamp, offset int64) {
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].timestamp > target })
	if i == 0 {
		return -1, x.base
	}
	return x.entries[i-1].timestamp, x.base + int64(x.entries[i-1].relative)
}

// truncateTo drops entries with offset >= offset.
func (x *timeIndex) truncateTo(offset int64) {
	x.entries = x.entries[:sort.Search(len(x.entries), func(i int) bool { return x.base+int64(x.entries[i].relative) >= offset })]
}

// write stores the index, trimmed to its entries; sync makes it durable.
func (x *timeIndex) write(fsys vfs.FS, path string, sync bool) error {
	data := make([]byte, 0, len(x.entries)*timeEntrySize)
	for _, e := range x.entries {
		data = binary.BigEndian.AppendUint64(data, uint64(e.timestamp))
		data = binary.BigEndian.AppendUint32(data, uint32(e.relative))
	}
	return writeInPlace(fsys, path, data, sync)
}

// noEntry is what searchOffsetFile has where there is none.
var noEntry = offsetEntry{-1, -1} //nolint:gochecknoglobals // a value

// searchOffsetFile finds the last entry that is not above and the first one that is, in the file of a closed
// segment without loading it: a binary search by pread, which ends with one block read. A missing file has
// no entries.
func searchOffsetFile(fsys vfs.FS, path string, above func(offsetEntry) bool) (last, first offsetEntry, err error) {
	last, first = noEntry, noEntry
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return last, first, nil
	}
	if err != nil {
		return last, first, err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Size()
	if err != nil {
		return last, first, err
	}
	const block = 512 // entries: 4 KiB
	var buf [(block + 1) * offsetEntrySize]byte
	low, high := int64(0), size/offsetEntrySize // last is in entries [low, high), or there is none
	for high-low > block {
		mid := low + (high-low)/2
		if _, err := f.ReadAt(buf[:offsetEntrySize], mid*offsetEntrySize); err != nil {
			return last, first, err
		}
		// An all-zero entry after the first is the tail of an untrimmed file: as good as infinity.
		if e := offsetEntryAt(buf[:]); above(e) || e == (offsetEntry{}) {
			high = mid
		} else {
			low = mid
		}
	}
	n, err := f.ReadAt(buf[:(high-low+1)*offsetEntrySize], low*offsetEntrySize)
	if err != nil && !errors.Is(err, io.EOF) {
		return last, first, err
	}
	for b := buf[:n]; len(b) >= offsetEntrySize; b = b[offsetEntrySize:] {
		e := offsetEntryAt(b)
		if e == (offsetEntry{}) {
			break
		}
		if above(e) {
			return last, e, nil
		}
		last = e
	}
	return last, first, nil
}
