package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
)

// ListGroups v0-v5: the groups that this broker coordinates. A partition that is loading fails the whole.
func (h *Handlers) listGroups(_ context.Context, _ *Request, req *kmsg.ListGroupsRequest) (kmsg.Response, Later) {
	calls := h.Groups.List(req.StatesFilter, req.TypesFilter)
	return nil, func(ctx context.Context) kmsg.Response {
		resp := kmsg.NewPtrListGroupsResponse()
		resp.Groups = []kmsg.ListGroupsResponseGroup{}
		for _, c := range calls {
			groups, e := groupcoord.Wait[[]kmsg.ListGroupsResponseGroup](ctx, c)
			switch {
			case e == kerr.NotCoordinator: // it is another broker's by now
			case e != nil:
				resp.ErrorCode, resp.Groups = e.Code, []kmsg.ListGroupsResponseGroup{}
				return resp
			default:
				resp.Groups = append(resp.Groups, groups...)
			}
		}
		return resp
	}
}
