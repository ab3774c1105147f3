package coordinator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// life is a shard that notes when it stops.
type life struct {
	partition, epoch int32
	running          map[int32]*life
}

func (l *life) Stop() { delete(l.running, l.partition) }

func newLives(t *testing.T, perEpoch bool) (*Shards[*life], map[int32]*life) {
	t.Helper()
	running := map[int32]*life{}
	s := NewShards(ShardsOptions[*life]{Partitions: 7, LifePerEpoch: perEpoch, Start: func(p, epoch int32) (*life, bool) {
		if p == 3 { // its directory is broken
			return nil, false
		}
		require.NotContains(t, running, p, "a shard starts when the one before it has stopped")
		running[p] = &life{p, epoch, running}
		return running[p], true
	}})
	t.Cleanup(func() {
		s.Close()
		require.Empty(t, running)
	})
	return s, running
}

func TestShardsAreThoseOfTheLedPartitions(t *testing.T) {
	s, running := newLives(t, false)
	require.Equal(t, PartitionFor("key", 7), s.PartitionFor("key"), "until the topic is there, what it will be made with")
	s.Lead([]int32{5, NotLed, 5, 5})
	require.Equal(t, running, s.All())
	require.Len(t, running, 2)
	require.Equal(t, PartitionFor("key", 4), s.PartitionFor("key"))
	_, ok := s.Of(1)
	require.False(t, ok)
	zero := running[0]
	s.Lead([]int32{5, 6, NotLed, 5})
	require.Equal(t, running, s.All())
	require.Len(t, running, 2)
	require.Same(t, zero, running[0], "what stays is not touched")
	s.Lead(nil)
	require.Empty(t, running)
	require.Equal(t, PartitionFor("key", 4), s.PartitionFor("key"), "the number of partitions is remembered")
}

func TestNewLeaderEpochIsANewLifeWhereWanted(t *testing.T) {
	for _, perEpoch := range []bool{false, true} {
		s, running := newLives(t, perEpoch)
		s.Lead([]int32{5})
		before := running[0]
		s.Lead([]int32{5})
		require.Same(t, before, running[0])
		s.Lead([]int32{6})
		require.Equal(t, perEpoch, before != running[0])
		if perEpoch {
			require.EqualValues(t, 6, running[0].epoch)
		}
	}
}

func TestClosedShardsStayClosed(t *testing.T) {
	s, running := newLives(t, false)
	s.Lead([]int32{0})
	s.Close()
	s.Lead([]int32{0})
	require.Empty(t, running)
}
