package clock

import (
	"slices"
	"sync"
	"time"
)

// Manual is a clock that stands still until a test (or the time-travel feature) moves it. It is safe for
// concurrent use.
type Manual struct {
	mu     sync.Mutex
	now    time.Time
	timers []*manualTimer // those that are running
}

// NewManual makes a clock that shows now.
func NewManual(now time.Time) *Manual { return &Manual{now: now} }

// Now implements Clock.
func (c *Manual) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward and fires the timers that come due, in the order of their deadlines;
// each sends its own deadline.
func (c *Manual) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.fire()
}

// NewTimer implements Clock. A timer with d <= 0 has fired when it is returned.
func (c *Manual) NewTimer(d time.Duration) Timer {
	t := &manualTimer{clock: c, c: make(chan time.Time, 1)}
	t.Reset(d)
	return t
}

// Pending is how many timers are running: a test waits for it before it advances.
func (c *Manual) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// fire is called with mu held.
func (c *Manual) fire() {
	slices.SortStableFunc(c.timers, func(a, b *manualTimer) int { return a.deadline.Compare(b.deadline) })
	due := 0
	for due < len(c.timers) && !c.timers[due].deadline.After(c.now) {
		c.timers[due].c <- c.timers[due].deadline // empty: Reset and Stop drained it
		due++
	}
	c.timers = slices.Delete(c.timers, 0, due)
}

type manualTimer struct {
	clock    *Manual
	c        chan time.Time
	deadline time.Time
}

func (t *manualTimer) C() <-chan time.Time { return t.c }

// stop is called with the clock's mu held; it reports whether the timer was running. As with package
// time, no stale value is left in the channel.
func (t *manualTimer) stop() bool {
	i := slices.Index(t.clock.timers, t)
	if i >= 0 {
		t.clock.timers = slices.Delete(t.clock.timers, i, i+1)
	}
	select {
	case <-t.c:
	default:
	}
	return i >= 0
}

func (t *manualTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.stop()
}

func (t *manualTimer) Reset(d time.Duration) bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	running := t.stop()
	t.deadline = t.clock.now.Add(d)
	t.clock.timers = append(t.clock.timers, t)
	t.clock.fire()
	return running
}
