package groupcoord

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// Types of members in ConsumerGroupDescribe.
const (
	describeClassicMember  int8 = 0
	describeConsumerMember int8 = 1
)

// ConsumerDescribe answers with a []kmsg.ConsumerGroupDescribeResponseGroup, in the order asked. Topics that
// are no more are left out of assignments, because they have no name.
func (m *Machine) ConsumerDescribe(now time.Time, from coordinator.Token, ids []string, topics Topics) coordinator.Outcome {
	return m.step(now, func() {
		list := make([]kmsg.ConsumerGroupDescribeResponseGroup, 0, len(ids))
		for _, id := range ids {
			list = append(list, m.describeConsumers(id, topics))
		}
		m.reply(from, list)
	})
}

func (m *Machine) describeConsumers(id string, topics Topics) kmsg.ConsumerGroupDescribeResponseGroup {
	resp := kmsg.NewConsumerGroupDescribeResponseGroup()
	resp.Group, resp.Members = id, []kmsg.ConsumerGroupDescribeResponseGroupMember{}
	g := m.consumers[id]
	if g == nil {
		text := notFound(id)
		if m.groups[id] != nil {
			text = "Group " + id + " is not a consumer group."
		}
		resp.ErrorCode, resp.ErrorMessage = kerr.GroupIDNotFound.Code, &text
		return resp
	}
	resp.State, resp.Epoch, resp.AssignmentEpoch = g.state().String(), g.epoch, g.assignmentEpoch
	resp.AssignorName = m.preferredAssignor(g).Name()
	for _, memberID := range g.memberIDs() {
		c := g.members[memberID]
		r := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		r.MemberID, r.InstanceID, r.RackID, r.MemberEpoch = c.id, c.instance, c.rack, c.epoch
		r.ClientID, r.ClientHost, r.SubscribedTopics = c.clientID, c.clientHost, c.topics
		r.SubscribedTopicRegex, r.MemberType = c.regex, describeConsumerMember
		if r.SubscribedTopics == nil {
			r.SubscribedTopics = []string{}
		}
		if c.classic != nil {
			r.MemberType = describeClassicMember
		}
		r.Assignment = describeAssignment(c.has(), topics)
		r.TargetAssignment = describeAssignment(g.target[memberID], topics)
		resp.Members = append(resp.Members, r)
	}
	return resp
}

func describeAssignment(a Assignment, topics Topics) kmsg.Assignment {
	list := kmsg.Assignment{TopicPartitions: []kmsg.AssignmentTopicPartition{}}
	for _, id := range sortedTopics(a) {
		if t, ok := topics.ByID(id); ok {
			list.TopicPartitions = append(list.TopicPartitions,
				kmsg.AssignmentTopicPartition{TopicID: id, Topic: t.Name, Partitions: a[id]})
		}
	}
	return list
}
