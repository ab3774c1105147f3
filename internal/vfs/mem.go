package vfs

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mem is a file system in memory that knows what a power failure would leave: a file's data since its
// last Sync and a directory's changes since its last SyncDir are kept as pending operations on a
// durable copy. CrashClone makes the file system that a reboot would find.
type Mem struct {
	mu    sync.RWMutex
	root  *memNode
	locks map[string]bool
}

// NewMem makes an empty file system with a durable root directory "/".
func NewMem() *Mem { return &Mem{root: newMemDir(), locks: map[string]bool{}} }

// memNode is a file or a directory. All fields are guarded by Mem.mu.
type memNode struct {
	mode    fs.FileMode
	modTime time.Time

	data, durable []byte   // file: what readers see; what survives a crash
	writes        []fileOp // file: from durable to data

	entries, durableEntries map[string]*memNode // directory
	changes                 []dirOp             // directory: from durableEntries to entries
}

// fileOp is one unsynced write at pos, or a truncation to pos when data is nil.
type fileOp struct {
	pos  int64
	data []byte
}

// dirOp is one unsynced directory change; a rename within the directory is one operation.
type dirOp struct {
	unlink string // "" is none
	link   string // "" is none
	node   *memNode
}

func newMemDir() *memNode {
	return &memNode{mode: fs.ModeDir | 0o755, modTime: time.Now(), entries: map[string]*memNode{}, durableEntries: map[string]*memNode{}}
}

func (n *memNode) isDir() bool { return n.mode.IsDir() }

func (op fileOp) apply(data []byte) []byte {
	if op.data == nil {
		return resize(data, op.pos)
	}
	if end := op.pos + int64(len(op.data)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[op.pos:], op.data)
	return data
}

// resize zero-fills what it adds, also in memory that an earlier, longer content left behind.
func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	old := len(data)
	data = slices.Grow(data, int(size)-old)[:size]
	clear(data[old:])
	return data
}

func (op dirOp) apply(entries map[string]*memNode) {
	if op.unlink != "" {
		delete(entries, op.unlink)
	}
	if op.link != "" {
		entries[op.link] = op.node
	}
}

func (n *memNode) change(op dirOp) {
	op.apply(n.entries)
	n.changes = append(n.changes, op)
	n.modTime = time.Now()
}

func split(name string) []string {
	name = strings.Trim(filepath.Clean("/"+name), "/")
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// find returns the node, or nil.
func (m *Mem) find(name string) *memNode {
	n := m.root
	for _, part := range split(name) {
		if n == nil || !n.isDir() {
			return nil
		}
		n = n.entries[part]
	}
	return n
}

// parent returns the directory that holds name, and name's last part.
func (m *Mem) parent(op, name string) (*memNode, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", pathError(op, name, fs.ErrInvalid)
	}
	dir := m.find(strings.Join(parts[:len(parts)-1], "/"))
	if dir == nil || !dir.isDir() {
		return nil, "", pathError(op, name, fs.ErrNotExist)
	}
	return dir, parts[len(parts)-1], nil
}

// OpenFile implements FS.
func (m *Mem) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("open", name)
	if err != nil {
		return nil, err
	}
	n := dir.entries[base]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, pathError("open", name, fs.ErrNotExist)
	case n == nil:
		n = &memNode{mode: perm.Perm(), modTime: time.Now()}
		dir.change(dirOp{link: base, node: n})
	case flag&os.O_EXCL != 0 && flag&os.O_CREATE != 0:
		return nil, pathError("open", name, fs.ErrExist)
	case n.isDir():
		return nil, pathError("open", name, fs.ErrInvalid)
	}
	writable := flag&(os.O_WRONLY|os.O_RDWR) != 0
	if flag&os.O_TRUNC != 0 && writable {
		n.write(fileOp{})
	}
	return &memFile{fs: m, node: n, name: name, writable: writable, readable: flag&os.O_WRONLY == 0}, nil
}

func (n *memNode) write(op fileOp) {
	n.data = op.apply(n.data)
	n.writes = append(n.writes, op)
	n.modTime = time.Now()
}

// ReadFile implements FS.
func (m *Mem) ReadFile(name string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.find(name)
	if n == nil {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	if n.isDir() {
		return nil, pathError("read", name, fs.ErrInvalid)
	}
	return slices.Clone(n.data), nil
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	fromDir, fromBase, err := m.parent("rename", from)
	if err != nil {
		return err
	}
	toDir, toBase, err := m.parent("rename", to)
	if err != nil {
		return err
	}
	n, old := fromDir.entries[fromBase], toDir.entries[toBase]
	if n == nil {
		return pathError("rename", from, fs.ErrNotExist)
	}
	if n == old {
		return nil
	}
	if old != nil && (old.isDir() != n.isDir() || len(old.entries) > 0) {
		return pathError("rename", to, fs.ErrExist)
	}
	if fromDir == toDir {
		fromDir.change(dirOp{unlink: fromBase, link: toBase, node: n})
		return nil
	}
	toDir.change(dirOp{link: toBase, node: n})
	fromDir.change(dirOp{unlink: fromBase})
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil {
		return err
	}
	n := dir.entries[base]
	if n == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	if len(n.entries) > 0 {
		return pathError("remove", name, fs.ErrExist)
	}
	dir.change(dirOp{unlink: base})
	return nil
}

// RemoveAll implements FS.
func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil || dir.entries[base] == nil {
		return nil // what is not there is removed, as in package os
	}
	dir.change(dirOp{unlink: base})
	return nil
}

