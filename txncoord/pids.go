package txncoord

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// allocateTimeout bounds an allocation, which belongs to nobody who waits for it.
const allocateTimeout = 10 * time.Second

// ProducerIDs hands out producer ids from blocks that the controller allocates. No id comes twice: what
// is left of a block when the process ends is lost.
type ProducerIDs struct {
	alloc func(ctx context.Context) (first int64, count int32, err error)

	mu        sync.Mutex
	next, end int64       // what is left of the block, end exclusive
	fetching  *allocation // nil: none is under way
}

// allocation is one of the controller's answers to come.
type allocation struct {
	done chan struct{}
	err  error // when done is closed
}

// NewProducerIDs makes a source of ids; alloc gets a block that nobody else gets.
func NewProducerIDs(alloc func(ctx context.Context) (first int64, count int32, err error)) *ProducerIDs {
	return &ProducerIDs{alloc: alloc}
}

// Take is a new id; false: the block is used up and the next one is under way.
func (p *ProducerIDs) Take() (int64, bool) {
	id, wait := p.take(1)
	return id, wait == nil
}

// Next is a new id. Whoever finds the block used up has the next one allocated, for all who wait.
func (p *ProducerIDs) Next(ctx context.Context) (int64, error) { return p.await(ctx, 1) }

// Await returns when Take has an id, unless somebody else takes it.
func (p *ProducerIDs) Await(ctx context.Context) error {
	_, err := p.await(ctx, 0)
	return err
}

func (p *ProducerIDs) await(ctx context.Context, n int64) (int64, error) {
	for {
		id, wait := p.take(n)
		if wait == nil {
			return id, nil
		}
		select {
		case <-wait.done:
			if wait.err != nil {
				return 0, wait.err
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// take is the first of n ids, or what to wait for.
func (p *ProducerIDs) take(n int64) (int64, *allocation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next < p.end {
		p.next += n
		return p.next - n, nil
	}
	if p.fetching == nil {
		p.fetching = &allocation{done: make(chan struct{})}
		go p.fetch(p.fetching)
	}
	return 0, p.fetching
}

// fetch allocates a block. After an error the next caller tries again.
func (p *ProducerIDs) fetch(a *allocation) {
	ctx, cancel := context.WithTimeout(context.Background(), allocateTimeout)
	defer cancel()
	first, count, err := p.alloc(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && (first < p.end || count <= 0) {
		err = fmt.Errorf("a block of %d from %d after one that ended at %d", count, first, p.end)
	}
	if err == nil {
		p.next, p.end = first, first+int64(count)
	} else {
		a.err = fmt.Errorf("allocating producer ids: %w", err)
	}
	p.fetching = nil
	close(a.done)
}
