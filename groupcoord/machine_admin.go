package groupcoord

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// Types of groups on the wire.
const (
	classicType  = "classic"
	consumerType = "consumer"
)

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
		for _, g := range m.consumers {
			if matches(states, g.state().String()) && matches(types, consumerType) {
				list = append(list, kmsg.ListGroupsResponseGroup{
					Group: g.id, ProtocolType: consumerProtocolType, GroupState: g.state().String(), GroupType: consumerType,
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
			if m.consumers[id] != nil {
				text = "Group " + id + " is not a classic group."
			}
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
			r.ErrorCode = code(m.deleteGroup(id))
			list = append(list, r)
		}
		m.reply(from, list)
	})
}

func (m *Machine) deleteGroup(id string) *kerr.Error {
	g, consumers := m.groups[id], m.consumers[id]
	switch {
	case g == nil && consumers == nil:
		return kerr.GroupIDNotFound
	case g != nil && g.state != Empty || consumers != nil && len(consumers.members) > 0:
		return kerr.NonEmptyGroup
	}
	m.forgetOffsets(id)
	if consumers != nil {
		m.dropConsumerGroup(consumers)
		m.consumerEvent(consumers, "group deleted")
		return nil
	}
	m.record(groupTombstone(id))
	m.event(g, "group deleted")
	return nil
}

// forgetOffsets writes tombstones for all offsets of a group, pending ones too.
func (m *Machine) forgetOffsets(id string) {
	topics := map[string]bool{}
	for topic := range m.offsets.byGroup[id] {
		topics[topic] = true
	}
	for _, producer := range m.offsets.open[id] {
		for topic := range m.offsets.pending[producer][id] {
			topics[topic] = true
		}
	}
	for topic := range topics {
		for _, partition := range m.partitionsOf(id, topic) {
			m.record(offsetTombstone(id, topic, partition))
		}
	}
}
