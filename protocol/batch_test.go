package protocol

import (
	"context"
	"encoding/hex"
	"math"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func buildBatch(t testing.TB, o BuilderOptions, values ...string) Batch {
	t.Helper()
	var b Builder
	b.Reset(o)
	for i, v := range values {
		b.Append(1000+int64(i), []byte("k"), []byte(v), []RecordHeader{{"h", []byte("x")}, {"null", nil}})
	}
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	return out
}

func TestBatchFieldsAreThoseThatKmsgEncodes(t *testing.T) {
	k := kmsg.RecordBatch{
		FirstOffset: 42, PartitionLeaderEpoch: 7, Magic: 2, Attributes: 0x30, LastOffsetDelta: 3,
		FirstTimestamp: 100, MaxTimestamp: 200, ProducerID: 9, ProducerEpoch: 5, FirstSequence: math.MaxInt32 - 1,
		NumRecords: 4, Records: []byte("abc"),
	}
	k.Length = int32(BatchHeaderSize - LogOverhead + 3)
	b, rest, err := NextBatch(append(k.AppendTo(nil), 1, 2))
	require.NoError(t, err)
	require.Equal(t, []byte{1, 2}, rest)
	require.Equal(t, int64(42), b.BaseOffset())
	require.Equal(t, int64(45), b.LastOffset())
	require.Equal(t, int64(46), b.NextOffset())
	require.Equal(t, int32(7), b.LeaderEpoch())
	require.Equal(t, int64(100), b.BaseTimestamp())
	require.Equal(t, int64(200), b.MaxTimestamp())
	require.Equal(t, int64(9), b.ProducerID())
	require.Equal(t, int16(5), b.ProducerEpoch())
	require.Equal(t, int32(math.MaxInt32-1), b.BaseSequence())
	require.Equal(t, int32(1), b.LastSequence(), "MaxInt32-1, MaxInt32, 0, 1")
	require.Equal(t, int32(4), b.Count())
	require.True(t, b.IsControl())
	require.True(t, b.IsTransactional())
	require.False(t, b.IsLogAppendTime())
	require.Equal(t, []byte("abc"), b.Body())
	require.False(t, b.CheckCRC())
	b.SetCRC()
	require.True(t, b.CheckCRC())
}

func TestSettersKeepTheChecksumRight(t *testing.T) {
	b := buildBatch(t, NoProducer(), "v")
	b.SetBaseOffset(77)
	b.SetLeaderEpoch(3)
	require.True(t, b.CheckCRC(), "outside the checksum")
	b.SetMaxTimestamp(true, 5000)
	require.True(t, b.CheckCRC())
	require.True(t, b.IsLogAppendTime())
	require.Equal(t, int64(5000), b.MaxTimestamp())
	b.SetMaxTimestamp(false, 6000)
	require.True(t, b.CheckCRC())
	require.False(t, b.IsLogAppendTime())
}

func TestFramingRefusesWhatKafkaRefuses(t *testing.T) {
	good := buildBatch(t, NoProducer(), "v")
	for cut := range len(good) {
		_, _, err := NextBatch(good[:cut])
		require.ErrorIs(t, err, ErrShortBatch, "cut at %d", cut)
		require.ErrorIs(t, err, ErrCorrupt)
	}
	for name, change := range map[string]func(Batch){
		"length below a v0 message": func(b Batch) { copy(b[lengthAt:], []byte{0, 0, 0, 13}) },
		"negative length":           func(b Batch) { b[lengthAt] = 0xff },
		"length below the header":   func(b Batch) { copy(b[lengthAt:], []byte{0, 0, 0, 48}) },
		"magic 1":                   func(b Batch) { b[magicAt] = 1 },
		"magic 3":                   func(b Batch) { b[magicAt] = 3 },
	} {
		b := append(Batch(nil), good...)
		change(b)
		_, _, err := NextBatch(b)
		require.ErrorIs(t, err, ErrCorrupt, name)
		require.NotErrorIs(t, err, ErrShortBatch, name)
	}
}

func TestMarkerIsKafkas78Bytes(t *testing.T) {
	b := Batch(AppendMarker(nil, 1234, 5, Marker{Commit: true, CoordinatorEpoch: 9}, 1000))
	require.Len(t, b, 78)
	require.Equal(t, int16(0x30), b.Attributes())
	require.Equal(t, NoSequence, b.BaseSequence())
	// length 16, attributes 0, deltas 0 0, key of 4, value of 6, no headers (observed.md, log-format.md 3.1)
	require.Equal(t, "20000000"+"08"+"00000001"+"0c"+"000000000009"+"00", hex.EncodeToString(b.Body()))
	m, ok, err := MarkerOf(b)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, Marker{true, 9}, m)

	abort, _, err := MarkerOf(AppendMarker(nil, 1, 0, Marker{CoordinatorEpoch: 2}, 0))
	require.NoError(t, err)
	require.Equal(t, Marker{false, 2}, abort)
}

func TestRaftControlBatchHasNoProducer(t *testing.T) {
	b := Batch(AppendControl(nil, 10, 3, 99, ControlRecord{ControlLeaderChange, []byte("abc")}))
	require.True(t, b.IsControl())
	require.False(t, b.IsTransactional())
	require.Equal(t, NoProducerID, b.ProducerID())
	require.Equal(t, int64(10), b.BaseOffset())
	require.True(t, b.CheckCRC())
	_, ok, err := MarkerOf(b)
	require.NoError(t, err)
	require.False(t, ok, "a leader change ends no transaction")
}

type flat struct {
	ts         int64
	delta      int32
	key, value string
	headers    int
}

func collect(t testing.TB, b Batch) []flat {
	t.Helper()
	it := b.Iterate()
	defer it.Close()
	var r Record
	var out []flat
	for it.Next(&r) {
		out = append(out, flat{b.BaseTimestamp() + r.TimestampDelta, r.OffsetDelta, string(r.Key), string(r.Value), len(r.Headers(nil))})
	}
	require.NoError(t, it.Err())
	return out
}

func TestEveryCodecRoundTrips(t *testing.T) {
	big := strings.Repeat("0123456789", 20_000) // larger than a stream's buffer
	want := []flat{{1000, 0, "k", "a", 2}, {1001, 1, "k", big, 2}, {1002, 2, "k", "", 2}}
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		o := NoProducer()
		o.Codec = codec
		b := buildBatch(t, o, "a", big, "")
		require.True(t, b.CheckCRC())
		require.Equal(t, codec, b.Codec())
		require.Equal(t, want, collect(t, b), codec.String())
		require.Equal(t, want, collect(t, b), "again, with a pooled decoder: %s", codec)
	}
}

func TestIteratingDoesNotAllocatePerRecord(t *testing.T) {
	values := make([]string, 200)
	// A decoder may cost a few, also because the race detector makes pools forget.
	for codec, limit := range map[Codec]float64{CodecNone: 0, CodecGzip: 50, CodecSnappy: 50, CodecLz4: 50, CodecZstd: 50} {
		o := NoProducer()
		o.Codec = codec
		b := buildBatch(t, o, values...)
		allocs := testing.AllocsPerRun(50, func() {
			it := b.Iterate()
			var r Record
			for it.Next(&r) {
			}
			it.Close()
		})
		require.LessOrEqual(t, allocs, limit, codec.String())
	}
}

// oneConn hands a client one end of a pipe.
func captureProduce(t *testing.T) (addr string, requests chan *kmsg.ProduceRequest) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	requests = make(chan *kmsg.ProduceRequest, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveProduce(c, l.Addr().(*net.TCPAddr).Port, requests)
		}
	}()
	return l.Addr().String(), requests
}
