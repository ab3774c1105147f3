package groupcoord

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// txnKnowsGroupErrors is the version of the OffsetCommit that stands for a TxnOffsetCommit v6, which has codes
// of its own for a missing group and a stale epoch.
const txnKnowsGroupErrors = 10

// TxnOffsetCommit is OffsetCommit within a transaction, in the form of an OffsetCommit: its offsets are
// pending until the marker. The group's state does not matter, and the member only if one is named.
func (m *Machine) TxnOffsetCommit(now time.Time, from coordinator.Token, req *kmsg.OffsetCommitRequest) coordinator.Outcome {
	return m.step(now, func() {
		if e := m.admitTxnCommit(req); e != nil {
			m.reply(from, CommitError(req, e))
			return
		}
		m.commit(from, req)
	})
}

func (m *Machine) admitTxnCommit(req *kmsg.OffsetCommitRequest) *kerr.Error {
	if g := m.consumers[req.Group]; g != nil {
		e := m.admitMemberCommit(g, req, true)
		if e == kerr.StaleMemberEpoch && req.Version < txnKnowsGroupErrors {
			return kerr.IllegalGeneration
		}
		return e
	}
	g := m.groups[req.Group]
	switch {
	case g == nil && req.Generation < 0, g != nil && g.state == Empty && req.Generation < 0:
		return nil
	case g == nil && req.Version >= txnKnowsGroupErrors:
		return kerr.GroupIDNotFound
	case g == nil:
		return kerr.IllegalGeneration
	case req.Generation < 0 && req.MemberID == "" && req.InstanceID == nil:
		return nil
	}
	if e := g.validate(req.MemberID, req.InstanceID); e != nil {
		return e
	}
	if req.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	return nil
}

// Producer is whose transaction an offset commit belongs to.
type Producer = coordinator.Producer

// TxnOffsetCommit is Machine.TxnOffsetCommit. When the producer may not write, the call's error is the log's.
func (s *Service) TxnOffsetCommit(p Producer, req *kmsg.OffsetCommitRequest) *Call {
	sh, ok := s.shards.For(req.Group)
	if !ok {
		return coordinator.Answered(nil, coordinator.ErrNotCoordinator)
	}
	return sh.Transact(p, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		return m.TxnOffsetCommit(now, t, req)
	})
}

// EndTransaction writes a transaction's marker on a partition of Topic.
func (s *Service) EndTransaction(partition int32, marker coordinator.Marker) *Call {
	sh, ok := s.shards.Of(partition)
	if !ok {
		return coordinator.Answered(nil, coordinator.ErrNotCoordinator)
	}
	return sh.EndTransaction(marker)
}
