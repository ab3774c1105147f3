package logstore

import (
	"log/slog"
	"sync"
	"time"

	"minikafka/internal/clock"
)

// highWatermarkInterval is replica.high.watermark.checkpoint.interval.ms.
const highWatermarkInterval = 5 * time.Second

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

// schedule is when each periodic task is due next.
type schedule struct {
	highWatermarks, checkpoints, retention time.Time
}

func (b *background) run() {
	defer close(b.done)
	o := &b.store.o
	now := b.clock.Now()
	due := schedule{now.Add(highWatermarkInterval), now.Add(o.CheckpointInterval), now.Add(min(30*time.Second, o.RetentionCheckInterval))}
	timer := b.clock.NewTimer(highWatermarkInterval)
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
		now = b.clock.Now()
		if !now.Before(due.highWatermarks) {
			due.highWatermarks = now.Add(highWatermarkInterval)
			b.store.flushByTime(now)
			_ = b.store.checkpointAll(highWatermarkFile) // an error took the directory offline and was logged
		}
		if !now.Before(due.checkpoints) || b.store.logStartMoved.Swap(false) {
			due.checkpoints = now.Add(o.CheckpointInterval)
			_ = b.store.checkpointAll(recoveryPointFile, logStartFile)
		}
		if !now.Before(due.retention) {
			due.retention = now.Add(o.RetentionCheckInterval)
			b.store.deleteOldSegments()
		}
		for _, t := range []time.Time{due.highWatermarks, due.checkpoints, due.retention} {
			if next.IsZero() || t.Before(next) {
				next = t
			}
		}
		timer.Stop()
		timer.Reset(max(next.Sub(b.clock.Now()), 0))
	}
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
