package protocol

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// header is what a client sends: kmsg's formatter is the second witness.
func header(req kmsg.Request, correlationID int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("client")).AppendRequest(nil, req, correlationID)[4:]
}

func TestHeadersOfEveryRequestAreRead(t *testing.T) {
	everyRequest(func(api *requestLayouts, req kmsg.Request) {
		body := req.AppendTo(nil)
		h, rest, err := ParseHeader(header(req, 77))
		require.NoError(t, err)
		require.Equal(t, Header{req.Key(), req.GetVersion(), 77, "client"}, h, "%s", api.name)
		require.Equal(t, len(body), len(rest), "%s v%d", api.name, req.GetVersion())

		want := []byte{0, 0, 0, 77}
		if req.IsFlexible() && req.Key() != 18 {
			want = append(want, 0)
		}
		require.Equal(t, want, AppendResponseHeader(nil, h))
	})
}

func TestHeaderDetails(t *testing.T) {
	classic := []byte{0, 3, 0, 8, 0, 0, 0, 1, 0xff, 0xff, 9}
	h, body, err := ParseHeader(classic)
	require.NoError(t, err)
	require.Equal(t, Header{Key: 3, Version: 8, CorrelationID: 1}, h, "a null client id")
	require.Equal(t, []byte{9}, body)

	flexible := []byte{0, 3, 0, 9, 0xff, 0xff, 0xff, 0xff, 0, 1, 'c', 1, 5, 2, 0xaa, 0xbb, 9}
	h, body, err = ParseHeader(flexible)
	require.NoError(t, err, "unknown tags are skipped")
	require.Equal(t, Header{3, 9, -1, "c"}, h)
	require.Equal(t, []byte{9}, body)

	for n := range len(flexible) - 1 {
		_, _, err := ParseHeader(flexible[:n])
		require.ErrorIs(t, err, ErrBadHeader, "cut to %d", n)
	}
	bomb := append([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0x0f)
	_, _, err = ParseHeader(bomb)
	require.EqualError(t, err, "bad request header: tags: too many tags (4294967295, limit 64)")
	_, _, err = ParseHeader([]byte{0, 3, 0, 0, 0, 0, 0, 1, 0x7f, 0xff, 'x'})
	require.ErrorIs(t, err, ErrBadHeader)
}

func TestHeaderOfUnknownAPIOrVersion(t *testing.T) {
	frame := func(key, version int16) []byte {
		b := binary.BigEndian.AppendUint16(nil, uint16(key))
		b = binary.BigEndian.AppendUint16(b, uint16(version))
		return append(b, 0, 0, 0, 5, 0, 0, 0, 0)
	}
	for _, key := range []int16{-1, 4, 7, 95, math.MaxInt16} {
		_, _, err := ParseHeader(frame(key, 0))
		require.ErrorIs(t, err, ErrUnknownAPI)
	}
	_, _, err := ParseHeader(frame(1, 19))
	var version *UnsupportedVersionError
	require.ErrorAs(t, err, &version)
	require.Equal(t, UnsupportedVersionError{Key: 1, Version: 19, Min: 4, Max: 18}, *version)

	for _, v := range []int16{-1, 6, 99} {
		h, _, err := ParseHeader(frame(18, v))
		require.NoError(t, err, "ApiVersions of an unknown version is answered")
		require.Equal(t, Header{Key: 18, Version: v, CorrelationID: 5}, h)
		require.Equal(t, []byte{0, 0, 0, 5}, AppendResponseHeader(nil, h))
	}
}

func TestSameClientIDIsNotAllocatedAgain(t *testing.T) {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(12)
	frame := header(req, 1)
	previous, _, err := ParseHeader(frame)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		h, _, err := ParseHeaderReusing(frame, previous.ClientID)
		if err != nil || h.ClientID != "client" {
			t.Fatal(h, err)
		}
	}))
	h, _, err := ParseHeaderReusing(frame, "another")
	require.NoError(t, err)
	require.Equal(t, "client", h.ClientID)
}

func TestFrameSizes(t *testing.T) {
	for size, ok := range map[int32]bool{0: true, 10: true, 100: true, 101: false, -1: false, math.MaxInt32: false, math.MinInt32: false} {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(size))
		n, err := ParseFrameSize(b, 100)
		if !ok {
			require.ErrorIs(t, err, ErrFrameSize)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, size, n)
	}
	require.EqualValues(t, 100<<20, MaxFrameBytes(0, 1<<20))
	require.EqualValues(t, 201<<20, MaxFrameBytes(0, 200<<20), "one batch of message.max.bytes must fit")
	require.EqualValues(t, math.MaxInt32, MaxFrameBytes(0, math.MaxInt32))
	require.EqualValues(t, 8<<20, MaxFrameBytes(1, 1<<20))
	require.EqualValues(t, 1<<20, MaxFrameBytes(18, 1<<20), "ApiVersions has two strings")
	require.EqualValues(t, 1<<20, MaxFrameBytes(-5, 1<<20))
}

func FuzzParseHeader(f *testing.F) {
	everyRequest(func(_ *requestLayouts, req kmsg.Request) { f.Add(header(req, 1)) })
	f.Add(append([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0x0f))
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseHeader(frame)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(body)+10+len(h.ClientID), len(frame))
		require.Equal(t, frame[len(frame)-len(body):], body)
		require.Equal(t, byte(h.CorrelationID), AppendResponseHeader(nil, h)[3])
	})
}

func FuzzFrame(f *testing.F) {
	f.Add(uint32(0), int32(10))
	f.Add(uint32(1<<31), int32(math.MaxInt32))
	f.Fuzz(func(t *testing.T, announced uint32, limit int32) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], announced)
		n, err := ParseFrameSize(b, limit)
		require.Equal(t, int64(int32(announced)) >= 0 && int32(announced) <= limit, err == nil)
		if err == nil {
			require.Equal(t, announced, uint32(n))
		}
	})
}
