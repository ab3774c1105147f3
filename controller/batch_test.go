package controller

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/protocol"
)

func stamped(batch protocol.Batch, base int64, epoch int32) []byte {
	batch.SetBaseOffset(base)
	batch.SetLeaderEpoch(epoch)
	return batch
}

// rawBatch is a batch of one record with any content.
func rawBatch(t testing.TB, base int64, key, value []byte, control bool) []byte {
	t.Helper()
	o := protocol.NoProducer()
	o.Control, o.BaseOffset, o.LeaderEpoch = control, base, 3
	var b protocol.Builder
	b.Reset(o)
	b.Append(0, key, value, nil)
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	return out
}
