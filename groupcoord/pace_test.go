package groupcoord

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHeartbeatIntervalFollowsTheGroup: how long each answer tells its member to wait.
func TestHeartbeatIntervalFollowsTheGroup(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	usual := ConsumerConfig{HeartbeatInterval: 5 * time.Second}
	set := ConsumerConfig{HeartbeatInterval: 5 * time.Second, HeartbeatIntervalSet: true}
	groupOf := func(members int, settled bool) *consumerGroup {
		g := newConsumerGroup(fmt.Sprint("g", members))
		for i := range members {
			c := newConsumerMember(fmt.Sprint(i))
			c.epoch = g.epoch
			g.put(c)
		}
		if settled {
			g.setAssignmentEpoch(g.epoch, 1)
		}
		g.movedAt = now
		return g
	}
	for _, c := range []struct {
		members, others int
		settled         bool
		moved           time.Duration // ago
		config          ConsumerConfig
		want            time.Duration
	}{
		{1, 0, true, 0, usual, 500 * time.Millisecond},
		{50, 0, true, 0, usual, 500 * time.Millisecond},
		{100, 0, true, 0, usual, time.Second},
		{10, 190, true, 0, usual, 2 * time.Second},
		{10_000, 0, true, 0, usual, 5 * time.Second},
		{50, 0, false, 0, usual, 100 * time.Millisecond},
		{50, 0, false, 200 * time.Millisecond, usual, 100 * time.Millisecond},
		{50, 0, false, time.Second, usual, 250 * time.Millisecond},
		{50, 0, false, time.Minute, usual, 500 * time.Millisecond},
		{1000, 0, false, 0, usual, 2 * time.Second},
		{1000, 0, false, 16 * time.Second, usual, 4 * time.Second},
		{1000, 0, false, time.Hour, usual, 5 * time.Second},
		{50, 0, false, 0, set, 5 * time.Second},
		{50, 0, true, 0, set, 5 * time.Second},
	} {
		m := NewMachine(Settings{})
		g := groupOf(c.members, c.settled)
		m.consumers[g.id] = g
		if c.others > 0 {
			m.consumers["others"] = groupOf(c.others, true)
		}
		m.now = now.Add(c.moved)
		require.Equal(t, c.want, m.heartbeatInterval(g, &c.config), "%+v", c)
	}
}
