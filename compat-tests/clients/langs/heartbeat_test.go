//go:build langs

package langs

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/compat-tests/brokerproc"
)

// A pacer stands between a client and the broker and writes its own heartbeat interval into the answers to
// ConsumerGroupHeartbeat. It notes when heartbeats come.
type pacer struct {
	listener net.Listener
	broker   string

	mu       sync.Mutex
	interval time.Duration
	beats    []time.Time
}

const heartbeatKey = 68

// newPacer listens before its broker runs, as the broker must advertise it.
func newPacer(t *testing.T) *pacer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &pacer{listener: l, interval: 300 * time.Millisecond}
	t.Cleanup(func() { _ = l.Close() })
	return p
}

func (p *pacer) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", p.broker)
		if err != nil {
			_ = client.Close()
			continue
		}
		var versions sync.Map // of heartbeats under way, by correlation id
		go p.pipe(client, broker, func(frame []byte) []byte {
			if binary.BigEndian.Uint16(frame) == heartbeatKey {
				versions.Store(binary.BigEndian.Uint32(frame[4:]), int16(binary.BigEndian.Uint16(frame[2:])))
				p.mu.Lock()
				p.beats = append(p.beats, time.Now())
				p.mu.Unlock()
			}
			return frame
		})
		go p.pipe(broker, client, func(frame []byte) []byte {
			version, ok := versions.LoadAndDelete(binary.BigEndian.Uint32(frame))
			if !ok {
				return frame
			}
			return p.rewrite(frame, version.(int16))
		})
	}
}

// rewrite replaces the interval of an answer: correlation id, empty tags, body.
func (p *pacer) rewrite(frame []byte, version int16) []byte {
	answer := kmsg.NewConsumerGroupHeartbeatResponse()
	answer.Version = version
	if answer.ReadFrom(frame[5:]) != nil {
		return frame
	}
	p.mu.Lock()
	answer.HeartbeatIntervalMillis = int32(p.interval.Milliseconds())
	p.mu.Unlock()
	return answer.AppendTo(frame[:5:5])
}

// pipe passes frames on until an end closes.
func (p *pacer) pipe(from, to net.Conn, change func([]byte) []byte) {
	defer from.Close()
	defer to.Close()
	var size [4]byte
	for {
		if _, err := io.ReadFull(from, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(from, frame); err != nil {
			return
		}
		frame = change(frame)
		if _, err := to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
			return
		}
	}
}

// pace sets the interval, and returns the mean time between heartbeats when the client has had one answer with it.
func (p *pacer) pace(interval time.Duration, beats int) time.Duration {
	p.mu.Lock()
	p.interval = interval
	from := len(p.beats) + 2 // one is due by the interval before
	p.mu.Unlock()
	for until := time.Now().Add(within); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		p.mu.Lock()
		n := len(p.beats)
		p.mu.Unlock()
		if n > from+beats {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.beats) <= from+beats {
		return within
	}
	return p.beats[from+beats].Sub(p.beats[from]) / time.Duration(beats)
}

// TestClientsFollowTheHeartbeatInterval: the interval that each answer carries is the time to the next heartbeat, up
// and down, so that a broker can ask for more of them while a group reconciles.
func TestClientsFollowTheHeartbeatInterval(t *testing.T) {
	t.Parallel()
	clients := map[string]func(t *testing.T, addr, topic string){
		"franz-go": func(t *testing.T, addr, topic string) {
			cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(topic), kgo.ServerSideBalancer())
			require.NoError(t, err)
			t.Cleanup(cl.Close)
			go func() {
				for !cl.PollFetches(t.Context()).IsClientClosed() && t.Context().Err() == nil {
					continue
				}
			}()
		},
	}
	for _, c := range []client{java, confluent} {
		clients[c.name] = func(t *testing.T, addr, topic string) {
			c.play(t, c.name, "member", "bootstrap="+addr, "topic="+topic, "group="+topic, "protocol=consumer")
		}
	}
	for name, join := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPacer(t)
			b := brokerproc.Start(t, append(properties, "advertised.listeners=PLAINTEXT://"+p.listener.Addr().String())...)
			p.broker = b.Addr
			go p.serve()
			addr := p.listener.Addr().String()
			join(t, addr, topic(t, franz(t, addr), 3))
			for _, interval := range []time.Duration{200 * time.Millisecond, time.Second, 300 * time.Millisecond} {
				got := p.pace(interval, 3)
				t.Logf("asked for %v, got %v", interval, got.Round(time.Millisecond))
				require.InDelta(t, interval.Seconds(), got.Seconds(), interval.Seconds()/2)
			}
		})
	}
}
