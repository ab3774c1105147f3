package handlers

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/metadata"
)

// DescribeTopicPartitions v0: topics by name, in pages of partitions.

func (h *Handlers) describeTopicPartitions(
	_ context.Context, r *Request, req *kmsg.DescribeTopicPartitionsRequest,
) (kmsg.Response, Later) {
	v := h.view(r.Listener)
	names, code := pageNames(v.image, req)
	if code != 0 {
		return refusedPages(req, code), nil
	}
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	resp.Topics = []kmsg.DescribeTopicPartitionsResponseTopic{}
	left := max(1, min(config.Get(h.Config(), config.MaxRequestPartitionSizeLimit), req.ResponsePartitionLimit))
	for _, name := range names {
		if left == 0 {
			resp.NextCursor = cursor(name, 0)
			break
		}
		t := v.image.TopicByName(name)
		if t == nil {
			resp.Topics = append(resp.Topics, describedUnknown(name))
			continue
		}
		first := int32(0)
		if req.Cursor != nil && req.Cursor.Topic == name {
			first = req.Cursor.Partition
		}
		end := min(int32(len(t.Partitions)), first+left)
		resp.Topics = append(resp.Topics, v.described(t, first, end))
		if end < int32(len(t.Partitions)) {
			resp.NextCursor = cursor(name, end)
			break
		}
		left -= max(0, end-first)
	}
	return resp, nil
}

// pageNames are the topics that are asked for, sorted, from the cursor's on.
func pageNames(image *metadata.Image, req *kmsg.DescribeTopicPartitionsRequest) (names []string, code int16) {
	from := ""
	if req.Cursor != nil {
		from = req.Cursor.Topic
	}
	if len(req.Topics) == 0 {
		for t := range image.Topics() {
			if t.Name >= from {
				names = append(names, t.Name)
			}
		}
	}
	for _, t := range req.Topics {
		if t.Topic >= from {
			names = append(names, t.Topic)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case req.Cursor != nil && len(req.Topics) > 0 && !slices.Contains(names, from),
		req.Cursor != nil && req.Cursor.Partition < 0:
		return nil, kerr.InvalidRequest.Code
	case slices.Contains(names, ""): // Kafka fails on it as a whole
		return nil, kerr.UnknownServerError.Code
	}
	return names, 0
}

func refusedPages(req *kmsg.DescribeTopicPartitionsRequest, code int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	resp.Topics = []kmsg.DescribeTopicPartitionsResponseTopic{}
	for _, t := range req.Topics {
		d := kmsg.NewDescribeTopicPartitionsResponseTopic()
		d.ErrorCode, d.Topic, d.AuthorizedOperations = code, &t.Topic, noOperations
		d.Partitions = []kmsg.DescribeTopicPartitionsResponseTopicPartition{}
		resp.Topics = append(resp.Topics, d)
	}
	return resp
}

func cursor(topic string, partition int32) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = topic, partition
	return &c
}

func describedUnknown(name string) kmsg.DescribeTopicPartitionsResponseTopic {
	d := kmsg.NewDescribeTopicPartitionsResponseTopic()
	d.ErrorCode, d.Topic, d.IsInternal = unknownName(name), &name, isInternal(name)
	d.AuthorizedOperations, d.Partitions = allTopicOperations, []kmsg.DescribeTopicPartitionsResponseTopicPartition{}
	return d
}

// described is a topic with its partitions [first, end).
func (v clusterView) described(t *metadata.Topic, first, end int32) kmsg.DescribeTopicPartitionsResponseTopic {
	d := kmsg.NewDescribeTopicPartitionsResponseTopic()
	d.Topic, d.TopicID, d.IsInternal, d.AuthorizedOperations = &t.Name, t.ID, isInternal(t.Name), allTopicOperations
	d.Partitions = []kmsg.DescribeTopicPartitionsResponseTopicPartition{}
	for i := first; i < end; i++ {
		p := &t.Partitions[i]
		m := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		m.Partition, m.LeaderEpoch = i, p.LeaderEpoch
		m.LeaderID, m.ErrorCode = v.leader(p, true)
		m.Replicas, m.ISR, m.OfflineReplicas = p.Replicas, p.ISR, v.offline(p)
		m.EligibleLeaderReplicas, m.LastKnownELR = notNull(p.ELR), notNull(p.LastKnownELR)
		d.Partitions = append(d.Partitions, m)
	}
	return d
}

func notNull(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}
