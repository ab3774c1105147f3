package groupcoord

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// classicType is a classic group's type on the wire.
const classicType = "classic"

// describeKnowsGroupErrors is the version of DescribeGroups from which a missing group is an error.
const describeKnowsGroupErrors = 6

// List answers with a []kmsg.ListGroupsResponseGroup. Empty filters let everything through; states and
// types are compared without case.
func (m *Machine) List(now time.Time, from coordinator.Token, states, types []string) coordinator.Outcome {
	return m.step(now, func() {
		list := []kmsg.ListGroupsResponseGroup{}
		for _, g := range m.groups {
			if matches(states, g.state.String()) && matches(types, classicType) {
				list = append(list, kmsg.ListGroupsResponseGroup{
					Group: g.id, ProtocolType: g.protocolType, GroupState: g.state.String(), GroupType: classicType,
				})
			}
		}
		m.reply(from, list)
	})
}

func matches(filter []string, value string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool {
		return strings.EqualFold(strings.TrimSpace(f), value)
	})
}

// Describe answers with a []kmsg.DescribeGroupsResponseGroup, in the order asked.
func (m *Machine) Describe(now time.Time, from coordinator.Token, ids []string, version int16) coordinator.Outcome {
	return m.step(now, func() {
		list := make([]kmsg.DescribeGroupsResponseGroup, 0, len(ids))
		for _, id := range ids {
			list = append(list, m.describe(id, version))
		}
		m.reply(from, list)
	})
}

func (m *Machine) describe(id string, version int16) kmsg.DescribeGroupsResponseGroup {
	resp := kmsg.NewDescribeGroupsResponseGroup()
	resp.Group, resp.Members = id, []kmsg.DescribeGroupsResponseGroupMember{}
	g := m.groups[id]
	if g == nil {
		resp.State = Dead.String()
		if version >= describeKnowsGroupErrors {
			text := notFound(id)
			resp.ErrorCode, resp.ErrorMessage = kerr.GroupIDNotFound.Code, &text
		}
		return resp
	}
	resp.State, resp.ProtocolType = g.state.String(), g.protocolType
	stable := g.state == Stable && g.protocol != nil
	if stable {
		resp.Protocol = *g.protocol
	}
	for _, member := range g.members {
		r := kmsg.NewDescribeGroupsResponseGroupMember()
		r.MemberID, r.InstanceID, r.ClientID, r.ClientHost = member.id, member.instance, member.clientID, member.clientHost
		r.MemberAssignment = member.assignment
		if stable {
			r.ProtocolMetadata = member.metadata(*g.protocol)
		}
		resp.Members = append(resp.Members, r)
	}
	return resp
}

func notFound(id string) string { return "Group " + id + " not found." }

// Delete answers with a []kmsg.DeleteGroupsResponseGroup, in the order asked. A group without members goes,
// and its offsets with it.
func (m *Machine) Delete(now time.Time, from coordinator.Token, ids []string) coordinator.Outcome {
	return m.step(now, func() {
		list := make([]kmsg.DeleteGroupsResponseGroup, 0, len(ids))
		for _, id := range ids {
			r := kmsg.NewDeleteGroupsResponseGroup()
			r.Group = id
			switch g := m.groups[id]; {
			case g == nil:
				r.ErrorCode = kerr.GroupIDNotFound.Code
			case g.state != Empty:
				r.ErrorCode = kerr.NonEmptyGroup.Code
			default:
				m.deleteGroup(g)
			}
			list = append(list, r)
		}
		m.reply(from, list)
	})
}

func (m *Machine) deleteGroup(g *group) {
	topics := map[string]bool{}
	for topic := range m.offsets.byGroup[g.id] {
		topics[topic] = true
	}
	for _, producer := range m.offsets.open[g.id] {
		for topic := range m.offsets.pending[producer][g.id] {
			topics[topic] = true
		}
	}
	for topic := range topics {
		for _, partition := range m.partitionsOf(g.id, topic) {
			m.record(offsetTombstone(g.id, topic, partition))
		}
	}
	m.record(groupTombstone(g.id))
	m.event(g, "group deleted")
}
