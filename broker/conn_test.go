package broker

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/handlers"
	"minikafka/protocol"
)

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type handlerFunc func(ctx context.Context, r *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later)

// harness is a listener on loopback whose handlers are the test's.
type harness struct {
	t    *testing.T
	srv  *server
	l    *listener
	addr string
	log  *logBuffer
}

func serve(t *testing.T, h handlerFunc, change ...func(*server, *gate)) *harness {
	t.Helper()
	log := &logBuffer{}
	srv := &server{
		lookup: func(key int16) (handlers.API, bool) {
			req := kmsg.RequestForKey(key)
			if req == nil {
				return handlers.API{}, false
			}
			return handlers.API{Key: key, Max: req.MaxVersion()}, true
		},
		serve: func(ctx context.Context, _ handlers.API, r *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
			return h(ctx, r, body)
		},
		frameLimit: func(key int16) int { return int(protocol.MaxFrameBytes(key, 1<<20)) },
		limits:     limits{firstByte: 10 * time.Second, idle: 10 * time.Second, frame: 10 * time.Second, write: 10 * time.Second},
		budget:     &budget{limit: 64 << 20},
		log:        slog.New(slog.NewTextHandler(log, nil)),
	}
	unlimited := func() int { return 1 << 30 }
	g := newGate(unlimited, unlimited)
	for _, f := range change {
		f(srv, g)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := newListener("PLAINTEXT", ln, srv, g)
	l.start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		l.close(ctx)
		require.Zero(t, srv.counts.Connections.Load())
		require.Zero(t, srv.budget.used)
	})
	return &harness{t, srv, l, ln.Addr().String(), log}
}

func (h *harness) dial() net.Conn {
	h.t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = nc.Close() })
	require.NoError(h.t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	return nc
}

// request encodes a whole frame.
func request(correlation int32, req kmsg.Request) []byte {
	b := kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, correlation)
	return b
}

func produceRequest() kmsg.Request {
	r := kmsg.NewPtrProduceRequest()
	r.Version = 9
	return r
}

func metadataRequest() kmsg.Request {
	r := kmsg.NewPtrMetadataRequest()
	r.Version = 9
	return r
}

// answerOf reads a frame and returns its correlation id and what follows.
func answerOf(t *testing.T, r io.Reader) (int32, []byte) {
	t.Helper()
	var size [4]byte
	_, err := io.ReadFull(r, size[:])
	require.NoError(t, err)
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(r, b)
	require.NoError(t, err)
	return int32(binary.BigEndian.Uint32(b)), b[4:]
}

func requireClosed(t *testing.T, nc net.Conn) {
	t.Helper()
	_, err := nc.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

func empty(_ context.Context, _ *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
	return body.ResponseKind(), nil
}

func TestAnswersComeInRequestOrderWhateverCompletesFirst(t *testing.T) {
	gates := []chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	var seen atomic.Int32
	h := serve(t, func(_ context.Context, r *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		seen.Add(1)
		resp := body.ResponseKind()
		if i := r.CorrelationID; i%2 == 0 {
			return nil, func(context.Context) kmsg.Response { <-gates[i/2]; return resp }
		}
		return resp, nil
	})
	nc := h.dial()
	var all []byte
	for i := range int32(6) {
		all = append(all, request(i, produceRequest())...)
	}
	_, err := nc.Write(all)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return seen.Load() == 6 }, 5*time.Second, time.Millisecond)
	close(gates[2])
	close(gates[1])
	close(gates[0])
	for i := range int32(6) {
		id, _ := answerOf(t, nc)
		require.Equal(t, i, id)
	}
}

