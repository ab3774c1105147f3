package protocol

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func kafkaBatches(t *testing.T) map[string]Batch {
	t.Helper()
	text, err := os.ReadFile("testdata/kafka-batches.txt")
	require.NoError(t, err)
	batches := map[string]Batch{}
	for line := range strings.Lines(string(text)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "#" {
			continue
		}
		b, err := hex.DecodeString(digits)
		require.NoError(t, err)
		batches[name] = b
	}
	require.Len(t, batches, 7)
	return batches
}

func TestBatchesOfTheJavaClientAreAcceptedUnchanged(t *testing.T) {
	batches := kafkaBatches(t)
	value := strings.Repeat("a", 60)
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		b := batches[codec.String()]
		want := append(Batch(nil), b...)
		out, err := Validate(b, clientOptions())
		require.NoError(t, err, codec.String())
		require.Equal(t, []byte(want), out)
		require.Equal(t, codec, b.Codec())
		require.Equal(t, int32(7), b.LastSequence())
		require.Equal(t, []flat{{1000, 0, "key", value, 2}, {1500, 1, "", "", 0}, {900, 2, "", "", 0}}, collect(t, b))
		it := b.Iterate()
		var r Record
		require.True(t, it.Next(&r))
		require.Equal(t, []RecordHeader{{"h", []byte("x")}, {"n", nil}}, r.Headers(nil))
		require.True(t, it.Next(&r))
		require.Nil(t, r.Key)
		require.NotNil(t, r.Value, "empty is not null")
		require.True(t, it.Next(&r))
		require.NotNil(t, r.Key)
		require.Nil(t, r.Value)
		require.False(t, it.Next(&r))
		it.Close()
	}
}

func TestBuilderWritesKafkasBytes(t *testing.T) {
	batches := kafkaBatches(t)
	for _, codec := range []Codec{CodecNone, CodecSnappy} { // the other compressors are free in their choices
		var b Builder
		b.Reset(BuilderOptions{LeaderEpoch: 3, Codec: codec, ProducerID: 9, ProducerEpoch: 1, BaseSequence: 5})
		b.Append(1000, []byte("key"), []byte(strings.Repeat("a", 60)), []RecordHeader{{"h", []byte("x")}, {"n", nil}})
		b.Append(1500, nil, []byte{}, nil)
		b.Append(900, []byte{}, nil, nil)
		out, err := b.AppendTo(nil)
		require.NoError(t, err)
		require.Equal(t, hex.EncodeToString(batches[codec.String()]), hex.EncodeToString(out), codec.String())
	}
	require.Equal(t, []byte(batches["abort"]), AppendMarker(nil, 1234, 5, Marker{false, 9}, 1000))
	require.Equal(t, []byte(batches["commit"]), AppendMarker(nil, 1234, 5, Marker{true, 9}, 1000))
}
