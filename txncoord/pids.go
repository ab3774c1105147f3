package txncoord

import (
	"context"
	"fmt"
	"sync"
)

// ProducerIDs hands out producer ids from blocks that the controller allocates. No id comes twice: what
// is left of a block when the process ends is lost.
type ProducerIDs struct {
	alloc func(ctx context.Context) (first int64, count int32, err error)

	mu        sync.Mutex
	next, end int64 // what is left of the block, end exclusive
	// fetching is closed when the allocation under way has ended; nil: none is.
	fetching chan struct{}
}

// NewProducerIDs makes a source of ids; alloc gets a block that nobody else gets.
func NewProducerIDs(alloc func(ctx context.Context) (first int64, count int32, err error)) *ProducerIDs {
	return &ProducerIDs{alloc: alloc}
}

// Next is a new id. Whoever finds the block used up allocates the next one, for all who wait.
func (p *ProducerIDs) Next(ctx context.Context) (int64, error) {
	for {
		id, wait, fetch := p.take()
		switch {
		case wait == nil:
			return id, nil
		case fetch:
			if err := p.fetch(ctx, wait); err != nil {
				return 0, err
			}
		default:
			select {
			case <-wait:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
}

// take is an id, or what to wait for; fetch says that the caller is the one to allocate.
func (p *ProducerIDs) take() (id int64, wait chan struct{}, fetch bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.next < p.end:
		p.next++
		return p.next - 1, nil, false
	case p.fetching != nil:
		return 0, p.fetching, false
	}
	p.fetching = make(chan struct{})
	return 0, p.fetching, true
}

// fetch allocates a block. After an error the next caller tries again.
func (p *ProducerIDs) fetch(ctx context.Context, done chan struct{}) error {
	first, count, err := p.alloc(ctx)
	if err == nil && (first < p.end || count <= 0) {
		err = fmt.Errorf("a block of %d from %d after one that ended at %d", count, first, p.end)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.next, p.end = first, first+int64(count)
	}
	p.fetching = nil
	close(done)
	if err != nil {
		return fmt.Errorf("allocating producer ids: %w", err)
	}
	return nil
}
