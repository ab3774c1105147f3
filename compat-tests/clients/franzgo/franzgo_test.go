// Package franzgo drives the broker with franz-go, unmodified.
package franzgo

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"minikafka/compat-tests/brokerproc"
	"minikafka/compat-tests/clients/sample"
)

const within = 60 * time.Second

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.MetadataMinAge(10 * time.Millisecond)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func contextOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	return ctx
}

// create makes a topic with configs ("key", "value", …).
func create(t *testing.T, addr string, partitions int32, configs ...string) string {
	t.Helper()
	topic := sample.Topic(t)
	byKey := map[string]*string{}
	for i := 0; i < len(configs); i += 2 {
		byKey[configs[i]] = &configs[i+1]
	}
	adm := kadm.NewClient(client(t, addr))
	_, err := adm.CreateTopic(contextOf(t), partitions, 1, byKey, topic)
	require.NoError(t, err)
	settle(t, adm, topic)
	return topic
}

// settle waits for a topic that Apache Kafka has acknowledged and does not serve yet. Ours is not given that time:
// when it acknowledges a topic, it serves it.
func settle(t *testing.T, adm *kadm.Client, topic string) {
	t.Helper()
	if os.Getenv(brokerproc.BootstrapEnv) == "" {
		return
	}
	require.Eventually(t, func() bool {
		ends, err := adm.ListEndOffsets(contextOf(t), topic)
		return err == nil && ends.Error() == nil && len(ends[topic]) > 0
	}, 10*time.Second, 20*time.Millisecond)
}

func toRecord(topic string, partition int32, r sample.Record) *kgo.Record {
	out := &kgo.Record{Topic: topic, Partition: partition, Key: r.Key, Value: r.Value, Timestamp: r.Time}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return out
}

func fromRecord(r *kgo.Record) sample.Record {
	out := sample.Record{Key: r.Key, Value: r.Value, Time: r.Timestamp}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, sample.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

// consume reads n records of partition from an offset, and checks that offsets are consecutive.
func consume(t *testing.T, addr, topic string, partition int32, from kgo.Offset, n int, opts ...kgo.Opt) []*kgo.Record {
	t.Helper()
	opts = append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: from}}), kgo.FetchMaxWait(100*time.Millisecond))
	cl := client(t, addr, opts...)
	var out []*kgo.Record
	for len(out) < n {
		fetches := cl.PollFetches(contextOf(t))
		require.NoError(t, fetches.Err())
		out = append(out, fetches.Records()...)
	}
	require.Len(t, out, n)
	for i, r := range out {
		require.Equal(t, out[0].Offset+int64(i), r.Offset)
	}
	return out
}

// versions pins what a client speaks: nil is all that both sides know.
var versions = map[string]*kversion.Versions{
	"newest": nil, "4.0": kversion.V4_0_0(), "3.0": kversion.V3_0_0(), "2.4": kversion.V2_4_0(), "2.1": kversion.V2_1_0(),
}

func pin(v *kversion.Versions) []kgo.Opt {
	if v == nil {
		return nil
	}
	return []kgo.Opt{kgo.MaxVersions(v)}
}

