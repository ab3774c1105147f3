package groups

import (
	"context"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"minikafka/compat-tests/brokerproc"
)

// saramaHandler processes claims and commits now and then; sarama does not say which commits succeeded.
type saramaHandler struct {
	name string
	l    *ledger
	ctx  context.Context
}

func (*saramaHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*saramaHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *saramaHandler) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-c.Messages():
			if !ok || dead(h.ctx) {
				return nil
			}
			s.MarkMessage(m, "")
			h.l.processed(h.name, m.Partition, m.Offset)
		case <-s.Context().Done():
			return nil
		}
	}
}

func TestSarama(t *testing.T) {
	story(t, brokerproc.Bootstrap(t), false, func(t *testing.T, addr, topic, group, name string, l *ledger) member {
		dial := &line{}
		c := sarama.NewConfig()
		c.Version, c.ClientID = sarama.MaxVersion, name
		c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, dial
		c.Consumer.Offsets.Initial = sarama.OffsetOldest
		c.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond // a commit waits behind the fetches of its connection
		c.Consumer.Group.Session.Timeout, c.Consumer.Group.Heartbeat.Interval = sessionTimeout, 200*time.Millisecond
		c.Consumer.Group.Rebalance.Timeout = 10 * time.Second
		g, err := sarama.NewConsumerGroup([]string{addr}, group, c)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				if err := g.Consume(ctx, []string{topic}, &saramaHandler{name, l, ctx}); err != nil {
					time.Sleep(50 * time.Millisecond)
				}
			}
		}()
		leave := func() { cancel(); <-done; _ = g.Close() }
		t.Cleanup(func() { cancel(); dial.cut() })
		return member{leave: leave, kill: func() { dial.cut(); cancel(); go func() { _ = g.Close() }() }}
	})
}

func TestKafkaGo(t *testing.T) {
	story(t, brokerproc.Bootstrap(t), false, func(t *testing.T, addr, topic, group, name string, l *ledger) member {
		dial := &line{}
		r := kafka.NewReader(kafka.ReaderConfig{
			Brokers: []string{addr}, GroupID: group, Topic: topic, StartOffset: kafka.FirstOffset,
			Dialer:         &kafka.Dialer{ClientID: name, DialFunc: dial.DialContext, Timeout: 5 * time.Second},
			SessionTimeout: sessionTimeout, HeartbeatInterval: 200 * time.Millisecond, RebalanceTimeout: 10 * time.Second,
			MaxWait: 100 * time.Millisecond, JoinGroupBackoff: 100 * time.Millisecond,
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				m, err := r.FetchMessage(ctx)
				if err != nil {
					continue
				}
				if err := r.CommitMessages(context.Background(), m); err == nil {
					l.processed(name, int32(m.Partition), m.Offset)
				}
			}
		}()
		t.Cleanup(func() { cancel(); dial.cut() })
		return member{
			leave: func() { cancel(); <-done; _ = r.Close() },
			kill:  func() { dial.cut(); cancel(); go func() { _ = r.Close() }() },
		}
	})
}

func dead(ctx context.Context) bool { return ctx.Err() != nil }
