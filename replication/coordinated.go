package replication

// What a coordinator asks of the partition that holds its state.

// Writable says whether a write that needs all in-sync replicas would be admitted now.
func (p *Partition) Writable() error {
	role := p.role.Load()
	if err := role.check(-1); err != nil || role.alone {
		return err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.isr != nil && p.isr.underMin() {
		return ErrNotEnoughReplicas
	}
	return nil
}

// MaxMessageBytes is the largest batch that the topic takes.
func (p *Partition) MaxMessageBytes() int32 { return p.settings.Load().validate.MaxMessageBytes }
