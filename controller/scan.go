package controller

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

const (
	scanBufferBytes = 1 << 20
	// maxSearchBytes bounds how far behind an invalid batch a valid one is looked for.
	maxSearchBytes = 256 << 20
)

// scanLog reads the segments of the metadata log before anything on disk is changed, and calls visit
// with each batch at or above from. What is invalid at the very end is left for the log's recovery to
// cut off: a crash tore it. Something invalid with a valid batch behind it is damage of another kind, and
// cutting there would lose committed records: then the server must not start.
func scanLog(fsys vfs.FS, dir string, from int64, visit func(protocol.Batch) error) (start, end int64, err error) {
	bases, err := segmentBases(fsys, dir)
	if err != nil {
		return 0, 0, err
	}
	s := segmentScan{fsys: fsys, dir: dir, end: from, from: from, visit: visit}
	if len(bases) == 0 {
		return from, from, nil
	}
	start, s.end = bases[0], bases[0]
	for i, base := range bases {
		if i+1 < len(bases) && bases[i+1] <= from {
			s.end = bases[i+1] // all of it is below the snapshot
			continue
		}
		if base != s.end && i > 0 && s.broken == nil {
			s.broken = fmt.Errorf("segment %020d does not follow offset %d", base, s.end)
		}
		if err := s.segment(base); err != nil {
			return 0, 0, err
		}
	}
	return start, s.end, nil
}

func segmentBases(fsys vfs.FS, dir string) ([]int64, error) {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	var bases []int64
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), ".log")
		if !ok || len(stem) != 20 {
			continue
		}
		base, err := strconv.ParseInt(stem, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: not a segment's name: %w", filepath.Join(dir, e.Name()), err)
		}
		bases = append(bases, base)
	}
	return bases, nil
}

// segmentScan goes through segments in order. After the first invalid batch it only looks for a valid one.
type segmentScan struct {
	fsys   vfs.FS
	dir    string
	from   int64
	end    int64 // offset after the last valid batch
	broken error // the first invalid batch
	// invalid is what is wrong with the bytes where the last visited file's batches end.
	invalid error
	visit   func(protocol.Batch) error
}

func (s *segmentScan) segment(base int64) error {
	path := filepath.Join(s.dir, fmt.Sprintf("%020d.log", base))
	f, err := s.fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("reading the metadata log: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("reading the metadata log: %w", err)
	}
	position, err := s.batches(f, size)
	if err != nil {
		return fmt.Errorf("%s, position %d: %w", path, position, err)
	}
	if position == size {
		return nil
	}
	if s.broken == nil {
		s.broken = s.invalid
	}
	rest := make([]byte, min(size-position, maxSearchBytes))
	if _, err := f.ReadAt(rest, position); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s, position %d: %w", path, position, err)
	}
	if offset, ok := validBatchAfter(rest, s.end); ok {
		return fmt.Errorf("the metadata log is damaged in its middle: %s, position %d, offset %d: %w; yet a valid batch "+
			"at offset %d follows. Cutting the log there would lose committed changes, so nothing was changed: restore %s "+
			"from a backup", path, position, s.end, s.broken, offset, s.dir)
	}
	return nil
}

// batches visits the valid batches of a file; position is where they end. One batch is in memory at a time.
func (s *segmentScan) batches(f io.ReaderAt, size int64) (position int64, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), scanBufferBytes)
	var buf []byte
	for s.broken == nil && position < size {
		var batch protocol.Batch
		if batch, buf, s.invalid, err = nextBatch(r, size-position, buf); err != nil {
			return position, err
		}
		if s.invalid == nil && batch.BaseOffset() < s.end {
			s.invalid = fmt.Errorf("%w: offset %d after %d", protocol.ErrCorrupt, batch.BaseOffset(), s.end-1)
		}
		if s.invalid != nil {
			return position, err
		}
		if batch.LastOffset() >= s.from {
			if err := s.visit(batch); err != nil {
				return position, err
			}
		}
		s.end = batch.NextOffset()
		position += int64(len(batch))
	}
	return position, nil
}

// nextBatch reads a batch into buf, which may grow. invalid says what is wrong with its bytes.
func nextBatch(r *bufio.Reader, remain int64, buf []byte) (batch protocol.Batch, grown []byte, invalid, err error) {
	head, err := r.Peek(protocol.BatchHeaderSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, buf, nil, err
	}
	size, invalid := protocol.BatchSize(head)
	switch {
	case invalid != nil:
		return nil, buf, invalid, nil
	case size > maxReadBatchBytes || int64(size) > remain:
		return nil, buf, fmt.Errorf("%w: %d bytes, %d remain", protocol.ErrCorrupt, size, remain), nil
	}
	buf = slices.Grow(buf[:0], size)[:size]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, buf, nil, err
	}
	batch, invalid = checkBatch(buf)
	return batch, buf, invalid, nil
}

// validBatchAfter looks at every byte of what follows an invalid batch for the start of a valid one.
func validBatchAfter(data []byte, expected int64) (offset int64, found bool) {
	for at := 0; at+protocol.BatchHeaderSize <= len(data); at++ {
		if data[at+16] != 2 {
			continue
		}
		if b := protocol.Batch(data[at:]); b.BaseOffset() < expected || b.LastOffset() < b.BaseOffset() {
			continue
		}
		if b, err := checkBatch(data[at:]); err == nil {
			return b.BaseOffset(), true
		}
	}
	return 0, false
}
