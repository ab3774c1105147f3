package broker

import (
	"context"
	"errors"
	"fmt"

	"minikafka/coordinator"
	"minikafka/groupcoord"
	"minikafka/logstore"
	"minikafka/protocol"
	"minikafka/replication"
	"minikafka/txncoord"
)

// newTransactions is the transaction coordinator over this broker's partitions.
func (b *Broker) newTransactions(ids *txncoord.ProducerIDs) *txncoord.Service {
	return txncoord.NewService(txncoord.ServiceOptions{
		NodeID: b.nodeID, Clock: b.o.Clock, Logger: b.o.Logger, Config: b.o.Config,
		Level: func() int16 { return b.controller.Image().Features()["transaction.version"] },
		OpenLog: func(partition int32) coordinator.Log {
			return b.coordinatorLog(txncoord.Topic, partition)
		},
		ProducerIDs: ids, Markers: &markerWriter{b},
	})
}

// markerWriter writes transaction markers on this broker's partitions.
type markerWriter struct{ b *Broker }

// WriteMarker appends a marker and waits until it is committed. A partition that is no more needs none.
func (w *markerWriter) WriteMarker(ctx context.Context, topic string, partition int32, m coordinator.Marker) error {
	t := w.b.controller.Image().TopicByName(topic)
	if t == nil || int(partition) >= len(t.Partitions) {
		return nil
	}
	err := w.write(ctx, topic, partition, m)
	if errors.Is(err, logstore.ErrProducerEpoch) || errors.Is(err, logstore.ErrCoordinatorEpoch) {
		return fmt.Errorf("%w: %w", txncoord.ErrMarkerFenced, err)
	}
	return err
}

func (w *markerWriter) write(ctx context.Context, topic string, partition int32, m coordinator.Marker) error {
	if topic == groupcoord.Topic { // its coordinator has to know
		_, err := w.b.groups.EndTransaction(partition, m).Wait(ctx)
		if errors.Is(err, coordinator.ErrNotCoordinator) || errors.Is(err, coordinator.ErrLoading) {
			return fmt.Errorf("%w: %w", replication.ErrNotLeader, err)
		}
		return err
	}
	p := w.b.partitions.Partition(topic, partition)
	if p == nil {
		return replication.ErrNotLeader
	}
	batch := protocol.AppendMarker(nil, m.ProducerID, m.ProducerEpoch,
		protocol.Marker{Commit: m.Commit, CoordinatorEpoch: m.CoordinatorEpoch}, w.b.o.Clock.Now().UnixMilli())
	result, err := p.Append(replication.AppendRequest{Batch: batch, Acks: -1, Internal: true, MarkerVersion: m.Version})
	if err != nil {
		return err
	}
	return p.AwaitCommit(ctx, result.LastOffset, result.LeaderEpoch)
}
