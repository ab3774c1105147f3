package protocol

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// words are records that compress better the harder one tries.
func words(t testing.TB) Batch {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var b Builder
	b.Reset(NoProducer())
	for range 200 {
		var value []byte
		for range 60 {
			value = fmt.Appendf(value, "word%d ", r.IntN(300))
		}
		b.Append(1000, nil, value, nil)
	}
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	return out
}

// TestTopicsCompressionLevelIsUsedWhereTheBrokerCompresses tries every level of Kafka's ranges.
func TestTopicsCompressionLevelIsUsedWhereTheBrokerCompresses(t *testing.T) {
	original := words(t)
	for _, c := range []struct {
		codec  string
		levels []int32
		// smaller: more than the first level is to compress better than that.
		least, most int32
	}{
		{"gzip", []int32{-1, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 9},
		{"lz4", []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17}, 9, 17}, // 9 is the fast one, as in Kafka
		{"zstd", []int32{-131072, -1, 0, 1, 3, 6, 10, 22}, 1, 22},
	} {
		size := map[int32]int{}
		for _, level := range c.levels {
			o := clientOptions()
			o.CompressionType, o.CompressionLevel = c.codec, level
			out, err := Validate(append(Batch(nil), original...), o)
			require.NoError(t, err, "%s %d", c.codec, level)
			require.Equal(t, c.codec, Batch(out).Codec().String())
			require.Equal(t, contents(t, original), contents(t, out))
			size[level] = len(out)
		}
		require.Less(t, size[c.most], size[c.least], "%s: %v", c.codec, size)
		def := clientOptions()
		def.CompressionType = c.codec
		out, err := Validate(append(Batch(nil), original...), def)
		require.NoError(t, err)
		require.Equal(t, size[map[string]int32{"gzip": -1, "lz4": 9, "zstd": 3}[c.codec]], len(out), "Kafka's default level")
	}
}

func contents(t testing.TB, b Batch) (values []string) {
	t.Helper()
	it := b.Iterate()
	defer it.Close()
	var r Record
	for it.Next(&r) {
		values = append(values, string(r.Value))
	}
	require.NoError(t, it.Err())
	return values
}

// TestRecordSizeLimitIsForCompressedBatches: max.decompressed.message.bytes is the size of a record's body, and
// Kafka looks at it only where it decompresses.
func TestRecordSizeLimitIsForCompressedBatches(t *testing.T) {
	o := clientOptions()
	record := appendRecord(nil, 0, 0, nil, make([]byte, 1000), nil)
	body := int32(len(record) - 2) // its own length takes two bytes
	o.MaxDecompressedBytes = body
	_, err := Validate(compressed(t, record), o)
	require.NoError(t, err)
	o.MaxDecompressedBytes = body - 1
	_, err = Validate(compressed(t, record), o)
	require.ErrorIs(t, err, ErrInvalidRecord)
	require.ErrorIs(t, err, ErrRecordSize)
	require.ErrorContains(t, err, fmt.Sprintf("%d exceeds the configured maximum record size of %d", body, body-1))
	_, err = Validate(buildBatch(t, NoProducer(), string(make([]byte, 1000))), o)
	require.NoError(t, err, "an uncompressed batch is bounded by max.message.bytes")
}

// TestBatchMayDecompressToOneLargeRecordThatTheTopicAllows: the bomb's limit follows the topic's.
func TestBatchMayDecompressToOneLargeRecordThatTheTopicAllows(t *testing.T) {
	large := bomb(t, MaxDecompressedBytes+1, zstd.WithWindowSize(1<<20))
	o := clientOptions()
	_, err := Validate(large, o)
	require.ErrorIs(t, err, ErrTooLarge)
	o.MaxDecompressedBytes = MaxDecompressedBytes + 100
	_, err = Validate(large, o)
	require.NoError(t, err)
}
