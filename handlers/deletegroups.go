package handlers

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
)

// DeleteGroups v0-v3: groups without members. A name that comes twice counts once.
func (h *Handlers) deleteGroups(_ context.Context, _ *Request, req *kmsg.DeleteGroupsRequest) (kmsg.Response, Later) {
	var distinct []string
	for _, g := range req.Groups {
		if !slices.Contains(distinct, g) {
			distinct = append(distinct, g)
		}
	}
	parts := h.Groups.Delete(distinct)
	return nil, func(ctx context.Context) kmsg.Response {
		resp := kmsg.NewPtrDeleteGroupsResponse()
		resp.Groups = []kmsg.DeleteGroupsResponseGroup{}
		for _, p := range parts {
			groups, e := groupcoord.Wait[[]kmsg.DeleteGroupsResponseGroup](ctx, p.Call)
			if e != nil {
				for _, id := range p.Groups {
					r := kmsg.NewDeleteGroupsResponseGroup()
					r.Group, r.ErrorCode = id, e.Code
					resp.Groups = append(resp.Groups, r)
				}
				continue
			}
			resp.Groups = append(resp.Groups, groups...)
		}
		return resp
	}
}
