package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/replication"
)

// DeleteRecords v0-v2: moves the log start. With one replica the low watermark is there at once, so that
// timeoutMs has nothing to limit.
func (h *Handlers) deleteRecords(ctx context.Context, _ *Request, req *kmsg.DeleteRecordsRequest) (kmsg.Response, Later) {
	image := h.Image()
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
