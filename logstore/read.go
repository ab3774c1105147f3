package logstore

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// Slice is records of one segment: a file range. It implements protocol.RecordSource. The file stays
// open until Release, even when its segment is deleted meanwhile. When readers hold as many files as may be
// open (a fetch of thousands of partitions), it is a copy in memory and holds none.
type Slice struct {
	log      *Log
	file     *cachedFile
	f        vfs.File // nil: the bytes are in data
	position int64
	size     int
	data     []byte
}

var (
	_ protocol.RecordSource = (*Slice)(nil)
	_ protocol.ReadFailer   = (*Slice)(nil)
)

// ReadFailed takes the log's directory offline when err is the disk's. A file that ends early may have been
// truncated meanwhile.
func (s *Slice) ReadFailed(err error) {
	if diskFailed(err) {
		_ = s.log.ioFailed("reading", err)
	}
}

// diskFailed says that a read failed for what is below the file system, or for the file system's own damage.
func diskFailed(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EUCLEAN) || errors.Is(err, syscall.EBADMSG)
}

// Size is the length in bytes.
func (s *Slice) Size() int { return s.size }

// AppendTo copies the bytes.
func (s *Slice) AppendTo(dst []byte) ([]byte, error) {
	if s.f == nil {
		return append(dst, s.data...), nil
	}
	n := len(dst)
	dst = slices.Grow(dst, s.size)[:n+s.size]
	if err := readFull(s.f, dst[n:], s.position); err != nil {
		s.ReadFailed(err)
		return dst[:n], err
	}
	return dst, nil
}

// FileRange is the descriptor and the position of the first byte, for sendfile.
func (s *Slice) FileRange() (fd uintptr, position int64, ok bool) {
	if s.f == nil {
		return 0, 0, false
	}
	fd, ok = s.f.Fd()
	return fd, s.position, ok
}

// Release lets the file close. It is called exactly once.
func (s *Slice) Release() {
	if s.f != nil {
		s.file.release()
	}
	*s = Slice{}
}

// ReadResult is what a read found; Records is nil when nothing is there yet.
type ReadResult struct {
	Records *Slice
	// FirstOffset is the base offset of the first batch.
	FirstOffset int64

	segment *segment // of Records
}

// Read returns whole-file bytes from the batch that contains offset, at most maxBytes (the tail may be
// a partial batch), of batches whose base offset is below upTo (exclusive). With minOne the first batch
// comes whole even if it is larger; without it, nothing comes if the first batch does not fit.
// ErrOffsetOutOfRange below the log start or beyond the log end.
func (l *Log) Read(offset, upTo int64, maxBytes int32, minOne bool) (ReadResult, error) {
	w := readWindow{offset: offset, upTo: upTo, maxBytes: int64(maxBytes), minOne: minOne}
	for {
		r, err := l.tryRead(w)
		if !errors.Is(err, errRemoved) {
			return r, err
		}
		if err := l.usable(); err != nil {
			return ReadResult{}, err
		}
	}
}

// readWindow is what a reader asks for.
type readWindow struct {
	offset, upTo, maxBytes int64
	minOne                 bool
}

func (l *Log) tryRead(w readWindow) (ReadResult, error) {
	if err := l.usable(); err != nil {
		return ReadResult{}, err
	}
	end := l.leo.Load()
	if w.offset < l.logStart.Load() || w.offset > end {
		return ReadResult{}, ErrOffsetOutOfRange
	}
	if w.offset >= min(w.upTo, end) {
		return ReadResult{}, nil
	}
	segments := l.segments()
	for i := segments.floor(w.offset); i < len(segments); i++ {
		whole := i+1 < len(segments) && segments[i+1].base <= w.upTo
		r, found, err := l.readSegment(segments[i], w, whole)
		if err != nil || found {
			return r, err
		}
	}
	return ReadResult{}, nil
}

// readSegment reads of one segment; found is false when it holds nothing at or after the offset. whole
// says that all of it lies below upTo.
func (l *Log) readSegment(s *segment, w readWindow, whole bool) (r ReadResult, found bool, err error) {
	// Size before log end: what is within this size was below the log end that is read after it, so
	// an append that becomes visible meanwhile cannot slip past upTo (see Log.publish).
	cuts := l.cuts.Load()
	size := s.size.Load()
	whole = whole || w.upTo >= l.leo.Load()
	f, err := s.log.acquire(false)
	if err != nil {
		return r, false, l.readFailed(err)
	}
	defer func() {
		if r.Records == nil || r.Records.f == nil {
			s.log.release()
		}
	}()
	first, found, err := s.locate(f, w.offset, size)
	if err != nil || !found {
		return r, false, l.readRaced(cuts, err)
	}
	if first.baseOffset >= w.upTo {
		return r, true, nil
	}
	limit := size
	if !whole {
		if limit, err = s.positionAt(f, w.upTo, size); err != nil {
			return r, false, l.readRaced(cuts, err)
		}
	}
	n := min(limit-first.position, w.maxBytes)
	if n < first.size {
		if !w.minOne {
			return r, true, nil
		}
		n = first.size
	}
	r.FirstOffset = first.baseOffset
	records := &Slice{log: l, file: &s.log, f: f, position: first.position, size: int(n)}
	if l.files.crowded() {
		if records.data, err = records.AppendTo(nil); err != nil {
			return r, false, l.readRaced(cuts, err)
		}
		records.f = nil
	}
	r.Records, r.segment = records, s
	return r, true, nil
}

