// Package badinput sends what no client should, and looks whether others are still served, within bounded memory,
// and whether the broker said so once in its log. These tests need a process of ours: memory and log are read
// from the outside.
package badinput

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/compat-tests/brokerproc"
)

// maxGrowth is how much resident memory one test may add: far below what the attacks ask for.
const maxGrowth = 64 << 20

// attack is a broker, its memory before, and a client that must go on being served.
type attack struct {
	t      *testing.T
	broker *brokerproc.Broker
	other  *kgo.Client
	rss    int64
	logLen int
}

func begin(t *testing.T) *attack {
	t.Helper()
	a := &attack{t: t, broker: brokerproc.Start(t)}
	other, err := kgo.NewClient(kgo.SeedBrokers(a.broker.Addr), kgo.DefaultProduceTopic("other"))
	require.NoError(t, err)
	t.Cleanup(other.Close)
	a.other = other
	_, err = kadm.NewClient(other).CreateTopic(t.Context(), 1, 1, nil, "other")
	require.NoError(t, err)
	a.serves()
	a.rss, _, err = a.broker.RSS()
	require.NoError(t, err)
	a.logLen = len(a.broker.Log())
	return a
}

// serves: another client's record is acknowledged within 5 s.
func (a *attack) serves() {
	a.t.Helper()
	done := make(chan error, 1)
	a.other.Produce(a.t.Context(), kgo.StringRecord("x"), func(_ *kgo.Record, err error) { done <- err })
	select {
	case err := <-done:
		require.NoError(a.t, err)
	case <-time.After(5 * time.Second):
		require.FailNow(a.t, "another client is not served")
	}
}

// logged are the lines that the broker wrote since the test began.
func (a *attack) logged() []string {
	return strings.FieldsFunc(a.broker.Log()[a.logLen:], func(r rune) bool { return r == '\n' })
}

// oneLine waits for exactly one new line in the log and returns it.
func (a *attack) oneLine() string {
	a.t.Helper()
	require.Eventually(a.t, func() bool { return len(a.logged()) > 0 }, 3*time.Second, 5*time.Millisecond, "nothing was logged")
	time.Sleep(30 * time.Millisecond) // for a second one
	lines := a.logged()
	require.Len(a.t, lines, 1, "want one line in the log:\n%s", strings.Join(lines, "\n"))
	a.logLen = len(a.broker.Log())
	return lines[0]
}

// boundedMemory: neither now nor at its peak has the broker taken more than maxGrowth.
func (a *attack) boundedMemory() {
	a.t.Helper()
	now, peak, err := a.broker.RSS()
	require.NoError(a.t, err)
	a.t.Logf("resident before %d MiB, now %d MiB, peak %d MiB", a.rss>>20, now>>20, peak>>20)
	require.Less(a.t, peak, a.rss+maxGrowth, "peak of resident memory")
}

func (a *attack) dial() net.Conn {
	a.t.Helper()
	conn, err := net.DialTimeout("tcp", a.broker.Addr, 5*time.Second)
	require.NoError(a.t, err)
	a.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(a.t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return conn
}

// closes sends bytes and wants the connection closed without an answer.
func (a *attack) closes(b []byte) {
	a.t.Helper()
	conn := a.dial()
	_, _ = conn.Write(b)
	rest, err := io.ReadAll(conn)
	require.Empty(a.t, rest, "an answer")
	if err != nil {
		require.ErrorIs(a.t, err, syscall.ECONNRESET, "the connection stayed open")
	}
}

func frame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

// request is a frame with a version 1 header.
func request(key, version int16, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 1, 0, 1, 'x')
	return frame(append(b, body...))
}

