package metadata

import (
	"hash/maphash"
	"iter"
	"maps"
)

// pmapShards bounds what one change copies: the array of shards and one shard.
const pmapShards = 256

// shardSeed spreads keys; it is per process because nothing on disk depends on the spread.
var shardSeed = maphash.MakeSeed() //nolint:gochecknoglobals // constant of the process

// pmap is a map that is never changed once it is published: a change copies the shard that it touches
// and shares the others, so that one change among 10,000 entries costs some microseconds.
type pmap[K comparable, V any] struct {
	shards [pmapShards]map[K]V
	count  int
}

func shardOf[K comparable](k K) int {
	return int(maphash.Comparable(shardSeed, k) % pmapShards)
}

// get finds a value; the zero map (nil) is empty.
func (m *pmap[K, V]) get(k K) (V, bool) {
	if m == nil {
		var zero V
		return zero, false
	}
	v, ok := m.shards[shardOf(k)][k]
	return v, ok
}

// size is the number of entries.
func (m *pmap[K, V]) size() int {
	if m == nil {
		return 0
	}
	return m.count
}

// all visits the entries in no order.
func (m *pmap[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m == nil {
			return
		}
		for _, s := range m.shards {
			for k, v := range s {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

// pmapEdit is a pmap under change. It copies on the first change, and each shard at most once.
type pmapEdit[K comparable, V any] struct {
	base  *pmap[K, V]
	next  *pmap[K, V] // nil: no change yet
	owned [pmapShards]bool
}

func edit[K comparable, V any](m *pmap[K, V]) *pmapEdit[K, V] { return &pmapEdit[K, V]{base: m} }

func (e *pmapEdit[K, V]) current() *pmap[K, V] {
	if e.next != nil {
		return e.next
	}
	return e.base
}

func (e *pmapEdit[K, V]) get(k K) (V, bool) { return e.current().get(k) }

func (e *pmapEdit[K, V]) own(shard int) map[K]V {
	if e.next == nil {
		e.next = &pmap[K, V]{}
		if e.base != nil {
			*e.next = *e.base
		}
	}
	if !e.owned[shard] {
		s := make(map[K]V, len(e.next.shards[shard])+1)
		maps.Copy(s, e.next.shards[shard])
		e.next.shards[shard] = s
		e.owned[shard] = true
	}
	return e.next.shards[shard]
}

func (e *pmapEdit[K, V]) set(k K, v V) {
	s := e.own(shardOf(k))
	if _, ok := s[k]; !ok {
		e.next.count++
	}
	s[k] = v
}

func (e *pmapEdit[K, V]) remove(k K) {
	if _, ok := e.get(k); !ok {
		return
	}
	delete(e.own(shardOf(k)), k)
	e.next.count--
}

// done is the map after the changes; the edit is not used again.
func (e *pmapEdit[K, V]) done() *pmap[K, V] { return e.current() }
