package broker

import (
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestConnectionsOverTheAddressLimitAreRefused(t *testing.T) {
	h := serve(t, empty, func(_ *server, g *gate) { g.maxPerIP = func() int { return 2 } })
	a, b := h.dial(), h.dial()
	requireClosed(t, h.dial())
	require.NoError(t, a.Close())
	require.Eventually(t, func() bool { return h.srv.counts.Connections.Load() == 1 }, 5*time.Second, time.Millisecond)
	c := h.dial()
	for _, nc := range []net.Conn{b, c} {
		_, err := nc.Write(request(1, metadataRequest()))
		require.NoError(t, err)
		answerOf(t, nc)
	}
	require.Contains(t, h.log.String(), "max.connections.per.ip")
}

func TestConnectionsOverTheLimitWaitUntilOneEnds(t *testing.T) {
	h := serve(t, empty, func(_ *server, g *gate) { g.max = func() int { return 1 } })
	first, second := h.dial(), h.dial()
	_, err := second.Write(request(1, metadataRequest()))
	require.NoError(t, err)
	require.NoError(t, second.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = second.Read(make([]byte, 1))
	require.ErrorContains(t, err, "timeout")
	require.NoError(t, first.Close())
	require.NoError(t, second.SetReadDeadline(time.Now().Add(5*time.Second)))
	answerOf(t, second)
}

// descriptors raises the soft limit: 5,000 connections have two ends here.
func descriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Cur >= n {
		return
	}
	limit.Cur = min(n, limit.Max)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	require.GreaterOrEqual(t, limit.Cur, n, "the hard limit of open files is too low for this test")
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestFiveThousandConnectionsAreServedAndCostLittleWhenIdle(t *testing.T) {
	descriptors(t, 10_300)
	h := serve(t, empty, func(s *server, _ *gate) { s.limits.idle = time.Minute })
	const n = 5000
	before := memory()
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				nc, err := net.Dial("tcp", h.addr)
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = nc
			}
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
	defer func() {
		for _, nc := range conns {
			_ = nc.Close()
		}
	}()
	for i, nc := range conns {
		_, err := nc.Write(request(int32(i), metadataRequest()))
		require.NoError(t, err)
	}
	for i, nc := range conns {
		id, _ := answerOf(t, nc)
		require.EqualValues(t, i, id)
	}
	require.EqualValues(t, n, h.srv.counts.Connections.Load())
	each := (memory() - before) / n
	t.Logf("%d bytes of heap and stack per idle connection, both ends", each)
	require.Less(t, each, uint64(12<<10))
}

func TestConnectionsThatOnlyAnnounceHugeFramesCostNoMemoryAndHinderNobody(t *testing.T) {
	h := serve(t, empty)
	before := memory()
	for i := range 200 {
		nc := h.dial()
		b := []byte{0x05, 0xf5, 0xe1, 0x00} // 100,000,000
		if i%2 == 0 {
			b = append(b, 0, 0, 0, 9, 0, 0, 0, 1) // a Produce request
		}
		_, err := nc.Write(b)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return h.srv.counts.Connections.Load() == 200 }, 5*time.Second, time.Millisecond)
	start := time.Now()
	nc := h.dial()
	_, err := nc.Write(request(1, metadataRequest()))
	require.NoError(t, err)
	answerOf(t, nc)
	require.Less(t, time.Since(start), time.Second)
	require.Less(t, int64(memory()-before), int64(8<<20))
}

func TestRequestsOverTheBudgetWaitAndThenGoOn(t *testing.T) {
	b := &budget{limit: 10}
	ctx := context.Background()
	require.NoError(t, b.acquire(ctx, 8, time.Second))
	require.ErrorIs(t, b.acquire(ctx, 3, 10*time.Millisecond), errNoMemory)
	got := make(chan error, 2)
	go func() { got <- b.acquire(ctx, 9, 5*time.Second) }()
	require.Eventually(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.waiters) == 1 }, time.Second, time.Millisecond)
	require.ErrorIs(t, b.acquire(ctx, 1, 10*time.Millisecond), errNoMemory, "nobody overtakes")
	b.release(8)
	require.NoError(t, <-got)
	b.release(9)
	require.NoError(t, b.acquire(ctx, 1000, time.Second), "more than all is all")
	b.release(1000)
	require.Zero(t, b.used)
}

func TestLargeRequestsThatGetNoMemoryInTimeAreShedWithAReason(t *testing.T) {
	h := serve(t, empty, func(s *server, _ *gate) {
		s.budget.limit = 2 << 20
		s.limits.frame = 300 * time.Millisecond
	})
	require.NoError(t, h.srv.budget.acquire(context.Background(), 2<<20, time.Second))
	defer h.srv.budget.release(2 << 20)
	part := make([]byte, 100<<10)
	copy(part, []byte{0x00, 0x80, 0x00, 0x00, 0, 0, 0, 8}) // 8 MiB of Produce
	nc := h.dial()
	_, err := nc.Write(part)
	require.NoError(t, err)
	requireClosed(t, nc)
	require.Eventually(t, func() bool { return strings.Contains(h.log.String(), "queued.max.request.bytes") }, 5*time.Second, time.Millisecond)
}
