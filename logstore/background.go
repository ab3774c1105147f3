package logstore

import (
	"log/slog"
	"sync"
	"time"

	"minikafka/internal/clock"
)

// Never is the interval of a task that runs once after the start and not again, as Kafka's scheduler has it
// for an interval of 0.
const Never time.Duration = -1

// firstRun is when Kafka runs a periodic task first, unless its interval is shorter.
const firstRun = 30 * time.Second

// flushCheck is how often logs are looked at whose flush.ms may be over.
const flushCheck = 5 * time.Second

// background is a store's one goroutine: checkpoints, retention, flushes of rolled segments and by time,
// removal of files whose delay is over. Others only leave work here.
type background struct {
	store  *Store
	clock  clock.Clock
	logger *slog.Logger
	kick   chan struct{} // one slot: there is new work
	quit   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	flush   []*Log
	removal []removal
	started bool
}

// removal is files to remove once their time has come.
type removal struct {
	at   time.Time
	what string
	do   func() error
}

func newBackground(s *Store) *background {
	return &background{
		store: s, clock: s.o.Clock, logger: s.o.Logger,
		kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
}

func (b *background) wake() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// flushInactive asks for a flush of a log's rolled segments.
func (b *background) flushInactive(l *Log) {
	b.mu.Lock()
	b.flush = append(b.flush, l)
	b.mu.Unlock()
	b.wake()
}

// after removes files when the delay is over; the names say that they are deleted, so a stop that comes
// first leaves it to the next start.
func (b *background) after(delay time.Duration, what string, do func() error) {
	b.mu.Lock()
	b.removal = append(b.removal, removal{b.clock.Now().Add(delay), what, do})
	b.mu.Unlock()
	b.wake()
}

// task is something that is done again and again.
type task struct {
	every time.Duration
	due   time.Time
	do    func(now time.Time)
}

// tasks are the periodic ones. A checkpoint whose write fails took its directory offline and was logged.
func (b *background) tasks(now time.Time) []task {
	o := &b.store.o
	checkpoint := func(name string) func(time.Time) {
		return func(time.Time) { _ = b.store.checkpointAll(name) }
	}
	list := []task{
		{every: flushCheck, do: b.store.flushByTime},
		{every: o.HighWatermarkInterval, do: checkpoint(highWatermarkFile)},
		{every: o.RecoveryPointInterval, do: checkpoint(recoveryPointFile)},
		{every: o.LogStartInterval, do: checkpoint(logStartFile)},
		{every: o.RetentionCheckInterval, do: func(time.Time) { b.store.deleteOldSegments() }},
	}
	for i := range list {
		t := &list[i]
		t.due = now.Add(t.every)
		if t.every == Never {
			t.due = now.Add(firstRun)
		}
	}
	retention := &list[len(list)-1]
	retention.due = now.Add(min(firstRun, retention.every))
	return list
}

func (b *background) run() {
	defer close(b.done)
	tasks := b.tasks(b.clock.Now())
	timer := b.clock.NewTimer(flushCheck)
	defer timer.Stop()
	for {
		select {
		case <-b.quit:
			return
		case <-b.kick:
		case <-timer.C():
		}
		b.flushRolled()
		next := b.removeDue()
		if b.store.logStartMoved.Swap(false) {
			_ = b.store.checkpointAll(logStartFile)
		}
		for i := range tasks {
			next = earlier(next, tasks[i].run(b.clock.Now()))
		}
		timer.Stop()
		timer.Reset(max(next.Sub(b.clock.Now()), 0))
	}
}

// run does the task if it is due and returns when it is due next; zero is never.
func (t *task) run(now time.Time) time.Time {
	if t.due.IsZero() || now.Before(t.due) {
		return t.due
	}
	t.do(now)
	t.due = now.Add(t.every)
	if t.every == Never {
		t.due = time.Time{}
	}
	return t.due
}

// earlier is the earlier time; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (b *background) flushRolled() {
	b.mu.Lock()
	logs := b.flush
	b.flush = nil
	b.mu.Unlock()
	for _, l := range logs {
		if err := l.flushInactive(); err != nil && l.offline.Load() == nil {
			l.logger.Error("flushing rolled segments", "err", err)
		}
	}
}

// removeDue removes what is due and returns when the next removal is, zero for never.
func (b *background) removeDue() (next time.Time) {
	now := b.clock.Now()
	var due []removal
	b.mu.Lock()
	kept := b.removal[:0]
	for _, r := range b.removal {
		if r.at.After(now) {
			kept = append(kept, r)
			if next.IsZero() || r.at.Before(next) {
				next = r.at
			}
		} else {
			due = append(due, r)
		}
	}
	b.removal = kept
	b.mu.Unlock()
	for _, r := range due {
		if err := r.do(); err != nil {
			b.logger.Warn("removing deleted files", "what", r.what, "err", err)
		}
	}
	return next
}

// stop ends the goroutine; removals that were not due are left to the next start.
func (b *background) stop() {
	close(b.quit)
	if b.started {
		<-b.done
	}
}
