package coordinator

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"minikafka/protocol"
)

const (
	// maxQueued bounds the requests that wait for the loop; more are refused with ErrBusy.
	maxQueued = 16384
	// maxBatchBytes is where a round's batch is appended although more requests are queued.
	maxBatchBytes = 256 << 10
	// retryDelay is how long the loop waits before it asks again for something that just failed.
	retryDelay = 200 * time.Millisecond
)

// Options say what a shard stands on.
type Options[M Machine] struct {
	Log        Log
	NewMachine func() M
	Clock      Clock
	Logger     *slog.Logger
	// CommitTimeout is how long a reply waits for the high watermark.
	CommitTimeout time.Duration
	// LoadBufferBytes is how much of the log is read at once while loading.
	LoadBufferBytes int32
	// Act gets the machine's actions, on the loop: it must not wait. nil: the machine has none.
	Act func(action any)
}

// Step is one request on the machine. Its reply carries the token, in this outcome or a later one.
type Step[M Machine] func(m M, now time.Time, from Token) Outcome

// Shard owns the machine of one partition.
type Shard[M Machine] struct {
	o    Options[M]
	wake chan struct{} // one slot: look again
	stop chan struct{}
	done chan struct{}

	mu    sync.Mutex
	queue []op[M]
	state error // why requests are refused; nil: they are served

	// What follows belongs to the loop.
	machine M
	next    Token
	waiting map[Token]*Call
	builder protocol.Builder
	batch   []byte
	end     int64 // log end with the batch that is being built
	parked  []parked
	actions []pendingAction
	// producer is whose transaction the batch that is built belongs to; nil: nobody's.
	producer *Producer
	rest     []op[M] // of the round: not yet decided
}

type op[M Machine] struct {
	step Step[M]
	read bool
	call *Call
	// Of a transaction: who writes, or the marker.
	producer *Producer
	marker   *Marker
}

// pendingAction waits for the high watermark to reach end.
type pendingAction struct {
	end    int64
	action any
}

// parked is a reply that waits for the high watermark to reach end.
type parked struct {
	end      int64
	deadline time.Time
	call     *Call
	answer   any
}

// Start runs a shard. With an empty log it serves when Start returns; otherwise it loads first, and
// answers ErrLoading meanwhile.
func Start[M Machine](o Options[M]) *Shard[M] {
	s := &Shard[M]{
		o: o, state: ErrLoading,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	loaded := false
	if o.Log.LogStartOffset() == o.Log.LogEndOffset() {
		loaded = s.load() == nil
	}
	go s.run(loaded)
	return s
}

// Stop ends the shard: whatever waits is answered with ErrNotCoordinator.
func (s *Shard[M]) Stop() {
	close(s.stop)
	<-s.done
}

// Write posts a request that may write.
func (s *Shard[M]) Write(step Step[M]) *Call { return s.post(op[M]{step: step}) }

// Read posts a request that never has records: it is served although the partition takes no writes.
func (s *Shard[M]) Read(step Step[M]) *Call { return s.post(op[M]{step: step, read: true}) }

func (s *Shard[M]) post(o op[M]) *Call {
	s.mu.Lock()
	err := s.state
	if err == nil && len(s.queue) >= maxQueued {
		err = ErrBusy
	}
	if err != nil {
		s.mu.Unlock()
		return Answered(nil, err)
	}
	o.call = newCall()
	s.queue = append(s.queue, o)
	first := len(s.queue) == 1
	s.mu.Unlock()
	if first {
		s.poke()
	}
	return o.call
}

func (s *Shard[M]) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run is one life after another: a life ends with Stop, or with an error after which the log is loaded anew.
func (s *Shard[M]) run(loaded bool) {
	defer close(s.done)
	defer s.o.Log.Watch(s.wake)()
	for {
		err := s.life(loaded)
		loaded = false
		select {
		case <-s.stop:
			s.refuse(ErrNotCoordinator)
			return
		default:
		}
		s.o.Logger.Error("coordinator shard failed, loading anew", "error", err)
		s.refuse(err)
		if !s.sleep(retryDelay) {
			s.refuse(ErrNotCoordinator)
			return
		}
		s.setState(ErrLoading)
	}
}

func (s *Shard[M]) life(loaded bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: panic: %v\n%s", ErrFailed, r, debug.Stack())
		}
	}()
	if !loaded {
		if err := s.load(); err != nil {
			return err
		}
	}
	var spare []op[M]
	for {
		select {
		case <-s.stop:
			return ErrNotCoordinator
		default:
		}
		s.mu.Lock()
		ops := s.queue
		s.queue = spare[:0]
		s.mu.Unlock()
		retry, err := s.round(ops)
		if err != nil {
			return err
		}
		clear(ops)
		spare = ops
		s.idle(retry)
	}
}

// round serves what was queued and what is due. retry says that writes are not admitted and something
// is due that may write.
func (s *Shard[M]) round(ops []op[M]) (retry bool, err error) {
	now := s.o.Clock.Now()
	tick := due(s.machine.Wake(), now)
	var admit error
	if len(ops) > 0 || tick {
		admit = s.o.Log.Admit()
	}
	for i, o := range ops {
		s.rest = ops[i+1:]
		if admit != nil && (!o.read || errors.Is(admit, ErrNotCoordinator)) {
			o.call.finish(nil, admit)
			continue
		}
		if o.producer != nil || o.marker != nil {
			if err := s.transact(o, now); err != nil {
				return false, err
			}
			continue
		}
		s.next++
		s.waiting[s.next] = o.call
		if err := s.absorb(o.step(s.machine, now, s.next), now); err != nil {
			return false, err
		}
	}
	if tick && admit == nil {
		if err := s.absorb(s.machine.Tick(now), now); err != nil {
			return false, err
		}
	}
	if err := s.flush(); err != nil {
		return false, err
	}
	s.release(now)
	return tick && admit != nil, nil
}

