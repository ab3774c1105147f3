package handlers

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/replication"
)

// DeleteRecords v0-v2: moves the log start. With one replica the low watermark is there at once, so that
// timeoutMs has nothing to limit.
func (h *Handlers) deleteRecords(ctx context.Context, _ *Request, req *kmsg.DeleteRecordsRequest) (kmsg.Response, Later) {
	image := h.Image()
	req.Topics = mergeDeletions(req.Topics)
	resp := &kmsg.DeleteRecordsResponse{Version: req.Version, Topics: make([]kmsg.DeleteRecordsResponseTopic, len(req.Topics))}
	for t := range req.Topics {
		from, to := &req.Topics[t], &resp.Topics[t]
		to.Topic = from.Topic
		to.Partitions = make([]kmsg.DeleteRecordsResponseTopicPartition, len(from.Partitions))
		for p := range from.Partitions {
			asked, row := &from.Partitions[p], &to.Partitions[p]
			row.Default()
			row.Partition, row.LowWatermark = asked.Partition, -1
			err := exists(image, from.Topic, asked.Partition)
			switch {
			case err != nil:
			case isInternal(from.Topic):
				err = ErrInternalTopic
			default:
				row.LowWatermark, err = h.deleteBelow(ctx, from.Topic, asked)
			}
			row.ErrorCode = h.codeOf(err, kmsg.DeleteRecords, req.Version)
		}
	}
	return resp, nil
}

func (h *Handlers) deleteBelow(ctx context.Context, topic string, asked *kmsg.DeleteRecordsRequestTopicPartition) (int64, error) {
	partition := h.Partitions.Partition(topic, asked.Partition)
	if partition == nil {
		return -1, replication.ErrNotLeader
	}
	return partition.DeleteRecords(ctx, asked.Offset)
}

// mergeDeletions puts the rows of a topic together; of a partition that comes twice the last row counts.
func mergeDeletions(topics []kmsg.DeleteRecordsRequestTopic) []kmsg.DeleteRecordsRequestTopic {
	merged := make([]kmsg.DeleteRecordsRequestTopic, 0, len(topics))
	at := map[string]int{}
	for i := range topics {
		t, known := at[topics[i].Topic]
		if !known {
			t = len(merged)
			at[topics[i].Topic] = t
			merged = append(merged, kmsg.DeleteRecordsRequestTopic{Topic: topics[i].Topic})
		}
		for _, p := range topics[i].Partitions {
			same := slices.IndexFunc(merged[t].Partitions, func(o kmsg.DeleteRecordsRequestTopicPartition) bool { return o.Partition == p.Partition })
			if same >= 0 {
				merged[t].Partitions[same] = p
			} else {
				merged[t].Partitions = append(merged[t].Partitions, p)
			}
		}
	}
	return merged
}
