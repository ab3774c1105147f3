package replication

import (
	"fmt"
	"slices"
	"time"

	"minikafka/metadata"
)

// term is what a role is taken with, beside the partition's own state.
type term struct {
	nodeID   int32
	lagMax   time.Duration
	eligible func(broker int32) bool // to join an ISR
}

// change takes the metadata's word on who leads. It returns when the partition can be used in its role.
func (p *Partition) change(state *metadata.Partition, c term) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.watchers.wake()
	old := p.role.Load()
	next := &role{
		leader: state.Leader, leaderEpoch: state.LeaderEpoch, partitionEpoch: state.PartitionEpoch,
		isLeader: state.Leader == c.nodeID,
		alone:    len(state.Replicas) == 1 && slices.Equal(state.ISR, state.Replicas),
	}
	if old != nil && old.gone != nil {
		next.gone = old.gone
	}
	switch {
	case next.gone != nil:
	case !next.isLeader:
		p.isr = nil
	case old != nil && old.isLeader && old.leaderEpoch == next.leaderEpoch:
		p.changeISR(state, c)
	default:
		if err := p.lead(state, c); err != nil {
			return err // the old role stands, and fences by its older epoch
		}
	}
	p.role.Store(next)
	return nil
}

// lead begins a term: the epoch starts at the log's end, even without data.
func (p *Partition) lead(state *metadata.Partition, c term) error {
	logEnd := p.log.LogEndOffset()
	if err := p.log.AssignEpoch(state.LeaderEpoch, logEnd); err != nil {
		return fmt.Errorf("begin leader epoch %d of %v: %w", state.LeaderEpoch, p.tp, err)
	}
	p.isr = lead(leadership{
		self: c.nodeID, replicas: state.Replicas, isr: state.ISR,
		leaderEpoch: state.LeaderEpoch, partitionEpoch: state.PartitionEpoch,
		logEnd: logEnd, highWatermark: max(p.log.HighWatermark(), p.log.LogStartOffset()),
		minInsync: p.settings.Load().minInsync, lagMax: c.lagMax, eligible: c.eligible, now: p.clock.Now(),
	})
	p.publish(p.isr.highWatermark)
	return nil
}

// changeISR goes on with the same term.
func (p *Partition) changeISR(state *metadata.Partition, c term) {
	now := p.clock.Now()
	p.isr.highWatermark = max(p.isr.highWatermark, p.highWatermark.Load())
	p.isr.setReplicas(state.Replicas)
	p.isr.setEligible(c.eligible)
	p.isr.commit(state.ISR, state.PartitionEpoch, now)
	p.isr.onAppend(p.log.LogEndOffset(), now)
	p.publish(p.isr.highWatermark)
}

// reconfigure takes the topic's changed settings, which are stored already.
func (p *Partition) reconfigure(s *settings) {
	if p.log == nil {
		return
	}
	p.log.SetConfig(s.log)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isr != nil && p.isr.setMinInsync(s.minInsync, p.clock.Now()) {
		p.publish(p.isr.highWatermark)
	}
}

// retire takes the partition out of service for good: who waits is told why.
func (p *Partition) retire(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := role{leader: -1, leaderEpoch: -1, partitionEpoch: -1}
	if old := p.role.Load(); old != nil {
		next = *old
	}
	next.gone, next.isLeader = why, false
	p.role.Store(&next)
	p.isr = nil
	p.watchers.wake()
}