func TestARequestIsNotHandledBeforeEarlierOnesAreAnsweredUnlessBothAreProduce(t *testing.T) {
	release := make(chan struct{})
	var seen atomic.Int32
	h := serve(t, func(_ context.Context, r *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		seen.Add(1)
		resp := body.ResponseKind()
		if r.CorrelationID < 3 {
			return nil, func(context.Context) kmsg.Response { <-release; return resp }
		}
		return resp, nil
	})
	nc := h.dial()
	for i, req := range []kmsg.Request{produceRequest(), produceRequest(), metadataRequest(), produceRequest(), metadataRequest()} {
		_, err := nc.Write(request(int32(i), req))
		require.NoError(t, err)
	}
	for _, handled := range []int32{2, 3, 5} { // two Produce; Metadata waits for them, the rest for it
		require.Eventually(t, func() bool { return seen.Load() == handled }, 5*time.Second, time.Millisecond)
		time.Sleep(20 * time.Millisecond)
		require.Equal(t, handled, seen.Load())
		for range 2 {
			select {
			case release <- struct{}{}:
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	for i := range int32(5) {
		id, _ := answerOf(t, nc)
		require.Equal(t, i, id)
	}
}

func TestNoMoreThanTheBoundIsInFlightOnAConnection(t *testing.T) {
	release := make(chan struct{})
	var seen atomic.Int32
	h := serve(t, func(_ context.Context, _ *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		seen.Add(1)
		resp := body.ResponseKind()
		return nil, func(context.Context) kmsg.Response { <-release; return resp }
	})
	nc := h.dial()
	const n = 3 * maxInFlight
	go func() {
		for i := range int32(n) {
			_, _ = nc.Write(request(i, produceRequest()))
		}
	}()
	require.Eventually(t, func() bool { return seen.Load() > maxInFlight }, 5*time.Second, time.Millisecond)
	time.Sleep(50 * time.Millisecond)
	require.EqualValues(t, maxInFlight+1, seen.Load()) // one is handled and waits for room
	close(release)
	for i := range int32(n) {
		id, _ := answerOf(t, nc)
		require.Equal(t, i, id)
	}
}

func TestAcksZeroIsNotAnswered(t *testing.T) {
	h := serve(t, func(_ context.Context, r *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		if r.CorrelationID == 1 {
			return nil, nil
		}
		return body.ResponseKind(), nil
	})
	nc := h.dial()
	_, err := nc.Write(append(request(1, metadataRequest()), request(2, metadataRequest())...))
	require.NoError(t, err)
	id, _ := answerOf(t, nc)
	require.EqualValues(t, 2, id)
}

func TestBytesAgainstTheProtocolCloseTheConnectionWithOneLogLine(t *testing.T) {
	frame := func(b ...byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	for name, c := range map[string]struct {
		send []byte
		log  string
	}{
		"negative size":       {[]byte{0xff, 0xff, 0xff, 0xff}, "frame of -1 bytes"},
		"no header":           {frame(0, 3, 0), "frame of 3 bytes"},
		"unknown key":         {frame(0, 99, 0, 0, 0, 0, 0, 1, 0xff, 0xff), "API key 99"},
		"unsupported version": {frame(0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff), "no version 99"},
		"broken body":         {frame(0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff), "Metadata v1"},
		"tag bomb":            {frame(0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f), "ApiVersions v3"},
		"above the API's cap": {[]byte{0x7f, 0xff, 0xff, 0xff, 0, 3}, "limit 8388608"},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, empty)
			nc := h.dial()
			_, err := nc.Write(c.send)
			require.NoError(t, err)
			requireClosed(t, nc)
			require.Eventually(t, func() bool { return h.log.String() != "" }, 5*time.Second, time.Millisecond)
			require.Contains(t, h.log.String(), c.log)
			require.Contains(t, h.log.String(), nc.LocalAddr().String())
			require.Equal(t, 1, strings.Count(h.log.String(), "\n"))
			require.EqualValues(t, 1, h.srv.counts.Rejected.Load())
		})
	}
}

func TestGoodRequestsBeforeABadOneAreAnswered(t *testing.T) {
	h := serve(t, func(_ context.Context, r *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		resp := body.ResponseKind()
		if r.CorrelationID == 1 {
			return nil, func(context.Context) kmsg.Response { time.Sleep(50 * time.Millisecond); return resp }
		}
		return resp, nil
	})
	nc := h.dial()
	all := append(request(1, produceRequest()), request(2, produceRequest())...)
	_, err := nc.Write(append(all, 0xff, 0xff, 0xff, 0xff))
	require.NoError(t, err)
	for want := range int32(2) {
		id, _ := answerOf(t, nc)
		require.Equal(t, want+1, id)
	}
	requireClosed(t, nc)
}

func TestApiVersionsOfAnUnknownVersionIsAnsweredInVersionZero(t *testing.T) {
	h := serve(t, empty)
	nc := h.dial()
	_, err := nc.Write([]byte{0, 0, 0, 13, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0, 2, 3})
	require.NoError(t, err)
	id, body := answerOf(t, nc)
	require.EqualValues(t, 7, id)
	var resp kmsg.ApiVersionsResponse
	require.NoError(t, resp.ReadFrom(body))
	require.EqualValues(t, 35, resp.ErrorCode)
	require.Len(t, resp.ApiKeys, 1)
	require.EqualValues(t, 18, resp.ApiKeys[0].ApiKey)
}

func TestPanicOfAHandlerEndsOnlyItsConnection(t *testing.T) {
	h := serve(t, func(_ context.Context, r *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		switch r.CorrelationID {
		case 1:
			panic("now")
		case 2:
			return nil, func(context.Context) kmsg.Response { panic("later") }
		}
		return body.ResponseKind(), nil
	})
	bystander := h.dial()
	for i, text := range []string{"panic: now", "panic: later"} {
		nc := h.dial()
		_, err := nc.Write(request(int32(i+1), metadataRequest()))
		require.NoError(t, err)
		requireClosed(t, nc)
		require.Eventually(t, func() bool { return strings.Contains(h.log.String(), text) }, 5*time.Second, time.Millisecond)
	}
	require.EqualValues(t, 2, h.srv.counts.Panics.Load())
	require.Contains(t, h.log.String(), "conn_test.go", "the stack is logged")
	_, err := bystander.Write(request(3, metadataRequest()))
	require.NoError(t, err)
	answerOf(t, bystander)
}

func TestLargeAndSmallFramesArriveWholeHoweverTheyAreCut(t *testing.T) {
	var mu sync.Mutex
	var got []int
	h := serve(t, func(_ context.Context, _ *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		records := body.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records
		for _, b := range records {
			if b != byte(len(records)) {
				panic("corrupt")
			}
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, len(records))
		return body.ResponseKind(), nil
	})
	var all []byte
	sizes := []int{1, 4000, 4096, 5000, 65000, 65500, 65536, 70000, 1 << 20, 3 << 20, 20 << 20, 17, 100_000, 9}
	for i, n := range sizes {
		req := kmsg.NewPtrProduceRequest()
		req.Version = 8
		req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{
			{Records: bytes.Repeat([]byte{byte(n)}, n)}}}}
		all = append(all, request(int32(i), req)...)
	}
	for _, piece := range []int{len(all), 777_777, 4099} {
		mu.Lock()
		got = nil
		mu.Unlock()
		nc := h.dial()
		go func() {
			for rest := all; len(rest) > 0; {
				n := min(piece, len(rest))
				_, _ = nc.Write(rest[:n])
				rest = rest[n:]
			}
		}()
		for i := range sizes {
			id, _ := answerOf(t, nc)
			require.EqualValues(t, i, id)
		}
		mu.Lock()
		require.Equal(t, sizes, got)
		mu.Unlock()
	}
}

