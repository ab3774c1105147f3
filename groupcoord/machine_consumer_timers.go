package groupcoord

import "time"

func (m *Machine) armConsumerSession(g *consumerGroup, c *consumerMember, after time.Duration) {
	m.timers.set(&c.timers.session, m.now.Add(after), sessionTimer, g.id, c.id)
}

// sessionTimeout of a member: those of the classic protocol bring their own.
func (m *Machine) sessionTimeout(g *consumerGroup, c *consumerMember) time.Duration {
	if c.classic != nil {
		return millis(c.classic.SessionTimeoutMs)
	}
	return m.settings.Consumer.Config(g.id).SessionTimeout
}

// armConsumers gives the members of a group that was just loaded a new session each, and time to give up
// what they were told to.
func (m *Machine) armConsumers(g *consumerGroup) {
	for _, id := range g.memberIDs() {
		c := g.members[id]
		m.armConsumerSession(g, c, m.sessionTimeout(g, c))
		if c.state == memberUnrevoked && c.classic == nil {
			m.armRebalance(g, c)
		}
	}
}

func (m *Machine) armRebalance(g *consumerGroup, c *consumerMember) {
	c.timers.rebalanceEpoch = c.epoch
	m.timers.set(&c.timers.rebalance, m.now.Add(millis(c.rebalanceTimeoutMs)), rebalanceTimer, g.id, c.id)
}

func (m *Machine) consumerDeadline(g *consumerGroup, e timerEntry) (*deadline, func()) {
	c := g.members[e.member]
	if c == nil {
		return nil, nil
	}
	switch e.kind {
	case sessionTimer:
		return &c.timers.session, func() { m.fence(g, c, "its session timed out") }
	case rebalanceTimer:
		return &c.timers.rebalance, func() {
			if c.epoch == c.timers.rebalanceEpoch {
				m.fence(g, c, "it did not give its partitions up in time")
			}
		}
	case joinTimer:
		return &c.timers.join, func() { m.fence(g, c, "it did not join again in time") }
	case syncTimer:
		return &c.timers.sync, func() { m.fence(g, c, "it did not sync in time") }
	}
	return nil, nil
}

// fence removes a member that did not do its part.
func (m *Machine) fence(g *consumerGroup, c *consumerMember, reason string) {
	m.consumerEvent(g, "member is fenced", "member", c.id, "reason", reason)
	m.removeConsumers(g, []*consumerMember{c}, nil)
}
