package logstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"minikafka/internal/vfs"
)

// errRemoved: the segment's files are gone; a reader takes the newest segment list and tries again.
var errRemoved = errors.New("segment was removed")

// fileCache bounds how many segment files are open. A file opens on use and stays open until the cache
// is full and it is the least recently used one that nobody holds: thousands of idle partitions need no
// descriptor. Holders are counted, so a descriptor is never closed (and its number never reused) under
// a sendfile.
type fileCache struct {
	fs    vfs.FS
	limit int

	mu   sync.Mutex
	open int
	lru  *cachedFile // newest of a ring through prev and next; nil when nothing is open
}

// newFileCache makes a cache for limit files; 0 takes half of what the process may open.
func newFileCache(fs vfs.FS, limit int) *fileCache {
	if limit <= 0 {
		limit = defaultOpenFiles()
	}
	return &fileCache{fs: fs, limit: limit}
}

func defaultOpenFiles() int {
	const least, most = 32, 8192
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return least
	}
	return int(min(max(r.Cur/2, least), most))
}

// dirPath is a partition's directory; all its files share it, so that a rename moves them together.
type dirPath struct{ p atomic.Pointer[string] }

func (d *dirPath) get() string  { return *d.p.Load() }
func (d *dirPath) set(s string) { d.p.Store(&s) }

// cachedFile is one file that may be open.
type cachedFile struct {
	cache *fileCache
	dir   *dirPath
	base  int64

	openMu sync.Mutex // held while opening; before cache.mu
	suffix string     // guarded by openMu

	// guarded by cache.mu
	f          vfs.File
	refs       int
	removed    bool
	prev, next *cachedFile
}

func segmentFileName(base int64, suffix string) string { return fmt.Sprintf("%020d%s", base, suffix) }

// path is where the file is now. Caller holds openMu, or nobody else knows the file yet.
func (c *cachedFile) path() string {
	return filepath.Join(c.dir.get(), segmentFileName(c.base, c.suffix))
}

// acquire returns the open file, which stays open until release. It creates a file that is not there
// when create is set.
func (c *cachedFile) acquire(create bool) (vfs.File, error) {
	if f, err := c.hold(); f != nil || err != nil {
		return f, err
	}
	c.openMu.Lock()
	defer c.openMu.Unlock()
	if f, err := c.hold(); f != nil || err != nil {
		return f, err
	}
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE
	}
	f, err := c.cache.fs.OpenFile(c.path(), flag, 0o644)
	if noDescriptors(err) && c.cache.closeIdle() {
		f, err = c.cache.fs.OpenFile(c.path(), flag, 0o644)
	}
	if err != nil {
		return nil, err
	}
	for _, old := range c.cache.add(c, f) {
		_ = old.Close() // read-only use, or synced by whoever needed it
	}
	return f, nil
}

// hold takes the file if it is open.
func (c *cachedFile) hold() (vfs.File, error) {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	if c.removed {
		return nil, errRemoved
	}
	if c.f == nil {
		return nil, nil
	}
	c.refs++
	if c.cache.lru != c {
		c.cache.unlink(c)
		c.cache.link(c)
	}
	return c.f, nil
}

// release ends one acquire.
func (c *cachedFile) release() {
	c.cache.mu.Lock()
	c.refs--
	var old vfs.File
	if c.refs == 0 && c.f != nil && (c.removed || c.cache.open > c.cache.limit) {
		old = c.cache.drop(c)
	}
	c.cache.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

// close closes the file when the last holder lets go. It never opens again.
func (c *cachedFile) close() {
	c.cache.mu.Lock()
	c.removed = true
	var old vfs.File
	if c.refs == 0 && c.f != nil {
		old = c.cache.drop(c)
	}
	c.cache.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

// isRemoved says that the file never opens again.
func (c *cachedFile) isRemoved() bool {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	return c.removed
}

// rename gives the file another suffix on disk. A file that does not exist is not an error.
func (c *cachedFile) rename(suffix string) error {
	c.openMu.Lock()
	defer c.openMu.Unlock()
	from := c.path()
	old := c.suffix
	c.suffix = suffix
	if err := c.cache.fs.Rename(from, c.path()); err != nil {
		c.suffix = old
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	return nil
}

// add makes f the newest open file, held once, and returns the files to close for it.
func (c *fileCache) add(n *cachedFile, f vfs.File) []vfs.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.f, n.refs = f, n.refs+1
	c.link(n)
	c.open++
	var old []vfs.File
	for at := c.lru.prev; c.open > c.limit && at != c.lru; {
		before := at.prev
		if at.refs == 0 {
			old = append(old, c.drop(at))
		}
		at = before
	}
	return old
}

// crowded says that readers hold as many files as may be open, and more should hold none.
func (c *fileCache) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open > c.limit
}

// noDescriptors says that an open failed for the want of a descriptor.
func noDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// closeIdle closes a few files that nobody holds; false when there are none.
func (c *fileCache) closeIdle() bool {
	const few = 16
	var old []vfs.File
	c.mu.Lock()
	if c.lru != nil {
		for at := c.lru.prev; len(old) < few && at != c.lru; {
			before := at.prev
			if at.refs == 0 {
				old = append(old, c.drop(at))
			}
			at = before
		}
	}
	c.mu.Unlock()
	for _, f := range old {
		_ = f.Close()
	}
	return len(old) > 0
}

func (c *fileCache) drop(n *cachedFile) vfs.File {
	c.unlink(n)
	f := n.f
	n.f = nil
	c.open--
	return f
}

func (c *fileCache) link(n *cachedFile) {
	if c.lru == nil {
		n.prev, n.next = n, n
	} else {
		n.prev, n.next = c.lru.prev, c.lru
		n.prev.next, n.next.prev = n, n
	}
	c.lru = n
}

func (c *fileCache) unlink(n *cachedFile) {
	if n.next == n {
		c.lru = nil
	} else {
		n.prev.next, n.next.prev = n.next, n.prev
		if c.lru == n {
			c.lru = n.next
		}
	}
	n.prev, n.next = nil, nil
}
