package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/handlers"
	"minikafka/protocol"
)

const (
	// maxInFlight is how many answers of a connection may be due; then nothing more is read from it.
	maxInFlight = 64
	// flushBytes of coalesced answers are written without waiting for more.
	flushBytes = 64 << 10
)

// errClosed ends a connection whose answers cannot be written any more.
var errClosed = errors.New("connection is closed")

// answers writes responses in the order of their requests. Those that are there at once are coalesced
// into one buffer by the connection's goroutine while nothing else is due. Behind a Later they park in
// the queue, and whoever completes the answer at its head writes it and the ready ones that follow.
type answers struct {
	ctx  context.Context //nolint:containedctx // the connection's: Laters end with it
	sink *sink
	// fail is told of the first write error, and of a panic in a Later.
	fail func(reason error)
	// guard runs a Later and turns its panic into an error.
	guard func(later func()) error

	buf []byte // coalesced; only the connection's goroutine, only while the queue is empty

	laters sync.WaitGroup
	room   chan struct{} // one token whenever the queue became shorter

	mu      sync.Mutex
	queue   []*answer // in request order
	writing bool      // someone writes the queue's head
	failed  bool      // nothing is written any more
}

// answer is a place in the queue.
type answer struct {
	header protocol.Header
	ready  bool
	parts  []protocol.Part // of a ready one; empty: no answer is due
	pooled []byte          // what parts' bytes lie in
}

func newAnswers(ctx context.Context, s *sink, fail func(error)) *answers {
	return &answers{ctx: ctx, sink: s, fail: fail, room: make(chan struct{}, 1),
		guard: func(later func()) error { later(); return nil }}
}

// due says whether answers are outstanding.
func (a *answers) due() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.queue) > 0 || a.writing
}

// awaitTurn waits until a request may be handled. As in Kafka, a connection's requests have their effects
// one after the other: nothing is handled while an earlier one waits. Produce alone need not wait for
// Produce: the appends are done in order, and only the answers wait (for replicas).
func (a *answers) awaitTurn(key int16, stop <-chan struct{}) error {
	for !a.mayHandle(key) {
		select {
		case <-a.room:
		case <-stop:
			return errInterrupted
		case <-a.ctx.Done():
			return errClosed
		}
	}
	return nil
}

func (a *answers) mayHandle(key int16) bool {
	const produce = 0
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.queue {
		if key != produce || w.header.Key != produce {
			return false
		}
	}
	return true
}

// add takes what a handler returned. Only the connection's goroutine calls it.
func (a *answers) add(h protocol.Header, resp kmsg.Response, later handlers.Later) error {
	if later != nil {
		return a.addLater(h, later)
	}
	if resp == nil {
		return nil // acks=0
	}
	if !a.due() {
		return a.addNow(h, resp)
	}
	w := &answer{header: h}
	w.encode(resp)
	return a.push(w)
}

// addNow coalesces: nothing is due, so the buffer is the head.
func (a *answers) addNow(h protocol.Header, resp kmsg.Response) error {
	if records, ok := resp.(*protocol.FetchResponse); ok {
		w := &answer{header: h}
		w.encode(records)
		defer w.release()
		if err := a.flush(); err != nil {
			return err
		}
		return a.sink.writeParts(w.parts)
	}
	if a.buf == nil {
		a.buf = buffer(smallBuffer)[:0]
	}
	a.buf = appendAnswer(a.buf, h, resp)
	if len(a.buf) >= flushBytes {
		return a.flush()
	}
	return nil
}

// flush writes what was coalesced.
func (a *answers) flush() error {
	if len(a.buf) == 0 {
		return nil
	}
	err := a.sink.writeBytes(a.buf)
	recycle(a.buf)
	a.buf = nil
	return err
}

func (a *answers) addLater(h protocol.Header, later handlers.Later) error {
	if err := a.flush(); err != nil {
		return err
	}
	w := &answer{header: h}
	if err := a.push(w); err != nil {
		return err
	}
	a.laters.Go(func() {
		var resp kmsg.Response
		err := a.guard(func() { resp = later(a.ctx) })
		if err != nil {
			a.fail(err)
			return
		}
		a.complete(w, resp)
	})
	return nil
}

