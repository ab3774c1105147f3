package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/handlers"
	"minikafka/protocol"
)

// server is what all connections share. Functions are called anew for each request, so that dynamic
// configuration holds at once.
type server struct {
	lookup func(key int16) (handlers.API, bool)
	serve  func(context.Context, handlers.API, *handlers.Request, kmsg.Request) (kmsg.Response, handlers.Later)
	// frameLimit is the largest request of an API in bytes, without the size field.
	frameLimit func(key int16) int
	limits     limits
	budget     *budget
	log        *slog.Logger
	counts     counters
}

// limits are the times that a peer has.
type limits struct {
	firstByte, idle, frame, write time.Duration
}

// counters are what the metrics show.
type counters struct {
	Connections atomic.Int64 // open
	Accepted    atomic.Int64
	Refused     atomic.Int64 // over a limit
	Rejected    atomic.Int64 // closed for what they sent
	Panics      atomic.Int64
	Requests    atomic.Int64
}

// conn is one connection; its goroutine reads, dispatches and answers.
type conn struct {
	srv      *server
	listener string
	nc       net.Conn
	remote   string // host:port
	host     string // "/host", as Kafka writes it
	software handlers.Software

	ctx      context.Context //nolint:containedctx // the connection's life: handlers and Laters end with it
	cancel   context.CancelFunc
	frames   *frameReader
	answers  *answers
	clientID string // of the last request

	stopOnce sync.Once
	stopped  chan struct{} // closed by stop
	failOnce sync.Once
	failure  error // why a Later or a writer ended the connection; read after ctx is done
}

func newConn(parent context.Context, srv *server, listener string, nc net.Conn) *conn {
	c := &conn{srv: srv, listener: listener, nc: nc, remote: nc.RemoteAddr().String(), stopped: make(chan struct{})}
	host, _, err := net.SplitHostPort(c.remote)
	if err != nil {
		host = c.remote
	}
	c.host = "/" + host
	c.ctx, c.cancel = context.WithCancel(parent)
	c.answers = newAnswers(c.ctx, newSink(nc, srv.limits.write), c.fail)
	c.answers.guard = c.guard
	c.frames = newFrameReader(c.ctx, nc)
	c.frames.budget, c.frames.limit = srv.budget, srv.frameLimit
	c.frames.idle = func() bool { return !c.answers.due() }
	c.frames.firstByteTimeout, c.frames.idleTimeout, c.frames.frameTimeout = srv.limits.firstByte, srv.limits.idle, srv.limits.frame
	return c
}

// run serves the connection until it ends, and says why it did.
func (c *conn) run() {
	var reason error
	err := c.guard(func() { reason = c.serve() })
	if err != nil {
		reason = err
	}
	graceful := errors.Is(reason, errInterrupted)
	var bad *badRequest
	refused := errors.As(reason, &bad)
	switch {
	case refused: // what was asked before is answered first, as Kafka does
		timer := time.AfterFunc(lastAnswersWithin, c.cancel)
		defer timer.Stop()
	case graceful:
		c.cancel()
	default:
		_ = c.nc.Close() // Laters that write now must not wait for a dead peer
		c.cancel()
	}
	c.frames.release()
	if err := c.answers.close(graceful || refused); err != nil && !refused {
		reason = err
	}
	c.cancel()
	_ = c.nc.Close()
	if c.failure != nil {
		reason = c.failure
	}
	if !graceful {
		c.logEnd(reason)
	}
}

func (c *conn) serve() error {
	for {
		err := c.serveNext()
		if err == nil {
			continue
		}
		var bad *badRequest
		if errors.As(err, &bad) { // the requests before it were good
			_ = c.answers.awaitTurn(noAPI, c.stopped)
			_ = c.answers.flush()
		}
		return err
	}
}

const noAPI = -1

func (c *conn) serveNext() error {
	frame, err := c.frames.next(c.answers.flush)
	if err != nil {
		return err
	}
	key := int16(binary.BigEndian.Uint16(frame))
	if err := c.answers.awaitTurn(key, c.stopped); err != nil {
		return err
	}
	return c.handle(key, frame)
}

