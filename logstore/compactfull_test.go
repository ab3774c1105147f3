package logstore

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/protocol"
)

// TestMapThatFillsInTheMiddleOfABatch: what comes after the last key that found room is dirty still. Were the rest
// of the batch taken for clean, its keys would never be seen, and older records of them stay.
func TestMapThatFillsInTheMiddleOfABatch(t *testing.T) {
	w := newCompactWorld(t, 1)
	config := compactConfig()
	config.SegmentBytes = 1 << 20
	w.l.SetConfig(config)
	const keys, batches = 3000, 3 // more keys than the smallest map has room for
	for range batches {
		var b protocol.Builder
		b.Reset(protocol.NoProducer())
		for k := range keys {
			b.Append(w.clock.Now().UnixMilli(), fmt.Append(nil, k), []byte("v"), nil)
		}
		batch, err := b.AppendTo(nil)
		require.NoError(t, err)
		_, err = w.l.Append(batch, 0, OriginClient, -1)
		require.NoError(t, err)
		require.NoError(t, w.l.roll(w.l.LogEndOffset()))
	}
	w.l.SetHighWatermark(w.l.LogEndOffset())
	within := 0
	for cleaned := int64(0); cleaned < keys*batches; {
		_, result := cleanNow(t, w.s, w.l, 0)
		require.Less(t, result.Keys, keys)
		require.Equal(t, cleaned+int64(result.Keys), result.To, "nothing is skipped: all keys of a batch are different ones")
		if cleaned = w.l.cleanedTo.Load(); cleaned%keys != 0 {
			within++
		}
	}
	require.GreaterOrEqual(t, within, batches)
	var offsets []int64
	for _, b := range readAll(t, w.l) {
		it := b.Iterate()
		var r protocol.Record
		for it.Next(&r) {
			offsets = append(offsets, b.BaseOffset()+int64(r.OffsetDelta))
		}
		it.Close()
	}
	require.Len(t, offsets, keys)
	require.EqualValues(t, keys*(batches-1), offsets[0], "the last record of each key, and no other")
	require.NoError(t, w.s.Close(1))
}
