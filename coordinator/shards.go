package coordinator

import (
	"maps"
	"sync"
	"sync/atomic"
)

// NotLed is the leader epoch of a partition that another broker leads.
const NotLed int32 = -1

// Stopper is what Shards hold: a Shard, or more that lives as long as one.
type Stopper interface{ Stop() }

// ShardsOptions say what Shards are of.
type ShardsOptions[S Stopper] struct {
	// Partitions is how many the topic will be made with; it counts until the topic is there.
	Partitions int32
	// LifePerEpoch: a new leader epoch of a partition that is led already is a new life of its shard.
	LifePerEpoch bool
	// Start is a shard of a led partition; false: the partition cannot be used.
	Start func(partition, leaderEpoch int32) (S, bool)
}

// Shards are the shards of an internal topic on this broker: one for each partition that it leads. They are
// safe for concurrent use.
type Shards[S Stopper] struct {
	o          ShardsOptions[S]
	partitions atomic.Int32
	led        atomic.Pointer[map[int32]led[S]] // by partition; replaced whole

	mu     sync.Mutex // held by who replaces led
	closed bool
}

type led[S Stopper] struct {
	shard S
	epoch int32
}

// NewShards has none: Lead brings them.
func NewShards[S Stopper](o ShardsOptions[S]) *Shards[S] {
	s := &Shards[S]{o: o}
	s.partitions.Store(o.Partitions)
	s.led.Store(&map[int32]led[S]{})
	return s
}

// PartitionFor is the topic's partition that holds a key.
func (s *Shards[S]) PartitionFor(key string) int32 { return PartitionFor(key, s.partitions.Load()) }

// For is the shard of a key; false: this broker is not its coordinator.
func (s *Shards[S]) For(key string) (S, bool) { return s.Of(s.PartitionFor(key)) }

// Of is the shard of a partition; false: this broker is not its coordinator.
func (s *Shards[S]) Of(partition int32) (S, bool) {
	l, ok := (*s.led.Load())[partition]
	return l.shard, ok
}

// All are the shards by their partitions.
func (s *Shards[S]) All() map[int32]S {
	led := *s.led.Load()
	all := make(map[int32]S, len(led))
	for p, l := range led {
		all[p] = l.shard
	}
	return all
}

// Lead makes the shards those of the partitions that this broker leads: epochs has the leader epoch of each
// of the topic's partitions, or NotLed; nil: there is no topic. It comes after the partitions themselves. A
// shard has stopped before its partition's next one starts.
func (s *Shards[S]) Lead(epochs []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		epochs = nil
	}
	if epochs != nil {
		s.partitions.Store(int32(len(epochs)))
	}
	have, next := *s.led.Load(), map[int32]led[S]{}
	for p, l := range have {
		if int(p) < len(epochs) && epochs[p] != NotLed && (epochs[p] == l.epoch || !s.o.LifePerEpoch) {
			next[p] = led[S]{l.shard, epochs[p]}
		}
	}
	kept := maps.Clone(next)
	s.led.Store(&kept)
	for p, l := range have {
		if _, stays := kept[p]; !stays {
			l.shard.Stop()
		}
	}
	for i, epoch := range epochs {
		p := int32(i)
		if _, stays := kept[p]; stays || epoch == NotLed {
			continue
		}
		if shard, ok := s.o.Start(p, epoch); ok {
			next[p] = led[S]{shard, epoch}
		}
	}
	s.led.Store(&next)
}

// Close stops all shards, for good; what waits is answered with ErrNotCoordinator.
func (s *Shards[S]) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Lead(nil)
}
