package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/metadata"
)

// OffsetDelete v0. Topics and partitions that do not exist are refused here.
func (h *Handlers) offsetDelete(_ context.Context, _ *Request, req *kmsg.OffsetDeleteRequest) (kmsg.Response, Later) {
	refuse := func(e *kerr.Error) *kmsg.OffsetDeleteResponse {
		resp := kmsg.NewPtrOffsetDeleteResponse()
		resp.ErrorCode, resp.Topics = e.Code, []kmsg.OffsetDeleteResponseTopic{}
		return resp
	}
	if req.Group == "" {
		return refuse(kerr.InvalidGroupID), nil
	}
	refused, known := admitOffsetDeletes(req, h.Image())
	part := *req
	part.Topics = known
	resp, later := groupAnswer(h.Groups.OffsetDelete(&part), refuse)
	if later == nil {
		return mergeOffsetDeletes(refused, resp), nil
	}
	return nil, func(ctx context.Context) kmsg.Response { return mergeOffsetDeletes(refused, later(ctx)) }
}

func admitOffsetDeletes(req *kmsg.OffsetDeleteRequest, image *metadata.Image) (
	refused []kmsg.OffsetDeleteResponseTopic, known []kmsg.OffsetDeleteRequestTopic,
) {
	for _, asked := range req.Topics {
		t := image.TopicByName(asked.Topic)
		bad, good := kmsg.OffsetDeleteResponseTopic{Topic: asked.Topic}, kmsg.OffsetDeleteRequestTopic{Topic: asked.Topic}
		for _, p := range asked.Partitions {
			if t != nil && p.Partition >= 0 && int(p.Partition) < len(t.Partitions) {
				good.Partitions = append(good.Partitions, p)
				continue
			}
			bad.Partitions = append(bad.Partitions, kmsg.OffsetDeleteResponseTopicPartition{
				Partition: p.Partition, ErrorCode: kerr.UnknownTopicOrPartition.Code,
			})
		}
		if len(bad.Partitions) > 0 {
			refused = append(refused, bad)
		}
		if len(good.Partitions) > 0 {
			known = append(known, good)
		}
	}
	return refused, known
}

// mergeOffsetDeletes adds the group's answer to what was refused; an error of the group stands alone.
func mergeOffsetDeletes(refused []kmsg.OffsetDeleteResponseTopic, answered kmsg.Response) *kmsg.OffsetDeleteResponse {
	resp := answered.(*kmsg.OffsetDeleteResponse)
	if resp.ErrorCode != 0 || len(refused) == 0 {
		return resp
	}
	at := map[string]int{}
	for i := range refused {
		at[refused[i].Topic] = i
	}
	for _, t := range resp.Topics {
		if i, ok := at[t.Topic]; ok {
			refused[i].Partitions = append(refused[i].Partitions, t.Partitions...)
		} else {
			refused = append(refused, t)
		}
	}
	resp.Topics = refused
	return resp
}
