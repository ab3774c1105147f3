// Package vfs is the file system that the log talks to: the operating system's, or one in memory
// that can lose what was not synced and fail on demand. Storage code never calls package os.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// File is an open file. Reads and writes name their position; there is no shared cursor, so that
// any number of readers can use one descriptor.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Name is the path that the file was opened with.
	Name() string
	// Size is the file's present length in bytes.
	Size() (int64, error)
	// Truncate sets the length; growing fills with zeroes.
	Truncate(size int64) error
	// Sync makes data and length durable (fdatasync).
	Sync() error
	// NextData is the first position from off on that may hold anything but zeroes, the file's length when there is
	// none: what lies before it was never written. A file system that does not know says off.
	NextData(off int64) (int64, error)
	// Fd is the descriptor for sendfile; false when there is none (memory).
	Fd() (uintptr, bool)
}

// ErrLocked says that another process holds a lock.
var ErrLocked = errors.New("held by another process")

// FS is a file system. Errors satisfy errors.Is with fs.ErrNotExist and fs.ErrExist as package os does.
type FS interface {
	// OpenFile takes os.O_* flags.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	ReadFile(name string) ([]byte, error)
	Rename(from, to string) error
	Remove(name string) error
	RemoveAll(name string) error
	// Mkdir makes a directory that is not there yet; the error is fs.ErrExist when it is.
	Mkdir(name string, perm fs.FileMode) error
	MkdirAll(name string, perm fs.FileMode) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// SetModTime sets a file's modification time (retention of records without timestamps reads it).
	SetModTime(name string, t time.Time) error
	// Space is the size of the file system that holds name and what is free for us, in bytes.
	Space(name string) (total, usable int64, err error)
	// SyncDir makes creations, renames and removals in a directory durable.
	SyncDir(name string) error
	// Lock takes an exclusive lock on a file, creating it. ErrLocked: another process holds it.
	Lock(name string) (Lock, error)
}

// Lock is a lock that is held.
type Lock interface {
	io.Closer // gives it back
	// SyncFS makes everything on the lock's file system durable, data and names. It fails if any write of this
	// file system failed since the lock was taken, also one whose file is closed.
	SyncFS() error
}
