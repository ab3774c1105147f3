package txncheck

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// life is the network of one client: killed, it neither sends nor hears anything any more, as a process that ended.
type life struct {
	mu    sync.Mutex
	conns []net.Conn
	dead  bool
}

func (l *life) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	dead := l.dead
	l.mu.Unlock()
	if dead {
		return nil, errKilled
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		_ = conn.Close()
		return nil, errKilled
	}
	l.conns = append(l.conns, conn)
	return conn, nil
}

func (l *life) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for _, conn := range l.conns {
		_ = conn.Close()
	}
}

// clientOptions are those of all clients: impatient, so that much is given up and tried again.
func clientOptions(addr string, l *life) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(addr), kgo.Dialer(l.dial), kgo.MetadataMinAge(10 * time.Millisecond), kgo.MetadataMaxAge(5 * time.Second),
		kgo.RequestTimeoutOverhead(time.Second), kgo.RetryBackoffFn(func(n int) time.Duration { return min(time.Duration(n)*10*time.Millisecond, 200*time.Millisecond) }),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProduceRequestTimeout(time.Second), kgo.DisableClientMetrics(),
		kgo.FetchMaxWait(100 * time.Millisecond),
	}
}

// versionOne keeps a client to the protocol before KIP-890.
func versionOne() kgo.Opt {
	v := kversion.Stable()
	v.SetMaxKeyVersion(0, 11)
	v.SetMaxKeyVersion(26, 4)
	v.SetMaxKeyVersion(28, 4)
	return kgo.MaxVersions(v)
}

// sleep says whether ctx did not end meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