// readRaced turns a read that failed because the log was truncated meanwhile into "try again"; cuts is what
// Log.cuts was before the read.
func (l *Log) readRaced(cuts int64, err error) error {
	if err == nil {
		return nil
	}
	raced := cuts%2 == 1 || l.cuts.Load() != cuts
	if raced && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errShort) || errors.Is(err, errFrame)) {
		return errRemoved
	}
	return l.readFailed(err)
}

// readFailed sorts an error of reading: bytes that are no batch are the reader's, an I/O error takes
// the directory offline. To have no descriptor left says nothing of the disk.
func (l *Log) readFailed(err error) error {
	switch {
	case errors.Is(err, errRemoved), errors.Is(err, protocol.ErrRecordSize):
		return err
	case errors.Is(err, errShort), errors.Is(err, errFrame):
		return fmt.Errorf("%w: %s: %w", protocol.ErrCorrupt, l.tp, err)
	case noDescriptors(err):
		l.logger.Error("no file descriptor is left to read with: raise the limit (ulimit -n)", "err", err)
		return fmt.Errorf("%w: reading %s: %w", ErrStorage, l.tp, err)
	}
	return l.ioFailed("reading", err)
}

// locate finds the first batch whose last offset is at or after offset, within the first size bytes. An
// index file that does not point at the batch that it names is made anew.
func (s *segment) locate(f vfs.File, offset, size int64) (h batchHeader, found bool, err error) {
	entry, at, fromFile, err := s.floorEntry(offset)
	if err != nil {
		return h, false, err
	}
	check := fromFile && at != 0
	scan := scanHeaders(f, at, size)
	defer func() { scan.done() }()
	for {
		h, err = scan.next()
		if check && (err != nil || h.lastOffset != entry) {
			if err := s.repairIndexes(f, size); err != nil {
				return h, false, err
			}
			scan.done()
			scan, check = scanHeaders(f, 0, size), false
			continue
		}
		check = false
		if errors.Is(err, io.EOF) {
			return h, false, nil
		}
		if err != nil {
			return h, false, fmt.Errorf("%s at %d: %w", f.Name(), scan.position, err)
		}
		if h.lastOffset >= offset {
			return h, true, nil
		}
	}
}

// positionAt is where the first batch with a base offset at or above offset starts, else size.
func (s *segment) positionAt(f vfs.File, offset, size int64) (int64, error) {
	h, found, err := s.locate(f, offset, size)
	switch {
	case err != nil:
		return 0, err
	case !found:
		return size, nil
	case h.baseOffset < offset:
		return h.end(), nil
	}
	return h.position, nil
}

// Batches calls fn with each whole batch from the one that contains from up to upTo (exclusive), in
// order, and ends with fn's first error. The bytes are fn's only during the call.
func (l *Log) Batches(from, upTo int64, fn func(b protocol.Batch) error) error {
	const chunk = 1 << 20
	var buf []byte
	for from < upTo {
		cuts := l.cuts.Load()
		r, err := l.Read(from, upTo, chunk, true)
		if err != nil {
			return err
		}
		if r.Records == nil {
			return nil
		}
		buf, err = r.Records.AppendTo(buf[:0])
		r.Records.Release()
		if err = l.readRaced(cuts, err); errors.Is(err, errRemoved) {
			continue
		}
		if err != nil {
			return err
		}
		next := from
		for at := int64(0); at < int64(len(buf)); {
			h, err := parseHeader(buf[at:], at)
			if errors.Is(err, errShort) || err == nil && h.end() > int64(len(buf)) {
				break // the tail of the chunk: comes whole with the next one
			}
			if err != nil {
				return l.readFailed(err)
			}
			if err := fn(protocol.Batch(buf[at:h.end()])); err != nil {
				return err
			}
			at, next = h.end(), h.lastOffset+1
		}
		if next <= from {
			return fmt.Errorf("%w: %s has no whole batch at offset %d", protocol.ErrCorrupt, l.tp, from)
		}
		from = next
	}
	return nil
}