// TestBrokenFramesCloseTheirConnection: each closes, costs one line in the log and nobody else.
func TestBrokenFramesCloseTheirConnection(t *testing.T) {
	a := begin(t)
	for _, c := range []struct {
		name  string
		bytes []byte
	}{
		{"garbage", bytes.Repeat([]byte{0xa5, 0x5a, 0x13, 0x37}, 300)},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"TLS", append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 500)...)},
		{"2 GB frame", []byte{0x7f, 0xff, 0xff, 0xff, 0, 18, 0, 0}},
		{"negative frame", []byte{0xff, 0xff, 0xff, 0xff, 0, 18, 0, 0}},
		{"empty frame", []byte{0, 0, 0, 0}},
		{"unknown key", request(999, 0, 0, 0, 0, 0)},
		{"negative key", request(-5, 0, 0, 0, 0, 0)},
		{"too-new version", request(3, 99, 0, 0, 0, 0)},
		{"too-old version", request(0, 2, 0, 0, 0, 0)},
		{"truncated body", request(3, 1, 0, 0, 0, 9, 0, 3, 'a')},
		{"huge count", request(3, 1, 0x7f, 0xff, 0xff, 0xff)},
		{"tag bomb", frame([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})},
		{"header's tag bomb", frame([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f})},
		{"client id past the end", frame([]byte{0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff, 'x'})},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *a
			b.t = t
			b.logLen = len(a.broker.Log())
			start := time.Now()
			b.closes(c.bytes)
			require.Less(t, time.Since(start), 2*time.Second)
			b.oneLine()
			b.serves()
		})
	}
	a.boundedMemory()
}

// TestTruncatedFrameDoesNotHoldTheBroker: the rest of a frame never comes; the connection ends, or waits, alone.
func TestTruncatedFrameDoesNotHoldTheBroker(t *testing.T) {
	a := begin(t)
	whole := request(3, 1, 0xff, 0xff, 0xff, 0xff)
	for cut := 1; cut < len(whole); cut += 3 {
		conn := a.dial()
		_, err := conn.Write(whole[:cut])
		require.NoError(t, err)
		if cut%2 == 0 {
			require.NoError(t, conn.Close())
		}
	}
	a.serves()
	a.boundedMemory()
}

// zstdBomb is a zstd stream of some bytes and then n zeros: some kB a GB.
func zstdBomb(t *testing.T, start []byte, n int) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedFastest))
	require.NoError(t, err)
	_, err = w.Write(start)
	require.NoError(t, err)
	zeros := make([]byte, 1<<20)
	for range n >> 20 {
		_, err := w.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// batch is a v2 batch of these record bytes, which may be compressed.
func batch(attributes int16, count int32, records []byte) []byte {
	b := make([]byte, 8, 61+len(records))
	b = binary.BigEndian.AppendUint32(b, uint32(49+len(records)))
	b = append(b, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(attributes))
	b = binary.BigEndian.AppendUint32(b, uint32(count-1))
	b = binary.BigEndian.AppendUint64(b, 1_700_000_000_000)
	b = binary.BigEndian.AppendUint64(b, 1_700_000_000_000)
	b = append(b, bytes.Repeat([]byte{0xff}, 14)...)
	b = binary.BigEndian.AppendUint32(b, uint32(count))
	b = append(b, records...)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// produce sends a record set to partition 0 of a topic and returns the error code of the answer.
func (a *attack) produce(topic string, set []byte) *kerr.Error {
	a.t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = set
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, p)
	req.Topics = append(req.Topics, rt)
	req.SetVersion(9)
	conn := a.dial()
	_, err := conn.Write(frame(req.AppendTo([]byte{0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0})))
	require.NoError(a.t, err)
	var size [4]byte
	_, err = io.ReadFull(conn, size[:])
	require.NoError(a.t, err)
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(conn, body)
	require.NoError(a.t, err)
	resp := kmsg.NewPtrProduceResponse()
	resp.SetVersion(9)
	require.NoError(a.t, resp.ReadFrom(body[5:]))
	return kerr.TypedErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// record is one encoded record of n bytes of value.
func record(n int) []byte {
	r := kmsg.Record{Value: make([]byte, n)}
	r.Length = int32(len(r.AppendTo(nil)) - 1)
	return r.AppendTo(nil)
}

func TestBadBatchesAreRefusedWithTheirError(t *testing.T) {
	a := begin(t)
	wrongCRC := batch(0, 1, record(10))
	wrongCRC[17]++
	for _, c := range []struct {
		name  string
		set   []byte
		topic string
		want  *kerr.Error
	}{
		{"wrong CRC", wrongCRC, "other", kerr.CorruptMessage},
		{"oversized", batch(0, 1, record(2_000_000)), "other", kerr.MessageTooLarge},
		{"garbage", bytes.Repeat([]byte("garbage!"), 20), "other", nil},
		{"invalid topic name", batch(0, 1, record(10)), "no good name", kerr.UnknownTopicOrPartition},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *a
			b.t = t
			b.logLen = len(a.broker.Log())
			got := b.produce(c.topic, c.set)
			require.NotNil(t, got, "the batch was taken")
			if c.want != nil {
				require.Equal(t, c.want.Message, got.Message)
			}
			b.serves()
		})
	}
	a.boundedMemory()
}

