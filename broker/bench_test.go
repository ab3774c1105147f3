package broker

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/handlers"
	"minikafka/protocol"
)

// benchServer is a listener on loopback and a connection to it.
func benchServer(b *testing.B, h handlerFunc) net.Conn {
	b.Helper()
	srv := &server{
		lookup: func(key int16) (handlers.API, bool) { return handlers.API{Key: key, Max: 18}, true },
		serve: func(ctx context.Context, _ handlers.API, r *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
			return h(ctx, r, body)
		},
		frameLimit: func(int16) int { return 100 << 20 },
		limits:     limits{firstByte: time.Minute, idle: time.Minute, frame: time.Minute, write: time.Minute},
		budget:     &budget{limit: 256 << 20},
		log:        slog.New(slog.DiscardHandler),
	}
	unlimited := func() int { return 1 << 30 }
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	l := newListener("PLAINTEXT", ln, srv, newGate(unlimited, unlimited))
	l.start()
	nc, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(b, err)
	b.Cleanup(func() {
		_ = nc.Close()
		l.close(context.Background())
	})
	return nc
}

// discardAnswers reads n answers without allocating.
func discardAnswers(b *testing.B, r *bufio.Reader, n int) {
	for range n {
		size, err := r.Peek(4)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Discard(4 + int(binary.BigEndian.Uint32(size))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRequests(b *testing.B) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID = 4, "group", "member"
	one := request(1, req)
	for name, depth := range map[string]int{"lockstep": 1, "pipelined16": 16} {
		b.Run(name, func(b *testing.B) {
			nc := benchServer(b, empty)
			r := bufio.NewReaderSize(nc, 64<<10)
			var burst []byte
			for range depth {
				burst = append(burst, one...)
			}
			b.ReportAllocs()
			for left := b.N; left > 0; left -= depth {
				if _, err := nc.Write(burst); err != nil {
					b.Fatal(err)
				}
				discardAnswers(b, r, depth)
			}
		})
	}
}

func BenchmarkProduceOfAMegabyte(b *testing.B) {
	nc := benchServer(b, empty)
	req := kmsg.NewPtrProduceRequest()
	req.Version = 9
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: make([]byte, 1_000_000)}}}}
	one := request(1, req)
	r := bufio.NewReader(nc)
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nc.Write(one); err != nil {
			b.Fatal(err)
		}
		discardAnswers(b, r, 1)
	}
}

func BenchmarkFetchOfFourMegabytes(b *testing.B) {
	const size = 4 << 20
	path := filepath.Join(b.TempDir(), "segment")
	require.NoError(b, os.WriteFile(path, make([]byte, size), 0o600))
	f, err := os.Open(path)
	require.NoError(b, err)
	defer func() { _ = f.Close() }()
	var released atomic.Int32
	nc := benchServer(b, func(_ context.Context, _ *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		resp := &protocol.FetchResponse{FetchResponse: body.ResponseKind().(*kmsg.FetchResponse)}
		t := kmsg.NewFetchResponseTopic()
		t.Partitions = append(t.Partitions, kmsg.NewFetchResponseTopicPartition())
		resp.Topics = append(resp.Topics, t)
		resp.Sources = []protocol.RecordSource{&fileRecords{f: f, n: size, released: &released}}
		return resp, nil
	})
	req := kmsg.NewPtrFetchRequest()
	req.Version = 12
	one := request(1, req)
	sink := make([]byte, 1<<20)
	head := make([]byte, 4)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nc.Write(one); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(nc, head); err != nil {
			b.Fatal(err)
		}
		for left := int(binary.BigEndian.Uint32(head)); left > 0; {
			n, err := nc.Read(sink[:min(left, len(sink))])
			if err != nil {
				b.Fatal(err)
			}
			left -= n
		}
	}
}

// endless is a connection that always has more of the same bytes.
type endless struct {
	net.Conn
	bytes []byte
	at    int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.bytes[e.at:])
	e.at = (e.at + n) % len(e.bytes)
	return n, nil
}

func (*endless) SetReadDeadline(time.Time) error { return nil }

// BenchmarkFrame takes frames of different sizes off what reads return, without a socket.
func BenchmarkFrame(b *testing.B) {
	for name, size := range map[string]int{"100B": 100, "16KiB": 16 << 10, "1MiB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			frame := make([]byte, 4+size)
			binary.BigEndian.PutUint32(frame, uint32(size))
			f := newFrameReader(b.Context(), &endless{bytes: frame})
			f.budget, f.limit = &budget{limit: 256 << 20}, func(int16) int { return 100 << 20 }
			f.idle = func() bool { return true }
			f.firstByteTimeout, f.idleTimeout, f.frameTimeout = time.Minute, time.Minute, time.Minute
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.next(func() error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
