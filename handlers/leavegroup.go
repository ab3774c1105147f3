package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveInBatches is the version from which LeaveGroup names several members, each with a code.
const leaveInBatches = 3

// LeaveGroup v0-v5.
func (h *Handlers) leaveGroup(_ context.Context, _ *Request, req *kmsg.LeaveGroupRequest) (kmsg.Response, Later) {
	refuse := func(e *kerr.Error) *kmsg.LeaveGroupResponse {
		resp := kmsg.NewPtrLeaveGroupResponse()
		resp.ErrorCode = e.Code
		return resp
	}
	if req.Group == "" {
		return refuse(kerr.InvalidGroupID), nil
	}
	if req.Version < leaveInBatches {
		req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: req.MemberID}}
	}
	resp, later := groupAnswer(h.Groups.LeaveGroup(req), refuse)
	if req.Version >= leaveInBatches {
		return resp, later
	}
	if later == nil {
		return leftAlone(resp), nil
	}
	return nil, func(ctx context.Context) kmsg.Response { return leftAlone(later(ctx)) }
}

// leftAlone is the answer of old versions: the one member's code is the request's.
func leftAlone(resp kmsg.Response) kmsg.Response {
	r := resp.(*kmsg.LeaveGroupResponse)
	if len(r.Members) == 1 {
		r.ErrorCode = r.Members[0].ErrorCode
	}
	return r
}