// push queues an answer when there is room.
func (a *answers) push(w *answer) error {
	for {
		a.mu.Lock()
		if a.failed {
			a.mu.Unlock()
			w.release()
			return errClosed
		}
		if len(a.queue) < maxInFlight {
			a.queue = append(a.queue, w)
			a.mu.Unlock()
			if w.ready {
				a.writeReady() // the Laters before it may be gone by now
			}
			return nil
		}
		a.mu.Unlock()
		select {
		case <-a.room:
		case <-a.ctx.Done():
			w.release()
			return errClosed
		}
	}
}

func (a *answers) complete(w *answer, resp kmsg.Response) {
	done := answer{header: w.header, ready: true}
	if resp != nil {
		done.encode(resp)
	}
	a.mu.Lock()
	*w = done
	a.mu.Unlock()
	a.writeReady()
}

// writeReady writes the queue's head while it is ready, unless another does.
func (a *answers) writeReady() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writing {
		return
	}
	a.writing = true
	for len(a.queue) > 0 && a.queue[0].ready {
		n := 1
		for n < len(a.queue) && a.queue[n].ready {
			n++
		}
		batch := a.queue[:n:n]
		a.queue = a.queue[n:]
		failed := a.failed
		a.mu.Unlock()
		err := a.write(batch, failed)
		if err != nil {
			a.fail(err)
		}
		a.mu.Lock()
		a.failed = a.failed || err != nil
		select {
		case a.room <- struct{}{}:
		default:
		}
	}
	a.writing = false
}

func (a *answers) write(batch []*answer, failed bool) error {
	parts := batch[0].parts
	if len(batch) > 1 {
		parts = nil
		for _, w := range batch {
			parts = append(parts, w.parts...)
		}
	}
	var err error
	if !failed {
		err = a.sink.writeParts(parts)
	}
	for _, w := range batch {
		w.release()
	}
	return err
}

// close waits for all Laters and lets go of what was not written. With drain, what is ready is written
// first; the connection's context must have ended, so that Laters end too.
func (a *answers) close(drain bool) error {
	var err error
	if drain {
		err = a.flush()
	}
	a.mu.Lock()
	a.failed = a.failed || !drain || err != nil
	a.mu.Unlock()
	a.laters.Wait()
	a.writeReady()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.queue {
		w.release()
	}
	a.queue = nil
	if a.buf != nil {
		recycle(a.buf)
		a.buf = nil
	}
	return err
}

// appendAnswer appends a whole response frame.
func appendAnswer(dst []byte, h protocol.Header, resp kmsg.Response) []byte {
	resp.SetVersion(h.Version)
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = protocol.AppendResponseHeader(dst, h)
	dst = resp.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-frameSizeBytes))
	return dst
}

// encode makes the parts of a response and marks it ready.
func (w *answer) encode(resp kmsg.Response) {
	w.ready = true
	w.pooled = buffer(smallBuffer)[:0]
	records, ok := resp.(*protocol.FetchResponse)
	if !ok {
		w.pooled = appendAnswer(w.pooled, w.header, resp)
		w.parts = []protocol.Part{{Bytes: w.pooled}}
		return
	}
	records.SetVersion(w.header.Version)
	head := protocol.AppendResponseHeader(append(w.pooled, 0, 0, 0, 0), w.header)
	parts, size := records.AppendParts([]protocol.Part{{Bytes: head}})
	// The head may have moved: the first part begins with it.
	binary.BigEndian.PutUint32(parts[0].Bytes, uint32(len(head)-frameSizeBytes+size))
	w.parts = parts
}

// release lets go of files and buffers, once.
func (w *answer) release() {
	for _, p := range w.parts {
		if p.Source != nil {
			p.Source.Release()
		}
	}
	w.parts = nil
	if w.pooled != nil {
		recycle(w.pooled)
		w.pooled = nil
	}
}

// recovered makes a panic an error that carries the stack.
type recovered struct {
	value any
	stack []byte
}

func (r *recovered) Error() string { return fmt.Sprintf("panic: %v", r.value) }
