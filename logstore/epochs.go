package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"minikafka/internal/vfs"
)

// epochEntry says that a leader epoch's first offset is StartOffset.
type epochEntry struct {
	Epoch       int32
	StartOffset int64
}

// epochEntries is the leader-epoch cache as a value: epochs and start offsets strictly increase. The
// methods that change it return a new value; the receiver is never written.
type epochEntries []epochEntry

// assign notes that epoch starts at offset. It is a no-op when epoch is the latest one and offset not
// before its start; otherwise later or equal entries (epoch >= epoch, or start >= offset) are replaced.
func (e epochEntries) assign(epoch int32, offset int64) epochEntries {
	if n := len(e); n > 0 && e[n-1].Epoch == epoch && offset >= e[n-1].StartOffset {
		return e
	}
	keep := len(e)
	for keep > 0 && (e[keep-1].Epoch >= epoch || e[keep-1].StartOffset >= offset) {
		keep--
	}
	return append(slices.Clone(e[:keep]), epochEntry{epoch, offset})
}

// latest is the last epoch, -1 when there is none.
func (e epochEntries) latest() int32 {
	if len(e) == 0 {
		return -1
	}
	return e[len(e)-1].Epoch
}

// endOffsetFor is what OffsetsForLeaderEpoch answers: the largest epoch <= requested and the offset after
// its last record; (-1, -1) is undefined.
func (e epochEntries) endOffsetFor(requested int32, logEndOffset int64) (epoch int32, endOffset int64) {
	if requested == -1 || len(e) == 0 || requested > e.latest() {
		return -1, -1
	}
	if requested == e.latest() {
		return requested, logEndOffset
	}
	higher := sort.Search(len(e), func(i int) bool { return e[i].Epoch > requested })
	if higher == 0 {
		return requested, e[0].StartOffset
	}
	return e[higher-1].Epoch, e[higher].StartOffset
}

// at is the epoch of an offset, -1 when the offset is before the first entry.
func (e epochEntries) at(offset int64) int32 {
	i := sort.Search(len(e), func(i int) bool { return e[i].StartOffset > offset })
	if i == 0 {
		return -1
	}
	return e[i-1].Epoch
}

// truncateFromEnd drops entries that start at or after end.
func (e epochEntries) truncateFromEnd(end int64) epochEntries {
	return e[:sort.Search(len(e), func(i int) bool { return e[i].StartOffset >= end })]
}

// truncateFromStart drops entries that start at or before start, and keeps the last of them as starting
// there: it still has records from start on.
func (e epochEntries) truncateFromStart(start int64) epochEntries {
	i := sort.Search(len(e), func(i int) bool { return e[i].StartOffset > start })
	if i == 0 {
		return e
	}
	out := slices.Clone(e[i-1:])
	out[0].StartOffset = start
	return out
}

// format is the leader-epoch-checkpoint file: version, count, and "epoch startOffset" lines.
func (e epochEntries) format() []byte {
	lines := make([]string, len(e))
	for i, x := range e {
		lines[i] = strconv.Itoa(int(x.Epoch)) + " " + strconv.FormatInt(x.StartOffset, 10)
	}
	return formatCheckpoint(lines)
}

// parseEpochs reads the file. errMalformedCheckpoint for anything that format does not write, entries
// that do not increase included (Kafka: assign them one by one; a file like that was never written).
func parseEpochs(data []byte) (epochEntries, error) {
	if n := len(data); n > 0 && data[n-1] != '\n' { // cut within the last number it would deceive
		return nil, fmt.Errorf("%w: it ends within a line", errMalformedCheckpoint)
	}
	rows, err := parseCheckpoint(data, 2)
	if err != nil {
		return nil, err
	}
	var e epochEntries
	for _, row := range rows {
		epoch, err1 := strconv.ParseInt(row[0], 10, 32)
		start, err2 := strconv.ParseInt(row[1], 10, 64)
		if err1 != nil || err2 != nil || epoch < 0 || start < 0 {
			return nil, fmt.Errorf("%w: entry %q", errMalformedCheckpoint, strings.Join(row, " "))
		}
		if n := len(e); n > 0 && (int32(epoch) <= e[n-1].Epoch || start < e[n-1].StartOffset) {
			return nil, fmt.Errorf("%w: entry %q after %v", errMalformedCheckpoint, strings.Join(row, " "), e[n-1])
		}
		e = append(e, epochEntry{int32(epoch), start})
	}
	return e, nil
}

