// Package wirediff sends one corpus of requests to a broker and writes down what it answered, field by field, with
// volatile fields masked. Apache Kafka's answers are recorded in testdata/kafka-4.4.0; ours are compared with them.
// A difference is a line with a reason in differences.txt, or a failure.
//
// The corpus is a list of scenarios (corpus_*.go), each a sequential script with topics of its own.
package wirediff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	answerWithin = 5 * time.Second
	maxAnswer    = 64 << 20
	apiVersions  = int16(18)
)

// errClosed says that the broker closed the connection without an answer.
var errClosed = errors.New("closed")

// errSilent says that no answer came in time, and the connection stayed open.
var errSilent = errors.New("no answer")

// wire is one connection that is dialled again after the broker closed it.
type wire struct {
	addr string
	conn net.Conn
	corr int32
}

// header is a request header: version 1, or 2 when flexible.
func header(key, version int16, corr int32, clientID *string, flexible bool) []byte {
	dst := binary.BigEndian.AppendUint16(nil, uint16(key))
	dst = binary.BigEndian.AppendUint16(dst, uint16(version))
	dst = binary.BigEndian.AppendUint32(dst, uint32(corr))
	if clientID == nil {
		dst = append(dst, 0xff, 0xff)
	} else {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(*clientID)))
		dst = append(dst, *clientID...)
	}
	if flexible {
		dst = append(dst, 0)
	}
	return dst
}

// frame puts the length before a request.
func frame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(payload)), uint32(len(payload))), payload...)
}

// write sends bytes as they are, on a fresh connection if the last one was closed.
func (w *wire) write(b []byte) error {
	if w.conn == nil {
		conn, err := net.DialTimeout("tcp", w.addr, 5*time.Second)
		if err != nil {
			return err
		}
		w.conn = conn
	}
	if err := w.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	// A broker that has already refused the frame resets the connection while we write: the read tells.
	_, _ = w.conn.Write(b)
	return nil
}

// read returns the next answer without its length: correlation id, header and body.
func (w *wire) read(within time.Duration) ([]byte, error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(w.conn, size[:]); err != nil {
		return nil, w.failed(err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > maxAnswer {
		w.close()
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(w.conn, body); err != nil {
		return nil, w.failed(err)
	}
	return body, nil
}

func (w *wire) failed(err error) error {
	w.close()
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errSilent
	}
	return errClosed
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// encode makes a whole frame of req at version.
func (w *wire) encode(req kmsg.Request, version int16) []byte {
	w.corr++
	id := clientID
	req.SetVersion(version)
	return frame(req.AppendTo(header(req.Key(), version, w.corr, &id, req.IsFlexible())))
}

// decode reads an answer to a request of the key and version. The second result is false when the bytes are not
// exactly what kmsg would write for what it read: trailing bytes, defaults written out, null for empty.
func decode(answer []byte, key, version int16, corr int32) (kmsg.Response, bool, error) {
	if got := int32(binary.BigEndian.Uint32(answer)); got != corr {
		return nil, false, fmt.Errorf("correlation id %d, want %d", got, corr)
	}
	answer = answer[4:]
	resp := kmsg.ResponseForKey(key)
	if resp == nil {
		return nil, false, fmt.Errorf("an answer to unknown key %d", key)
	}
	resp.SetVersion(version)
	if resp.IsFlexible() && key != apiVersions {
		if len(answer) == 0 || answer[0] != 0 {
			return nil, false, errors.New("response header has tags")
		}
		answer = answer[1:]
	}
	if err := resp.ReadFrom(answer); err != nil {
		return nil, false, fmt.Errorf("answer to key %d version %d does not decode: %w (%x)", key, version, err, answer)
	}
	return resp, string(resp.AppendTo(nil)) == string(answer), nil
}
