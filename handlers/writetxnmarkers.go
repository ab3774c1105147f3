package handlers

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/logstore"
	"minikafka/txncoord"
)

// WriteTxnMarkers v1-v2: markers from another broker's coordinator, or of an operator who ends a transaction
// that hangs.
func (h *Handlers) writeTxnMarkers(_ context.Context, _ *Request, req *kmsg.WriteTxnMarkersRequest) (kmsg.Response, Later) {
	markers := req.Markers
	return nil, func(ctx context.Context) kmsg.Response {
		resp := kmsg.NewPtrWriteTxnMarkersResponse()
		resp.Markers = []kmsg.WriteTxnMarkersResponseMarker{}
		for i := range markers {
			m := &markers[i]
			row := kmsg.WriteTxnMarkersResponseMarker{ProducerID: m.ProducerID}
			for _, t := range m.Topics {
				topic := kmsg.WriteTxnMarkersResponseMarkerTopic{Topic: t.Topic}
				for _, p := range t.Partitions {
					topic.Partitions = append(topic.Partitions, kmsg.WriteTxnMarkersResponseMarkerTopicPartition{
						Partition: p, ErrorCode: h.writeTxnMarker(ctx, m, t.Topic, p),
					})
				}
				row.Topics = append(row.Topics, topic)
			}
			resp.Markers = append(resp.Markers, row)
		}
		return resp
	}
}

func (h *Handlers) writeTxnMarker(ctx context.Context, m *kmsg.WriteTxnMarkersRequestMarker, topic string, partition int32) int16 {
	if exists(h.Image(), topic, partition) != nil {
		return kerr.UnknownTopicOrPartition.Code
	}
	err := h.Markers.WriteMarker(ctx, topic, partition, txncoord.Marker{
		ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, Commit: m.Committed,
		CoordinatorEpoch: m.CoordinatorEpoch, Version: m.TransactionVersion,
	})
	switch {
	case errors.Is(err, logstore.ErrProducerEpoch):
		return kerr.InvalidProducerEpoch.Code
	case errors.Is(err, logstore.ErrCoordinatorEpoch):
		return kerr.TransactionCoordinatorFenced.Code
	}
	return h.codeOf(err, kmsg.WriteTxnMarkers, 0)
}
