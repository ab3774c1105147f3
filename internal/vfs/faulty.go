package vfs

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
)

// Op is a kind of file system operation that can fail.
type Op string

// The operations. All but OpRead change something.
const (
	OpOpen     Op = "open" // OpenFile and ReadFile
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpSync     Op = "sync"
	OpRename   Op = "rename"
	OpRemove   Op = "remove" // Remove and RemoveAll
	OpMkdir    Op = "mkdir"  // Mkdir and MkdirAll
	OpSyncDir  Op = "syncdir"
	OpLock     Op = "lock"
	OpSyncFS   Op = "syncfs"
)

// ErrTorn is what a rule returns for a write to let the first half of the bytes through before it fails.
var ErrTorn = errors.New("torn write")

// Rule is asked before every operation; n counts the operations of this kind from 1. An error makes the
// operation fail with it, untried. A crash test clones the file system in its rule and returns nil: the
// clone is the moment before the operation. Rules are called one at a time.
type Rule func(op Op, name string, n int) error

// Faulty wraps a file system so that rule decides which operations fail.
func Faulty(inner FS, rule Rule) FS {
	return &faultyFS{FS: inner, rule: rule, counts: map[Op]int{}}
}

// FailNth fails the nth operation of a kind whose name contains part ("" is any), and those after it too
// when sticky: a disk that broke stays broken.
func FailNth(op Op, part string, nth int, sticky bool, err error) Rule {
	seen := 0
	return func(o Op, name string, _ int) error {
		if o != op || !strings.Contains(name, part) {
			return nil
		}
		seen++
		if seen == nth || (sticky && seen > nth) {
			return err
		}
		return nil
	}
}

type faultyFS struct {
	FS
	rule   Rule
	mu     sync.Mutex
	counts map[Op]int
}

func (f *faultyFS) ask(op Op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[op]++
	if err := f.rule(op, name, f.counts[op]); err != nil {
		return &fs.PathError{Op: string(op), Path: name, Err: err}
	}
	return nil
}

func (f *faultyFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if err := f.ask(OpOpen, name); err != nil {
		return nil, err
	}
	file, err := f.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

func (f *faultyFS) ReadFile(name string) ([]byte, error) {
	if err := errors.Join(f.ask(OpOpen, name), f.ask(OpRead, name)); err != nil {
		return nil, err
	}
	return f.FS.ReadFile(name)
}

func (f *faultyFS) Rename(from, to string) error {
	if err := f.ask(OpRename, to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *faultyFS) Remove(name string) error {
	if err := f.ask(OpRemove, name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *faultyFS) RemoveAll(name string) error {
	if err := f.ask(OpRemove, name); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

func (f *faultyFS) Mkdir(name string, perm fs.FileMode) error {
	if err := f.ask(OpMkdir, name); err != nil {
		return err
	}
	return f.FS.Mkdir(name, perm)
}

func (f *faultyFS) MkdirAll(name string, perm fs.FileMode) error {
	if err := f.ask(OpMkdir, name); err != nil {
		return err
	}
	return f.FS.MkdirAll(name, perm)
}

func (f *faultyFS) SyncDir(name string) error {
	if err := f.ask(OpSyncDir, name); err != nil {
		return err
	}
	return f.FS.SyncDir(name)
}

func (f *faultyFS) Lock(name string) (Lock, error) {
	if err := f.ask(OpLock, name); err != nil {
		return nil, err
	}
	lock, err := f.FS.Lock(name)
	if err != nil {
		return nil, err
	}
	return &faultyLock{lock, f, name}, nil
}

type faultyLock struct {
	Lock
	fs   *faultyFS
	name string
}

func (l *faultyLock) SyncFS() error {
	if err := l.fs.ask(OpSyncFS, l.name); err != nil {
		return err
	}
	return l.Lock.SyncFS()
}

type faultyFile struct {
	File
	fs *faultyFS
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.ask(OpRead, f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.ask(OpWrite, f.Name()); err != nil {
		if !errors.Is(err, ErrTorn) {
			return 0, err
		}
		n, werr := f.File.WriteAt(p[:len(p)/2], off)
		return n, errors.Join(err, werr)
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.fs.ask(OpTruncate, f.Name()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.ask(OpSync, f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}