func due(wake, now time.Time) bool { return !wake.IsZero() && !wake.After(now) }

// absorb replays an outcome's records, puts them into the batch, and parks the replies.
func (s *Shard[M]) absorb(o Outcome, now time.Time) error {
	if len(o.Records) > 0 {
		if err := s.collect(o.Records, now.UnixMilli()); err != nil {
			return err
		}
	}
	for _, r := range o.Replies {
		call := s.waiting[r.Token]
		if call == nil {
			continue
		}
		delete(s.waiting, r.Token)
		s.parked = append(s.parked, parked{s.end, now.Add(s.o.CommitTimeout), call, r.Answer})
	}
	for _, a := range o.Actions {
		s.actions = append(s.actions, pendingAction{s.end, a})
	}
	for _, e := range o.Events {
		s.o.Logger.Info(e.Message, e.Args...)
	}
	return nil
}

// collect puts records into one batch; only what is larger than a batch can be is appended in parts.
func (s *Shard[M]) collect(records []Record, timestampMs int64) error {
	size, limit := 0, s.o.Log.MaxBatchBytes()
	for _, r := range records {
		size += RecordSize(r)
	}
	if err := s.flushAbove(size, min(maxBatchBytes, limit)); err != nil {
		return err
	}
	for _, r := range records {
		if err := s.flushAbove(RecordSize(r), limit); err != nil {
			return err
		}
		if err := s.machine.Replay(s.end, s.batchOptions().ProducerID, r); err != nil {
			return fmt.Errorf("%w: a record of its own: %w", ErrFailed, err)
		}
		s.builder.Append(timestampMs, r.Key, r.Value, nil)
		s.end++
	}
	return nil
}

// flushAbove makes room for size bytes.
func (s *Shard[M]) flushAbove(size, limit int) error {
	if s.builder.Count() == 0 || s.builder.Size()+size <= limit {
		return nil
	}
	return s.flush()
}

// recordOverhead is the most that a record takes beside its key and value.
const recordOverhead = 32

// RecordSize is an upper bound of a record's bytes in a batch.
func RecordSize(r Record) int { return len(r.Key) + len(r.Value) + recordOverhead }

// flush appends the batch of the round.
func (s *Shard[M]) flush() error {
	count := int64(s.builder.Count())
	if count == 0 {
		return nil
	}
	var err error
	if s.batch, err = s.builder.AppendTo(s.batch[:0]); err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	s.builder.Reset(s.batchOptions())
	first, err := s.o.Log.Append(s.batch)
	switch {
	case err != nil:
		return err
	case first != s.end-count:
		return fmt.Errorf("%w: appended at offset %d, expected %d: somebody else wrote", ErrFailed, first, s.end-count)
	}
	if cap(s.batch) > maxBatchBytes {
		s.batch = nil
	}
	return nil
}

// release gives out the replies that are committed, and gives up those that waited too long.
func (s *Shard[M]) release(now time.Time) {
	highWatermark := s.o.Log.HighWatermark()
	for len(s.actions) > 0 && s.actions[0].end <= highWatermark {
		s.o.Act(s.actions[0].action)
		s.actions = s.actions[1:]
	}
	n := 0
	for ; n < len(s.parked); n++ {
		p := &s.parked[n]
		switch {
		case p.end <= highWatermark:
			p.call.finish(p.answer, nil)
		case !p.deadline.After(now):
			p.call.finish(nil, ErrTimedOut)
		default:
			s.parked = append(s.parked[:0], s.parked[n:]...)
			return
		}
	}
	clear(s.parked)
	s.parked = s.parked[:0]
}

// idle waits for a request, the high watermark, the machine's next deadline, or Stop.
func (s *Shard[M]) idle(retry bool) {
	at := s.machine.Wake()
	if len(s.parked) > 0 && (at.IsZero() || s.parked[0].deadline.Before(at)) {
		at = s.parked[0].deadline
	}
	select { // without a timer when there is work already
	case <-s.wake:
		return
	default:
	}
	if at.IsZero() {
		select {
		case <-s.wake:
		case <-s.stop:
		}
		return
	}
	wait := at.Sub(s.o.Clock.Now())
	if retry {
		wait = max(wait, retryDelay)
	}
	timer := s.o.Clock.NewTimer(max(wait, 0))
	defer timer.Stop()
	select {
	case <-s.wake:
	case <-timer.C():
	case <-s.stop:
	}
}

// sleep is false when the shard was stopped meanwhile.
func (s *Shard[M]) sleep(d time.Duration) bool {
	timer := s.o.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-s.stop:
		return false
	}
}

func (s *Shard[M]) setState(err error) {
	s.mu.Lock()
	s.state = err
	s.mu.Unlock()
}

// refuse answers everything that waits, and what comes from now on.
func (s *Shard[M]) refuse(err error) {
	if err == nil || !errors.Is(err, ErrNotCoordinator) && !errors.Is(err, ErrFailed) {
		err = fmt.Errorf("%w: %w", ErrNotCoordinator, err)
	}
	s.mu.Lock()
	s.state = err
	queue := s.queue
	s.queue = nil
	s.mu.Unlock()
	for _, o := range append(queue, s.rest...) {
		o.call.finish(nil, err)
	}
	s.rest = nil
	for _, c := range s.waiting {
		c.finish(nil, err)
	}
	s.waiting = nil
	for _, p := range s.parked {
		p.call.finish(nil, err)
	}
	s.parked = nil
}
