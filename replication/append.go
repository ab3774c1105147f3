package replication

import (
	"minikafka/logstore"
	"minikafka/protocol"
)

// Append validates and appends as leader. With flush.messages reached it returns when the records are on
// disk. Errors: ErrNotLeader, ErrNotEnoughReplicas, *protocol.RecordErrors and the other protocol.Err*,
// logstore.Err*.
func (p *Partition) Append(r AppendRequest) (AppendResult, error) {
	p.mu.RLock()
	role := p.role.Load()
	result, err := p.append(role, r)
	if err == nil && role.alone {
		p.publish(result.LastOffset + 1) // not the log end: another append's records may not be on disk yet
	}
	p.mu.RUnlock()
	if err == nil && !role.alone {
		p.appended(result.LastOffset + 1)
	}
	return result, err
}

func (p *Partition) append(role *role, r AppendRequest) (AppendResult, error) {
	result := AppendResult{LeaderEpoch: role.leaderEpoch}
	if err := role.check(-1); err != nil {
		return result, err
	}
	if r.Acks == -1 && p.isr.underMin() {
		return result, ErrNotEnoughReplicas
	}
	s := p.settings.Load()
	o := s.validate
	o.Partition, o.ProduceVersion, o.Internal = p.tp.Partition, r.ProduceVersion, r.Internal
	o.NowMs = p.clock.Now().UnixMilli()
	batch, err := protocol.Validate(r.Batch, o)
	if err != nil {
		return result, err
	}
	appendTime := int64(-1)
	rules := logstore.AppendRules{
		Origin: logstore.OriginClient, TransactionV2: r.TransactionV2, MarkerVersion: r.MarkerVersion, Verification: r.Verification,
	}
	if r.Internal {
		rules.Origin = logstore.OriginCoordinator
	}
	if o.LogAppendTime {
		appendTime = o.NowMs
	}
	result.AppendInfo, err = p.log.AppendBy(rules, batch, role.leaderEpoch, appendTime)
	return result, err
}

// appended tells the ISR of a new log end.
func (p *Partition) appended(logEnd int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isr != nil && p.isr.onAppend(logEnd, p.clock.Now()) {
		p.publish(p.isr.highWatermark)
	}
}
