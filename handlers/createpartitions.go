package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreatePartitions v0-v3. Topics that come twice are refused here, first in the answer; counts and
// assignments are the controller's to check.
func (h *Handlers) createPartitions(
	ctx context.Context, _ *Request, req *kmsg.CreatePartitionsRequest,
) (kmsg.Response, Later) {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	wanted, duplicates := admitPartitions(req.Topics)
	resp.Topics = []kmsg.CreatePartitionsResponseTopic{}
	for _, name := range duplicates {
		resp.Topics = append(resp.Topics, refusedPartitions(name, invalidRequest(duplicateTopicName)))
	}
	if len(wanted) == 0 {
		return resp, nil
	}
	forwarded := *req
	forwarded.Topics = wanted
	var answered *kmsg.CreatePartitionsResponse
	err := checkTimeout(req.TimeoutMillis)
	if err == nil {
		answered, err = h.Controller.CreatePartitions(ctx, &forwarded)
	}
	if err != nil {
		for _, t := range wanted {
			resp.Topics = append(resp.Topics, refusedPartitions(t.Topic, h.controllerError("CreatePartitions", err)))
		}
		return resp, nil
	}
	resp.Topics = append(resp.Topics, answered.Topics...)
	resp.ThrottleMillis = answered.ThrottleMillis
	return resp, nil
}

// admitPartitions parts topics that come once from the names that come more than once.
func admitPartitions(topics []kmsg.CreatePartitionsRequestTopic) (wanted []kmsg.CreatePartitionsRequestTopic, duplicates []string) {
	count := map[string]int{}
	for _, t := range topics {
		count[t.Topic]++
	}
	for _, t := range topics {
		switch {
		case count[t.Topic] > 1:
			duplicates = append(duplicates, t.Topic)
		case count[t.Topic] == 1:
			wanted = append(wanted, t)
		}
		count[t.Topic] = 0
	}
	return wanted, duplicates
}

func refusedPartitions(name string, r *refusal) kmsg.CreatePartitionsResponseTopic {
	t := kmsg.NewCreatePartitionsResponseTopic()
	t.Topic, t.ErrorCode, t.ErrorMessage = name, r.code.Code, r.message()
	return t
}