// TestZstdBombTakesNoMemory: 1 GB out of some 100 kB, as zeros that are no records and as one whole record, to a
// topic that keeps batches as they come and to one that makes the broker compress them anew.
func TestZstdBombTakesNoMemory(t *testing.T) {
	a := begin(t)
	const size = 1 << 30
	recompressed := "gzip"
	_, err := kadm.NewClient(a.other).CreateTopic(t.Context(), 1, 1, map[string]*string{"compression.type": &recompressed}, "gzipped")
	require.NoError(t, err)
	body := []byte{0, 0, 0, 1} // attributes, deltas, null key
	body = binary.AppendVarint(body, size)
	whole := binary.AppendVarint(nil, int64(len(body)+size+1)) // with the count of headers, which is a zero too
	for _, c := range []struct {
		name, topic string
		start       []byte
		zeros       int
		mayKeep     bool
	}{
		{"zeros, kept", "other", nil, size, false},
		{"zeros, recompressed", "gzipped", nil, size, false},
		{"a record, kept", "other", append(whole, body...), size + 1<<20, true},
		{"a record, recompressed", "gzipped", append(whole, body...), size + 1<<20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *a
			b.t = t
			bomb := zstdBomb(t, c.start, c.zeros)
			require.Less(t, len(bomb), 1<<20)
			start := time.Now()
			got := b.produce(c.topic, batch(4, 1, bomb))
			t.Logf("%v after %s", got, time.Since(start))
			if !c.mayKeep {
				require.NotNil(t, got, "the bomb was taken")
			}
			require.Less(t, time.Since(start), 5*time.Second)
			b.serves()
		})
	}
	a.boundedMemory()
}

// TestAnnouncedFramesAreNotAllocated: 200 connections announce 100 MB each and send nothing. Kafka allocates them
// all and stops serving.
func TestAnnouncedFramesAreNotAllocated(t *testing.T) {
	a := begin(t)
	for i := range 200 {
		conn := a.dial()
		announce := []byte{0x05, 0xf5, 0xe1, 0x00}
		if i%2 == 0 { // half of them go on to a Produce header
			announce = append(announce, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, 'x', 0)
		}
		_, _ = conn.Write(announce)
	}
	for range 20 {
		a.serves()
		time.Sleep(20 * time.Millisecond)
	}
	a.boundedMemory()
}

// TestManyConnectionsAreServedOrRefused: 5,000 connections, each of which asks for ApiVersions. Each is answered or
// closed; after them others are served.
func TestManyConnectionsAreServedOrRefused(t *testing.T) {
	const connections = 5000
	raiseFileLimit(t, connections+500)
	a := begin(t)
	conns := make(chan net.Conn, connections)
	var wg sync.WaitGroup
	var mu sync.Mutex
	answered, closed := 0, 0
	for worker := range 50 {
		wg.Go(func() {
			for range connections / 50 {
				conn, err := net.DialTimeout("tcp", a.broker.Addr, 10*time.Second)
				if err != nil {
					t.Errorf("worker %d: %v", worker, err)
					return
				}
				conns <- conn
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				_, _ = conn.Write(request(18, 0))
				_, err = io.ReadFull(conn, make([]byte, 10))
				mu.Lock()
				if err == nil {
					answered++
				} else {
					closed++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d answered, %d closed", answered, closed)
	require.Equal(t, connections, answered, "the default limits of a broker let 5,000 in")
	a.serves()
	now, peak, err := a.broker.RSS()
	require.NoError(t, err)
	t.Logf("resident before %d MiB, with %d connections %d MiB, peak %d MiB", a.rss>>20, connections, now>>20, peak>>20)
	require.Less(t, peak, a.rss+int64(256<<20))
	close(conns)
	for conn := range conns {
		_ = conn.Close()
	}
	a.serves()
}

func raiseFileLimit(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur < n {
		limit.Cur = n
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit), fmt.Sprintf("this test needs %d open files", n))
	}
}