// epochCache is the cache of one log and its file, leader-epoch-checkpoint. A change is on disk when the
// method returns. Readers never wait: they load the present value.
type epochCache struct {
	fs     vfs.FS
	path   string
	mu     sync.Mutex   // one change at a time
	saved  epochEntries // what the file holds; guarded by mu
	exists bool         // there is a file; guarded by mu
	value  atomic.Pointer[epochEntries]
}

// newEpochCache is one without a file.
func newEpochCache(fsys vfs.FS, path string) *epochCache {
	c := &epochCache{fs: fsys, path: path}
	c.value.Store(&epochEntries{})
	return c
}

// loadEpochs reads path; a missing or empty file is an empty cache. errMalformedCheckpoint otherwise.
func loadEpochs(fsys vfs.FS, path string) (*epochCache, error) {
	c := newEpochCache(fsys, path)
	data, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	c.exists = true
	e, err := parseEpochs(data)
	c.saved = e
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.value.Store(&e)
	return c, nil
}

// entries is the present value; do not write to it.
func (c *epochCache) entries() epochEntries { return *c.value.Load() }

func (c *epochCache) assign(epoch int32, offset int64) error {
	return c.change(func(e epochEntries) epochEntries { return e.assign(epoch, offset) })
}

// assignInMemory is assign without the file. The next change or persist writes it.
func (c *epochCache) assignInMemory(epoch int32, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries().assign(epoch, offset)
	c.value.Store(&e)
}

// persist writes what assignInMemory left, as far as it concerns records below end: an epoch without any is
// none that a reader could miss, and a start of thousands of partitions would write a file for each. A first
// file is not synced: one that a crash empties or tears is made again from the batches, and only an old one
// could deceive.
func (c *epochCache) persist(end int64) error { return c.persistBy(end, writeAtomic) }

// persistUnsynced leaves the syncs to the caller. What a crash before them tears is made again from the batches, so
// the log must not be a compacted one, whose batches do not tell all.
func (c *epochCache) persistUnsynced(end int64) error {
	return c.persistBy(end, func(fsys vfs.FS, path string, data []byte) error {
		if err := writeInPlace(fsys, path+".tmp", data, false); err != nil {
			return err
		}
		return fsys.Rename(path+".tmp", path)
	})
}

func (c *epochCache) persistBy(end int64, replace func(fsys vfs.FS, path string, data []byte) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries().truncateFromEnd(end)
	if len(c.saved) >= len(e) && slices.Equal(e, c.saved[:len(e)]) {
		return nil
	}
	write := func() error { return writeInPlace(c.fs, c.path, e.format(), false) }
	if c.exists {
		write = func() error { return replace(c.fs, c.path, e.format()) }
	}
	if err := write(); err != nil {
		return err
	}
	c.saved, c.exists = e, true
	return nil
}

func (c *epochCache) truncateFromEnd(end int64) error {
	return c.change(func(e epochEntries) epochEntries { return e.truncateFromEnd(end) })
}

func (c *epochCache) truncateFromStart(start int64) error {
	return c.change(func(e epochEntries) epochEntries { return e.truncateFromStart(start) })
}

// clear forgets everything (a log that starts anew).
func (c *epochCache) clear() error {
	return c.change(func(epochEntries) epochEntries { return nil })
}

// change writes the file if f changes the value. A failed write leaves the value as it was.
func (c *epochCache) change(f func(epochEntries) epochEntries) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.entries()
	e := f(old)
	if slices.Equal(old, e) && slices.Equal(e, c.saved) {
		return nil
	}
	if err := writeAtomic(c.fs, c.path, e.format()); err != nil {
		return err
	}
	c.value.Store(&e)
	c.saved, c.exists = e, true
	return nil
}
