package replication

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"minikafka/config"
	"minikafka/logstore"
	"minikafka/metadata"
)

// unopened is what is to do for a partition whose log is not loaded yet, or not made.
type unopened struct {
	mu      sync.Mutex // held while the log is loaded
	atStart bool
	state   *metadata.Partition // the newest
	term    term
}

// takePlace brings one partition into its role, or leaves that to its first use.
func (m *Manager) takePlace(w *placement, c term) {
	if p := w.partition; p != nil {
		if !p.postpone(w.state, c) {
			m.change(p, w.state, c)
		}
		return
	}
	p := &Partition{tp: w.tp, topicID: w.topic.id, settings: &w.topic.settings, clock: m.o.Clock}
	p.unopened.Store(&unopened{atStart: w.atStart, state: w.state, term: c})
	*w.slot = p
}

// Hosted is Partition without opening it. New says that its log is not made yet: it has no records, and
// never had any.
func (m *Manager) Hosted(name string, partition int32) (p *Partition, isNew bool) {
	p = m.find(name, partition)
	if p == nil {
		return nil, false
	}
	u := p.unopened.Load()
	return p, u != nil && !u.atStart && !m.o.Store.Unloaded(p.tp)
}

// Unopened says that the partition's log is not there yet.
func (p *Partition) Unopened() bool { return p.unopened.Load() != nil }

// postpone replaces what is to do for a partition that is not open; false when it is.
func (p *Partition) postpone(state *metadata.Partition, c term) bool {
	u := p.unopened.Load()
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if p.unopened.Load() == nil {
		return false
	}
	u.state, u.term = state, c
	return true
}

// neverMade ends a partition whose log was not made yet; false when there is one, or may be.
func (m *Manager) neverMade(p *Partition) bool {
	u := p.unopened.Load()
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if p.unopened.Load() == nil || u.atStart || m.o.Store.Unloaded(p.tp) {
		return false
	}
	p.retire(ErrUnknownPartition)
	p.unopened.Store(nil)
	return true
}

// waitsForUse says that the partition is not open, nor being opened with what its topic had a moment ago.
func (p *Partition) waitsForUse() bool {
	u := p.unopened.Load()
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return p.unopened.Load() != nil
}

// open loads or creates the log of a partition and takes its role, once.
func (m *Manager) open(p *Partition) {
	u := p.unopened.Load()
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if p.unopened.Load() == nil {
		return
	}
	if err := m.openLog(p, u.atStart); err != nil {
		m.o.Logger.Error("cannot open a log", "topic", p.tp.Topic, "partition", p.tp.Partition, "error", err)
		p.retire(err)
	}
	m.change(p, u.state, u.term)
	p.unopened.Store(nil)
}

func (m *Manager) change(p *Partition, state *metadata.Partition, c term) {
	if err := p.change(state, c); err != nil {
		m.o.Logger.Error("cannot take a partition's new role", "topic", p.tp.Topic, "partition", p.tp.Partition,
			"epoch", state.LeaderEpoch, "error", err)
		p.retire(err)
	}
}

// openLog finds or creates the log. Without one the partition answers with what went wrong.
func (m *Manager) openLog(p *Partition, atStart bool) error {
	c := p.settings.Load().log
	log := m.o.Store.Log(p.tp)
	if log != nil && metadata.UUID(log.TopicID()) != p.topicID {
		adopted, err := log.AdoptTopicID(p.topicID)
		if err != nil {
			return err
		}
		if !adopted {
			m.stray(p.tp) // of a topic that was deleted and made again while we did not look
			log = nil
		}
	}
	if log != nil {
		log.SetConfig(c)
		p.log = log
		p.highWatermark.Store(log.HighWatermark())
		return nil
	}
	if err := m.mayLieOffline(atStart); err != nil {
		return err
	}
	log, err := m.o.Store.Create(p.tp, p.topicID, c)
	p.log = log
	return err
}

// mayLieOffline refuses to make an empty log of a partition whose records may be in a directory that we cannot
// read, as Kafka does.
func (m *Manager) mayLieOffline(atStart bool) error {
	if !atStart {
		return nil
	}
	for _, d := range m.o.Store.Dirs() {
		if d.Offline {
			return fmt.Errorf("%w: no log, and log directory %s is offline", logstore.ErrStorage, d.Path)
		}
	}
	return nil
}

// OpenAll opens, in the background and num.recovery.threads.per.data.dir at once, what was left to its first use.
func (m *Manager) OpenAll() {
	waiting, next := m.unopened(), new(atomic.Int64)
	for range min(int(config.Get(m.o.Config(), config.NumRecoveryThreadsPerDataDir)), len(waiting)) {
		m.inBackground(func() { m.openEach(m.closing, waiting, next) })
	}
}

// Settle opens what was left to its first use, and returns when every log is there, or ctx ends.
func (m *Manager) Settle(ctx context.Context) {
	waiting := m.unopened()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(applyWorkers, len(waiting)) {
		workers.Go(func() { m.openEach(ctx, waiting, &next) })
	}
	workers.Wait()
}

func (m *Manager) unopened() []*Partition {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var waiting []*Partition
	for _, t := range m.topics {
		for _, p := range *t.partitions.Load() {
			if p != nil && p.unopened.Load() != nil {
				waiting = append(waiting, p)
			}
		}
	}
	return waiting
}

// openNew makes the logs of new partitions in a while, unless somebody wants them before.
func (m *Manager) openNew(partitions []*Partition) {
	if len(partitions) == 0 {
		return
	}
	m.inBackground(func() {
		timer := m.o.Clock.NewTimer(newLogDelay)
		defer timer.Stop()
		select {
		case <-timer.C():
			m.openEach(m.closing, partitions, new(atomic.Int64))
		case <-m.closing.Done():
		}
	})
}

// inBackground runs f until Close, which waits for it.
func (m *Manager) inBackground(f func()) {
	m.openingMu.Lock()
	defer m.openingMu.Unlock()
	if m.closing.Err() == nil {
		m.opening.Go(f)
	}
}

// openEach is one of those who open partitions, sharing next.
func (m *Manager) openEach(ctx context.Context, partitions []*Partition, next *atomic.Int64) {
	for i := next.Add(1) - 1; int(i) < len(partitions) && ctx.Err() == nil; i = next.Add(1) - 1 {
		m.open(partitions[i])
	}
}
