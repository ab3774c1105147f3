package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/logstore"
	"minikafka/replication"
)

// ListOffsets v1-v11: by time, or by a special timestamp, each from the version on that brought it.

// specialSince is the first version of a special timestamp.
var specialSince = map[int64]int16{ //nolint:gochecknoglobals // a table
	replication.TimestampLatest: 0, replication.TimestampEarliest: 0, replication.TimestampMax: 7,
	replication.TimestampEarliestLocal: 8, replication.TimestampLatestTiered: 9, replication.TimestampEarliestToUpload: 11,
}

func (h *Handlers) listOffsets(_ context.Context, _ *Request, req *kmsg.ListOffsetsRequest) (kmsg.Response, Later) {
	image, count := h.Image(), countPartitions(req)
	resp := &kmsg.ListOffsetsResponse{Version: req.Version, Topics: make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))}
	for t := range req.Topics {
		from, to := &req.Topics[t], &resp.Topics[t]
		to.Topic = from.Topic
		to.Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, 0, len(from.Partitions))
		for p := range from.Partitions {
			asked, row := &from.Partitions[p], kmsg.NewListOffsetsResponseTopicPartition()
			row.Partition = asked.Partition
			err := exists(image, from.Topic, asked.Partition)
			tp := logstore.TopicPartition{Topic: from.Topic, Partition: asked.Partition}
			switch n := count[tp]; {
			case n == 0:
				continue // refused already
			case n > 1:
				err, count[tp] = ErrDuplicate, 0
			case err == nil:
				err = h.listOffset(req, from.Topic, asked, &row)
			}
			row.ErrorCode = h.codeOf(err, kmsg.ListOffsets, req.Version)
			to.Partitions = append(to.Partitions, row)
		}
	}
	return resp, nil
}

func countPartitions(req *kmsg.ListOffsetsRequest) map[logstore.TopicPartition]int {
	count := map[logstore.TopicPartition]int{}
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			count[logstore.TopicPartition{Topic: req.Topics[i].Topic, Partition: req.Topics[i].Partitions[j].Partition}]++
		}
	}
	return count
}

func (h *Handlers) listOffset(
	req *kmsg.ListOffsetsRequest, topic string,
	asked *kmsg.ListOffsetsRequestTopicPartition, row *kmsg.ListOffsetsResponseTopicPartition,
) error {
	if req.IsolationLevel != 0 && req.IsolationLevel != 1 {
		return kerr.UnknownServerError // as in Kafka
	}
	if since, special := specialSince[asked.Timestamp]; asked.Timestamp < 0 && (!special || req.Version < since) {
		return replication.ErrUnsupportedTimestamp
	}
	partition := h.Partitions.Partition(topic, asked.Partition)
	if partition == nil {
		return replication.ErrNotLeader
	}
	isolation := replication.ReadUncommitted
	switch {
	case req.ReplicaID >= 0:
		isolation = replication.ReadLogEnd
	case req.IsolationLevel == 1:
		isolation = replication.ReadCommitted
	}
	found, err := partition.ListOffset(replication.ListOffsetsRequest{
		Timestamp: asked.Timestamp, Isolation: isolation, CurrentLeaderEpoch: asked.CurrentLeaderEpoch,
	})
	if err != nil {
		return err
	}
	row.Offset, row.Timestamp, row.LeaderEpoch = found.Offset, found.Timestamp, found.LeaderEpoch
	return nil
}
