package logstore

import (
	"runtime"
	"sync"
)

// flushRounds lets concurrent flushes share one fdatasync. Whoever comes while none runs does it; those who
// come meanwhile wait for the round that begins when it ends, and are released together: were they to take a
// mutex one after the other, the disk would idle for as many context switches.
type flushRounds struct {
	mu      sync.Mutex
	running bool
	next    *flushRound // nil: nobody waits
}

type flushRound struct {
	done chan struct{} // closed when err is there
	err  error
}

// flush returns when a call of sync that began after it has ended. sync is never called twice at a time.
func (r *flushRounds) flush(sync func() error) error {
	r.mu.Lock()
	if r.running {
		if r.next == nil {
			r.next = &flushRound{done: make(chan struct{})}
		}
		round := r.next
		r.mu.Unlock()
		<-round.done
		return round.err
	}
	r.running = true
	r.mu.Unlock()
	defer r.end(sync)
	return sync()
}

// end has the waiters' round done off the caller's goroutine, which has an answer to give.
func (r *flushRounds) end(sync func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		go r.serve(sync)
		return
	}
	r.running = false
}

// serve does rounds while there are any.
func (r *flushRounds) serve(sync func() error) {
	for {
		runtime.Gosched() // those who were released append first, and are in this round
		r.mu.Lock()
		round := r.next
		r.next = nil
		r.running = round != nil
		r.mu.Unlock()
		if round == nil {
			return
		}
		round.err = sync()
		close(round.done)
	}
}
