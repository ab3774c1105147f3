// Package segmentio drives the broker with segmentio/kafka-go, unmodified.
package segmentio

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"minikafka/compat-tests/brokerproc"
	"minikafka/compat-tests/clients/sample"
)

const within = 60 * time.Second

func contextOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	return ctx
}

func client(addr string) *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(addr), Timeout: 20 * time.Second}
}

// create makes a topic and waits until each partition tells its offsets.
func create(t *testing.T, addr string, partitions int, configs ...kafka.ConfigEntry) string {
	t.Helper()
	topic := sample.Topic(t)
	resp, err := client(addr).CreateTopics(contextOf(t), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: configs}}})
	require.NoError(t, err)
	require.NoError(t, resp.Errors[topic])
	require.Eventually(t, func() bool {
		for p := range partitions {
			conn, err := kafka.DialLeader(contextOf(t), "tcp", addr, topic, p)
			if err != nil {
				return false
			}
			_, err = conn.ReadLastOffset()
			_ = conn.Close()
			if err != nil {
				return false
			}
		}
		return true
	}, 10*time.Second, 10*time.Millisecond)
	return topic
}

func message(r sample.Record) kafka.Message {
	m := kafka.Message{Key: r.Key, Value: r.Value, Time: r.Time}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return m
}

// consume reads n records of a partition with a Reader that has been set to its start by set.
func consume(t *testing.T, addr, topic string, partition, n int, set func(*kafka.Reader) error) []kafka.Message {
	t.Helper()
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{addr}, Topic: topic, Partition: partition, MaxBytes: 8 << 20, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	require.NoError(t, set(r))
	var out []kafka.Message
	for range n {
		m, err := r.ReadMessage(contextOf(t))
		require.NoError(t, err)
		out = append(out, m)
	}
	return out
}

func at(offset int64) func(*kafka.Reader) error {
	return func(r *kafka.Reader) error { return r.SetOffset(offset) }
}

func TestRecordsComeBackAsTheyWereWritten(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	for _, codec := range []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			topic := create(t, addr, 1)
			w := &kafka.Writer{Addr: kafka.TCP(addr), Topic: topic, Compression: codec, RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond, BatchBytes: 1_040_000}
			defer w.Close()
			want := sample.Records()
			for i, r := range want { // kafka-go writes a nil value as null, and a nil key too
				require.NoError(t, w.WriteMessages(contextOf(t), message(r)), "record %d", i)
			}
			var got []sample.Record
			for i, m := range consume(t, addr, topic, 0, len(want), at(kafka.FirstOffset)) {
				require.EqualValues(t, i, m.Offset)
				r := sample.Record{Key: m.Key, Value: m.Value, Time: m.Time}
				for _, h := range m.Headers {
					r.Headers = append(r.Headers, sample.Header{Key: h.Key, Value: h.Value})
				}
				got = append(got, r)
			}
			sample.RequireEqual(t, want, got, false)
		})
	}
}

func TestConsumptionStartsWhereItIsAsked(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	topic := create(t, addr, 1)
	w := &kafka.Writer{Addr: kafka.TCP(addr), Topic: topic, RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond}
	defer w.Close()
	var messages []kafka.Message
	for i := range 200 {
		messages = append(messages, kafka.Message{Value: []byte("x"), Time: sample.Start.Add(time.Duration(i) * sample.Step)})
	}
	require.NoError(t, w.WriteMessages(contextOf(t), messages...))
	require.EqualValues(t, 0, consume(t, addr, topic, 0, 200, at(kafka.FirstOffset))[0].Offset)
	require.EqualValues(t, 150, consume(t, addr, topic, 0, 50, at(150))[0].Offset)
	byTime := func(r *kafka.Reader) error { return r.SetOffsetAt(contextOf(t), sample.Start.Add(60*sample.Step)) }
	require.EqualValues(t, 60, consume(t, addr, topic, 0, 140, byTime)[0].Offset)
}

// TestConnectionSpeaksOldVersions: kafka.Conn writes and reads with the lowest versions that the client has.
func TestConnectionSpeaksOldVersions(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	topic := create(t, addr, 2)
	for p := range 2 {
		conn, err := kafka.DialLeader(contextOf(t), "tcp", addr, topic, p)
		require.NoError(t, err)
		for range 3 {
			_, err = conn.WriteMessages(kafka.Message{Key: []byte("k"), Value: []byte("a")}, kafka.Message{Value: []byte("b")})
			require.NoError(t, err)
		}
		first, last, err := conn.ReadOffsets()
		require.NoError(t, err)
		require.EqualValues(t, 0, first)
		require.EqualValues(t, 6, last)
		_, err = conn.Seek(4, kafka.SeekAbsolute)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(within)))
		batch := conn.ReadBatch(1, 1<<20)
		m, err := batch.ReadMessage()
		require.NoError(t, err)
		require.EqualValues(t, 4, m.Offset)
		require.Equal(t, "a", string(m.Value))
		require.NoError(t, batch.Close())
		parts, err := conn.ReadPartitions(topic)
		require.NoError(t, err)
		require.Len(t, parts, 2)
		require.NoError(t, conn.Close())
	}
}

func TestAdministrationOfTopics(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	ctx, cl := contextOf(t), client(addr)
	topic := create(t, addr, 1, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "60000"})
	again, err := cl.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}}})
	require.NoError(t, err)
	require.ErrorIs(t, again.Errors[topic], kafka.TopicAlreadyExists)
	value := func(key string) string {
		resp, err := cl.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{key}}}})
		require.NoError(t, err)
		require.NoError(t, resp.Resources[0].Error)
		return resp.Resources[0].ConfigEntries[0].ConfigValue
	}
	require.Equal(t, "60000", value("retention.ms"))
	altered, err := cl.AlterConfigs(ctx, &kafka.AlterConfigsRequest{Resources: []kafka.AlterConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, Configs: []kafka.AlterConfigRequestConfig{{Name: "retention.ms", Value: "70000"}}}}})
	require.NoError(t, err)
	require.Len(t, altered.Errors, 1)
	for _, err := range altered.Errors {
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return value("retention.ms") == "70000" }, 5*time.Second, 10*time.Millisecond)
	changed, err := cl.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "flush.ms", Value: "77", ConfigOperation: kafka.ConfigOperationSet}}}}})
	require.NoError(t, err)
	require.NoError(t, changed.Resources[0].Error)
	require.Eventually(t, func() bool { return value("flush.ms") == "77" }, 5*time.Second, 10*time.Millisecond)
	grown, err := cl.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}}})
	require.NoError(t, err)
	require.NoError(t, grown.Errors[topic])
	require.Eventually(t, func() bool {
		meta, err := cl.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		return err == nil && len(meta.Topics[0].Partitions) == 3
	}, 15*time.Second, 10*time.Millisecond) // kafka-go answers Metadata from what it keeps, for 6 s
	deleted, err := cl.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	require.NoError(t, err)
	require.NoError(t, deleted.Errors[topic])
}

// TestFirstContactOfAConnection: Brokers and Controller are what a Conn asks before anything else.
func TestFirstContactOfAConnection(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	conn, err := kafka.DialContext(contextOf(t), "tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	brokers, err := conn.Brokers()
	require.NoError(t, err)
	require.Len(t, brokers, 1)
	controller, err := conn.Controller()
	require.NoError(t, err)
	host, _, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	require.Equal(t, host, controller.Host)
	versions, err := conn.ApiVersions()
	require.NoError(t, err)
	require.NotEmpty(t, versions)
}
