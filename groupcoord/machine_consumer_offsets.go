package groupcoord

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitKnowsEpochs is the version of OffsetCommit from which members of the consumer protocol may commit.
const commitKnowsEpochs = 9

// admitCommit says whether the sender may commit for a consumer group. A member whose epoch is behind may
// commit what it has had since that epoch or before.
func (m *Machine) admitMemberCommit(g *consumerGroup, req *kmsg.OffsetCommitRequest, transactional bool) *kerr.Error {
	if req.Generation < 0 && len(g.members) == 0 {
		return nil
	}
	if transactional && req.Generation == -1 && req.MemberID == "" && req.InstanceID == nil {
		return nil
	}
	c := g.members[req.MemberID]
	switch {
	case c == nil:
		return kerr.UnknownMemberID
	case !transactional && c.classic == nil && req.Version < commitKnowsEpochs:
		return kerr.UnsupportedVersion
	case req.Generation == c.epoch:
		return nil
	case req.Generation > c.epoch || !m.hadSince(c, req.Generation, req.Topics):
		return c.staleEpoch()
	}
	return nil
}

// staleEpoch is what a member is told whose epoch is another: each protocol has its word.
func (c *consumerMember) staleEpoch() *kerr.Error {
	if c.classic != nil {
		return kerr.IllegalGeneration
	}
	return kerr.StaleMemberEpoch
}

// hadSince says whether the member has had all these partitions since an epoch. Those that are refused for
// their metadata are not looked at.
func (m *Machine) hadSince(c *consumerMember, epoch int32, topics []kmsg.OffsetCommitRequestTopic) bool {
	for i := range topics {
		t := &topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if p.Metadata != nil && m.tooLong(*p.Metadata) {
				continue
			}
			since, held := c.assigned.epochOf(t.TopicID, p.Partition)
			if !held {
				since, held = c.revoking.epochOf(t.TopicID, p.Partition)
			}
			if !held || epoch < since {
				return false
			}
		}
	}
	return true
}

// admitFetch says whether who asks for a group's offsets is one of its members, if it says that it is.
func (m *Machine) admitFetch(f *Fetch) *kerr.Error {
	g := m.consumers[f.Group]
	if g == nil || f.MemberID == nil && f.MemberEpoch < 0 {
		return nil
	}
	if f.MemberID == nil {
		return kerr.UnknownServerError // an epoch of nobody: Kafka stumbles over it
	}
	switch c := g.members[*f.MemberID]; {
	case c == nil:
		return kerr.UnknownMemberID
	case c.epoch != f.MemberEpoch:
		return c.staleEpoch()
	}
	return nil
}
