package txncoord

import (
	"container/heap"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"minikafka/coordinator"
)

const (
	noProducerID int64 = -1
	noEpoch      int16 = -1
	// exhaustedEpoch is the highest epoch that a client sees.
	exhaustedEpoch int16 = math.MaxInt16 - 1
	// maxWait is how long a request waits for the markers of the transaction before it.
	maxWait = time.Second
	// idRetry is when a transaction that timed out is looked at again, if it takes a producer id to end it.
	idRetry = 100 * time.Millisecond
	// versionTwo is the transaction version in which every transaction has an epoch of its own.
	versionTwo int16 = 2
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Settings are what a machine reads of the configuration and the cluster.
type Settings struct {
	Expiration, ExpiryInterval time.Duration
	// Level is the finalized transaction.version.
	Level func() int16
	// ProducerID is a new producer id; false: there will be one soon.
	ProducerID func() (id int64, ok bool)
	// MaxBatchBytes is the most that a record may take.
	MaxBatchBytes func() int
}

// transaction is what is known of a transactional id.
type transaction struct {
	id         string
	producerID int64
	// previousProducerID is the one before the last step, by which a retry after a change of ids is known.
	previousProducerID int64
	nextProducerID     int64 // reserved for when the transaction has ended; -1: none
	epoch              int16
	lastEpoch          int16 // the client's before the last step; not stored, -1: not known
	timeoutMs          int32
	state              State
	partitions         map[TopicPartition]struct{} // replaced, never changed
	updatedMs          int64
	startedMs          int64 // -1: never
	version            int16 // the client's transaction.version

	waiting []waiter
	armed   time.Time // of its earliest timer; zero: it has none
}

// waiter is a request that waits for the markers.
type waiter struct {
	until time.Time
	retry func()
	busy  func()
	// first: it is about the transaction that is ending, and must be answered before one begins anew. A
	// commit that came twice would commit the next transaction else: in version 1 both have the same epoch.
	first bool
}

// markers is an action: write these, then call Completed.
type markers struct {
	id         string
	producerID int64
	epoch      int16
	commit     bool
	version    int16
	partitions []TopicPartition
}

// Machine holds the transactions of one partition of __transaction_state.
type Machine struct {
	settings Settings
	byID     map[string]*transaction
	timers   timers
	expireAt time.Time
	loaded   bool

	// Of the step that is running.
	now time.Time
	out coordinator.Outcome
}

// NewMachine is a machine that has replayed nothing.
func NewMachine(s Settings) *Machine {
	return &Machine{settings: s, byID: map[string]*transaction{}}
}

func (m *Machine) step(now time.Time, decide func()) coordinator.Outcome {
	m.now, m.out = now, coordinator.Outcome{}
	decide()
	return m.out
}

func (m *Machine) reply(to coordinator.Token, answer any) {
	m.out.Replies = append(m.out.Replies, coordinator.Reply{Token: to, Answer: answer})
}

// put makes next the transaction's state: in the log and, as the same, in memory.
func (m *Machine) put(next transaction) *transaction {
	next.updatedMs = m.now.UnixMilli()
	t := m.byID[next.id]
	if t == nil {
		t = &transaction{id: next.id}
		m.byID[next.id] = t
	} else {
		next.previousProducerID = t.producerID
	}
	next.waiting, next.armed = t.waiting, t.armed
	*t = next
	m.out.Records = append(m.out.Records, t.record(m.settings.Level()))
	return t
}

// wait parks a request until the markers are written; its retry must come to an answer or wait again with
// the same end.
func (m *Machine) wait(t *transaction, w waiter) {
	if !w.until.After(m.now) {
		w.busy()
		return
	}
	t.waiting = append(t.waiting, w)
	m.arm(t, w.until)
}

// arm has the transaction looked at by then. One timer is enough: it is set again when it is due.
func (m *Machine) arm(t *transaction, at time.Time) {
	if t.armed.IsZero() || at.Before(t.armed) {
		t.armed = at
		m.timers.add(at, t.id)
	}
}

// prepare decides how the transaction ends, and has the markers written.
func (m *Machine) prepare(next transaction, commit bool) *transaction {
	if commit {
		next.state = next.state.to(PrepareCommit)
	} else {
		next.state = next.state.to(PrepareAbort)
	}
	t := m.put(next)
	m.sendMarkers(t)
	return t
}

func (m *Machine) sendMarkers(t *transaction) {
	m.out.Actions = append(m.out.Actions, markers{
		id: t.id, producerID: t.producerID, epoch: t.epoch, commit: t.state == PrepareCommit,
		version: t.version, partitions: t.sorted(),
	})
}

// fence aborts the transaction of a producer that is not there any more, or not to be. How is decided by
// the cluster's version, whatever the producer's. false: it needs a producer id, and there is none.
func (m *Machine) fence(t *transaction) bool {
	next := *t
	next.state = next.state.to(PrepareEpochFence)
	if m.settings.Level() < versionTwo {
		next.version, next.epoch, next.lastEpoch = 0, bumped(t.epoch), noEpoch
	} else if !m.newEpoch(&next) {
		return false
	}
	m.prepare(next, false)
	return true
}

// newEpoch is what ends a transaction of version 2: the epoch is bumped, and where it is used up a new
// producer id is reserved. false: there is none.
func (m *Machine) newEpoch(next *transaction) bool {
	if next.epoch >= exhaustedEpoch {
		id, ok := m.settings.ProducerID()
		if !ok {
			return false
		}
		next.nextProducerID = id
	}
	next.version, next.epoch, next.lastEpoch = versionTwo, bumped(next.epoch), next.epoch
	return true
}

func bumped(epoch int16) int16 { return min(epoch, math.MaxInt16-1) + 1 }

// Completed says that all markers of an ended transaction are written and committed. Its answer is nil.
func (m *Machine) Completed(now time.Time, from coordinator.Token, id string, producerID int64, epoch int16) coordinator.Outcome {
	return m.step(now, func() {
		m.reply(from, nil)
		t := m.byID[id]
		if t == nil || !t.state.preparing() || t.producerID != producerID || t.epoch != epoch {
			return // of another life
		}
		next := *t
		if t.state == PrepareCommit {
			next.state = next.state.to(CompleteCommit)
		} else {
			next.state = next.state.to(CompleteAbort)
		}
		if t.nextProducerID != noProducerID {
			next.producerID, next.epoch, next.nextProducerID = t.nextProducerID, 0, noProducerID
		}
		next.partitions = nil
		t = m.put(next)
		waiting := t.waiting
		t.waiting = nil
		for _, first := range []bool{true, false} {
			for _, w := range waiting {
				if w.first == first {
					w.retry()
				}
			}
		}
	})
}

// Loaded has the markers of decided transactions written once more, and arms the time-outs.
func (m *Machine) Loaded(now time.Time) coordinator.Outcome {
	return m.step(now, func() {
		m.loaded = true
		m.expireAt = now.Add(m.settings.ExpiryInterval)
		for _, id := range m.idsOf(func(t *transaction) bool { return !t.state.idle() }) {
			if t := m.byID[id]; t.state == Ongoing {
				m.arm(t, t.deadline())
			} else {
				m.sendMarkers(t)
			}
		}
	})
}

// idsOf are the ids of some transactions, sorted: what the machine decides must not depend on a map.
func (m *Machine) idsOf(some func(*transaction) bool) []string {
	var ids []string
	for id, t := range m.byID {
		if some(t) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (t *transaction) deadline() time.Time {
	return time.UnixMilli(t.startedMs + int64(t.timeoutMs))
}

// Wake is when Tick has something to do.
func (m *Machine) Wake() time.Time {
	if len(m.timers) > 0 && m.timers[0].at.Before(m.expireAt) {
		return m.timers[0].at
	}
	return m.expireAt
}

// Tick aborts transactions that are open for too long, refuses those who waited too long, and forgets
// ids that were not used for long.
func (m *Machine) Tick(now time.Time) coordinator.Outcome {
	return m.step(now, func() {
		for len(m.timers) > 0 && !m.timers[0].at.After(now) {
			due := heap.Pop(&m.timers).(timer)
			if t := m.byID[due.id]; t != nil && t.armed.Equal(due.at) {
				m.fire(t)
			}
		}
		if m.expireAt.After(now) {
			return
		}
		m.expireAt = now.Add(m.settings.ExpiryInterval)
		for _, id := range m.idsOf(func(t *transaction) bool {
			return t.state.idle() && now.UnixMilli()-t.updatedMs >= m.settings.Expiration.Milliseconds()
		}) {
			m.out.Records = append(m.out.Records, coordinator.Record{Key: transactionKey(id)})
			delete(m.byID, id)
		}
	})
}

func (m *Machine) fire(t *transaction) {
	t.armed = time.Time{}
	if t.state == Ongoing && !t.deadline().After(m.now) {
		m.timeOut(t)
	}
	kept := t.waiting[:0]
	for _, w := range t.waiting {
		if w.until.After(m.now) {
			kept = append(kept, w)
		} else {
			w.busy()
		}
	}
	clear(t.waiting[len(kept):])
	t.waiting = kept
	for _, w := range kept {
		m.arm(t, w.until)
	}
	if t.state == Ongoing && t.deadline().After(m.now) {
		m.arm(t, t.deadline())
	}
}

func (m *Machine) timeOut(t *transaction) {
	args := []any{"transactionalId", t.id, "producerId", t.producerID, "epoch", t.epoch, "timeoutMs", t.timeoutMs}
	if !m.fence(t) {
		m.arm(t, m.now.Add(idRetry))
		return
	}
	m.out.Events = append(m.out.Events, coordinator.Event{Message: "transaction timed out", Args: args})
}

// Replay applies a record. Those of its own steps are applied already.
func (m *Machine) Replay(_, _ int64, r coordinator.Record) error {
	if m.loaded {
		return nil
	}
	id, err := parseKey(r.Key)
	if err != nil {
		return err
	}
	if r.Value == nil {
		delete(m.byID, id)
		return nil
	}
	t, err := parseTransaction(id, r.Value)
	if err != nil {
		return err
	}
	m.byID[id] = t
	return nil
}

// ReplayMarker does nothing: nobody's transaction has a partition of __transaction_state.
func (m *Machine) ReplayMarker(int64, bool) {}

// find is the transaction of a producer, or why it may not use it.
func (m *Machine) find(id string, producerID int64) (*transaction, *kerr.Error) {
	if id == "" {
		return nil, kerr.InvalidRequest
	}
	t := m.byID[id]
	if t == nil || t.producerID != producerID {
		return t, kerr.InvalidProducerIDMapping
	}
	return t, nil
}

// timers are deadlines, the earliest first; what they are of is looked up when they are due.
type timers []timer

type timer struct {
	at time.Time
	id string
}

func (t *timers) add(at time.Time, id string) { heap.Push(t, timer{at, id}) }

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)        { *t = append(*t, x.(timer)) }

func (t *timers) Pop() any {
	old := *t
	last := old[len(old)-1]
	old[len(old)-1] = timer{}
	*t = old[:len(old)-1]
	return last
}
