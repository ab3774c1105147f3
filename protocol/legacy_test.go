package protocol

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
)

// legacyBytes is a message of an old producer's: key or value nil is null.
func legacyBytes(magic, attributes byte, offset, timestamp int64, key, value []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(offset))
	b = append(b, make([]byte, 8)...) // size and checksum
	b = append(b, magic, attributes)
	if magic == 1 {
		b = binary.BigEndian.AppendUint64(b, uint64(timestamp))
	}
	for _, f := range [][]byte{key, value} {
		if f == nil {
			b = binary.BigEndian.AppendUint32(b, 1<<32-1)
			continue
		}
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-LogOverhead))
	binary.BigEndian.PutUint32(b[LogOverhead:], crc32.ChecksumIEEE(b[magicAt:]))
	return b
}

func TestMessageSetsBecomeBatchesOfTheSameRecords(t *testing.T) {
	list := func(b Batch) (got []string) {
		require.True(t, b.CheckCRC())
		it := b.Iterate()
		defer it.Close()
		var r Record
		for it.Next(&r) {
			ts := b.BaseTimestamp() + r.TimestampDelta
			if b.IsLogAppendTime() {
				ts = b.MaxTimestamp()
			}
			got = append(got, fmt.Sprintf("%d %d %q %q %t", b.BaseOffset()+int64(r.OffsetDelta), ts, r.Key, r.Value, r.Value == nil))
		}
		require.NoError(t, it.Err())
		return got
	}
	for _, magic := range []byte{0, 1} {
		ts := func(n int64) int64 {
			if magic == 0 {
				return -1
			}
			return n
		}
		plain, err := AppendConverted(nil, legacyBytes(magic, 0, 41, 1000, []byte("k"), nil), 0)
		require.NoError(t, err)
		require.Equal(t, []string{fmt.Sprintf("41 %d %q %q true", ts(1000), "k", "")}, list(plain))
		require.EqualValues(t, 41, Batch(plain).LastOffset())
		require.EqualValues(t, -1, Batch(plain).LeaderEpoch())

		for _, codec := range []Codec{CodecGzip, CodecSnappy, CodecLz4} {
			// Compaction took messages 1 and 3 of five away.
			var inner []byte
			for _, n := range []int64{0, 2, 4} {
				offset := n
				if magic == 0 {
					offset += 100
				}
				inner = append(inner, legacyBytes(magic, 0, offset, 1000+n, nil, fmt.Append(nil, "v", n))...)
			}
			value, err := AppendCompressed(nil, codec, 0, inner)
			require.NoError(t, err)
			set := legacyBytes(magic, byte(codec), 104, 1004, nil, value)
			out, err := AppendConverted([]byte("before"), set, 0)
			require.NoError(t, err)
			b := Batch(out[6:])
			require.Equal(t, codec, b.Codec())
			require.EqualValues(t, []int64{100, 104}, []int64{b.BaseOffset(), b.LastOffset()})
			require.Equal(t, []string{
				fmt.Sprintf("100 %d %q %q false", ts(1000), "", "v0"), fmt.Sprintf("102 %d %q %q false", ts(1002), "", "v2"),
				fmt.Sprintf("104 %d %q %q false", ts(1004), "", "v4"),
			}, list(b))
			_, err = AppendConverted(nil, set, 10)
			require.ErrorIs(t, err, ErrRecordSize)
			if magic == 1 {
				out, err := AppendConverted(nil, legacyBytes(1, byte(codec)|attrLogAppendTime, 104, 5555, nil, value), 0)
				require.NoError(t, err)
				require.Equal(t, "100 5555", list(out)[0][:8])
			}
		}
	}
}

func TestBrokenMessageSetsAreErrors(t *testing.T) {
	good := legacyBytes(1, 0, 1, 2, []byte("key"), []byte("value"))
	for n := range good {
		_, err := AppendConverted(nil, good[:n], 0)
		require.ErrorIs(t, err, ErrInvalidRecord, "cut to %d", n)
	}
	for _, inner := range [][]byte{nil, good[:20], good[:len(good)-1], append(append([]byte(nil), good...), 0), make([]byte, 40)} {
		value, err := AppendCompressed(nil, CodecGzip, 0, inner)
		require.NoError(t, err)
		_, err = AppendConverted(nil, legacyBytes(1, byte(CodecGzip), 1, 2, nil, value), 0)
		require.Error(t, err)
	}
	_, err := AppendConverted(nil, legacyBytes(1, byte(CodecGzip), 1, 2, nil, []byte("no gzip")), 0)
	require.ErrorIs(t, err, ErrUndecodable)
}
