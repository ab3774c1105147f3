package controller

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/metadata"
)

// createPartitions grows topics. Topics that are refused leave no record; the others are one batch.
func (m *machine) createPartitions(v view, req *kmsg.CreatePartitionsRequest) ([]metadata.Record, *kmsg.CreatePartitionsResponse) {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	resp.Topics = []kmsg.CreatePartitionsResponseTopic{}
	var records []metadata.Record
	for i := range req.Topics {
		t := &req.Topics[i]
		answer := kmsg.NewCreatePartitionsResponseTopic()
		answer.Topic = t.Topic
		made, refused := m.growTopic(v, t, maxPartitionsPerRequest-len(records))
		if refused != nil {
			answer.ErrorCode, answer.ErrorMessage = refused.code.Code, refused.message()
		}
		records = append(records, made...)
		resp.Topics = append(resp.Topics, answer)
	}
	if req.ValidateOnly {
		records = nil
	}
	return records, resp
}

func (m *machine) growTopic(v view, t *kmsg.CreatePartitionsRequestTopic, limit int) ([]metadata.Record, *refusal) {
	topic := v.image.TopicByName(t.Topic)
	if topic == nil {
		return nil, &refusal{code: kerr.UnknownTopicOrPartition}
	}
	have := len(topic.Partitions)
	switch {
	case int(t.Count) == have:
		return nil, refuse(kerr.InvalidPartitions, "Topic already has %d partition(s).", have)
	case int(t.Count) < have:
		return nil, refuse(kerr.InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", t.Topic, have, t.Count)
	}
	more := int(t.Count) - have
	if t.Assignment != nil && len(t.Assignment) != more {
		return nil, refuse(kerr.InvalidReplicaAssignment,
			"Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", more, len(t.Assignment))
	}
	if more > limit {
		return nil, refuse(kerr.PolicyViolation, "Excessively large number of additional partitions per request.")
	}
	assignments, r := m.moreReplicas(v, t, topic, more)
	if r != nil {
		return nil, r
	}
	var records []metadata.Record
	for i, replicas := range assignments {
		records = append(records, newPartition(v.image, topic.ID, int32(have+i), replicas))
	}
	return records, nil
}

// moreReplicas is the replicas of the partitions that a topic grows by; it keeps its replication factor.
func (m *machine) moreReplicas(v view, t *kmsg.CreatePartitionsRequestTopic, topic *metadata.Topic, more int) ([][]int32, *refusal) {
	factor := len(topic.Partitions[0].Replicas)
	if t.Assignment == nil {
		return m.placed(v.image, more, factor)
	}
	var out [][]int32
	for i, a := range t.Assignment {
		if r := checkAssignment(v.image, int32(len(topic.Partitions)+i), a.Replicas, factor); r != nil {
			return nil, r
		}
		out = append(out, a.Replicas)
	}
	return out, nil
}

// deleteTopics removes topics by name, or by id from v6 on.
func (m *machine) deleteTopics(v view, req *kmsg.DeleteTopicsRequest) ([]metadata.Record, *kmsg.DeleteTopicsResponse) {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	resp.Topics = []kmsg.DeleteTopicsResponseTopic{}
	var records []metadata.Record
	gone := map[metadata.UUID]bool{}
	for _, t := range deletions(req) {
		answer := kmsg.NewDeleteTopicsResponseTopic()
		answer.Topic, answer.TopicID = t.Topic, t.TopicID
		topic, refused := findTopic(v.image, t)
		if refused == nil && gone[topic.ID] {
			refused = refuse(kerr.InvalidRequest, "The provided topic name maps to an ID that was already supplied.")
		}
		if refused != nil {
			answer.ErrorCode, answer.ErrorMessage = refused.code.Code, refused.message()
		} else {
			gone[topic.ID] = true
			answer.Topic, answer.TopicID = &topic.Name, topic.ID
			records = append(records, &metadata.RemoveTopicRecord{TopicID: topic.ID})
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return records, resp
}

// deletions is what a request of any version names.
func deletions(req *kmsg.DeleteTopicsRequest) []kmsg.DeleteTopicsRequestTopic {
	if req.Version >= 6 {
		return req.Topics
	}
	out := make([]kmsg.DeleteTopicsRequestTopic, len(req.TopicNames))
	for i := range req.TopicNames {
		out[i].Topic = &req.TopicNames[i]
	}
	return out
}

func findTopic(image *metadata.Image, t kmsg.DeleteTopicsRequestTopic) (*metadata.Topic, *refusal) {
	if t.Topic != nil {
		if topic := image.TopicByName(*t.Topic); topic != nil {
			return topic, nil
		}
		return nil, refuse(kerr.UnknownTopicOrPartition, "%s", kerr.UnknownTopicOrPartition.Description)
	}
	if topic := image.TopicByID(t.TopicID); topic != nil {
		return topic, nil
	}
	return nil, refuse(kerr.UnknownTopicID, "%s", kerr.UnknownTopicID.Description)
}
