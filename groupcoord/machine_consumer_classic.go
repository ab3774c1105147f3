package groupcoord

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Requests of the classic protocol to a consumer group.

// leaveConsumerGroup is LeaveGroup: also of members of the consumer protocol, which tools remove so.
func (m *Machine) leaveConsumerGroup(g *consumerGroup, req *kmsg.LeaveGroupRequest, resp *kmsg.LeaveGroupResponse) {
	var gone []*consumerMember
	for i := range req.Members {
		asked := &req.Members[i]
		r := kmsg.NewLeaveGroupResponseMember()
		r.MemberID, r.InstanceID = asked.MemberID, asked.InstanceID
		id := asked.MemberID
		if asked.InstanceID != nil && id == "" {
			id = g.static[*asked.InstanceID]
		}
		c, no := g.find(id, asked.InstanceID)
		if no != nil {
			r.ErrorCode = no.code.Code
		} else if !slices.Contains(gone, c) {
			gone = append(gone, c)
			m.consumerEvent(g, "member leaves", "member", c.id)
		}
		resp.Members = append(resp.Members, r)
	}
	m.removeConsumers(g, gone, nil)
}

// checkClassicMember is what stands against a request of the classic protocol.
func (g *consumerGroup) checkClassicMember(member string, instance *string) *kerr.Error {
	c, no := g.find(member, instance)
	switch {
	case no != nil:
		return no.code
	case c.classic == nil:
		return kerr.UnknownMemberID
	}
	return nil
}
