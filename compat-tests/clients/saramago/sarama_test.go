// Package saramago drives the broker with sarama, unmodified.
package saramago

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"minikafka/compat-tests/brokerproc"
	"minikafka/compat-tests/clients/sample"
)

const within = 60 * time.Second

// versions are what sarama may be told to speak, from the oldest that Kafka 4 still serves.
var versions = []sarama.KafkaVersion{sarama.V2_1_0_0, sarama.V2_8_0_0, sarama.V3_6_0_0, sarama.V4_1_0_0, sarama.MaxVersion}

func config(v sarama.KafkaVersion) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = v
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.MaxMessageBytes = 1_048_000
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Consumer.Fetch.Default = 4 << 20
	return c
}

func idempotent(c *sarama.Config) *sarama.Config {
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
	return c
}

func client(t *testing.T, addr string, c *sarama.Config) sarama.Client {
	t.Helper()
	cl, err := sarama.NewClient([]string{addr}, c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// create makes a topic and waits until this client sees its leaders.
func create(t *testing.T, cl sarama.Client, partitions int32, configs map[string]*string) string {
	t.Helper()
	topic := sample.Topic(t)
	admin, err := sarama.NewClusterAdminFromClient(cl)
	require.NoError(t, err)
	require.NoError(t, admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: configs}, false))
	require.Eventually(t, func() bool {
		_ = cl.RefreshMetadata(topic)
		for p := range partitions {
			if _, err := cl.GetOffset(topic, p, sarama.OffsetNewest); err != nil {
				return false
			}
		}
		return true
	}, 10*time.Second, 10*time.Millisecond)
	return topic
}

func message(topic string, partition int32, r sample.Record) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: topic, Partition: partition, Timestamp: r.Time}
	if r.Key != nil {
		m.Key = sarama.ByteEncoder(r.Key)
	}
	if r.Value != nil {
		m.Value = sarama.ByteEncoder(r.Value)
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

// consume reads n records of a partition from an offset.
func consume(t *testing.T, cl sarama.Client, topic string, partition int32, offset int64, n int) []*sarama.ConsumerMessage {
	t.Helper()
	consumer, err := sarama.NewConsumerFromClient(cl)
	require.NoError(t, err)
	pc, err := consumer.ConsumePartition(topic, partition, offset)
	require.NoError(t, err)
	defer pc.Close()
	timeout := time.After(within)
	var out []*sarama.ConsumerMessage
	for len(out) < n {
		select {
		case m := <-pc.Messages():
			out = append(out, m)
		case <-timeout:
			require.FailNow(t, "too few records", "%d of %d", len(out), n)
		}
	}
	return out
}

func TestRecordsComeBackAsTheyWereWritten(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	codecs := []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD}
	for _, v := range versions {
		for _, codec := range codecs {
			t.Run(v.String()+" "+codec.String(), func(t *testing.T) {
				c := idempotent(config(v))
				c.Producer.Compression = codec
				cl := client(t, addr, c)
				topic := create(t, cl, 1, nil)
				producer, err := sarama.NewSyncProducerFromClient(cl)
				require.NoError(t, err)
				want := sample.Records()
				var messages []*sarama.ProducerMessage
				for _, r := range want {
					messages = append(messages, message(topic, 0, r))
				}
				require.NoError(t, producer.SendMessages(messages))
				var got []sample.Record
				for i, m := range consume(t, cl, topic, 0, sarama.OffsetOldest, len(want)) {
					require.EqualValues(t, i, m.Offset)
					r := sample.Record{Key: m.Key, Value: m.Value, Time: m.Timestamp}
					for _, h := range m.Headers {
						r.Headers = append(r.Headers, sample.Header{Key: string(h.Key), Value: h.Value})
					}
					got = append(got, r)
				}
				sample.RequireEqual(t, want, got, true)
			})
		}
	}
}

func TestAcknowledgementLevels(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	for _, acks := range []sarama.RequiredAcks{sarama.NoResponse, sarama.WaitForLocal, sarama.WaitForAll} {
		c := config(sarama.MaxVersion)
		c.Producer.RequiredAcks = acks
		cl := client(t, addr, c)
		topic := create(t, cl, 1, nil)
		producer, err := sarama.NewSyncProducerFromClient(cl)
		require.NoError(t, err)
		for range 50 {
			_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("x")})
			require.NoError(t, err)
		}
		require.Len(t, consume(t, cl, topic, 0, sarama.OffsetOldest, 50), 50)
	}
}

