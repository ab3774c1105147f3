package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Heartbeat v0-v4. While the groups are loading it succeeds: the sessions start when they are loaded.
func (h *Handlers) heartbeat(_ context.Context, _ *Request, req *kmsg.HeartbeatRequest) (kmsg.Response, Later) {
	refuse := func(e *kerr.Error) *kmsg.HeartbeatResponse {
		resp := kmsg.NewPtrHeartbeatResponse()
		if e != kerr.CoordinatorLoadInProgress {
			resp.ErrorCode = e.Code
		}
		return resp
	}
	if req.Group == "" {
		return refuse(kerr.InvalidGroupID), nil
	}
	return groupAnswer(h.Groups.Heartbeat(req), refuse)
}