func TestRecordsComeBackAsTheyWereWritten(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for release, v := range versions {
		for name, codec := range codecs {
			t.Run(release+" "+name, func(t *testing.T) {
				topic := create(t, addr, 1)
				producer := client(t, addr, append(pin(v), kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(1_048_000), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
				want := sample.Records()
				var records []*kgo.Record
				for _, r := range want {
					records = append(records, toRecord(topic, 0, r))
				}
				require.NoError(t, producer.ProduceSync(contextOf(t), records...).FirstErr())
				var got []sample.Record
				for _, r := range consume(t, addr, topic, 0, kgo.NewOffset().AtStart(), len(want), pin(v)...) {
					got = append(got, fromRecord(r))
				}
				sample.RequireEqual(t, want, got, true)
			})
		}
	}
}

func TestAcknowledgementLevels(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	for name, acks := range map[string]kgo.Acks{"none": kgo.NoAck(), "leader": kgo.LeaderAck(), "all": kgo.AllISRAcks()} {
		t.Run(name, func(t *testing.T) {
			topic := create(t, addr, 1)
			producer := client(t, addr, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite(), kgo.DefaultProduceTopic(topic))
			for range 50 {
				require.NoError(t, producer.ProduceSync(contextOf(t), kgo.StringRecord("x")).FirstErr())
			}
			consume(t, addr, topic, 0, kgo.NewOffset().AtStart(), 50)
		})
	}
}

func TestConsumptionStartsWhereItIsAsked(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	for release, v := range versions {
		t.Run(release, func(t *testing.T) {
			topic := create(t, addr, 1)
			producer := client(t, addr, append(pin(v), kgo.ProducerBatchMaxBytes(2000))...)
			var records []*kgo.Record
			for i := range 300 {
				r := kgo.StringRecord("0123456789")
				r.Topic, r.Timestamp = topic, sample.Start.Add(time.Duration(i)*sample.Step)
				records = append(records, r)
			}
			require.NoError(t, producer.ProduceSync(contextOf(t), records...).FirstErr())
			at := func(o kgo.Offset, n int) int64 { return consume(t, addr, topic, 0, o, n, pin(v)...)[0].Offset }
			require.EqualValues(t, 0, at(kgo.NewOffset().AtStart(), 300))
			require.EqualValues(t, 123, at(kgo.NewOffset().At(123), 177))
			require.EqualValues(t, 290, at(kgo.NewOffset().AtEnd().Relative(-10), 10))
			require.EqualValues(t, 205, at(kgo.NewOffset().AfterMilli(sample.Start.Add(205*sample.Step).UnixMilli()), 95))
			require.EqualValues(t, 206, at(kgo.NewOffset().AfterMilli(sample.Start.Add(205*sample.Step).UnixMilli()+1), 94))
			require.EqualValues(t, 77, at(kgo.NewOffset().At(77), 223))
		})
	}
}

func TestPartitionsKeepTheirOwnOrder(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	topic := create(t, addr, 7)
	producer := client(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var records []*kgo.Record
	for i := range 7000 {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(i % 7), Value: []byte{byte(i >> 8), byte(i)}})
	}
	require.NoError(t, producer.ProduceSync(contextOf(t), records...).FirstErr())
	for p := range int32(7) {
		for i, r := range consume(t, addr, topic, p, kgo.NewOffset().AtStart(), 1000) {
			require.Equal(t, 7*i+int(p), int(r.Value[0])<<8|int(r.Value[1]))
		}
	}
}

func TestAdministrationOfTopics(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	for release, v := range versions {
		t.Run(release, func(t *testing.T) {
			ctx, adm := contextOf(t), kadm.NewClient(client(t, addr, pin(v)...))
			topic := sample.Topic(t)
			_, err := adm.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": kadm.StringPtr("60000")}, topic)
			require.NoError(t, err)
			settle(t, adm, topic)
			_, err = adm.CreateTopic(ctx, 2, 1, nil, topic)
			require.ErrorIs(t, err, kerr.TopicAlreadyExists)
			_, err = adm.CreateTopic(ctx, 2, 1, nil, "no good name")
			require.ErrorIs(t, err, kerr.InvalidTopicException)
			details, err := adm.ListTopics(ctx, topic)
			require.NoError(t, err)
			require.Len(t, details[topic].Partitions, 2)
			require.Equal(t, "60000", configOf(t, adm, topic, "retention.ms"))
			require.Equal(t, "delete", configOf(t, adm, topic, "cleanup.policy"))
			alter := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("70000")}}
			if v == nil || v.HasKey(44) {
				altered, err := adm.AlterTopicConfigs(ctx, alter, topic)
				require.NoError(t, err)
				require.NoError(t, altered[0].Err)
			} else {
				altered, err := adm.AlterTopicConfigsState(ctx, alter, topic)
				require.NoError(t, err)
				require.NoError(t, altered[0].Err)
			}
			require.Eventually(t, func() bool { return configOf(t, adm, topic, "retention.ms") == "70000" }, 5*time.Second, 10*time.Millisecond)
			grown, err := adm.UpdatePartitions(ctx, 5, topic)
			require.NoError(t, err)
			require.NoError(t, grown.Error())
			require.Eventually(t, func() bool {
				details, err := adm.ListTopics(ctx, topic)
				return err == nil && len(details[topic].Partitions) == 5
			}, 5*time.Second, 10*time.Millisecond)
			deleted, err := adm.DeleteTopics(ctx, topic)
			require.NoError(t, err)
			require.NoError(t, deleted.Error())
			require.Eventually(t, func() bool {
				details, err := adm.ListTopics(ctx, topic)
				return err == nil && details[topic].Err != nil
			}, 5*time.Second, 10*time.Millisecond)
		})
	}
}

