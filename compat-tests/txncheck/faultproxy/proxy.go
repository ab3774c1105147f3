package faultproxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	dialTimeout = time.Second
	// drain is how long the broker's side stays open for answers after the client's is closed.
	drain = 5 * time.Second
	// redeliver is how long a request that was held is kept for a broker that is down.
	redeliver = 10 * time.Second
	// queued is how many requests of a connection may wait for their answer.
	queued = 1000
)

// Options say what a proxy does.
type Options struct {
	Backend string // host:port of the broker
	Plan    *Plan
	// Rewrite may change a request; it says whether it did.
	Rewrite func(kmsg.Request) bool
	// Log is told of every request that something was done to, when it is over; outcome is the broker's answer in a word.
	Log func(r *Request, v Verdict, began time.Time, outcome string)
}

// Proxy passes connections on.
type Proxy struct {
	Addr string

	o        Options
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	all      sync.WaitGroup

	held atomic.Int64 // requests that are still to be delivered, once more or at all

	mu      sync.Mutex
	clients map[net.Conn]struct{}
}

// Listen starts a proxy on a free port of 127.0.0.1.
func Listen() (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Proxy{Addr: l.Addr().String(), listener: l, ctx: ctx, cancel: cancel, clients: map[net.Conn]struct{}{}}, nil
}

// Serve passes on what comes from now on.
func (p *Proxy) Serve(o Options) {
	p.o = o
	p.all.Go(func() {
		for {
			conn, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(conn) })
		}
	})
}

// CutAll cuts every client's connection.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.clients {
		_ = conn.Close()
	}
}

// Close ends the proxy; what is held is not delivered.
func (p *Proxy) Close() {
	p.cancel()
	_ = p.listener.Close()
	p.CutAll()
	p.all.Wait()
}

// sleep says whether it was not interrupted by Close.
func (p *Proxy) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// waiting is a request whose answer is to come.
type waiting struct {
	request *Request
	verdict Verdict
	began   time.Time
}

// link is a client's connection and the broker's that belongs to it.
type link struct {
	p       *Proxy
	client  net.Conn
	backend net.Conn
	answers chan waiting
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	p.clients[client] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.clients, client)
		p.mu.Unlock()
	}()
	backend, err := net.DialTimeout("tcp", p.o.Backend, dialTimeout)
	if err != nil {
		return
	}
	defer backend.Close()
	stop := context.AfterFunc(p.ctx, func() { _ = backend.Close() })
	defer stop()
	l := &link{p: p, client: client, backend: backend, answers: make(chan waiting, queued)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.passAnswers()
	}()
	l.passRequests()
	close(l.answers)
	_ = backend.SetReadDeadline(time.Now().Add(drain))
	<-done // only now the broker learns that the client has gone: what it had asked is done
}

// passRequests ends when the client's side is closed, by whomever.
func (l *link) passRequests() {
	for {
		frame, err := readFrame(l.client)
		if err != nil {
			return
		}
		r, err := parseRequest(frame)
		if err != nil {
			return
		}
		if l.p.o.Rewrite != nil && r.rewrite(l.p.o.Rewrite) != nil {
			return
		}
		w := waiting{r, l.p.o.Plan.decide(r.Key, r.Version), time.Now()}
		if w.verdict.Action != Pass {
			l.p.held.Add(1) // until it is logged
		}
		switch w.verdict.Action {
		case Pass, CutAfter:
		case CutBefore:
			l.p.log(w, "not delivered")
			return
		case Abandon:
			_ = l.client.Close()
			l.p.sleep(w.verdict.After)
		case Delay:
			l.p.sleep(w.verdict.After)
		case Replay:
			again := w
			l.p.all.Go(func() { l.p.replay(again) })
			w.verdict = Verdict{}
		}
		l.answers <- w
		if _, err := l.backend.Write(r.frame); err != nil {
			return
		}
	}
}

// passAnswers ends when the broker's side is closed, or has answered all that a closed client asked.
func (l *link) passAnswers() {
	defer l.client.Close()
	for w := range l.answers {
		frame, err := readFrame(l.backend)
		if err != nil {
			_ = l.client.Close()
			for l.lost(w); ; l.lost(w) {
				var more bool
				if w, more = <-l.answers; !more {
					return
				}
			}
		}
		if w.verdict.Action != Pass {
			l.p.log(w, outcome(w.request, frame))
		}
		if w.verdict.Action == CutAfter {
			_ = l.client.Close()
			continue
		}
		_, _ = l.client.Write(frame) // when the client is gone passRequests notices
	}
}

// lost is a request without an answer. One that its client gave up is kept for the broker's next life.
func (l *link) lost(w waiting) {
	if w.verdict.Action == Abandon {
		l.p.all.Go(func() { l.p.replay(w) })
		return
	}
	l.p.log(w, "no answer: the broker is gone")
}

// replay delivers a request once more, on a connection of its own.
func (p *Proxy) replay(w waiting) {
	p.sleep(w.verdict.After)
	conn, err := net.DialTimeout("tcp", p.o.Backend, dialTimeout)
	for deadline := time.Now().Add(redeliver); err != nil && time.Now().Before(deadline) && p.sleep(20*time.Millisecond); {
		conn, err = net.DialTimeout("tcp", p.o.Backend, dialTimeout)
	}
	if err != nil {
		p.log(w, "not delivered: the broker is gone")
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(p.ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(drain))
	if _, err := conn.Write(w.request.frame); err != nil {
		p.log(w, "not delivered: the broker is gone")
		return
	}
	frame, err := readFrame(conn)
	if err != nil {
		p.log(w, "no answer: the broker is gone")
		return
	}
	p.log(w, outcome(w.request, frame))
}

func (p *Proxy) log(w waiting, outcome string) {
	if w.verdict.Action == Pass {
		return
	}
	if p.o.Log != nil {
		p.o.Log(w.request, w.verdict, w.began, outcome)
	}
	p.held.Add(-1)
}

// Held is how many requests are still to be delivered, once more or at all.
func (p *Proxy) Held() int { return int(p.held.Load()) }
