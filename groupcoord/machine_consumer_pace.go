package groupcoord

import "time"

// Members learn of a rebalance by their heartbeats alone: nobody can call them. So how long a rebalance
// takes is a matter of the interval that each answer tells its member. Kafka's is the same at all times (5 s).
//
// Where nobody has set it, ours is short while a group is on its way to an assignment, and as short as can be
// afforded while it rests. Both are bounded in heartbeats per second, over all members of the partition of
// __consumer_offsets that the group is in: a partition with few members has quick ones.
const (
	restingShare, restingInterval = time.Second / 100, 500 * time.Millisecond // 100 a second at most; at least
	movingShare, movingInterval   = time.Second / 500, 100 * time.Millisecond
	// A member that does not do its part holds up a group for as long as its rebalance timeout: the others ask
	// less and less often. Each has asked about four times ln(t/movingInterval) times t after the last step.
	movingBackoff = 4
)

// heartbeatInterval is when a member is to be heard of again.
func (m *Machine) heartbeatInterval(g *consumerGroup, c *ConsumerConfig) time.Duration {
	if c.HeartbeatIntervalSet {
		return c.HeartbeatInterval
	}
	members := m.consumerMembers(g)
	interval := max(restingInterval, times(restingShare, members))
	if g.state() != ConsumerStable {
		moving := max(movingInterval, times(movingShare, members), m.now.Sub(g.movedAt)/movingBackoff)
		interval = min(interval, moving)
	}
	return min(interval, c.HeartbeatInterval)
}

func times(share time.Duration, n int) time.Duration { return time.Duration(int64(share) * int64(n)) }

// consumerMembers is how many members the groups of this machine have. They are counted now and then.
func (m *Machine) consumerMembers(g *consumerGroup) int {
	const good = 200 * time.Millisecond
	if since := m.now.Sub(m.countedAt); since < 0 || since >= good {
		m.countedAt, m.counted = m.now, 0
		for _, other := range m.consumers {
			m.counted += len(other.members)
		}
	}
	return max(m.counted, len(g.members))
}
