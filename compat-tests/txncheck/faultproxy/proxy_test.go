package faultproxy

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fake is a broker that answers EndTxn and notes what it got.
type fake struct {
	l   net.Listener
	mu  sync.Mutex
	got []string
}

func newFake(t *testing.T) *fake {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &fake{l: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return f
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	for {
		frame, err := readFrame(conn)
		if err != nil {
			return
		}
		r, err := parseRequest(frame)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.got = append(f.got, r.String())
		f.mu.Unlock()
		body := (&kmsg.EndTxnResponse{Version: 5, ErrorCode: 90}).AppendTo([]byte{0})
		answer := binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))
		_, _ = conn.Write(append(append(answer, frame[8:12]...), body...))
	}
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.got...)
}

// end is the frame of an EndTxn.
func end(id string) []byte {
	req := &kmsg.EndTxnRequest{Version: 5, TransactionalID: id, ProducerID: 7, ProducerEpoch: 1, Commit: true}
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, 42)
}

func text(id string) string { return "EndTxn v5 " + id + " producer=7/1 commit=true" }

type logged struct {
	mu   sync.Mutex
	done []string
}

func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.done...)
}

func start(t *testing.T, rule Rule, rewrite func(kmsg.Request) bool) (*fake, *Proxy, *Plan, *logged) {
	f := newFake(t)
	p, err := Listen()
	require.NoError(t, err)
	t.Cleanup(p.Close)
	rule.Key = kmsg.EndTxn
	plan, l := NewPlan(1, 200*time.Millisecond, rule), &logged{}
	plan.Switch(true)
	p.Serve(Options{Backend: f.l.Addr().String(), Plan: plan, Rewrite: rewrite, Log: func(r *Request, v Verdict, _ time.Time, outcome string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.done = append(l.done, v.Action.String()+" "+r.String()+": "+outcome)
	}})
	return f, p, plan, l
}

// ask sends a request on a connection of its own; the error is that of the answer.
func ask(t *testing.T, p *Proxy, id string) error {
	conn, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = conn.Write(end(id))
	require.NoError(t, err)
	frame, err := readFrame(conn)
	if err == nil {
		require.EqualValues(t, 42, binary.BigEndian.Uint32(frame[4:]))
	}
	return err
}

func eventually(t *testing.T, want []string, get func() []string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(get()) >= len(want) }, 5*time.Second, 5*time.Millisecond, "%v", get())
	require.Equal(t, want, get())
}

func TestRequestsPass(t *testing.T) {
	f, p, _, _ := start(t, Rule{Min: 6, CutBefore: 1}, nil) // a rule of other versions
	require.NoError(t, ask(t, p, "a"))
	require.NoError(t, ask(t, p, "b"))
	require.Equal(t, []string{text("a"), text("b")}, f.requests())
}

func TestAbandonedRequestComesAfterLaterOnes(t *testing.T) {
	f, p, plan, l := start(t, Rule{Abandon: 1}, nil)
	require.ErrorIs(t, ask(t, p, "late"), io.EOF)
	plan.Switch(false)
	require.NoError(t, ask(t, p, "next"))
	eventually(t, []string{text("next"), text("late")}, f.requests)
	eventually(t, []string{"abandon " + text("late") + ": PRODUCER_FENCED"}, l.all)
	require.Zero(t, p.Held())
}

func TestAbandonedRequestIsKeptForTheNextBroker(t *testing.T) {
	f, p, plan, l := start(t, Rule{Abandon: 1}, nil)
	conn, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write(end("late"))
	require.NoError(t, err)
	_, err = readFrame(conn)
	require.Error(t, err)
	plan.Switch(false)
	eventually(t, []string{text("late")}, f.requests) // the fake lives, so this is the plain way; the other one is lost
	p.held.Add(1)
	p.all.Go(func() {
		(&link{p: p}).lost(waiting{&Request{Key: 26, Version: 5, frame: end("lost")}, Verdict{Action: Abandon}, time.Now()})
	})
	eventually(t, []string{text("late"), text("lost")}, f.requests)
	require.Eventually(t, func() bool { return p.Held() == 0 }, 5*time.Second, time.Millisecond, "%v", l.all())
}

func TestReplayedRequestComesTwice(t *testing.T) {
	f, p, _, l := start(t, Rule{Replay: 1}, nil)
	require.NoError(t, ask(t, p, "twice"))
	eventually(t, []string{text("twice"), text("twice")}, f.requests)
	eventually(t, []string{"replay " + text("twice") + ": PRODUCER_FENCED"}, l.all)
}

func TestDelayedRequestIsDeliveredWhenTheClientHasGone(t *testing.T) {
	f, p, _, _ := start(t, Rule{Delay: 1}, nil)
	conn, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	_, err = conn.Write(end("gone"))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	eventually(t, []string{text("gone")}, f.requests)
	require.NoError(t, ask(t, p, "there")) // and is answered to one who waits
}

func TestConnectionIsCutBeforeTheRequest(t *testing.T) {
	f, p, plan, _ := start(t, Rule{CutBefore: 1}, nil)
	require.ErrorIs(t, ask(t, p, "never"), io.EOF)
	plan.Switch(false)
	require.NoError(t, ask(t, p, "next"))
	require.Equal(t, []string{text("next")}, f.requests())
}

func TestConnectionIsCutBeforeTheAnswer(t *testing.T) {
	f, p, _, _ := start(t, Rule{CutAfter: 1}, nil)
	require.ErrorIs(t, ask(t, p, "unanswered"), io.EOF)
	require.Equal(t, []string{text("unanswered")}, f.requests())
}

func TestRequestIsChanged(t *testing.T) {
	f, p, _, _ := start(t, Rule{}, func(r kmsg.Request) bool {
		req, ok := r.(*kmsg.EndTxnRequest)
		if ok {
			req.TransactionalID += "-changed"
		}
		return ok
	})
	require.NoError(t, ask(t, p, "a"))
	require.Equal(t, []string{text("a-changed")}, f.requests())
}

func TestClosedProxyEndsConnections(t *testing.T) {
	_, p, _, _ := start(t, Rule{}, nil)
	conn, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write(end("a"))
	require.NoError(t, err)
	_, err = readFrame(conn)
	require.NoError(t, err)
	p.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = readFrame(conn)
	require.True(t, err != nil && !errors.Is(err, net.ErrClosed), "%v", err)
}
