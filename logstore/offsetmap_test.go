package logstore

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOffsetMapIsExactAndBounded(t *testing.T) {
	const size = 1 << 20
	m, want := newOffsetMap(size, 0.9), map[string]int64{}
	r := rand.New(rand.NewPCG(1, 1))
	full := false
	for i := int64(0); !full; i++ {
		key := fmt.Sprintf("key %d", r.Int64N(200_000))
		if full = !m.put([]byte(key), i); !full {
			want[key] = i
		}
	}
	require.Greater(t, len(want), size/mapSlotSize*2/3)
	require.Equal(t, len(want), m.count)
	slots := 0
	for i := range m.shards {
		slots += len(m.shards[i].slots)
	}
	require.LessOrEqual(t, slots*mapSlotSize, size)
	for key, offset := range want {
		require.Equal(t, offset, m.get([]byte(key)))
		require.True(t, m.put([]byte(key), offset+1), "a key that is there always has room")
	}
	require.EqualValues(t, -1, m.get([]byte("another")))
	require.EqualValues(t, -1, newOffsetMap(size, 0.9).get([]byte("nothing")))
}