// lastAnswersWithin bounds how long the answers to earlier requests may keep a connection that is to be closed.
const lastAnswersWithin = 5 * time.Second

// badRequest is what a peer sent against the protocol.
type badRequest struct{ err error }

func (b *badRequest) Error() string { return b.err.Error() }
func (b *badRequest) Unwrap() error { return b.err }

// handle answers one request. The frame, and all that aliases it, is not used after it returns.
func (c *conn) handle(key int16, frame []byte) error {
	c.srv.counts.Requests.Add(1)
	version := int16(binary.BigEndian.Uint16(frame[2:]))
	api, ok := c.srv.lookup(key)
	if !ok {
		return &badRequest{fmt.Errorf("API key %d is not served", key)}
	}
	h, body, err := protocol.ParseHeaderReusing(frame, c.clientID)
	if err != nil {
		return &badRequest{err}
	}
	c.clientID = h.ClientID
	if version < api.Min || version > api.Max {
		if key == kmsg.ApiVersions.Int16() {
			return c.answers.add(protocol.Header{Key: key, CorrelationID: h.CorrelationID}, unsupportedApiVersions(api), nil)
		}
		return &badRequest{fmt.Errorf("API %s has no version %d here, only %d to %d", kmsg.NameForKey(key), version, api.Min, api.Max)}
	}
	if err := protocol.CheckRequest(key, version, body); err != nil {
		return &badRequest{fmt.Errorf("%s v%d: %w", kmsg.NameForKey(key), version, err)}
	}
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	if err := req.ReadFrom(body); err != nil {
		return &badRequest{fmt.Errorf("%s v%d: %w", kmsg.NameForKey(key), version, err)}
	}
	resp, later := c.srv.serve(c.ctx, api, &handlers.Request{
		Header: h, Listener: c.listener, ClientHost: c.host, Principal: "User:ANONYMOUS", Software: &c.software,
	}, req)
	if refused, ok := resp.(*handlers.CloseConn); ok {
		return &badRequest{fmt.Errorf("%s v%d without answer: %w", kmsg.NameForKey(key), version, refused.Reason)}
	}
	return c.answers.add(h, resp, later)
}

// unsupportedApiVersions is the answer, in version 0, to a client that is newer than we are.
func unsupportedApiVersions(api handlers.API) kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = 35 // UNSUPPORTED_VERSION
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = api.Key, api.AdvertisedMin, api.Max
	resp.ApiKeys = append(resp.ApiKeys, k)
	return resp
}

// fail ends the connection from a goroutine that is not its own.
func (c *conn) fail(reason error) {
	c.failOnce.Do(func() {
		c.failure = reason
		c.cancel()
		_ = c.nc.Close()
	})
}

// guard runs f and returns its panic as an error; the broker goes on without this connection.
func (c *conn) guard(f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.srv.counts.Panics.Add(1)
			err = &recovered{value: v, stack: debug.Stack()}
		}
	}()
	f()
	return nil
}

// stop lets the connection answer what is in work, and end.
func (c *conn) stop() {
	c.stopOnce.Do(func() { close(c.stopped) })
	c.frames.interrupt()
}

// logEnd writes one line: loud for what a peer did wrong and for bugs, quiet for an ordinary end.
func (c *conn) logEnd(reason error) {
	log := c.srv.log.With("remote", c.remote, "listener", c.listener, "reason", reason.Error())
	var panicked *recovered
	var bad *badRequest
	switch {
	case errors.As(reason, &panicked):
		log.Error("connection closed: a handler panicked", "stack", string(panicked.stack))
	case errors.As(reason, &bad), errors.Is(reason, errSlowFrame), errors.Is(reason, errNoMemory), errors.Is(reason, io.ErrUnexpectedEOF):
		c.srv.counts.Rejected.Add(1)
		log.Warn("connection closed", "client", c.clientID)
	case ordinaryEnd(reason):
		log.Debug("connection closed")
	default:
		log.Info("connection closed", "client", c.clientID)
	}
}

func ordinaryEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errClosed) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, context.Canceled)
}
