package replication

import (
	"fmt"
	"sync"
	"sync/atomic"

	"minikafka/config"
	"minikafka/logstore"
	"minikafka/metadata"
)

// unopened is what is to do for a partition whose log is on disk and not loaded yet.
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
	if !w.atStart || !m.o.Store.Unloaded(w.tp) {
		m.open(p)
	}
	*w.slot = p
}

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
		m.stray(p.tp) // of a topic that was deleted and made again while we did not look
		log = nil
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

// OpenAll opens, in the background and num.recovery.threads.per.data.dir at once, what the first Apply left to
// its first use.
func (m *Manager) OpenAll() {
	m.mu.RLock()
	var waiting []*Partition
	for _, t := range m.topics {
		for _, p := range *t.partitions.Load() {
			if p != nil && p.unopened.Load() != nil {
				waiting = append(waiting, p)
			}
		}
	}
	m.mu.RUnlock()
	openers := int(config.Get(m.o.Config(), config.NumRecoveryThreadsPerDataDir))
	var next atomic.Int64
	for range min(openers, len(waiting)) {
		m.opening.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(waiting) && m.closing.Err() == nil; i = next.Add(1) - 1 {
				m.open(waiting[i])
			}
		})
	}
}
