package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/twmb/franz-go/pkg/kfake"
)

// The bound: what no broker can be cheaper than on this machine. It speaks as much of the protocol as
// rawConn does. Produce is socket read, checksum, write to a file; Fetch is sendfile from that file.

const boundPiece = 256 << 10

type bound struct {
	file *os.File
	size int64 // of the records in it
}

func serveBound(args []string) error {
	if len(args) != 2 {
		return errors.New("bound PORT DIR")
	}
	file, err := os.OpenFile(filepath.Join(args[1], "records"), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	if err != nil {
		return err
	}
	b := &bound{file: file}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		tcp, ok := c.(*net.TCPConn)
		if !ok {
			return fmt.Errorf("connection is a %T", c)
		}
		go func() {
			defer tcp.Close()
			_ = b.serve(tcp) // the client sees its connection end
		}()
	}
}

// serve is for one connection at a time. One that begins to produce begins the file anew.
func (b *bound) serve(c *net.TCPConn) error {
	buf := make([]byte, 2<<20)
	for first := true; ; first = false {
		if _, err := io.ReadFull(c, buf[:4]); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(buf))
		if size > len(buf) {
			return errors.New("frame too large")
		}
		request := buf[:size]
		if _, err := io.ReadFull(c, request); err != nil {
			return err
		}
		const produce, fetch = 0, 1
		var err error
		switch key := binary.BigEndian.Uint16(request); {
		case key == produce && first:
			b.size = 0
			if err = b.file.Truncate(0); err == nil {
				err = b.produce(c, request)
			}
		case key == produce:
			err = b.produce(c, request)
		case key == fetch:
			err = b.fetch(c, request)
		default:
			err = errors.New("not produce, not fetch")
		}
		if err != nil {
			return err
		}
	}
}

func (b *bound) produce(c *net.TCPConn, request []byte) error {
	sum := crc32.Checksum(request, castagnoli)
	for rest := request; len(rest) > 0; {
		piece := rest[:min(len(rest), boundPiece)]
		if _, err := b.file.WriteAt(piece, b.size); err != nil {
			return err
		}
		b.size += int64(len(piece))
		rest = rest[len(piece):]
	}
	var answer [84]byte // zeros are what the client looks for
	binary.BigEndian.PutUint32(answer[:], uint32(len(answer)-4))
	copy(answer[4:], request[4:8])
	binary.BigEndian.PutUint32(answer[80:], sum)
	_, err := c.Write(answer[:])
	return err
}

func (b *bound) fetch(c *net.TCPConn, request []byte) error {
	client := int(binary.BigEndian.Uint16(request[8:]))
	most := int(binary.BigEndian.Uint32(request[10+client+12:]))
	topic := int(binary.BigEndian.Uint16(request[10+client+29:]))
	offset := int64(binary.BigEndian.Uint64(request[10+client+29+2+topic+12:]))
	n := min(most, int(b.size))
	head := make([]byte, 4+4+4+2+4+4+2+topic+4+4+2+8+8+8+4+4+4)
	binary.BigEndian.PutUint32(head, uint32(len(head)-4+n))
	copy(head[4:], request[4:8])
	binary.BigEndian.PutUint32(head[len(head)-4:], uint32(n))
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	from := offset % max(1, b.size-int64(n)) / 4096 * 4096
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for failed == nil && (len(head) > 0 || n > 0) {
			var sent int
			if len(head) > 0 {
				sent, failed = unix.SendmsgN(int(fd), head, nil, nil, unix.MSG_MORE)
				head = head[max(sent, 0):]
			} else {
				sent, failed = unix.Sendfile(int(fd), int(b.file.Fd()), &from, n)
				n -= max(sent, 0)
			}
			if errors.Is(failed, unix.EAGAIN) {
				failed = nil
				return false
			}
		}
		return true
	})
	return errors.Join(err, failed)
}

// serveKfake is franz-go's in-process broker, with its data on disk.
func serveKfake(args []string) error {
	if len(args) != 2 {
		return errors.New("kfake PORT DIR")
	}
	var port int
	if _, err := fmt.Sscan(args[0], &port); err != nil {
		return err
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(args[1]))
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	c.Close()
	return nil
}
