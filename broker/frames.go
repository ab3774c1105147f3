package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Shape of a frame: int32 size, then size bytes that begin with api key, version and correlation id.
const (
	frameSizeBytes = 4
	minFrame       = 8
	// progressBytes of a frame must arrive within the frame timeout, or the rest of it.
	progressBytes = 64 << 10
)

var (
	errSlowFrame   = errors.New("request did not arrive in time")
	errInterrupted = errors.New("the broker stops")
)

// frameReader takes frames off a connection. It holds a buffer only while it has bytes.
type frameReader struct {
	ctx    context.Context //nolint:containedctx // the connection's; acquire ends with it
	nc     net.Conn
	raw    syscall.RawConn // nil: not TCP
	budget *budget
	// limit is the largest frame of an API in bytes.
	limit func(key int16) int
	// idle says whether an idle timeout may end the connection (no answer is due).
	idle func() bool

	firstByteTimeout, idleTimeout, frameTimeout time.Duration

	buf      []byte // bytes [r:w] are not consumed yet
	r, w     int
	charged  int // bytes of buf in the budget
	frame    int // length of the frame that next returned, size included; consumed by the next call
	burst    bool
	started  bool      // a byte has come
	deadline time.Time // of the last SetReadDeadline
	mark     int       // bytes of the present frame when its deadline was last moved; 0: between frames

	read    func(fd uintptr) bool // for raw.Read; made once
	readN   int
	readErr error
	readEnd int // of buf: no read goes beyond; 0 is its end

	mu          sync.Mutex // around SetReadDeadline
	interrupted bool
}

func newFrameReader(ctx context.Context, nc net.Conn) *frameReader {
	f := &frameReader{ctx: ctx, nc: nc}
	if tcp, ok := nc.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			f.raw = raw
		}
	}
	f.read = f.readReady
	return f
}

// next returns the next frame without its size. It lies in the reader's buffer until the next call.
// beforeWait is called whenever no complete frame is there, before anything can block. io.EOF is the
// peer's clean end between two frames.
func (f *frameReader) next(beforeWait func() error) ([]byte, error) {
	f.consume()
	for {
		need, err := f.need()
		if err != nil {
			return nil, err
		}
		if need > 0 && f.w-f.r >= need {
			f.frame = need
			return f.buf[f.r+frameSizeBytes : f.r+need], nil
		}
		if err := beforeWait(); err != nil {
			return nil, err
		}
		if err := f.fill(need); err != nil {
			return nil, err
		}
	}
}

// consume drops the frame that was handed out, and the buffer when nothing is left in it.
func (f *frameReader) consume() {
	f.r += f.frame
	f.frame = 0
	if f.r == f.w {
		f.release()
	}
}

// release gives the buffer back; unconsumed bytes are lost.
func (f *frameReader) release() {
	if f.buf != nil {
		f.burst = f.w > smallBuffer
		recycle(f.buf)
		f.buf = nil
	}
	if f.charged > 0 {
		f.budget.release(f.charged)
		f.charged = 0
	}
	f.r, f.w = 0, 0
}

// need is the length of the first frame with its size; 0 while that is not known. Announcements out of
// bounds are errors before a byte of the body is read.
func (f *frameReader) need() (int, error) {
	have := f.buf[f.r:f.w]
	if len(have) < frameSizeBytes {
		return 0, nil
	}
	size := int32(binary.BigEndian.Uint32(have))
	if size < minFrame {
		return 0, &badRequest{fmt.Errorf("frame of %d bytes announced", size)}
	}
	if len(have) < frameSizeBytes+2 {
		return 0, nil
	}
	key := int16(binary.BigEndian.Uint16(have[frameSizeBytes:]))
	if limit := f.limit(key); int(size) > limit {
		return 0, &badRequest{fmt.Errorf("frame of %d bytes announced for API %d, limit %d", size, key, limit)}
	}
	return frameSizeBytes + int(size), nil
}

