//go:build kafka

package benchgroups

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// group is a simulated consumer group and what its members know.
type group struct {
	broker     *broker
	id, topic  string
	topicID    [16]byte
	partitions int
	heartbeats atomic.Int64
	latency    func(time.Duration) // nil: nobody asks

	mu      sync.Mutex
	members map[*member]bool
	stable  time.Time // since when it has been; zero: it is not
	failed  error
}

// member of the group; what others read of it is under the group's mutex.
type member struct {
	group *group
	id    string
	conn  *conn
	epoch int32
	owned []int32 // ascending
	acks  bool    // the next heartbeat says what it has
	stop  context.CancelFunc
	ended chan struct{}
}

func newGroup(b *broker, id, topic string, topicID [16]byte, partitions int) *group {
	return &group{broker: b, id: id, topic: topic, topicID: topicID, partitions: partitions, members: map[*member]bool{}}
}

// join adds a member, which lives until it leaves.
func (g *group) join(id string) (*member, error) {
	c, err := dial(g.broker.addr)
	if err != nil {
		return nil, err
	}
	return g.enter(id, c), nil
}

// enter adds a member that uses a connection, perhaps with others.
func (g *group) enter(id string, c *conn) *member {
	ctx, stop := context.WithCancel(context.Background())
	m := &member{group: g, id: id, conn: c, stop: stop, ended: make(chan struct{})}
	g.mu.Lock()
	g.members[m], g.stable = true, time.Time{}
	g.mu.Unlock()
	go m.live(ctx)
	return m
}

// leave says goodbye, and forgets the member at the moment before.
func (m *member) leave() {
	m.stop()
	<-m.ended
	m.group.forget(m)
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = m.group.id, m.id, -1, -1
	_, _ = m.conn.do(req, 1)
	_ = m.conn.Close()
}

func (g *group) forget(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.members, m)
	g.stable = time.Time{}
}

// live sends heartbeats: when its interval is over, and at once after it has taken up or given up partitions.
func (m *member) live(ctx context.Context) {
	defer close(m.ended)
	timer := time.NewTimer(0)
	full := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		resp, err := m.heartbeat(full)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			m.group.fail(fmt.Errorf("heartbeat of %s: %w", m.id, err))
			return
		}
		full = false
		interval := time.Duration(resp.HeartbeatIntervalMillis) * time.Millisecond
		switch e := kerr.ErrorForCode(resp.ErrorCode); {
		case errors.Is(e, kerr.CoordinatorLoadInProgress), errors.Is(e, kerr.CoordinatorNotAvailable), errors.Is(e, kerr.NotCoordinator):
			full, interval = m.epoch == 0, 50*time.Millisecond
		case e != nil:
			m.group.fail(fmt.Errorf("heartbeat of %s: %w", m.id, e))
			return
		case m.take(resp):
			interval = 0
		}
		timer.Reset(interval)
	}
}

func (m *member) heartbeat(full bool) (*kmsg.ConsumerGroupHeartbeatResponse, error) {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = m.group.id, m.id, m.epoch, -1
	req.SubscribedTopicNames, req.Topics = nil, nil
	if full {
		req.RebalanceTimeoutMillis = 300_000
		req.SubscribedTopicNames = []string{m.group.topic}
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	} else if m.acks {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: m.group.topicID, Partitions: m.owned}}
	}
	m.group.heartbeats.Add(1)
	began := time.Now()
	resp, err := m.conn.do(req, 1)
	if err != nil {
		return nil, err
	}
	if m.group.latency != nil {
		m.group.latency(time.Since(began))
	}
	return resp.(*kmsg.ConsumerGroupHeartbeatResponse), nil
}

// take makes the answer the member's state; true: it has to acknowledge an assignment.
func (m *member) take(resp *kmsg.ConsumerGroupHeartbeatResponse) bool {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	m.epoch, m.acks = resp.MemberEpoch, false
	if resp.Assignment != nil {
		next := []int32{}
		for _, t := range resp.Assignment.Topics {
			next = append(next, t.Partitions...)
		}
		slices.Sort(next)
		m.acks = !slices.Equal(next, m.owned)
		m.owned = next
	}
	g.look()
	return m.acks
}

// look notes since when the group is stable: all members have one epoch and each partition one owner, evenly.
func (g *group) look() {
	owned, epoch, least, most := make([]bool, g.partitions), int32(0), g.partitions, 0
	total := 0
	for m := range g.members {
		if epoch == 0 {
			epoch = m.epoch
		}
		if m.epoch != epoch || epoch <= 0 {
			g.stable = time.Time{}
			return
		}
		least, most = min(least, len(m.owned)), max(most, len(m.owned))
		for _, p := range m.owned {
			if owned[p] {
				g.failed = fmt.Errorf("partition %d of group %s has two owners", p, g.id)
			}
			owned[p] = true
			total++
		}
	}
	switch {
	case total < g.partitions || most-least > 1:
		g.stable = time.Time{}
	case g.stable.IsZero():
		g.stable = time.Now()
	}
}

func (g *group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = err
	}
}

// settled says since when the group is stable with that many members; zero: it is not.
func (g *group) settled(members int) (time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.members) != members {
		return time.Time{}, g.failed
	}
	return g.stable, g.failed
}

// awaitSettled waits until the group is stable.
func (g *group) awaitSettled(members int, within time.Duration) (time.Time, error) {
	for began := time.Now(); time.Since(began) < within; time.Sleep(2 * time.Millisecond) {
		if at, err := g.settled(members); err != nil || !at.IsZero() {
			return at, err
		}
	}
	return time.Time{}, fmt.Errorf("group %s is not stable with %d members after %v", g.id, members, within)
}