func TestConsumptionStartsWhereItIsAsked(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			cl := client(t, addr, config(v))
			topic := create(t, cl, 1, nil)
			producer, err := sarama.NewSyncProducerFromClient(cl)
			require.NoError(t, err)
			for i := range 100 {
				_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("x"),
					Timestamp: sample.Start.Add(time.Duration(i) * sample.Step)})
				require.NoError(t, err)
				require.EqualValues(t, i, offset)
			}
			require.EqualValues(t, 33, consume(t, cl, topic, 0, 33, 67)[0].Offset)
			offset := func(at int64) int64 {
				o, err := cl.GetOffset(topic, 0, at)
				require.NoError(t, err)
				return o
			}
			require.EqualValues(t, 0, offset(sarama.OffsetOldest))
			require.EqualValues(t, 100, offset(sarama.OffsetNewest))
			require.EqualValues(t, 40, offset(sample.Start.Add(40*sample.Step).UnixMilli()))
			require.EqualValues(t, 41, offset(sample.Start.Add(40*sample.Step).UnixMilli()+1))
			consumer, err := sarama.NewConsumerFromClient(cl)
			require.NoError(t, err)
			_, err = consumer.ConsumePartition(topic, 0, 1000)
			require.ErrorIs(t, err, sarama.ErrOffsetOutOfRange)
		})
	}
}

func TestPartitionsKeepTheirOwnOrder(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	cl := client(t, addr, idempotent(config(sarama.V3_6_0_0)))
	topic := create(t, cl, 5, nil)
	producer, err := sarama.NewSyncProducerFromClient(cl)
	require.NoError(t, err)
	var messages []*sarama.ProducerMessage
	for i := range 2500 {
		messages = append(messages, &sarama.ProducerMessage{Topic: topic, Partition: int32(i % 5), Value: sarama.ByteEncoder{byte(i >> 8), byte(i)}})
	}
	require.NoError(t, producer.SendMessages(messages))
	for p := range int32(5) {
		for i, m := range consume(t, cl, topic, p, sarama.OffsetOldest, 500) {
			require.Equal(t, 5*i+int(p), int(m.Value[0])<<8|int(m.Value[1]))
		}
	}
}

func TestAdministrationOfTopics(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			cl := client(t, addr, config(v))
			admin, err := sarama.NewClusterAdminFromClient(cl)
			require.NoError(t, err)
			retention := "60000"
			topic := create(t, cl, 2, map[string]*string{"retention.ms": &retention})
			var refused *sarama.TopicError
			require.ErrorAs(t, admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false), &refused)
			require.Equal(t, sarama.ErrTopicAlreadyExists, refused.Err)
			listed, err := admin.ListTopics()
			require.NoError(t, err)
			require.EqualValues(t, 2, listed[topic].NumPartitions)
			value := func(key string) string {
				entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{key}}) //nolint:staticcheck // the call that programs of today use
				require.NoError(t, err)
				require.Len(t, entries, 1)
				return entries[0].Value
			}
			require.Equal(t, "60000", value("retention.ms"))
			retention = "70000"
			require.NoError(t, admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &retention}, false))
			require.Eventually(t, func() bool { return value("retention.ms") == "70000" }, 5*time.Second, 10*time.Millisecond)
			if v.IsAtLeast(sarama.V2_3_0_0) {
				flush := "77"
				require.NoError(t, admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
					"flush.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &flush}}, false))
				require.Eventually(t, func() bool { return value("flush.ms") == "77" }, 5*time.Second, 10*time.Millisecond)
			}
			require.NoError(t, admin.CreatePartitions(topic, 4, nil, false))
			require.Eventually(t, func() bool {
				described, err := admin.DescribeTopics([]string{topic})
				return err == nil && len(described[0].Partitions) == 4
			}, 5*time.Second, 10*time.Millisecond)
			dirs, err := admin.DescribeLogDirs([]int32{1})
			require.NoError(t, err)
			require.NotEmpty(t, dirs[1])
			require.NoError(t, admin.DeleteRecords(topic, map[int32]int64{0: 0}))
			require.NoError(t, admin.DeleteTopic(topic))
			require.Eventually(t, func() bool {
				described, err := admin.DescribeTopics([]string{topic})
				return err == nil && described[0].Err == sarama.ErrUnknownTopicOrPartition
			}, 5*time.Second, 10*time.Millisecond)
		})
	}
}
