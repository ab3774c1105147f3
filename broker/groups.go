package broker

import (
	"crypto/rand"
	"errors"
	"fmt"

	"minikafka/coordinator"
	"minikafka/groupcoord"
	"minikafka/logstore"
	"minikafka/metadata"
	"minikafka/replication"
)

// newGroups is the group coordinator over this broker's partitions.
func (b *Broker) newGroups() *groupcoord.Service {
	return groupcoord.NewService(groupcoord.ServiceOptions{
		NodeID: b.nodeID, Clock: b.o.Clock, Logger: b.o.Logger, Config: b.o.Config, Values: b.values.Load,
		OpenLog: func(partition int32) coordinator.Log {
			return b.coordinatorLog(groupcoord.Topic, partition)
		},
		NewMemberID: randomUUID,
	})
}

// randomUUID is a random UUID in Java's text form.
func randomUUID() string {
	var u metadata.UUID
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// coordinatorLog is a led partition as a coordinator sees it. Of a new one the log is made when the coordinator
// first asks for more than its ends: whoever comes first should not wait for fifty of them.
type coordinatorLog struct {
	p    *replication.Partition
	open func(*replication.Partition)
}

// coordinatorLog is nil when the partition cannot be used.
func (b *Broker) coordinatorLog(topic string, partition int32) coordinator.Log {
	p, isNew := b.partitions.Hosted(topic, partition)
	if p == nil {
		return nil
	}
	l := &coordinatorLog{p, b.partitions.Open}
	if isNew {
		return l
	}
	if l.open(p); p.Log() == nil {
		return nil
	}
	return l
}

// Admit comes before every use of the log.
func (l *coordinatorLog) Admit() error {
	l.open(l.p)
	switch err := l.p.Writable(); {
	case err == nil:
		return nil
	case errors.Is(err, replication.ErrNotEnoughReplicas):
		return fmt.Errorf("%w: %w", coordinator.ErrUnavailable, err)
	default:
		return fmt.Errorf("%w: %w", coordinator.ErrNotCoordinator, err)
	}
}

// Append is with acks=1: whether there are enough replicas was asked before, and the reply waits for the
// high watermark.
func (l *coordinatorLog) Append(batch []byte) (int64, error) {
	result, err := l.p.Append(replication.AppendRequest{Batch: batch, Acks: 1, Internal: true})
	return result.FirstOffset, err
}

func (l *coordinatorLog) CheckProducer(batch []byte, r coordinator.ProducerRules) error {
	return l.p.Log().CheckProducers(logstore.AppendRules{
		Origin: logstore.OriginCoordinator, MarkerVersion: r.MarkerVersion,
		Verification: logstore.Verification{Needed: true, Since: r.VerifiedSince},
	}, batch)
}

func (l *coordinatorLog) Read(offset int64, maxBytes int32) ([]byte, error) {
	log := l.p.Log()
	result, err := log.Read(offset, log.LogEndOffset(), maxBytes, true)
	if err != nil || result.Records == nil {
		return nil, err
	}
	defer result.Records.Release()
	return result.Records.AppendTo(make([]byte, 0, result.Records.Size()))
}

func (l *coordinatorLog) LogStartOffset() int64 {
	if l.p.Unopened() || l.p.Log() == nil {
		return 0
	}
	return l.p.Log().LogStartOffset()
}

func (l *coordinatorLog) LogEndOffset() int64 {
	if l.p.Unopened() || l.p.Log() == nil {
		return 0
	}
	return l.p.Log().LogEndOffset()
}

func (l *coordinatorLog) HighWatermark() int64 {
	if l.p.Unopened() {
		return 0
	}
	_, highWatermark, _, _ := l.p.Offsets()
	return highWatermark
}

func (l *coordinatorLog) Watch(c chan struct{}) (cancel func()) { return l.p.Watch(c) }
func (l *coordinatorLog) MaxBatchBytes() int                    { return int(l.p.MaxMessageBytes()) }
