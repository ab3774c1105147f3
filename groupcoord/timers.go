package groupcoord

import (
	"container/heap"
	"time"
)

// timerKind says what a deadline is for.
type timerKind int8

const (
	sessionTimer   timerKind = iota // of a member, or of one that was only given an id
	joinTimer                       // of a group's join phase
	syncTimer                       // of a group's sync phase
	rebalanceTimer                  // of a member of a consumer group that has to give partitions up
)

// deadline is a point in time that may move or vanish; the zero time is "none".
type deadline struct {
	at    time.Time
	armed time.Time // the earliest entry in the heap; zero: none
}

type timerEntry struct {
	at     time.Time
	number uint64 // entries of one time fire in the order in which they were made
	kind   timerKind
	group  string
	member string
}

// timers is the heap of deadlines. An entry is only a reminder to look at the deadline, which may have
// moved on: then it is put back.
type timers struct {
	entries []timerEntry
	number  uint64
}

func (t *timers) Len() int { return len(t.entries) }
func (t *timers) Less(i, j int) bool {
	a, b := &t.entries[i], &t.entries[j]
	if !a.at.Equal(b.at) {
		return a.at.Before(b.at)
	}
	return a.number < b.number
}
func (t *timers) Swap(i, j int) { t.entries[i], t.entries[j] = t.entries[j], t.entries[i] }
func (t *timers) Push(x any)    { t.entries = append(t.entries, x.(timerEntry)) }
func (t *timers) Pop() any {
	last := len(t.entries) - 1
	e := t.entries[last]
	t.entries[last] = timerEntry{}
	t.entries = t.entries[:last]
	return e
}

// set moves a deadline, and makes sure that the heap reminds of it in time.
func (t *timers) set(d *deadline, at time.Time, kind timerKind, group, member string) {
	d.at = at
	if !d.armed.IsZero() && !d.armed.After(at) {
		return
	}
	d.armed = at
	t.number++
	heap.Push(t, timerEntry{at, t.number, kind, group, member})
}

// next is when the heap wants to be looked at; zero: never.
func (t *timers) next() time.Time {
	if len(t.entries) == 0 {
		return time.Time{}
	}
	return t.entries[0].at
}

// pop takes the earliest entry if it is due.
func (t *timers) pop(now time.Time) (timerEntry, bool) {
	if len(t.entries) == 0 || t.entries[0].at.After(now) {
		return timerEntry{}, false
	}
	return heap.Pop(t).(timerEntry), true
}
