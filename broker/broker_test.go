package broker_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/broker"
	"minikafka/brokertest"
	"minikafka/config"
)

func client(t *testing.T, addr string) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation(), kgo.RetryTimeout(5*time.Second))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func createTopic(t *testing.T, c *kgo.Client, name string, partitions int32) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 5000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), c)
	require.NoError(t, err)
	require.Zero(t, resp.Topics[0].ErrorCode)
}

func topicsOf(t *testing.T, c *kgo.Client) map[string]int {
	t.Helper()
	resp, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), c)
	require.NoError(t, err)
	found := map[string]int{}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			require.Zero(t, p.ErrorCode)
			require.EqualValues(t, 1, p.Leader)
		}
		found[*topic.Topic] = len(topic.Partitions)
	}
	return found
}

func TestACreatedTopicIsThereInTheNextAnswer(t *testing.T) {
	c := client(t, brokertest.Start(t).Addr)
	for _, name := range []string{"a", "b", "c"} {
		createTopic(t, c, name, 3)
		require.Equal(t, 3, topicsOf(t, c)[name])
	}
}

func TestMetadataThatCreatesATopicAnswersWithIt(t *testing.T) {
	c := client(t, brokertest.Start(t, "num.partitions=4").Addr)
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("fresh")
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), c)
	require.NoError(t, err)
	require.Zero(t, resp.Topics[0].ErrorCode)
	require.Len(t, resp.Topics[0].Partitions, 4)
}

func TestTopicsAndClusterSurviveACleanStop(t *testing.T) {
	b := brokertest.Start(t)
	createTopic(t, client(t, b.Addr), "kept", 2)
	require.NoError(t, b.Stop(context.Background()))
	again := brokertest.StartIn(t, b.Dir)
	require.Equal(t, map[string]int{"kept": 2}, topicsOf(t, client(t, again.Addr)))
	require.Equal(t, b.ClusterID(), again.ClusterID())
}

func TestADirectoryInUseIsRefused(t *testing.T) {
	b := brokertest.Start(t)
	createTopic(t, client(t, b.Addr), "mine", 1)
	_, err := start(t, b.Dir, "PLAINTEXT://127.0.0.1:0", nil)
	require.ErrorContains(t, err, "lock")
	require.Equal(t, map[string]int{"mine": 1}, topicsOf(t, client(t, b.Addr)))
}

func start(t *testing.T, dir, listeners string, out *bytes.Buffer) (*broker.Broker, error) {
	t.Helper()
	values, _, err := config.Load(config.Sources{Defaults: config.Dev(dir), Overrides: []string{"listeners=" + listeners}})
	require.NoError(t, err)
	o := broker.Options{Config: values}
	if out != nil {
		o.Announce = out
	}
	b, err := broker.New(o)
	require.NoError(t, err)
	if err := b.Start(t.Context()); err != nil {
		return nil, err
	}
	t.Cleanup(func() { require.NoError(t, b.Stop(context.Background())) })
	return b, nil
}

func TestATakenPortIsAnErrorThatWritesNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	dir := t.TempDir()
	_, err = start(t, dir, "PLAINTEXT://"+ln.Addr().String(), nil)
	require.ErrorContains(t, err, "listener PLAINTEXT")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestEveryListenerServesAndAnswersWithItsOwnEndpoint(t *testing.T) {
	b, err := start(t, t.TempDir(), "PLAINTEXT://127.0.0.1:0,SSL://127.0.0.1:0", nil)
	require.ErrorContains(t, err, "SSL is not served", "and no listener is left open")
	require.Nil(t, b)

	two := brokertest.Start(t, "listeners=ONE://127.0.0.1:0,TWO://127.0.0.1:0", "advertised.listeners=ONE://127.0.0.1:0,TWO://localhost:0",
		"listener.security.protocol.map=ONE:PLAINTEXT,TWO:PLAINTEXT", "inter.broker.listener.name=ONE")
	for _, e := range two.Endpoints() {
		resp, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client(t, e.Address()))
		require.NoError(t, err)
		require.Len(t, resp.Brokers, 1)
		require.Equal(t, e.Host, resp.Brokers[0].Host)
		require.EqualValues(t, e.Port, resp.Brokers[0].Port)
	}
}

func TestWhatScriptsWaitForIsAnnouncedOnce(t *testing.T) {
	var out bytes.Buffer
	_, err := start(t, t.TempDir(), "PLAINTEXT://127.0.0.1:0", &out)
	require.NoError(t, err)
	require.Equal(t, `[BrokerLifecycleManager id=1] The broker has been unfenced. Transitioning from RECOVERY to RUNNING. (kafka.server.BrokerLifecycleManager)
[KafkaRaftServer nodeId=1] Kafka Server started (kafka.server.KafkaRaftServer)
[KafkaServer id=1] started (kafka.server.KafkaServer)
`, out.String())
}

func TestADynamicConfigHoldsAtOnce(t *testing.T) {
	b := brokertest.Start(t)
	c := client(t, b.Addr)
	createTopic(t, c, "t", 1)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType = kmsg.ConfigResourceTypeBroker
	v := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	v.Name, v.Value = "max.connections.per.ip", kmsg.StringPtr("1")
	r.Configs = append(r.Configs, v)
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(t.Context(), c)
	require.NoError(t, err)
	require.Zero(t, resp.Resources[0].ErrorCode)
	nc, err := net.Dial("tcp", b.Addr)
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	require.NoError(t, nc.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = nc.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}
