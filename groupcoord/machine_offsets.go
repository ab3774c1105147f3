package groupcoord

import (
	"time"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// commitKnowsGroupErrors is the version of OffsetCommit from which a missing group has a code of its own.
const commitKnowsGroupErrors = 9

// defaultRetentionMs is a commit's retention time that means "the broker's".
const defaultRetentionMs = -1

// OffsetCommit answers with a *kmsg.OffsetCommitResponse. Topics and partitions of the request exist, and
// it has both names and ids.
func (m *Machine) OffsetCommit(now time.Time, from coordinator.Token, req *kmsg.OffsetCommitRequest) coordinator.Outcome {
	return m.step(now, func() {
		if e := m.admitCommit(req); e != nil {
			m.reply(from, CommitError(req, e))
			return
		}
		m.commit(from, req)
	})
}

// CommitError is an answer with one error for every partition.
func CommitError(req *kmsg.OffsetCommitRequest, e *kerr.Error) *kmsg.OffsetCommitResponse {
	resp := kmsg.NewPtrOffsetCommitResponse()
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.OffsetCommitResponseTopic{Topic: t.Topic, TopicID: t.TopicID}
		for _, p := range t.Partitions {
			rt.Partitions = append(rt.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code(e)})
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// admitCommit says whether the sender may commit for the group. A commit is a sign of life.
func (m *Machine) admitCommit(req *kmsg.OffsetCommitRequest) *kerr.Error {
	if g := m.consumers[req.Group]; g != nil {
		return m.admitMemberCommit(g, req, false)
	}
	g := m.groups[req.Group]
	if g == nil {
		switch {
		case req.Generation < 0:
			return nil // the first commit of a group without members makes the group
		case req.Version >= commitKnowsGroupErrors:
			return kerr.GroupIDNotFound
		}
		return kerr.IllegalGeneration
	}
	if req.Generation < 0 && g.state == Empty {
		return nil
	}
	if req.Generation < 0 && req.MemberID == "" && req.InstanceID == nil {
		if g.state == Empty {
			return nil
		}
		return kerr.UnknownMemberID
	}
	if e := g.validate(req.MemberID, req.InstanceID); e != nil {
		return e
	}
	if req.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	if !g.synced {
		return kerr.RebalanceInProgress // CompletingRebalance, or a rebalance that began in it
	}
	member := g.byID[req.MemberID]
	m.armSession(g, member, member.sessionTimeout)
	return nil
}

func (m *Machine) commit(from coordinator.Token, req *kmsg.OffsetCommitRequest) {
	resp := kmsg.NewPtrOffsetCommitResponse()
	resp.Topics = make([]kmsg.OffsetCommitResponseTopic, 0, len(req.Topics))
	o := offset{committedAt: m.nowMs(), expiresAt: -1}
	if req.RetentionTimeMillis != defaultRetentionMs {
		o.expiresAt = o.committedAt + req.RetentionTimeMillis
	}
	size := 0
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.OffsetCommitResponseTopic{Topic: t.Topic, TopicID: t.TopicID}
		rt.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, 0, len(t.Partitions))
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition}
			o.offset, o.leaderEpoch, o.metadata, o.topicID = p.Offset, p.LeaderEpoch, "", t.TopicID
			if p.Metadata != nil {
				o.metadata = *p.Metadata
			}
			if m.tooLong(o.metadata) {
				rp.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			} else {
				r := offsetRecord(req.Group, t.Topic, p.Partition, &o)
				m.record(r)
				size += coordinator.RecordSize(r)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if size > m.settings.MaxBatchBytes() {
		m.out.Records = nil
		resp = CommitError(req, kerr.InvalidCommitOffsetSize)
	}
	m.reply(from, resp)
}

// tooLong counts as Java does: in UTF-16 units.
func (m *Machine) tooLong(metadata string) bool {
	limit := m.settings.OffsetMetadataMaxBytes
	if len(metadata) <= limit {
		return false
	}
	units := 0
	for _, r := range metadata {
		units += max(utf16.RuneLen(r), 1)
	}
	return units > limit
}

// Fetch is one group's part of an OffsetFetch.
type Fetch struct {
	Group         string
	MemberID      *string // of who asks; nil with a negative epoch: it does not say
	MemberEpoch   int32
	RequireStable bool
	All           bool // every topic with offsets; Topics is not looked at
	Topics        []FetchTopic
}

// FetchTopic asks for partitions of a topic.
type FetchTopic struct {
	Topic      string
	TopicID    [16]byte // zero: not known
	Partitions []int32
}

// OffsetFetch answers with a *kmsg.OffsetFetchResponseGroup with names and, where known, ids.
func (m *Machine) OffsetFetch(now time.Time, from coordinator.Token, f Fetch) coordinator.Outcome {
	return m.step(now, func() {
		resp := &kmsg.OffsetFetchResponseGroup{Group: f.Group, Topics: []kmsg.OffsetFetchResponseGroupTopic{}}
		if e := m.admitFetch(&f); e != nil {
			resp.ErrorCode = e.Code
			m.reply(from, resp)
			return
		}
		if f.All {
			for topic, partitions := range m.offsets.byGroup[f.Group] {
				t := kmsg.OffsetFetchResponseGroupTopic{Topic: topic}
				for partition := range partitions {
					t.Partitions = append(t.Partitions, m.fetchOffset(&f, topic, partition, [16]byte{}))
				}
				resp.Topics = append(resp.Topics, t)
			}
			m.reply(from, resp)
			return
		}
		for i := range f.Topics {
			asked := &f.Topics[i]
			t := kmsg.OffsetFetchResponseGroupTopic{Topic: asked.Topic, TopicID: asked.TopicID}
			t.Partitions = make([]kmsg.OffsetFetchResponseGroupTopicPartition, 0, len(asked.Partitions))
			for _, partition := range asked.Partitions {
				t.Partitions = append(t.Partitions, m.fetchOffset(&f, asked.Topic, partition, asked.TopicID))
			}
			resp.Topics = append(resp.Topics, t)
		}
		m.reply(from, resp)
	})
}

// fetchOffset: an offset of a topic that was deleted, and made again under its name, counts as none.
func (m *Machine) fetchOffset(f *Fetch, topic string, partition int32, id [16]byte) kmsg.OffsetFetchResponseGroupTopicPartition {
	none := ""
	r := kmsg.OffsetFetchResponseGroupTopicPartition{Partition: partition, Offset: -1, LeaderEpoch: -1, Metadata: &none}
	if f.RequireStable && m.offsets.isPending(f.Group, topic, partition) {
		r.ErrorCode = kerr.UnstableOffsetCommit.Code
		return r
	}
	o, ok := m.offsets.get(f.Group, topic, partition)
	if !ok || o.topicID != [16]byte{} && id != [16]byte{} && o.topicID != id {
		return r
	}
	r.Offset, r.LeaderEpoch, r.Metadata = o.offset, o.leaderEpoch, &o.metadata
	return r
}

// OffsetDelete answers with a *kmsg.OffsetDeleteResponse. Topics and partitions of the request exist.
func (m *Machine) OffsetDelete(now time.Time, from coordinator.Token, req *kmsg.OffsetDeleteRequest) coordinator.Outcome {
	return m.step(now, func() {
		resp := kmsg.NewPtrOffsetDeleteResponse()
		g, consumers := m.groups[req.Group], m.consumers[req.Group]
		subscribes := func(string) bool { return false }
		if g != nil {
			subscribes = g.subscribes
		} else if consumers != nil {
			subscribes = consumers.subscribes
		}
		switch {
		case g == nil && consumers == nil:
			resp.ErrorCode = kerr.GroupIDNotFound.Code
		case g != nil && g.state != Empty && g.protocolType != consumerProtocolType:
			resp.ErrorCode = kerr.NonEmptyGroup.Code
		default:
			for i := range req.Topics {
				resp.Topics = append(resp.Topics, m.deleteOffsets(req.Group, subscribes(req.Topics[i].Topic), &req.Topics[i]))
			}
		}
		m.reply(from, resp)
	})
}

func (m *Machine) deleteOffsets(group string, used bool, t *kmsg.OffsetDeleteRequestTopic) kmsg.OffsetDeleteResponseTopic {
	resp := kmsg.OffsetDeleteResponseTopic{Topic: t.Topic}
	for _, p := range t.Partitions {
		r := kmsg.OffsetDeleteResponseTopicPartition{Partition: p.Partition}
		if used {
			r.ErrorCode = kerr.GroupSubscribedToTopic.Code
		} else if _, ok := m.offsets.get(group, t.Topic, p.Partition); ok || m.offsets.isPending(group, t.Topic, p.Partition) {
			m.record(offsetTombstone(group, t.Topic, p.Partition))
		}
		resp.Partitions = append(resp.Partitions, r)
	}
	return resp
}
