package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/replication"
)

// OffsetForLeaderEpoch v2-v4: where a leader epoch ended in the leader's log. An epoch that the log does
// not know is (-1, -1) without an error.
func (h *Handlers) offsetForLeaderEpoch(
	_ context.Context, _ *Request, req *kmsg.OffsetForLeaderEpochRequest,
) (kmsg.Response, Later) {
	image := h.Image()
	resp := &kmsg.OffsetForLeaderEpochResponse{
		Version: req.Version, Topics: make([]kmsg.OffsetForLeaderEpochResponseTopic, len(req.Topics)),
	}
	for t := range req.Topics {
		from, to := &req.Topics[t], &resp.Topics[t]
		to.Topic = from.Topic
		to.Partitions = make([]kmsg.OffsetForLeaderEpochResponseTopicPartition, len(from.Partitions))
		for p := range from.Partitions {
			asked, row := &from.Partitions[p], &to.Partitions[p]
			row.Default()
			row.Partition, row.LeaderEpoch, row.EndOffset = asked.Partition, -1, -1
			err := exists(image, from.Topic, asked.Partition)
			if err == nil {
				row.LeaderEpoch, row.EndOffset, err = h.endOfEpoch(from.Topic, asked)
			}
			row.ErrorCode = h.codeOf(err, kmsg.OffsetForLeaderEpoch, req.Version)
		}
	}
	return resp, nil
}

func (h *Handlers) endOfEpoch(topic string, asked *kmsg.OffsetForLeaderEpochRequestTopicPartition) (int32, int64, error) {
	partition := h.Partitions.Partition(topic, asked.Partition)
	if partition == nil {
		return -1, -1, replication.ErrNotLeader
	}
	return partition.EndOffsetForEpoch(asked.CurrentLeaderEpoch, asked.LeaderEpoch)
}
