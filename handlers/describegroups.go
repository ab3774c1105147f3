package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
)

// DescribeGroups v0-v6, classic groups: a group of another type is not known here.
func (h *Handlers) describeGroups(_ context.Context, _ *Request, req *kmsg.DescribeGroupsRequest) (kmsg.Response, Later) {
	parts := h.Groups.Describe(req.Groups, req.Version)
	operations := req.IncludeAuthorizedOperations
	return nil, func(ctx context.Context) kmsg.Response {
		resp := kmsg.NewPtrDescribeGroupsResponse()
		resp.Groups = []kmsg.DescribeGroupsResponseGroup{}
		for _, p := range parts {
			groups, e := groupcoord.Wait[[]kmsg.DescribeGroupsResponseGroup](ctx, p.Call)
			if e != nil {
				for _, id := range p.Groups {
					g := kmsg.NewDescribeGroupsResponseGroup()
					g.Group, g.ErrorCode = id, e.Code
					resp.Groups = append(resp.Groups, g)
				}
				continue
			}
			resp.Groups = append(resp.Groups, groups...)
		}
		for i := range resp.Groups {
			g := &resp.Groups[i]
			g.AuthorizedOperations = noOperations
			if operations && g.ErrorCode == 0 {
				g.AuthorizedOperations = allGroupOperations
			}
		}
		return resp
	}
}