func TestSlowFramesAndSilentConnectionsEnd(t *testing.T) {
	h := serve(t, empty, func(s *server, _ *gate) {
		s.limits = limits{firstByte: 50 * time.Millisecond, idle: 200 * time.Millisecond, frame: 50 * time.Millisecond, write: time.Second}
	})
	start := time.Now()
	requireClosed(t, h.dial()) // no first byte
	require.Less(t, time.Since(start), 190*time.Millisecond)

	slow := h.dial()
	_, err := slow.Write(request(1, metadataRequest())[:9])
	require.NoError(t, err)
	requireClosed(t, slow)
	require.Eventually(t, func() bool { return strings.Contains(h.log.String(), errSlowFrame.Error()) }, time.Second, time.Millisecond)

	idle := h.dial()
	start = time.Now()
	_, err = idle.Write(request(1, metadataRequest()))
	require.NoError(t, err)
	answerOf(t, idle)
	requireClosed(t, idle)
	require.Greater(t, time.Since(start), 100*time.Millisecond)
}

func TestAConnectionWithAnAnswerDueIsNotIdle(t *testing.T) {
	h := serve(t, func(_ context.Context, _ *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		resp := body.ResponseKind()
		return nil, func(context.Context) kmsg.Response { time.Sleep(300 * time.Millisecond); return resp }
	}, func(s *server, _ *gate) { s.limits.idle, s.limits.firstByte = 50*time.Millisecond, 50*time.Millisecond })
	nc := h.dial()
	_, err := nc.Write(request(4, metadataRequest()))
	require.NoError(t, err)
	id, _ := answerOf(t, nc)
	require.EqualValues(t, 4, id)
}

