package handlers

import (
	"context"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/metadata"
)

// DeleteTopics v1-v6: by name, and from v6 by name or id. Topics that the request names more than once,
// in whatever way, are refused here and not deleted; whether the others exist is the controller's to
// say. Answers come in random order, so that nobody can read from it which names exist.

func (h *Handlers) deleteTopics(
	ctx context.Context, _ *Request, req *kmsg.DeleteTopicsRequest,
) (kmsg.Response, Later) {
	topics := topicsToDelete(req)
	if !config.Get(h.Config(), config.DeleteTopicEnable) {
		code := kerr.TopicDeletionDisabled
		if req.Version < 3 {
			code = kerr.InvalidRequest
		}
		return refuseDeletions(req, topics, &refusal{code: code}), nil
	}
	wanted, refused := admitDeletions(topics, h.Image())
	forwarded := kmsg.NewPtrDeleteTopicsRequest()
	forwarded.Version, forwarded.Topics, forwarded.TimeoutMillis = 6, wanted, req.TimeoutMillis
	answered := kmsg.NewPtrDeleteTopicsResponse()
	err := checkTimeout(req.TimeoutMillis)
	if err == nil && len(wanted) > 0 {
		answered, err = h.Controller.DeleteTopics(ctx, forwarded)
	}
	if err != nil {
		return refuseDeletions(req, topics, h.controllerError("DeleteTopics", err)), nil
	}
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	resp.ThrottleMillis = answered.ThrottleMillis
	resp.Topics = append(refused, answered.Topics...)
	//nolint:gosec // the order has to be no pattern, not a secret
	rand.Shuffle(len(resp.Topics), func(i, j int) { resp.Topics[i], resp.Topics[j] = resp.Topics[j], resp.Topics[i] })
	return resp, nil
}

// topicsToDelete is the request's list in the form of v6.
func topicsToDelete(req *kmsg.DeleteTopicsRequest) []kmsg.DeleteTopicsRequestTopic {
	if req.Version >= 6 {
		return req.Topics
	}
	topics := make([]kmsg.DeleteTopicsRequestTopic, 0, len(req.TopicNames))
	for _, name := range req.TopicNames {
		topics = append(topics, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	}
	return topics
}

func refuseDeletions(req *kmsg.DeleteTopicsRequest, topics []kmsg.DeleteTopicsRequestTopic, r *refusal) *kmsg.DeleteTopicsResponse {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	resp.Topics = make([]kmsg.DeleteTopicsResponseTopic, 0, len(topics))
	for _, t := range topics {
		resp.Topics = append(resp.Topics, refusedDeletion(t.Topic, t.TopicID, r))
	}
	return resp
}

func refusedDeletion(name *string, id metadata.UUID, r *refusal) kmsg.DeleteTopicsResponseTopic {
	t := kmsg.NewDeleteTopicsResponseTopic()
	t.Topic, t.TopicID, t.ErrorCode, t.ErrorMessage = name, id, r.code.Code, r.message()
	return t
}

// admitDeletions parts topics that are named once from those that are refused: a name or id that comes
// twice (refused once), both or neither given, and a name of a topic whose id came as well.
func admitDeletions(topics []kmsg.DeleteTopicsRequestTopic, image *metadata.Image) (
	wanted []kmsg.DeleteTopicsRequestTopic, refused []kmsg.DeleteTopicsResponseTopic,
) {
	names, ids, refused := countDeletions(topics)
	for name, n := range names {
		topic := image.TopicByName(name)
		if n != 1 || topic == nil || ids[topic.ID] == 0 {
			continue
		}
		names[name], ids[topic.ID] = 0, 0
		refused = append(refused, refusedDeletion(&name, topic.ID,
			invalidRequest("The provided topic name maps to an ID that was already supplied.")))
	}
	for _, t := range topics {
		if isByName(t) && names[*t.Topic] == 1 || isByID(t) && ids[t.TopicID] == 1 {
			wanted = append(wanted, t)
		}
	}
	return wanted, refused
}

func isByName(t kmsg.DeleteTopicsRequestTopic) bool {
	return t.Topic != nil && t.TopicID == metadata.UUID{}
}
func isByID(t kmsg.DeleteTopicsRequestTopic) bool {
	return t.Topic == nil && t.TopicID != metadata.UUID{}
}

// countDeletions counts how often each name and each id comes, and refuses what needs no look-up.
func countDeletions(topics []kmsg.DeleteTopicsRequestTopic) (
	names map[string]int, ids map[metadata.UUID]int, refused []kmsg.DeleteTopicsResponseTopic,
) {
	names, ids = map[string]int{}, map[metadata.UUID]int{}
	for _, t := range topics {
		text := ""
		switch {
		case isByName(t):
			if names[*t.Topic]++; names[*t.Topic] == 2 {
				text = duplicateTopicName
			}
		case isByID(t):
			if ids[t.TopicID]++; ids[t.TopicID] == 2 {
				text = "Duplicate topic id."
			}
		case t.Topic == nil:
			text = "Neither topic name nor id were specified."
		default:
			text = "You may not specify both topic name and topic id."
		}
		if text != "" {
			refused = append(refused, refusedDeletion(t.Topic, t.TopicID, invalidRequest(text)))
		}
	}
	return names, ids, refused
}