func configOf(t *testing.T, adm *kadm.Client, topic, key string) string {
	t.Helper()
	configs, err := adm.DescribeTopicConfigs(contextOf(t), topic)
	require.NoError(t, err)
	require.NoError(t, configs[0].Err)
	for _, c := range configs[0].Configs {
		if c.Key == key {
			return c.MaybeValue()
		}
	}
	return ""
}

func TestOffsetsAndDeletedRecords(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	ctx, cl := contextOf(t), client(t, addr)
	adm := kadm.NewClient(cl)
	topic := create(t, addr, 1)
	for i := range 20 {
		r := kgo.StringRecord("x")
		r.Topic, r.Timestamp = topic, sample.Start.Add(time.Duration(i)*sample.Step)
		require.NoError(t, cl.ProduceSync(ctx, r).FirstErr())
	}
	offset := func(listed kadm.ListedOffsets, err error) int64 {
		require.NoError(t, err)
		require.NoError(t, listed.Error())
		o, _ := listed.Lookup(topic, 0)
		return o.Offset
	}
	require.EqualValues(t, 0, offset(adm.ListStartOffsets(ctx, topic)))
	require.EqualValues(t, 20, offset(adm.ListEndOffsets(ctx, topic)))
	require.EqualValues(t, 20, offset(adm.ListCommittedOffsets(ctx, topic)))
	require.EqualValues(t, 19, offset(adm.ListMaxTimestampOffsets(ctx, topic)))
	require.EqualValues(t, 5, offset(adm.ListOffsetsAfterMilli(ctx, sample.Start.Add(5*sample.Step).UnixMilli(), topic)))
	deleted, err := adm.DeleteRecords(ctx, kadm.Offsets{topic: {0: kadm.Offset{Topic: topic, At: 12}}})
	require.NoError(t, err)
	require.NoError(t, deleted.Error())
	require.EqualValues(t, 12, offset(adm.ListStartOffsets(ctx, topic)))
	require.EqualValues(t, 12, consume(t, addr, topic, 0, kgo.NewOffset().AtStart(), 8)[0].Offset)
	dirs, err := adm.DescribeAllLogDirs(ctx, nil)
	require.NoError(t, err)
	found := false
	for _, d := range dirs[1] {
		require.NoError(t, d.Err)
		_, here := d.Topics.Lookup(topic, 0)
		found = found || here
	}
	require.True(t, found)
}

func TestTopicsAreCreatedByTheirFirstRecord(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	for release, v := range versions {
		t.Run(release, func(t *testing.T) {
			topic := sample.Topic(t)
			cl := client(t, addr, append(pin(v), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(100))...)
			require.NoError(t, cl.ProduceSync(contextOf(t), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr())
			consume(t, addr, topic, 0, kgo.NewOffset().AtStart(), 1)
		})
	}
}

func TestRecordThatIsTooLargeIsRefused(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	topic := create(t, addr, 1, "max.message.bytes", "5000")
	cl := client(t, addr, kgo.ProducerBatchCompression(kgo.NoCompression()))
	err := cl.ProduceSync(contextOf(t), &kgo.Record{Topic: topic, Value: make([]byte, 6000)}).FirstErr()
	require.ErrorIs(t, err, kerr.MessageTooLarge)
	require.NoError(t, cl.ProduceSync(contextOf(t), &kgo.Record{Topic: topic, Value: make([]byte, 4000)}).FirstErr())
}