func TestAPeerThatDoesNotReadIsCut(t *testing.T) {
	h := serve(t, func(_ context.Context, _ *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		resp := body.ResponseKind().(*kmsg.MetadataResponse)
		name := strings.Repeat("x", 30_000)
		resp.Topics = make([]kmsg.MetadataResponseTopic, 100)
		for i := range resp.Topics {
			resp.Topics[i].Topic = &name
		}
		return resp, nil
	}, func(s *server, _ *gate) { s.limits.write = 100 * time.Millisecond })
	nc := h.dial()
	for range 10 {
		_, err := nc.Write(request(1, metadataRequest()))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return h.srv.counts.Connections.Load() == 0 }, 5*time.Second, 5*time.Millisecond)
}

func TestLatersEndWithTheirConnection(t *testing.T) {
	ended := make(chan struct{})
	h := serve(t, func(_ context.Context, _ *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		resp := body.ResponseKind()
		return nil, func(ctx context.Context) kmsg.Response { <-ctx.Done(); close(ended); return resp }
	})
	nc := h.dial()
	_, err := nc.Write(request(1, metadataRequest()))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return h.srv.counts.Requests.Load() == 1 }, time.Second, time.Millisecond)
	require.NoError(t, nc.Close())
	<-ended
}

func TestStopAnswersWhatIsInWork(t *testing.T) {
	h := serve(t, func(_ context.Context, _ *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		resp := body.ResponseKind()
		return nil, func(ctx context.Context) kmsg.Response { <-ctx.Done(); return resp }
	})
	nc := h.dial()
	_, err := nc.Write(request(5, metadataRequest()))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return h.srv.counts.Requests.Load() == 1 }, time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	h.l.close(ctx)
	id, _ := answerOf(t, nc)
	require.EqualValues(t, 5, id)
	requireClosed(t, nc)
}

// fileRecords is a range of a file, as a segment is.
type fileRecords struct {
	f        *os.File
	from     int64
	n        int
	inMemory bool
	released *atomic.Int32
}

func (r *fileRecords) Size() int { return r.n }
func (r *fileRecords) AppendTo(dst []byte) ([]byte, error) {
	b := make([]byte, r.n)
	_, err := r.f.ReadAt(b, r.from)
	return append(dst, b...), err
}
func (r *fileRecords) FileRange() (uintptr, int64, bool) { return r.f.Fd(), r.from, !r.inMemory }
func (r *fileRecords) Release()                          { r.released.Add(1) }

func TestFetchedRecordsArriveBySendfileAndByCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment")
	content := make([]byte, 9<<20)
	for i := range content {
		content[i] = byte(i * 7 / 3)
	}
	require.NoError(t, os.WriteFile(path, content, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	var released atomic.Int32
	ranges := [][2]int{{100, 8 << 20}, {7, 1}, {1 << 20, 65536}}
	h := serve(t, func(_ context.Context, r *handlers.Request, body kmsg.Request) (kmsg.Response, handlers.Later) {
		resp := &protocol.FetchResponse{FetchResponse: body.ResponseKind().(*kmsg.FetchResponse)}
		topic := kmsg.NewFetchResponseTopic()
		for i, rg := range ranges {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition = int32(i)
			topic.Partitions = append(topic.Partitions, p)
			resp.Sources = append(resp.Sources, &fileRecords{f, int64(rg[0]), rg[1], r.CorrelationID%2 == 1, &released})
		}
		resp.Topics = append(resp.Topics, topic)
		if r.CorrelationID >= 2 {
			return nil, func(context.Context) kmsg.Response { return resp }
		}
		return resp, nil
	})
	for id := range int32(4) {
		nc := h.dial()
		req := kmsg.NewPtrFetchRequest()
		req.Version = 12
		_, err := nc.Write(request(id, req))
		require.NoError(t, err)
		got, body := answerOf(t, nc)
		require.Equal(t, id, got)
		var resp kmsg.FetchResponse
		resp.Version = 12
		require.NoError(t, resp.ReadFrom(body[1:])) // after the header's tags
		for i, rg := range ranges {
			require.True(t, bytes.Equal(content[rg[0]:rg[0]+rg[1]], resp.Topics[0].Partitions[i].RecordBatches), "answer %d, range %d", id, i)
		}
		_ = nc.Close()
	}
	require.Eventually(t, func() bool { return released.Load() == 12 }, time.Second, time.Millisecond)
}
