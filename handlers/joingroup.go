package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
)

// JoinGroup v0-v9. What concerns the group is groupcoord's: see its machine_join.go.

func (h *Handlers) joinGroup(_ context.Context, r *Request, req *kmsg.JoinGroupRequest) (kmsg.Response, Later) {
	if e := h.Groups.CheckJoin(req); e != nil {
		return groupcoord.JoinError(req.MemberID, e), nil
	}
	client := groupcoord.Client{ID: r.ClientID, Host: r.ClientHost}
	return groupAnswer(h.Groups.JoinGroup(client, req), func(e *kerr.Error) *kmsg.JoinGroupResponse {
		return groupcoord.JoinError("", e)
	})
}
