//go:build kafka

package benchgroups

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// conn is a connection that has one request in flight.
type conn struct {
	net.Conn
	mu   sync.Mutex // held while a request is in flight
	in   *bufio.Reader
	out  []byte
	corr int32
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReaderSize(c, 1024)}, nil
}

// do sends a request at a version and reads its answer.
func (c *conn) do(req kmsg.Request, version int16) (kmsg.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corr++
	req.SetVersion(version)
	dst := append(c.out[:0], 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(req.Key()))
	dst = binary.BigEndian.AppendUint16(dst, uint16(version))
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.corr))
	dst = append(dst, 0, 5, 'b', 'e', 'n', 'c', 'h')
	if req.IsFlexible() {
		dst = append(dst, 0)
	}
	dst = req.AppendTo(dst)
	binary.BigEndian.PutUint32(dst, uint32(len(dst)-4))
	c.out = dst
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := c.Write(dst); err != nil {
		return nil, err
	}
	return c.answer(req, version)
}

func (c *conn) answer(req kmsg.Request, version int16) (kmsg.Response, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.in, body); err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(body)); got != c.corr {
		return nil, fmt.Errorf("correlation id %d, want %d", got, c.corr)
	}
	body = body[4:]
	if req.IsFlexible() && req.Key() != 18 {
		body = body[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	return resp, resp.ReadFrom(body)
}
