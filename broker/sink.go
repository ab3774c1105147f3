package broker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"minikafka/protocol"
)

// maxSendfile is the most that one sendfile call is asked for, in bytes.
const maxSendfile = 1 << 30

// sink writes pieces of answers to a connection: bytes with one writev, records of a file by sendfile
// with an offset of our own (os.File's would be shared by all readers of the segment), and everything
// that is no file, or no TCP connection, through a buffer. One writer at a time.
type sink struct {
	nc      net.Conn
	raw     syscall.RawConn // nil: not TCP
	timeout time.Duration
	// deadline is that of the last SetWriteDeadline; moved when an eighth of it is gone.
	deadline time.Time

	// The operation that write, made once, goes on with whenever the socket takes bytes.
	write  func(fd uintptr) bool
	pieces [][]byte
	more   bool // records follow: hold the last packet back
	file   int
	offset int64
	left   int // bytes of the file
	err    error
}

func newSink(nc net.Conn, timeout time.Duration) *sink {
	s := &sink{nc: nc, timeout: timeout}
	if tcp, ok := nc.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	s.write = s.writeReady
	return s
}

// writeBytes writes one coalesced buffer.
func (s *sink) writeBytes(b []byte) error {
	if err := s.setDeadline(); err != nil {
		return err
	}
	_, err := s.nc.Write(b)
	return err
}

// writeParts writes pieces in order. Sources are released by the caller.
func (s *sink) writeParts(parts []protocol.Part) error {
	for i := 0; i < len(parts); {
		if err := s.setDeadline(); err != nil {
			return err
		}
		if src := parts[i].Source; src != nil {
			if err := s.sendSource(src); err != nil {
				return err
			}
			i++
			continue
		}
		first := i
		for i < len(parts) && parts[i].Source == nil {
			i++
		}
		if err := s.sendBytes(parts[first:i], i < len(parts)); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) setDeadline() error {
	now := time.Now()
	if s.deadline.Sub(now) > s.timeout/8*7 {
		return nil
	}
	s.deadline = now.Add(s.timeout)
	return s.nc.SetWriteDeadline(s.deadline)
}

func (s *sink) sendBytes(parts []protocol.Part, more bool) error {
	buffers := make([][]byte, 0, len(parts))
	for _, p := range parts {
		if len(p.Bytes) > 0 {
			buffers = append(buffers, p.Bytes)
		}
	}
	if s.raw == nil || !more {
		nb := net.Buffers(buffers)
		_, err := nb.WriteTo(s.nc)
		return err
	}
	s.pieces, s.more = buffers, more
	return s.run()
}

func (s *sink) sendSource(src protocol.RecordSource) error {
	if fd, position, ok := src.FileRange(); ok && s.raw != nil {
		s.pieces, s.file, s.offset, s.left = nil, int(fd), position, src.Size()
		err := s.run()
		if f, ok := src.(protocol.ReadFailer); ok && err != nil {
			f.ReadFailed(err) // the socket's errors are none of those that it knows
		}
		return err
	}
	b, err := src.AppendTo(buffer(burstBuffer)[:0])
	defer recycle(b)
	if err != nil {
		return err
	}
	if len(b) != src.Size() {
		return fmt.Errorf("records of %d bytes came as %d", src.Size(), len(b))
	}
	_, err = s.nc.Write(b)
	return err
}

func (s *sink) run() error {
	s.err = nil
	if err := s.raw.Write(s.write); err != nil {
		return err
	}
	return s.err
}

// writeReady is called when the socket may take bytes; false waits for it again.
func (s *sink) writeReady(fd uintptr) bool {
	for len(s.pieces) > 0 || s.left > 0 {
		var err error
		if len(s.pieces) > 0 {
			err = s.sendPieces(int(fd))
		} else {
			err = s.sendFile(int(fd))
		}
		switch {
		case err == nil, errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return false
		default:
			s.err, s.pieces, s.left = err, nil, 0
		}
	}
	return true
}

func (s *sink) sendPieces(fd int) error {
	batch := s.pieces[:min(len(s.pieces), 1024)] // IOV_MAX
	flags := unix.MSG_NOSIGNAL
	if s.more {
		flags |= unix.MSG_MORE
	}
	n, err := unix.SendmsgBuffers(fd, batch, nil, nil, flags)
	if err != nil {
		return sendError("sendmsg", err)
	}
	for n > 0 && n >= len(s.pieces[0]) {
		n -= len(s.pieces[0])
		s.pieces = s.pieces[1:]
		if len(s.pieces) == 0 {
			return nil
		}
	}
	s.pieces[0] = s.pieces[0][n:]
	return nil
}

func (s *sink) sendFile(fd int) error {
	n, err := unix.Sendfile(fd, s.file, &s.offset, min(s.left, maxSendfile))
	if err != nil {
		return sendError("sendfile", err)
	}
	if n == 0 {
		return fmt.Errorf("segment file ends %d bytes early: %w", s.left, io.ErrUnexpectedEOF)
	}
	s.left -= n
	return nil
}

func sendError(call string, err error) error {
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return err
	}
	return os.NewSyscallError(call, err)
}
