package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/logstore"
)

// DescribeLogDirs v1-v5: what lies in each log directory; null topics are all topics.
func (h *Handlers) describeLogDirs(ctx context.Context, _ *Request, req *kmsg.DescribeLogDirsRequest) (kmsg.Response, Later) {
	wanted := wantedPartitions(req)
	logs := map[string][]*logstore.Log{}
	h.Partitions.Settle(ctx)
	_ = h.Store.LoadAll(ctx) // an error is the end of ctx
	for _, l := range h.Store.Logs() {
		if req.Topics == nil || wanted[l.TopicPartition()] {
			logs[l.Dir()] = append(logs[l.Dir()], l)
		}
	}
	resp := &kmsg.DescribeLogDirsResponse{Version: req.Version, Dirs: []kmsg.DescribeLogDirsResponseDir{}}
	cordoned := h.cordonedDirs()
	for _, d := range h.Store.Dirs() {
		dir := kmsg.NewDescribeLogDirsResponseDir()
		dir.Dir, dir.TotalBytes, dir.UsableBytes, dir.IsCordoned = d.Path, d.TotalBytes, d.UsableBytes, cordoned[d.ID]
		dir.Topics = []kmsg.DescribeLogDirsResponseDirTopic{}
		if d.Offline {
			dir.ErrorCode, dir.TotalBytes, dir.UsableBytes = kerr.KafkaStorageError.Code, -1, -1
		} else {
			dir.Topics = h.topicsOf(logs[d.Path])
		}
		resp.Dirs = append(resp.Dirs, dir)
	}
	return resp, nil
}

func wantedPartitions(req *kmsg.DescribeLogDirsRequest) map[logstore.TopicPartition]bool {
	wanted := map[logstore.TopicPartition]bool{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			wanted[logstore.TopicPartition{Topic: t.Topic, Partition: p}] = true
		}
	}
	return wanted
}

// topicsOf groups logs by topic, in the order of their first partition.
func (h *Handlers) topicsOf(logs []*logstore.Log) []kmsg.DescribeLogDirsResponseDirTopic {
	topics, index := []kmsg.DescribeLogDirsResponseDirTopic{}, map[string]int{}
	for _, l := range logs {
		tp := l.TopicPartition()
		at, known := index[tp.Topic]
		if !known {
			at = len(topics)
			index[tp.Topic] = at
			topics = append(topics, kmsg.DescribeLogDirsResponseDirTopic{Topic: tp.Topic})
		}
		row := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		row.Partition, row.Size = tp.Partition, l.SizeBytes()
		if p := h.Partitions.Partition(tp.Topic, tp.Partition); p != nil {
			_, highWatermark, _, logEnd := p.Offsets()
			row.OffsetLag = max(0, highWatermark-logEnd)
		}
		topics[at].Partitions = append(topics[at].Partitions, row)
	}
	return topics
}

// cordonedDirs are the directories that take no new partitions.
func (h *Handlers) cordonedDirs() map[logstore.UUID]bool {
	cordoned := map[logstore.UUID]bool{}
	if b := h.Image().Broker(h.NodeID); b != nil {
		for _, id := range b.CordonedDirectories {
			cordoned[id] = true
		}
	}
	return cordoned
}
