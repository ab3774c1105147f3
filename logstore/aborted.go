package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"

	"minikafka/internal/vfs"
)

// The .txnindex of a segment lists the transactions whose abort marker lies in it, in the order of the
// markers, big-endian:
//
//	0 version i16 = 0 · 2 producerId i64 · 10 firstOffset i64 · 18 lastOffset i64 · 26 lastStableOffset i64
//
// lastOffset is the marker's; lastStableOffset is what the LSO was once the marker was written: the first
// offset of the earliest other open transaction, else the offset after the marker. The file exists only
// once the first entry was written.
const abortedEntrySize = 34

// abortedEntry is one row of the transaction index.
type abortedEntry struct {
	ProducerID, FirstOffset, LastOffset, LastStableOffset int64
}

// appendTo encodes the entry.
func (e abortedEntry) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(e.ProducerID))
	b = binary.BigEndian.AppendUint64(b, uint64(e.FirstOffset))
	b = binary.BigEndian.AppendUint64(b, uint64(e.LastOffset))
	return binary.BigEndian.AppendUint64(b, uint64(e.LastStableOffset))
}

// parseAborted decodes a file. errCorruptIndex for a version above 0 (newer than ours), half an entry,
// entries out of order, or one whose marker is before base.
func parseAborted(base int64, data []byte) ([]abortedEntry, error) {
	if len(data)%abortedEntrySize != 0 {
		return nil, fmt.Errorf("%w: transaction index of %d bytes", errCorruptIndex, len(data))
	}
	entries := make([]abortedEntry, 0, len(data)/abortedEntrySize)
	last := base - 1
	for ; len(data) > 0; data = data[abortedEntrySize:] {
		if version := int16(binary.BigEndian.Uint16(data)); version != 0 {
			return nil, fmt.Errorf("%w: transaction index version %d", errCorruptIndex, version)
		}
		u64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(data[at:])) }
		e := abortedEntry{u64(2), u64(10), u64(18), u64(26)}
		if e.LastOffset <= last || e.FirstOffset > e.LastOffset {
			return nil, fmt.Errorf("%w: aborted transaction %+v after offset %d", errCorruptIndex, e, last)
		}
		entries = append(entries, e)
		last = e.LastOffset
	}
	return entries, nil
}

// abortedIndex is a segment's transaction index: the rows in memory, the file appended to at once. It
// holds no descriptor. Not safe for concurrent use.
type abortedIndex struct {
	fs      vfs.FS
	path    string
	entries []abortedEntry
}

// loadAborted reads a segment's index; a missing file is an empty index. errCorruptIndex: recover the
// segment.
func loadAborted(fsys vfs.FS, path string, base int64) (*abortedIndex, error) {
	x := &abortedIndex{fs: fsys, path: path}
	data, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return x, nil
	}
	if err != nil {
		return nil, err
	}
	x.entries, err = parseAborted(base, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return x, nil
}

// append adds a row, to the file too (not synced: sync does that before a recovery point passes it).
func (x *abortedIndex) append(e abortedEntry) error {
	if n := len(x.entries); n > 0 && e.LastOffset <= x.entries[n-1].LastOffset {
		return fmt.Errorf("%s: marker offset %d is not after the last one, %d", x.path, e.LastOffset, x.entries[n-1].LastOffset)
	}
	f, err := x.fs.OpenFile(x.path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(e.appendTo(nil), int64(len(x.entries))*abortedEntrySize)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	x.entries = append(x.entries, e)
	return nil
}

// collect appends the transactions that a reader of [fetchOffset, upTo) must know: marker at or after
// fetchOffset and first offset below upTo. complete says that no later segment can have more.
func (x *abortedIndex) collect(list []AbortedTxn, fetchOffset, upTo int64) (out []AbortedTxn, complete bool) {
	for _, e := range x.entries {
		if e.LastOffset >= fetchOffset && e.FirstOffset < upTo {
			list = append(list, AbortedTxn{e.ProducerID, e.FirstOffset})
		}
		if e.LastStableOffset >= upTo {
			return list, true
		}
	}
	return list, false
}

// truncateTo drops rows whose marker is at or after offset.
func (x *abortedIndex) truncateTo(offset int64) error {
	n := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].LastOffset >= offset })
	if n == len(x.entries) {
		return nil
	}
	x.entries = x.entries[:n]
	return x.rewrite()
}

// rewrite stores the rows anew; without any, the file goes.
func (x *abortedIndex) rewrite() error {
	if len(x.entries) == 0 {
		if err := x.fs.Remove(x.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	var data []byte
	for _, e := range x.entries {
		data = e.appendTo(data)
	}
	return writeInPlace(x.fs, x.path, data, true)
}

// sync makes the file durable; nothing to do without rows.
func (x *abortedIndex) sync() error {
	if len(x.entries) == 0 {
		return nil
	}
	f, err := x.fs.OpenFile(x.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
