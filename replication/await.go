package replication

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Delayed operations are level-triggered: register a one-slot channel, try, wait for a token, try again.
// A token only says "look again", so a lost or a spurious one cannot exist: a channel that is full is
// one whose owner has not looked yet.

// watchers are the channels that want a token when a partition changes. Waking costs one atomic load
// when there are none: an append stores the high watermark first and loads count after, a waiter stores
// count first and loads the high watermark after, so one of them sees the other.
type watchers struct {
	count atomic.Int32
	mu    sync.Mutex // a leaf: nothing is locked while it is held
	list  []chan struct{}
}

func (w *watchers) add(c chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, c)
	w.count.Store(int32(len(w.list)))
}

func (w *watchers) remove(c chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.list, c); i >= 0 {
		last := len(w.list) - 1
		w.list[i], w.list[last] = w.list[last], nil
		w.list = w.list[:last]
	}
	if len(w.list) == 0 && cap(w.list) > maxKeptWatchers {
		w.list = nil
	}
	w.count.Store(int32(len(w.list)))
}

// maxKeptWatchers is the capacity that a list keeps when it is empty.
const maxKeptWatchers = 64

func (w *watchers) wake() {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.list {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Watch registers a one-slot channel that gets a token whenever the high watermark, the last stable
// offset, the log start or the leadership may have changed; the returned function unregisters.
// Register first, then try, then wait.
func (p *Partition) Watch(c chan struct{}) (cancel func()) {
	p.watchers.add(c)
	return func() { p.watchers.remove(c) }
}

// Await waits at any number of partitions. The zero value is not ready: NewAwait.
type Await struct {
	c  chan struct{}
	at []*Partition
}

// NewAwait registers nowhere yet; n is how many partitions are expected.
func NewAwait(n int) *Await {
	return &Await{c: make(chan struct{}, 1), at: make([]*Partition, 0, n)}
}

// Add registers at a partition. Try after the last Add.
func (a *Await) Add(p *Partition) {
	p.watchers.add(a.c)
	a.at = append(a.at, p)
}

// C has a token when a partition may have changed.
func (a *Await) C() <-chan struct{} { return a.c }

// Close unregisters everywhere.
func (a *Await) Close() {
	for _, p := range a.at {
		p.watchers.remove(a.c)
	}
	a.at = nil
}

// AwaitCommit waits until the high watermark passes offset (then the ISR is checked again), the epoch ends, or ctx is done.
func (p *Partition) AwaitCommit(ctx context.Context, lastOffset int64, leaderEpoch int32) error {
	if done, err := p.Committed(lastOffset, leaderEpoch); done {
		return err
	}
	c := make(chan struct{}, 1)
	p.watchers.add(c)
	defer p.watchers.remove(c)
	for {
		if done, err := p.Committed(lastOffset, leaderEpoch); done {
			return err
		}
		select {
		case <-c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Committed says whether waiting for lastOffset is over, and how it ended: nil when the high watermark
// has passed it with enough replicas in sync.
func (p *Partition) Committed(lastOffset int64, leaderEpoch int32) (done bool, err error) {
	r := p.role.Load()
	if err := r.check(-1); err != nil {
		return true, err
	}
	if r.leaderEpoch != leaderEpoch {
		return true, ErrNotLeader
	}
	if p.highWatermark.Load() <= lastOffset {
		return false, nil
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.isr != nil && p.isr.underMin() {
		return true, ErrNotEnoughAfter
	}
	return true, nil
}
