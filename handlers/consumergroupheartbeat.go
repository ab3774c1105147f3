package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
)

// ConsumerGroupHeartbeat v0-v1. From v1 on clients make their member ids, and may subscribe a pattern.
func (h *Handlers) consumerGroupHeartbeat(_ context.Context, r *Request, req *kmsg.ConsumerGroupHeartbeatRequest) (kmsg.Response, Later) {
	refuse := func(e *kerr.Error) *kmsg.ConsumerGroupHeartbeatResponse {
		return groupcoord.ConsumerHeartbeatError(e, "")
	}
	if !h.Groups.ServesConsumerGroups() {
		return refuse(kerr.UnsupportedVersion), nil
	}
	if wrong := h.Groups.CheckConsumerHeartbeat(req); wrong != nil {
		return wrong, nil
	}
	client := groupcoord.Client{ID: r.ClientID, Host: r.ClientHost}
	return groupAnswer(h.Groups.ConsumerGroupHeartbeat(client, req), refuse)
}
