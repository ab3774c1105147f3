//go:build kafka

package benchgroups

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// classicMember is a simulated member of a classic group: it joins, syncs, and sends heartbeats at the interval
// of the clients' default; when its group rebalances it joins again.
type classicMember struct {
	conn       *conn
	group, id  string
	topic      string
	generation int32
	heartbeats *atomic.Int64
	synced     *atomic.Int64 // members that have an assignment
	lost       *atomic.Int64 // times that one was not known any more
	latency    func(time.Duration)
}

const classicInterval = 3 * time.Second

func (m *classicMember) live(ctx context.Context) error {
	has := false
	lose := func() {
		if has {
			m.synced.Add(-1)
		}
		has = false
	}
	for ctx.Err() == nil {
		if err := m.enter(); m.joinsAgain(err) {
			continue
		} else if err != nil {
			return err
		}
		has = true
		m.synced.Add(1)
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(classicInterval):
			}
			req := kmsg.NewPtrHeartbeatRequest()
			req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
			began := time.Now()
			resp, err := m.conn.do(req, 4)
			if err != nil {
				return err
			}
			m.latency(time.Since(began))
			m.heartbeats.Add(1)
			if err := kerr.ErrorForCode(resp.(*kmsg.HeartbeatResponse).ErrorCode); m.joinsAgain(err) {
				lose()
				break
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// joinsAgain: the error is one after which a member joins anew, as clients do.
func (m *classicMember) joinsAgain(err error) bool {
	if errors.Is(err, kerr.UnknownMemberID) {
		m.id = ""
		m.lost.Add(1)
		return true
	}
	return errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration)
}

// enter joins and syncs.
func (m *classicMember) enter() error {
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.MemberID, join.ProtocolType = m.group, m.id, "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 45_000, 60_000
	subscription := kmsg.NewConsumerMemberMetadata()
	subscription.Version, subscription.Topics, subscription.Generation = 3, []string{m.topic}, -1
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription.AppendTo(nil)}}
	resp, err := m.conn.do(join, 9)
	if err != nil {
		return err
	}
	joined := resp.(*kmsg.JoinGroupResponse)
	m.id = joined.MemberID
	if err := kerr.ErrorForCode(joined.ErrorCode); errors.Is(err, kerr.MemberIDRequired) {
		return m.enter()
	} else if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	m.generation = joined.Generation
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = m.group, m.id, m.generation
	sync.ProtocolType, sync.Protocol = joined.ProtocolType, joined.Protocol
	for i, other := range joined.Members {
		a := kmsg.NewConsumerMemberAssignment()
		a.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: m.topic, Partitions: []int32{int32(i)}}}
		sync.GroupAssignment = append(sync.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: other.MemberID, MemberAssignment: a.AppendTo(nil)})
	}
	if resp, err = m.conn.do(sync, 5); err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.SyncGroupResponse).ErrorCode)
}
