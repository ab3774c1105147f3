package handlers

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/controller"
)

// CreateTopics v2-v7. Here is what concerns the request as a whole (names that come twice, the metadata
// log's own name, the time allowed); what concerns a topic is the controller's: see
// controller.CreateTopics.

// metadataTopic is the metadata log: no topic that anybody can make, change or delete.
const metadataTopic = "__cluster_metadata"

const duplicateTopicName = "Duplicate topic name."

func (h *Handlers) createTopics(
	ctx context.Context, _ *Request, req *kmsg.CreateTopicsRequest,
) (kmsg.Response, Later) {
	wanted, refused := admitTopics(req.Topics)
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	resp.Topics = []kmsg.CreateTopicsResponseTopic{}
	if len(wanted) > 0 {
		forwarded := *req
		forwarded.Topics = wanted
		var answered *kmsg.CreateTopicsResponse
		err := checkTimeout(req.TimeoutMillis)
		if err == nil {
			answered, err = h.Controller.CreateTopics(ctx, &forwarded)
		}
		if err == nil {
			resp.Topics = append(resp.Topics, answered.Topics...)
			resp.ThrottleMillis = answered.ThrottleMillis
		} else {
			for _, t := range wanted {
				resp.Topics = append(resp.Topics, refusedTopic(t.Topic, h.controllerError("CreateTopics", err)))
			}
		}
	}
	resp.Topics = append(resp.Topics, refused...)
	for i := range resp.Topics {
		if resp.Topics[i].Configs == nil { // Kafka's own tool fails on null
			resp.Topics[i].Configs = []kmsg.CreateTopicsResponseTopicConfig{}
		}
	}
	return resp, nil
}

// admitTopics parts the topics that the controller is asked for from those that are refused here. A
// name that comes twice is refused once, and not created at all.
func admitTopics(topics []kmsg.CreateTopicsRequestTopic) (wanted []kmsg.CreateTopicsRequestTopic, refused []kmsg.CreateTopicsResponseTopic) {
	count := map[string]int{}
	for _, t := range topics {
		count[t.Topic]++
	}
	var own []kmsg.CreateTopicsResponseTopic
	for _, t := range topics {
		switch {
		case t.Topic == metadataTopic && count[t.Topic] > 0:
			own = append(own, refusedTopic(t.Topic,
				invalidRequest("Creation of internal topic "+metadataTopic+" is prohibited.")))
		case count[t.Topic] > 1:
			refused = append(refused, refusedTopic(t.Topic, invalidRequest(duplicateTopicName)))
		case count[t.Topic] == 1:
			wanted = append(wanted, t)
		}
		count[t.Topic] = 0
	}
	return wanted, append(refused, own...)
}

func refusedTopic(name string, r *refusal) kmsg.CreateTopicsResponseTopic {
	t := kmsg.NewCreateTopicsResponseTopic()
	t.Topic, t.ErrorCode, t.ErrorMessage = name, r.code.Code, r.message()
	return t
}

// message is the text for an answer that has null where there is none.
func (r *refusal) message() *string {
	if r.text == "" {
		return nil
	}
	return &r.text
}

// controllerError is what clients are told when the controller gave no answer.
func (h *Handlers) controllerError(api string, err error) *refusal {
	known := (*kerr.Error)(nil)
	switch {
	case errors.Is(err, controller.ErrTimedOut), errors.Is(err, context.DeadlineExceeded):
		return &refusal{code: kerr.RequestTimedOut}
	case errors.Is(err, controller.ErrClosed):
		return &refusal{code: kerr.NotController}
	case errors.As(err, &known):
		return &refusal{code: known}
	}
	h.Logger.Error("the controller failed", "api", api, "error", err)
	return &refusal{code: kerr.UnknownServerError}
}

// checkTimeout refuses a timeoutMs that is no time at all: in Kafka, too, it is over before anything
// is done. Any other timeout is kept by the controller, whose clock may be a test's.
func checkTimeout(millis int32) error {
	if millis <= 0 {
		return controller.ErrTimedOut
	}
	return nil
}
