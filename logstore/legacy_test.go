package logstore

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/protocol"
)

// legacySet is a message of magic 1, or with a codec a wrapper around its value.
func legacySet(offset int64, codec protocol.Codec, key, value []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(offset))
	b = append(b, make([]byte, 8)...)
	b = append(b, 1, byte(codec))
	b = binary.BigEndian.AppendUint64(b, uint64(1_000_000+offset))
	for _, f := range [][]byte{key, value} {
		n := len(f)
		if f == nil {
			n = -1
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(n)), f...)
	}
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-framePrefix))
	binary.BigEndian.PutUint32(b[framePrefix:], crc32.ChecksumIEEE(b[magicAt:]))
	return b
}

// TestMessageSetsAreCompactedAsBatches: an old Kafka's log, single messages and a compressed set, and our records
// after them.
func TestMessageSetsAreCompactedAsBatches(t *testing.T) {
	w := newCompactWorld(t, 1)
	var inner []byte
	for i, key := range []string{"a", "b", "c"} {
		inner = append(inner, legacySet(int64(i), 0, []byte(key), []byte("set "+key))...)
	}
	value, err := protocol.AppendCompressed(nil, protocol.CodecGzip, 0, inner)
	require.NoError(t, err)
	old := legacySet(0, 0, []byte("a"), []byte("first a"))
	old = append(old, legacySet(1, 0, []byte("d"), []byte("first d"))...)
	old = append(old, legacySet(4, protocol.CodecGzip, nil, value)...) // offsets 2 to 4
	_, err = w.l.Append(old, 5, OriginReplication, -1)
	require.NoError(t, err)
	require.EqualValues(t, 5, w.l.LogEndOffset())
	var b protocol.Builder
	b.Reset(protocol.NoProducer())
	b.Append(2_000_000, []byte("b"), []byte("new b"), nil)
	batch, err := b.AppendTo(nil)
	require.NoError(t, err)
	_, err = w.l.Append(batch, 0, OriginClient, -1)
	require.NoError(t, err)
	require.NoError(t, w.l.roll(w.l.LogEndOffset()))
	w.l.SetHighWatermark(w.l.LogEndOffset())
	cleanNow(t, w.s, w.l, 1<<20)

	type row struct {
		offset, timestamp int64
		key, value        string
	}
	var got []row
	for _, b := range readAll(t, w.l) {
		require.EqualValues(t, 2, b.Magic())
		it := b.Iterate()
		var r protocol.Record
		for it.Next(&r) {
			got = append(got, row{b.BaseOffset() + int64(r.OffsetDelta), b.BaseTimestamp() + r.TimestampDelta, string(r.Key), string(r.Value)})
		}
		require.NoError(t, it.Err())
		it.Close()
	}
	require.Equal(t, []row{
		{1, 1_000_001, "d", "first d"}, {2, 1_000_000, "a", "set a"}, {4, 1_000_002, "c", "set c"}, {5, 2_000_000, "b", "new b"},
	}, got)
	require.NoError(t, w.s.Close(1))
	verify(t, w.fs, "/d/compacted-0")
}
