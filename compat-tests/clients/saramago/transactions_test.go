package saramago

import (
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"minikafka/compat-tests/brokerproc"
)

func TestCommittedTransactionsAreReadAndAbortedOnesAreNot(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			c := idempotent(config(v))
			cl := client(t, addr, c)
			topic := create(t, cl, 1, nil)
			c.Producer.Transaction.ID = topic
			producer, err := sarama.NewSyncProducer([]string{addr}, c)
			require.NoError(t, err)
			defer func() { _ = producer.Close() }()
			var want []string
			for n := range 12 {
				require.NoError(t, producer.BeginTxn())
				for i := range 5 {
					value := fmt.Sprintf("%d-%d", n, i)
					_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)})
					require.NoError(t, err)
					if n%3 != 1 {
						want = append(want, value)
					}
				}
				if n%3 == 1 {
					require.NoError(t, producer.AbortTxn())
				} else {
					require.NoError(t, producer.CommitTxn())
				}
			}
			c.Consumer.IsolationLevel = sarama.ReadCommitted
			var got []string
			for _, m := range consume(t, client(t, addr, c), topic, 0, sarama.OffsetOldest, len(want)) {
				got = append(got, string(m.Value))
			}
			require.Equal(t, want, got)
		})
	}
}
