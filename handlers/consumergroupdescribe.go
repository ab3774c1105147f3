package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
)

// ConsumerGroupDescribe v0-v1: groups of the consumer protocol alone; v1 says which protocol a member speaks.
func (h *Handlers) consumerGroupDescribe(_ context.Context, _ *Request, req *kmsg.ConsumerGroupDescribeRequest) (kmsg.Response, Later) {
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	resp.Groups = []kmsg.ConsumerGroupDescribeResponseGroup{}
	if !h.Groups.ServesConsumerGroups() {
		resp.Groups = appendUndescribed(resp.Groups, req.Groups, kerr.UnsupportedVersion)
		return resp, nil
	}
	var named []string
	for _, id := range req.Groups {
		if id == "" {
			resp.Groups = appendUndescribed(resp.Groups, []string{id}, kerr.InvalidGroupID)
			continue
		}
		named = append(named, id)
	}
	parts := h.Groups.ConsumerDescribe(named)
	return nil, func(ctx context.Context) kmsg.Response {
		for _, p := range parts {
			groups, e := groupcoord.Wait[[]kmsg.ConsumerGroupDescribeResponseGroup](ctx, p.Call)
			if e != nil {
				groups = appendUndescribed(nil, p.Groups, e)
			}
			resp.Groups = append(resp.Groups, groups...)
		}
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if req.IncludeAuthorizedOperations && g.ErrorCode == 0 {
				g.AuthorizedOperations = allGroupOperations
			}
		}
		return resp
	}
}

func appendUndescribed(
	list []kmsg.ConsumerGroupDescribeResponseGroup, ids []string, e *kerr.Error,
) []kmsg.ConsumerGroupDescribeResponseGroup {
	for _, id := range ids {
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Group, g.ErrorCode, g.Members = id, e.Code, []kmsg.ConsumerGroupDescribeResponseGroupMember{}
		list = append(list, g)
	}
	return list
}
