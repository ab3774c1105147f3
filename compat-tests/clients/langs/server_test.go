//go:build langs

package langs

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/brokerproc"
	"minikafka/compat-tests/clients/sample"
)

const within = 90 * time.Second

// properties of every broker here: the shortest times that clients may ask for.
var properties = []string{
	"group.initial.rebalance.delay.ms=0",
	"group.min.session.timeout.ms=1000",
	"group.consumer.min.session.timeout.ms=1000",
	"group.consumer.session.timeout.ms=5000",
	"group.consumer.min.heartbeat.interval.ms=100",
	"group.consumer.heartbeat.interval.ms=500",
}

// A server is a broker of ours, or the Apache Kafka that MINIKAFKA_TEST_BOOTSTRAP names: that one is shared by all
// stories and is not restarted (it takes 10-20 s, and clients then do let their applications see errors).
type server struct {
	addr string
	own  *brokerproc.Broker // nil: Apache Kafka
}

func start(t *testing.T) *server {
	t.Helper()
	t.Parallel()
	if addr := os.Getenv(brokerproc.BootstrapEnv); addr != "" {
		return &server{addr: addr}
	}
	b := brokerproc.Start(t, properties...)
	return &server{addr: b.Addr, own: b}
}

// killed and stopped restart a broker of ours.
func (s *server) killed(t *testing.T) {
	t.Helper()
	if s.own != nil {
		require.NoError(t, s.own.Kill())
		require.NoError(t, s.own.Run())
	}
}

func (s *server) stopped(t *testing.T) {
	t.Helper()
	if s.own != nil {
		require.NoError(t, s.own.Stop())
		require.NoError(t, s.own.Run())
	}
}

// franz is the test's own client: it makes topics, produces the load and reads results.
func franz(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addr), kgo.MetadataMinAge(50 * time.Millisecond), kgo.MetadataMaxAge(time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func topic(t *testing.T, cl *kgo.Client, partitions int32) string {
	t.Helper()
	name := sample.Topic(t)
	create(t, cl, name, partitions)
	return name
}

func create(t *testing.T, cl *kgo.Client, name string, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, name)
	require.NoError(t, err)
}

// end is the sum of a topic's end offsets; 0 while it cannot be had.
func end(t *testing.T, cl *kgo.Client, topic string) int64 {
	t.Helper()
	var sum int64
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	if err == nil {
		ends.Each(func(o kadm.ListedOffset) { sum += max(o.Offset, 0) })
	}
	return sum
}
