package groupcoord

import "time"

// heartbeatInterval is when a member is to be heard of again.
func (g *consumerGroup) heartbeatInterval(c *ConsumerConfig) time.Duration {
	return c.HeartbeatInterval
}