// fill reads once, into a buffer with room. Behind a frame that does not fit into a burst nothing is
// read: its buffer then goes back whole.
func (f *frameReader) fill(need int) error {
	if err := f.makeRoom(need); err != nil {
		return err
	}
	if err := f.setDeadline(); err != nil {
		return err
	}
	f.readEnd = 0
	if need > burstBuffer {
		f.readEnd = min(len(f.buf), f.r+need)
	}
	n, err := f.readOnce()
	if errors.Is(err, os.ErrDeadlineExceeded) && f.isInterrupted() {
		return errInterrupted
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && f.w == f.r && !f.idle() {
		f.deadline = time.Time{} // answers are due: not idle
		return nil
	}
	f.started = f.started || n > 0
	f.w += n
	switch {
	case errors.Is(err, io.EOF) && f.w > f.r:
		return io.ErrUnexpectedEOF
	case errors.Is(err, os.ErrDeadlineExceeded) && f.w > f.r:
		return errSlowFrame
	}
	return err
}

// makeRoom moves a partial frame to the front of its buffer, or into the next larger one.
func (f *frameReader) makeRoom(need int) error {
	if f.buf == nil || f.w < len(f.buf) {
		return nil
	}
	if f.r > 0 {
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
		return nil
	}
	size := grown(len(f.buf), need)
	charge := 0
	if size >= largeBuffer {
		charge = size
		if err := f.budget.acquire(f.ctx, charge, f.frameTimeout); err != nil {
			return err
		}
	}
	b := buffer(size)
	copy(b, f.buf[:f.w])
	recycle(f.buf)
	if f.charged > 0 {
		f.budget.release(f.charged)
	}
	f.buf, f.charged = b, charge
	return nil
}

// setDeadline moves the read deadline. Within a frame it is the frame timeout, moved with every
// progressBytes; between frames it is the idle timeout, moved when an eighth of it is gone.
func (f *frameReader) setDeadline() error {
	now := time.Now()
	timeout := f.idleTimeout
	switch have := f.w - f.r; {
	case have > 0:
		if f.mark > 0 && have < f.mark+progressBytes {
			return nil
		}
		f.mark, timeout = have, f.frameTimeout
	case f.mark > 0:
		f.mark = 0
	default:
		if !f.started {
			timeout = f.firstByteTimeout
		}
		if f.deadline.Sub(now) > timeout/8*7 {
			return nil
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.interrupted {
		return errInterrupted
	}
	f.deadline = now.Add(timeout)
	return f.nc.SetReadDeadline(f.deadline)
}

// interrupt makes next return errInterrupted, at once where it waits. Any goroutine may call it.
func (f *frameReader) interrupt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.interrupted = true
	_ = f.nc.SetReadDeadline(time.Unix(1, 0))
}

func (f *frameReader) isInterrupted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.interrupted
}

// readOnce waits for bytes. On TCP a buffer is taken only when they are there.
func (f *frameReader) readOnce() (int, error) {
	if f.raw == nil {
		f.takeBuffer()
		return f.nc.Read(f.buf[f.w:f.end()])
	}
	f.readN, f.readErr = 0, nil
	if err := f.raw.Read(f.read); err != nil {
		return 0, err
	}
	return f.readN, f.readErr
}

func (f *frameReader) end() int {
	if f.readEnd == 0 {
		return len(f.buf)
	}
	return f.readEnd
}

// takeBuffer takes a small buffer, or a large one when the last burst needed it.
func (f *frameReader) takeBuffer() {
	if f.buf != nil {
		return
	}
	size := smallBuffer
	if f.burst {
		size = burstBuffer
	}
	f.buf = buffer(size)
}

// readReady is called when the socket may be readable; false waits for it again.
func (f *frameReader) readReady(fd uintptr) bool {
	f.takeBuffer()
	for {
		n, err := unix.Read(int(fd), f.buf[f.w:f.end()])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			if f.w == 0 {
				recycle(f.buf)
				f.buf = nil
			}
			return false
		case err != nil:
			f.readErr = os.NewSyscallError("read", err)
		case n == 0:
			f.readErr = io.EOF
		default:
			f.readN = n
		}
		return true
	}
}
