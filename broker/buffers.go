package broker

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"time"
	"unsafe"
)

// Sizes of read buffers in bytes. A buffer grows only when it is full: small → burst → large, then by
// doubling. So a frame takes at most 16 times (above 1 MiB: twice) the memory of what has arrived of it,
// whatever it announces, and a produce request of a megabyte is moved once.
const (
	smallBuffer   = 4 << 10  // a connection that sends little
	burstBuffer   = 64 << 10 // every complete request in it is handled; longer bodies are read exactly
	largeBuffer   = 1 << 20
	largestPooled = 16 << 20
)

// bufferPools keep buffers by size: [0] small, [1] burst, then the powers of two from large on.
var bufferPools [7]sync.Pool //nolint:gochecknoglobals // memory is the process's

// class is the pool of a capacity; -1 when buffers of it are not kept.
func class(size int) int {
	switch {
	case size == smallBuffer:
		return 0
	case size == burstBuffer:
		return 1
	case size >= largeBuffer && size <= largestPooled && size&(size-1) == 0:
		return 2 + bits.Len(uint(size/largeBuffer)) - 1
	}
	return -1
}

// buffer takes a buffer of exactly size bytes; its contents are arbitrary. The pools hold pointers to the
// first byte, as a slice would be allocated anew with each Put.
func buffer(size int) []byte {
	if c := class(size); c >= 0 {
		if first, ok := bufferPools[c].Get().(*byte); ok {
			return unsafe.Slice(first, size) //nolint:gosec // a pool has buffers of one size only
		}
	}
	return make([]byte, size)
}

// recycle gives a buffer back. Nobody may use it any more: with the race detector its bytes become poison,
// so that a test sees who does.
func recycle(b []byte) {
	if c := class(cap(b)); c >= 0 {
		b = b[:cap(b)]
		if poisonRecycled {
			for i := range b {
				b[i] = poisonByte
			}
		}
		bufferPools[c].Put(unsafe.SliceData(b)) //nolint:gosec // see buffer
	}
}

// poisonByte makes lengths, offsets and codes that nothing accepts.
const poisonByte = 0xdb

// grown is the size of the buffer that follows a full one, for a frame that needs need bytes in all.
func grown(size, need int) int {
	switch {
	case size < smallBuffer:
		return smallBuffer
	case size < burstBuffer:
		return burstBuffer
	case size < largeBuffer:
		return largeBuffer
	case 2*size <= largestPooled:
		return 2 * size
	}
	return min(2*size, need)
}

// errNoMemory: too many bytes of requests were in work for too long.
var errNoMemory = errors.New("no memory for the request within the time allowed (queued.max.request.bytes)")

// budget bounds the bytes of large read buffers over all connections. First come, first served: a
// connection that waits reads nothing meanwhile.
type budget struct {
	mu      sync.Mutex
	limit   int
	used    int
	waiters []*budgetWaiter
}

type budgetWaiter struct {
	bytes   int
	granted chan struct{}
}

// acquire waits for n bytes (at most the whole budget) until timeout or ctx end the wait.
func (b *budget) acquire(ctx context.Context, n int, timeout time.Duration) error {
	n = min(n, b.limit)
	b.mu.Lock()
	if len(b.waiters) == 0 && b.used+n <= b.limit {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	w := &budgetWaiter{bytes: n, granted: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.granted: // at the same moment
		b.free(n)
	default:
		b.forget(w)
	}
	return errNoMemory
}

// release gives n acquired bytes back.
func (b *budget) release(n int) {
	b.mu.Lock()
	b.free(min(n, b.limit))
	b.mu.Unlock()
}

// free is called with mu held.
func (b *budget) free(n int) {
	b.used -= n
	b.grant()
}

func (b *budget) forget(w *budgetWaiter) {
	for i, other := range b.waiters {
		if other == w {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			break
		}
	}
	b.grant() // the one behind may fit
}

func (b *budget) grant() {
	for len(b.waiters) > 0 && b.used+b.waiters[0].bytes <= b.limit {
		b.used += b.waiters[0].bytes
		close(b.waiters[0].granted)
		b.waiters = b.waiters[1:]
	}
}
