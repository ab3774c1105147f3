package logstore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/protocol"
)

// TestRecordsAboveTheDecompressedLimitFailWhereTheyAreDecompressed: max.decompressed.message.bytes was lowered below
// what is stored. Compaction and lookups by time fail until it is raised again; the log goes on.
func TestRecordsAboveTheDecompressedLimitFailWhereTheyAreDecompressed(t *testing.T) {
	w := newCompactWorld(t, 1)
	var b protocol.Builder
	o := protocol.NoProducer()
	o.Codec = protocol.CodecZstd
	for i := range 3 {
		b.Reset(o)
		for k := range 2 {
			b.Append(w.clock.Now().UnixMilli(), []byte{byte(k)}, make([]byte, 1000+i), nil)
		}
		batch, err := b.AppendTo(nil)
		require.NoError(t, err)
		_, err = w.l.Append(batch, 0, OriginClient, -1)
		require.NoError(t, err)
		require.NoError(t, w.l.roll(w.l.LogEndOffset()))
	}
	w.l.SetHighWatermark(w.l.LogEndOffset())

	config := compactConfig()
	config.MaxDecompressedMessageBytes = 500
	w.l.SetConfig(config)
	_, err := w.l.MaxTimestamp()
	require.ErrorIs(t, err, protocol.ErrRecordSize)
	_, err = w.l.OffsetForTimestamp(w.clock.Now().UnixMilli(), w.l.LogEndOffset())
	require.ErrorIs(t, err, protocol.ErrRecordSize)
	c, err := w.l.cleanableNow(w.clock.Now())
	require.NoError(t, err)
	_, err = w.s.cleaner.clean(&c)
	require.ErrorIs(t, err, protocol.ErrRecordSize)
	require.NoError(t, w.l.usable(), "the disk is not to blame")

	config.MaxDecompressedMessageBytes = 2000
	w.l.SetConfig(config)
	found, err := w.l.MaxTimestamp()
	require.NoError(t, err)
	require.EqualValues(t, 0, found.Offset)
	_, result := cleanNow(t, w.s, w.l, 1<<20)
	require.Less(t, result.BytesAfter, result.BytesBefore)
	require.NoError(t, w.s.Close(1))
}
