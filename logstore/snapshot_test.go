package logstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

func idempotentBatch(t *testing.T, producer int64, seq int32) []byte {
	t.Helper()
	var b protocol.Builder
	b.Reset(protocol.BuilderOptions{ProducerID: producer, BaseSequence: seq})
	b.Append(time.Now().UnixMilli(), nil, []byte("v"), nil)
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	return out
}

// TestRetryIsRecognisedAfterRestart: a client with several batches in flight may have lost the answers to all of them
// before a stop, and repeats them all.
func TestRetryIsRecognisedAfterRestart(t *testing.T) {
	for name, stop := range map[string]func(t *testing.T, s *Store, mem *vfs.Mem) *vfs.Mem{
		"stop": func(t *testing.T, s *Store, mem *vfs.Mem) *vfs.Mem {
			require.NoError(t, s.Close(1))
			return mem
		},
		"kill": func(_ *testing.T, _ *Store, mem *vfs.Mem) *vfs.Mem {
			return mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})
		},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			s, err := testStore(t, mem, Options{})
			require.NoError(t, err)
			l, err := s.Create(crashTP, UUID{1}, Config{SegmentBytes: 300}) // rolls before the last batches
			require.NoError(t, err)
			for seq := range int32(7) {
				_, err := l.Append(idempotentBatch(t, 7, seq), 0, OriginClient, -1)
				require.NoError(t, err)
			}
			s, err = testStore(t, stop(t, s, mem), Options{})
			require.NoError(t, err)
			l = s.Log(crashTP)
			for seq := int32(2); seq < 7; seq++ {
				info, err := l.Append(idempotentBatch(t, 7, seq), 0, OriginClient, -1)
				require.NoError(t, err, "sequence %d", seq)
				require.EqualValues(t, seq, info.FirstOffset)
			}
			_, err = l.Append(idempotentBatch(t, 7, 1), 0, OriginClient, -1)
			require.ErrorIs(t, err, ErrOutOfOrderSeq)
		})
	}
}
