package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// acceptPause is the wait after a failed accept (no descriptors left): the peers stay in the backlog.
const acceptPause = 50 * time.Millisecond

// gate bounds the open connections of all listeners, in all and per address.
type gate struct {
	max, maxPerIP func() int // read at each accept: both are dynamic configs

	mu    sync.Mutex
	open  int
	perIP map[string]int
	left  chan struct{} // one token whenever a connection ended
}

func newGate(maxAll, maxPerIP func() int) *gate {
	return &gate{max: maxAll, maxPerIP: maxPerIP, perIP: map[string]int{}, left: make(chan struct{}, 1)}
}

// enter counts a connection in. Over the whole limit it waits, as Kafka does (nothing more is accepted
// meanwhile); over the address's limit it refuses at once.
func (g *gate) enter(ctx context.Context, ip string) bool {
	for {
		g.mu.Lock()
		if g.perIP[ip] >= g.maxPerIP() {
			g.mu.Unlock()
			return false
		}
		if g.open < g.max() {
			g.open++
			g.perIP[ip]++
			full := g.open >= g.max()
			g.mu.Unlock()
			if !full {
				g.wake() // another listener may wait too
			}
			return true
		}
		g.mu.Unlock()
		select {
		case <-g.left:
		case <-time.After(time.Second): // the limit may have been raised
		case <-ctx.Done():
			return false
		}
	}
}

func (g *gate) leave(ip string) {
	g.mu.Lock()
	g.open--
	if g.perIP[ip]--; g.perIP[ip] <= 0 {
		delete(g.perIP, ip)
	}
	g.mu.Unlock()
	g.wake()
}

func (g *gate) wake() {
	select {
	case g.left <- struct{}{}:
	default:
	}
}

// listener accepts connections of one name and runs them.
type listener struct {
	name string
	ln   net.Listener
	srv  *server
	gate *gate
	log  *slog.Logger

	ctx    context.Context //nolint:containedctx // the accept loop's life
	cancel context.CancelFunc
	loop   sync.WaitGroup

	mu      sync.Mutex
	conns   map[*conn]struct{}
	closing bool
	running sync.WaitGroup // connections
}

func newListener(name string, ln net.Listener, srv *server, g *gate) *listener {
	l := &listener{name: name, ln: ln, srv: srv, gate: g, log: srv.log.With("listener", name), conns: map[*conn]struct{}{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// start begins to accept.
func (l *listener) start() { l.loop.Go(l.accept) }

func (l *listener) accept() {
	for {
		nc, err := l.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed), l.ctx.Err() != nil:
			return
		case err != nil:
			l.log.Warn("accept failed", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-l.ctx.Done():
				return
			}
			continue
		}
		l.admit(nc)
	}
}

func (l *listener) admit(nc net.Conn) {
	ip, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		ip = nc.RemoteAddr().String()
	}
	if !l.gate.enter(l.ctx, ip) {
		l.srv.counts.Refused.Add(1)
		l.log.Warn("connection refused: max.connections.per.ip", "remote", nc.RemoteAddr().String())
		_ = nc.Close()
		return
	}
	c := newConn(context.Background(), l.srv, l.name, nc)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		l.gate.leave(ip)
		_ = nc.Close()
		return
	}
	l.conns[c] = struct{}{}
	l.srv.counts.Accepted.Add(1)
	l.srv.counts.Connections.Add(1)
	l.running.Go(func() {
		c.run()
		l.srv.counts.Connections.Add(-1)
		l.gate.leave(ip)
		l.mu.Lock()
		delete(l.conns, c)
		l.mu.Unlock()
	})
}

// stopAccepting closes the socket; open connections go on.
func (l *listener) stopAccepting() {
	l.cancel()
	_ = l.ln.Close()
	l.loop.Wait()
}

// close ends the connections: each answers what is in work until ctx ends, then it is cut.
func (l *listener) close(ctx context.Context) {
	l.stopAccepting()
	l.mu.Lock()
	l.closing = true
	for c := range l.conns {
		c.stop()
	}
	l.mu.Unlock()
	done := make(chan struct{})
	go func() {
		l.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	l.mu.Lock()
	for c := range l.conns {
		c.fail(errClosed)
	}
	l.mu.Unlock()
	<-done
}