// Mkdir implements FS.
func (m *Mem) Mkdir(name string, _ fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("mkdir", name)
	if err != nil {
		return err
	}
	if dir.entries[base] != nil {
		return pathError("mkdir", name, fs.ErrExist)
	}
	dir.change(dirOp{link: base, node: newMemDir()})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string, _ fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, part := range split(name) {
		next := n.entries[part]
		if next == nil {
			next = newMemDir()
			n.change(dirOp{link: part, node: next})
		}
		if !next.isDir() {
			return pathError("mkdir", name, fs.ErrExist)
		}
		n = next
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.find(name)
	if n == nil || !n.isDir() {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	list := make([]fs.DirEntry, 0, len(n.entries))
	for base, child := range n.entries {
		list = append(list, fs.FileInfoToDirEntry(child.info(base)))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.find(name)
	if n == nil {
		return nil, pathError("stat", name, fs.ErrNotExist)
	}
	return n.info(filepath.Base(name)), nil
}

// SetModTime implements FS.
func (m *Mem) SetModTime(name string, t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil {
		return pathError("chtimes", name, fs.ErrNotExist)
	}
	n.modTime = t
	return nil
}

// Space implements FS: a disk of 1 TiB that is never full (Faulty makes it so).
func (m *Mem) Space(name string) (total, usable int64, err error) {
	if _, err := m.Stat(name); err != nil {
		return 0, 0, err
	}
	return 1 << 40, 1 << 40, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil || !n.isDir() {
		return pathError("open", name, fs.ErrNotExist)
	}
	for _, op := range n.changes {
		op.apply(n.durableEntries)
	}
	n.changes = nil
	return nil
}

// Lock implements FS; a clone starts with all locks free, as after a reboot.
func (m *Mem) Lock(name string) (Lock, error) {
	f, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := filepath.Clean("/" + name)
	if m.locks[key] {
		return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	m.locks[key] = true
	return &memLock{fs: m, key: key, file: f}, nil
}

type memLock struct {
	fs   *Mem
	key  string
	file File
}

// SyncFS implements Lock.
func (l *memLock) SyncFS() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	l.fs.root.sync()
	return nil
}

// sync makes a file or a directory with all that is in it durable.
func (n *memNode) sync() {
	for _, op := range n.writes {
		n.durable = op.apply(n.durable)
	}
	n.writes = nil
	for _, op := range n.changes {
		op.apply(n.durableEntries)
	}
	n.changes = nil
	for _, child := range n.entries {
		child.sync()
	}
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	delete(l.fs.locks, l.key)
	l.fs.mu.Unlock()
	return l.file.Close()
}

// Unsynced says what a crash leaves of operations that no Sync or SyncDir had covered.
type Unsynced int8

// KeepNone loses them all, KeepAll is a killed process (the machine lives on), KeepRandom keeps a random
// prefix for each file and directory, the last write of it perhaps torn.
const (
	KeepNone Unsynced = iota
	KeepAll
	KeepRandom
)

// CrashOptions shape a crash; Seed is for KeepRandom.
type CrashOptions struct {
	Unsynced Unsynced
	Seed     uint64
}

// CrashClone is an independent file system with what a crash at this moment would leave. The receiver
// goes on unchanged.
func (m *Mem) CrashClone(o CrashOptions) *Mem {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := cloner{o: o, rng: rand.New(rand.NewPCG(o.Seed, 0)), seen: map[*memNode]*memNode{}} //nolint:gosec // reproducible on purpose
	return &Mem{root: c.clone(m.root), locks: map[string]bool{}}
}

type cloner struct {
	o    CrashOptions
	rng  *rand.Rand
	seen map[*memNode]*memNode // a node with two names stays one node
}

// keep is how many of n pending operations survive.
func (c *cloner) keep(n int) int {
	switch c.o.Unsynced {
	case KeepAll:
		return n
	case KeepRandom:
		return c.rng.IntN(n + 1)
	case KeepNone:
	}
	return 0
}

func (c *cloner) clone(n *memNode) *memNode {
	if done := c.seen[n]; done != nil {
		return done
	}
	out := &memNode{mode: n.mode, modTime: n.modTime}
	c.seen[n] = out
	if !n.isDir() {
		out.data = c.content(n)
		out.durable = slices.Clone(out.data)
		return out
	}
	kept := make(map[string]*memNode, len(n.entries))
	for base, child := range n.durableEntries {
		kept[base] = child
	}
	for _, op := range n.changes[:c.keep(len(n.changes))] {
		op.apply(kept)
	}
	names := make([]string, 0, len(kept))
	for base := range kept {
		names = append(names, base)
	}
	slices.Sort(names) // the order in which randomness is drawn
	out.entries, out.durableEntries = map[string]*memNode{}, map[string]*memNode{}
	for _, base := range names {
		child := c.clone(kept[base])
		out.entries[base], out.durableEntries[base] = child, child
	}
	return out
}

func (c *cloner) content(n *memNode) []byte {
	data := slices.Clone(n.durable)
	kept := c.keep(len(n.writes))
	for _, op := range n.writes[:kept] {
		data = op.apply(data)
	}
	if c.o.Unsynced == KeepRandom && kept < len(n.writes) {
		if torn := n.writes[kept]; len(torn.data) > 1 {
			data = fileOp{torn.pos, torn.data[:1+c.rng.IntN(len(torn.data)-1)]}.apply(data)
		}
	}
	return data
}
