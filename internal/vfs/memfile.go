package vfs

import (
	"io"
	"io/fs"
	"slices"
	"time"
)

type memFile struct {
	fs       *Mem
	node     *memNode
	name     string
	writable bool
	readable bool
	closed   bool // guarded by fs.mu
}

func (f *memFile) check(op string, allowed bool) error {
	if f.closed {
		return pathError(op, f.name, fs.ErrClosed)
	}
	if !allowed {
		return pathError(op, f.name, fs.ErrPermission)
	}
	return nil
}

func (f *memFile) Name() string { return f.name }

func (f *memFile) Fd() (uintptr, bool) { return 0, false }

func (f *memFile) Size() (int64, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.check("stat", true); err != nil {
		return 0, err
	}
	return int64(len(f.node.data)), nil
}

func (f *memFile) NextData(off int64) (int64, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.check("seek", off >= 0); err != nil {
		return 0, err
	}
	for off < int64(len(f.node.data)) && f.node.data[off] == 0 {
		off++
	}
	return min(off, int64(len(f.node.data))), nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.check("read", f.readable); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("read", f.name, fs.ErrInvalid)
	}
	if off >= int64(len(f.node.data)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("write", f.writable); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	if len(p) > 0 {
		f.node.write(fileOp{off, slices.Clone(p)})
	}
	return len(p), nil
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("truncate", f.writable); err != nil {
		return err
	}
	if size < 0 {
		return pathError("truncate", f.name, fs.ErrInvalid)
	}
	f.node.write(fileOp{pos: size})
	return nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("sync", true); err != nil {
		return err
	}
	for _, op := range f.node.writes {
		f.node.durable = op.apply(f.node.durable)
	}
	f.node.writes = nil
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("close", true); err != nil {
		return err
	}
	f.closed = true
	return nil
}

// info is called with Mem.mu held; the result is a copy.
func (n *memNode) info(base string) memInfo {
	return memInfo{base, int64(len(n.data)), n.mode, n.modTime}
}

type memInfo struct {
	name    string
	size    int64
	mode    fs.FileMode
	modTime time.Time
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return i.mode }
func (i memInfo) ModTime() time.Time { return i.modTime }
func (i memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memInfo) Sys() any           { return nil }
