package logstore

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// offsetMap remembers the last offset of each key of a log's dirty part, in bounded memory: 24 bytes a
// slot (16 of the key's SHA-256, which stands for the key, and the offset). It grows with the keys there
// are, shard by shard, so that what is held twice while growing is one shard. It never forgets: put says
// when there is no room.
type offsetMap struct {
	shards    [mapShards]mapShard
	shardMost int // slots that a shard may have
	load      float64
	count     int
}

const (
	mapShards   = 256
	mapSlotSize = 24
	// leastShard bounds the map from below, so that a clean always gets on.
	leastShard = 16
)

// mapSlot is free when next is 0.
type mapSlot struct {
	high, low uint64 // of the key's hash
	next      int64  // the key's last offset, plus one
}

type mapShard struct {
	slots []mapSlot
	used  int
}

// newOffsetMap makes an empty map for at most size bytes, of which the share load is filled.
func newOffsetMap(size int64, load float64) *offsetMap {
	return &offsetMap{shardMost: int(max(size/mapSlotSize/mapShards, leastShard)), load: min(max(load, 0.1), 0.95)}
}

// put notes the key's offset; false when the key is new and there is no room for it.
func (m *offsetMap) put(key []byte, offset int64) bool {
	shard, high, low := m.hash(key)
	if slot := shard.find(high, low); slot != nil && slot.next != 0 {
		slot.next = offset + 1
		return true
	}
	if float64(shard.used+1) > m.load*float64(len(shard.slots)) && !shard.grow(m.shardMost, m.load) {
		return false
	}
	*shard.find(high, low) = mapSlot{high, low, offset + 1}
	shard.used++
	m.count++
	return true
}

// get is the key's last offset, -1 for a key that is not in the map.
func (m *offsetMap) get(key []byte) int64 {
	shard, high, low := m.hash(key)
	if slot := shard.find(high, low); slot != nil {
		return slot.next - 1
	}
	return -1
}

func (m *offsetMap) hash(key []byte) (shard *mapShard, high, low uint64) {
	sum := sha256.Sum256(key)
	return &m.shards[sum[16]], binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])
}

// find is the key's slot, or the free one where it would go; nil in a shard without slots.
func (s *mapShard) find(high, low uint64) *mapSlot {
	if len(s.slots) == 0 {
		return nil
	}
	start, _ := bits.Mul64(high, uint64(len(s.slots)))
	for i := int(start); ; i++ {
		if i == len(s.slots) {
			i = 0
		}
		if slot := &s.slots[i]; slot.next == 0 || slot.high == high && slot.low == low {
			return slot
		}
	}
}

// grow doubles the shard, up to most slots; false when that makes no room.
func (s *mapShard) grow(most int, load float64) bool {
	n := min(max(2*len(s.slots), leastShard), most)
	if float64(s.used+1) > load*float64(n) {
		return false
	}
	old := s.slots
	s.slots = make([]mapSlot, n)
	for _, slot := range old {
		if slot.next != 0 {
			*s.find(slot.high, slot.low) = slot
		}
	}
	return true
}
