package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
	"minikafka/metadata"
)

// commitByID is the version from which OffsetCommit and OffsetFetch name topics by id.
const commitByID = 10

// OffsetCommit v2-v10. Topics and partitions that do not exist are refused here; the group sees the rest.
func (h *Handlers) offsetCommit(_ context.Context, _ *Request, req *kmsg.OffsetCommitRequest) (kmsg.Response, Later) {
	refused, known := admitCommits(req, h.Image())
	if len(known) == 0 {
		return refused, nil
	}
	part := *req
	part.Topics = known
	resp, later := groupAnswer(h.Groups.OffsetCommit(&part), func(e *kerr.Error) *kmsg.OffsetCommitResponse {
		return groupcoord.CommitError(&part, e)
	})
	if later == nil {
		return mergeCommits(refused, resp), nil
	}
	return nil, func(ctx context.Context) kmsg.Response { return mergeCommits(refused, later(ctx)) }
}

// admitCommits parts what exists, with names and ids, from what is refused.
func admitCommits(req *kmsg.OffsetCommitRequest, image *metadata.Image) (*kmsg.OffsetCommitResponse, []kmsg.OffsetCommitRequestTopic) {
	refused := kmsg.NewPtrOffsetCommitResponse()
	refused.Topics = []kmsg.OffsetCommitResponseTopic{}
	known := make([]kmsg.OffsetCommitRequestTopic, 0, len(req.Topics))
	for _, asked := range req.Topics {
		t := image.TopicByName(asked.Topic)
		missing := kerr.UnknownTopicOrPartition
		if req.Version >= commitByID {
			t, missing = image.TopicByID(asked.TopicID), kerr.UnknownTopicID
		}
		bad := kmsg.OffsetCommitResponseTopic{Topic: asked.Topic, TopicID: asked.TopicID}
		if t == nil {
			for _, p := range asked.Partitions {
				bad.Partitions = append(bad.Partitions, refusedCommit(p.Partition, missing))
			}
			refused.Topics = append(refused.Topics, bad)
			continue
		}
		bad.Topic = t.Name
		good := kmsg.OffsetCommitRequestTopic{Topic: t.Name, TopicID: t.ID}
		for _, p := range asked.Partitions {
			if p.Partition >= 0 && int(p.Partition) < len(t.Partitions) {
				good.Partitions = append(good.Partitions, p)
			} else {
				bad.Partitions = append(bad.Partitions, refusedCommit(p.Partition, kerr.UnknownTopicOrPartition))
			}
		}
		if len(bad.Partitions) > 0 {
			refused.Topics = append(refused.Topics, bad)
		}
		if len(good.Partitions) > 0 {
			known = append(known, good)
		}
	}
	return refused, known
}

func refusedCommit(partition int32, e *kerr.Error) kmsg.OffsetCommitResponseTopicPartition {
	return kmsg.OffsetCommitResponseTopicPartition{Partition: partition, ErrorCode: e.Code}
}

// mergeCommits adds the group's answer to what was refused: a topic that is there gets more partitions.
func mergeCommits(refused *kmsg.OffsetCommitResponse, answered kmsg.Response) *kmsg.OffsetCommitResponse {
	resp := answered.(*kmsg.OffsetCommitResponse)
	if len(refused.Topics) == 0 {
		return resp
	}
	at := map[string]int{}
	for i := range refused.Topics {
		if refused.Topics[i].Topic != "" {
			at[refused.Topics[i].Topic] = i
		}
	}
	for _, t := range resp.Topics {
		if i, ok := at[t.Topic]; ok {
			refused.Topics[i].Partitions = append(refused.Topics[i].Partitions, t.Partitions...)
		} else {
			refused.Topics = append(refused.Topics, t)
		}
	}
	return refused
}
