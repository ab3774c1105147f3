package handlers

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/controller"
	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/metadata"
)

// controlledHandlers stand on a real controller with a real metadata log in memory, and one broker.
func controlledHandlers(t *testing.T) *Handlers {
	t.Helper()
	ctx := t.Context()
	static, err := config.Static(config.Dev("/data"))
	require.NoError(t, err)
	fsys := vfs.NewMem()
	require.NoError(t, fsys.MkdirAll("/data", 0o755))
	level := &slog.LevelVar{}
	h := &Handlers{
		NodeID: 1, LogLevel: level,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level})),
		Clock:  clock.Real(),
	}
	level.Set(slog.LevelWarn)
	h.Controller, err = controller.Open(ctx, controller.Options{
		FS: fsys, Clock: h.Clock, Logger: h.Logger, Dir: "/data", NodeID: 1, ClusterID: "AAAAAAAAQACEAAAAAAAAAA",
		DirectoryID: metadata.UUID{7}, LogDirectoryIDs: []metadata.UUID{{7}}, Config: static,
		Fatal: func(err error) { t.Errorf("fatal: %v", err) },
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Controller.Close()) })
	epoch, err := h.Controller.RegisterBroker(ctx, metadata.Broker{
		ID: 1, IncarnationID: metadata.UUID{9}, Directories: []metadata.UUID{{7}},
		Endpoints: []metadata.Endpoint{{Name: "PLAINTEXT", Host: "localhost", Port: 9092}},
	})
	require.NoError(t, err)
	require.NoError(t, h.Controller.Unfence(ctx, 1, epoch))
	h.Image = h.Controller.Image
	h.Config = func() *config.Values {
		image := h.Image()
		return static.WithDynamic(image.Configs(metadata.Resource{Type: metadata.ResourceBroker, Name: "1"}),
			image.Configs(metadata.Resource{Type: metadata.ResourceBroker}))
	}
	return h
}

func (h *Handlers) testCreate(t *testing.T, version int16, validate bool, topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsResponse {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis, req.ValidateOnly, req.Topics = version, 5000, validate, topics
	answer, later := h.createTopics(context.Background(), nil, req)
	require.Nil(t, later)
	return answer.(*kmsg.CreateTopicsResponse)
}

func newTestTopic(name string, partitions int32, configs ...string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, -1
	for i := 0; i+1 < len(configs); i += 2 {
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: configs[i], Value: &configs[i+1]})
	}
	return t
}

func (h *Handlers) testDescribe(t *testing.T, kind kmsg.ConfigResourceType, name string, keys ...string) map[string]string {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = 4
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}
	answer, _ := h.describeConfigs(context.Background(), nil, req)
	r := answer.(*kmsg.DescribeConfigsResponse).Resources[0]
	require.Zero(t, r.ErrorCode)
	values := map[string]string{}
	for _, c := range r.Configs {
		values[c.Name] = fmt.Sprintf("%s %d", adminText(c.Value), c.Source)
	}
	return values
}

func (h *Handlers) testAlter(t *testing.T, validate bool, resource string, changes ...string) string {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = validate
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{adminAlteration(t, resource, changes)}
	answer, _ := h.incrementalAlterConfigs(context.Background(), nil, req)
	r := answer.(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	return adminCode(r.ErrorCode) + " " + adminText(r.ErrorMessage)
}

func TestCreatedTopicsComeBackWithEveryConfigAndItsSource(t *testing.T) {
	h := controlledHandlers(t)
	resp := h.testCreate(t, 7, false, newTestTopic("t1", 3, "segment.bytes", "2000000"), newTestTopic("bad", 1, "x", "1"), newTestTopic("t1x", 0))
	created := resp.Topics[0]
	require.Zero(t, created.ErrorCode)
	require.NotZero(t, created.TopicID)
	require.EqualValues(t, 3, created.NumPartitions)
	require.EqualValues(t, 1, created.ReplicationFactor)
	require.Len(t, created.Configs, len(config.Rows(config.TopicScope)))
	at := slices.IndexFunc(created.Configs, func(c kmsg.CreateTopicsResponseTopicConfig) bool { return c.Name == "segment.bytes" })
	require.Equal(t, "2000000", *created.Configs[at].Value)
	require.EqualValues(t, config.TopicSource, created.Configs[at].Source)
	require.Equal(t, "INVALID_CONFIG Unknown topic config name: x", adminCode(resp.Topics[1].ErrorCode)+" "+adminText(resp.Topics[1].ErrorMessage))
	require.Equal(t, "INVALID_PARTITIONS", adminCode(resp.Topics[2].ErrorCode))
	require.Len(t, h.Image().TopicByName("t1").Partitions, 3)
	require.Nil(t, h.Image().TopicByName("bad"))

	again := h.testCreate(t, 2, false, newTestTopic("t1", 1))
	require.Equal(t, "TOPIC_ALREADY_EXISTS", adminCode(again.Topics[0].ErrorCode))
	require.Zero(t, h.testCreate(t, 7, true, newTestTopic("v1", 1)).Topics[0].ErrorCode)
	require.Nil(t, h.Image().TopicByName("v1"), "only validated")
}

func TestAlteredConfigsShowAtTheirLevel(t *testing.T) {
	h := controlledHandlers(t)
	h.testCreate(t, 7, false, newTestTopic("t1", 1))
	const topic, broker, whole = "2:t1", "4:1", "4:"
	require.Equal(t, "NONE null", h.testAlter(t, false, whole, "0 log.segment.bytes 4000000"))
	require.Equal(t, map[string]string{"segment.bytes": "4000000 3"}, h.testDescribe(t, 2, "t1", "segment.bytes"))
	require.Equal(t, "NONE null", h.testAlter(t, false, broker, "0 log.segment.bytes 3000000"))
	require.Equal(t, map[string]string{"segment.bytes": "3000000 2"}, h.testDescribe(t, 2, "t1", "segment.bytes"))
	require.Equal(t, "NONE null", h.testAlter(t, true, topic, "0 segment.bytes 2000000"))
	require.Equal(t, map[string]string{"segment.bytes": "3000000 2"}, h.testDescribe(t, 2, "t1", "segment.bytes"), "only validated")
	require.Equal(t, "NONE null", h.testAlter(t, false, topic, "0 segment.bytes 2000000"))
	require.Equal(t, map[string]string{"segment.bytes": "2000000 1"}, h.testDescribe(t, 2, "t1", "segment.bytes"))
	require.Equal(t, map[string]string{"log.segment.bytes": "3000000 2"}, h.testDescribe(t, 4, "1", "log.segment.bytes"))
	require.Equal(t, "4000000 3", h.testDescribe(t, 4, "")["log.segment.bytes"])

	require.Equal(t, "NONE null", h.testAlter(t, false, topic, "2 cleanup.policy compact"))
	require.Equal(t, map[string]string{"cleanup.policy": "delete,compact 1"}, h.testDescribe(t, 2, "t1", "cleanup.policy"))
	require.Equal(t, "NONE null", h.testAlter(t, false, topic, "1 segment.bytes", "3 cleanup.policy delete"))
	require.Equal(t, map[string]string{"cleanup.policy": "compact 1", "segment.bytes": "3000000 2"},
		h.testDescribe(t, 2, "t1", "cleanup.policy", "segment.bytes"))

	require.Equal(t, "INVALID_CONFIG Invalid value abc for configuration retention.ms: Not a number of type LONG",
		h.testAlter(t, false, topic, "0 retention.ms abc"))
	require.Equal(t, "INVALID_CONFIG Can't APPEND to key retention.ms because its type is not LIST.", h.testAlter(t, false, topic, "2 retention.ms 5"))
	require.Equal(t, "UNKNOWN_TOPIC_OR_PARTITION The topic 'nope' does not exist.", h.testAlter(t, false, "2:nope", "0 retention.ms 5"))
	require.Equal(t, "INVALID_CONFIG Unknown topic config name: x", h.testAlter(t, false, "2:nope", "0 x 5"), "values are looked at first")
	require.Equal(t, "INVALID_REQUEST Default topic resources are not allowed.", h.testAlter(t, false, "2:", "0 retention.ms 5"))
	require.Equal(t, "INVALID_CONFIG Unknown group config name: zz", h.testAlter(t, false, "32:g", "0 zz 5"))
	require.Equal(t, "NONE null", h.testAlter(t, false, "32:g", "0 consumer.session.timeout.ms 50000"))
	require.Equal(t, map[string]string{"consumer.session.timeout.ms": "50000 8"}, h.testDescribe(t, 32, "g", "consumer.session.timeout.ms"))
	require.Equal(t, "INVALID_REQUEST Unknown client metrics configuration: x", h.testAlter(t, false, "16:m", "0 x 5"))
}

func TestAlterConfigsReplacesTheWholeSet(t *testing.T) {
	h := controlledHandlers(t)
	h.testCreate(t, 7, false, newTestTopic("t1", 1, "segment.bytes", "2000000", "retention.ms", "5"))
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t1", Configs: []kmsg.AlterConfigsRequestResourceConfig{
		{Name: "retention.ms", Value: adminPtr("7")}}}}
	answer, _ := h.alterConfigs(context.Background(), nil, req)
	require.Zero(t, answer.(*kmsg.AlterConfigsResponse).Resources[0].ErrorCode)
	require.Equal(t, map[string]string{"retention.ms": "7"}, h.Image().Configs(metadata.Resource{Type: 2, Name: "t1"}))
}

func TestDeletedTopicsAndGrownTopics(t *testing.T) {
	h := controlledHandlers(t)
	made := h.testCreate(t, 7, false, newTestTopic("aa", 1), newTestTopic("bb", 1), newTestTopic("cc", 1))
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.TimeoutMillis = 5000
	grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "cc", Count: 3}, {Topic: "aa", Count: 1}, {Topic: "bb", Count: 0}, {Topic: "nope", Count: 3}}
	answer, _ := h.createPartitions(context.Background(), nil, grow)
	var got []string
	for _, r := range answer.(*kmsg.CreatePartitionsResponse).Topics {
		got = append(got, r.Topic+" "+adminCode(r.ErrorCode)+" "+adminText(r.ErrorMessage))
	}
	slices.Sort(got)
	require.Equal(t, []string{
		"aa INVALID_PARTITIONS Topic already has 1 partition(s).",
		"bb INVALID_PARTITIONS The topic bb currently has 1 partition(s); 0 would not be an increase.",
		"cc NONE null",
		"nope UNKNOWN_TOPIC_OR_PARTITION null",
	}, got)
	require.Len(t, h.Image().TopicByName("cc").Partitions, 3)

	drop := kmsg.NewPtrDeleteTopicsRequest()
	drop.Version, drop.TimeoutMillis = 6, 5000
	drop.Topics = []kmsg.DeleteTopicsRequestTopic{
		{Topic: adminPtr("aa")}, {TopicID: made.Topics[1].TopicID}, {Topic: adminPtr("nope")}, {TopicID: [16]byte{1}},
	}
	answer, _ = h.deleteTopics(context.Background(), nil, drop)
	got = nil
	for _, r := range answer.(*kmsg.DeleteTopicsResponse).Topics {
		got = append(got, adminText(r.Topic)+" "+adminCode(r.ErrorCode)+" "+adminText(r.ErrorMessage))
	}
	slices.Sort(got)
	require.Equal(t, []string{
		"aa NONE null", "bb NONE null",
		"nope UNKNOWN_TOPIC_OR_PARTITION This server does not host this topic-partition.",
		"null UNKNOWN_TOPIC_ID This server does not host this topic ID.",
	}, got)
	require.Nil(t, h.Image().TopicByName("aa"))
	require.NotNil(t, h.Image().TopicByName("cc"))

	drop = kmsg.NewPtrDeleteTopicsRequest()
	drop.Version, drop.TimeoutMillis, drop.TopicNames = 1, 5000, []string{"cc"}
	answer, _ = h.deleteTopics(context.Background(), nil, drop)
	require.Zero(t, answer.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode)
	require.Equal(t, "cc", *answer.(*kmsg.DeleteTopicsResponse).Topics[0].Topic)
}

// TestEveryVersionOfAdminRequestsIsAnswered sends each version through the table, and reads the bytes
// of the answer as a client does.
func TestEveryVersionOfAdminRequestsIsAnswered(t *testing.T) {
	h := controlledHandlers(t)
	n := 0
	for _, sample := range []struct {
		key  kmsg.Key
		make func(version int16) kmsg.Request
		ok   func(kmsg.Response) (code int16, text *string)
	}{
		{kmsg.CreateTopics, func(int16) kmsg.Request {
			n++
			r := kmsg.NewPtrCreateTopicsRequest()
			r.TimeoutMillis, r.Topics = 5000, []kmsg.CreateTopicsRequestTopic{newTestTopic(fmt.Sprint("v", n), 1)}
			r.Topics[0].ReplicationFactor = 1
			return r
		}, func(r kmsg.Response) (int16, *string) {
			topic := r.(*kmsg.CreateTopicsResponse).Topics[0]
			return topic.ErrorCode, topic.ErrorMessage
		}},
		{kmsg.DescribeConfigs, func(int16) kmsg.Request {
			r := kmsg.NewPtrDescribeConfigsRequest()
			r.IncludeSynonyms, r.Resources = true, []kmsg.DescribeConfigsRequestResource{{ResourceType: 2, ResourceName: "v1"}}
			return r
		}, func(r kmsg.Response) (int16, *string) {
			resource := r.(*kmsg.DescribeConfigsResponse).Resources[0]
			require.Len(t, resource.Configs, len(config.Rows(config.TopicScope)))
			return resource.ErrorCode, nil
		}},
		{kmsg.AlterConfigs, func(int16) kmsg.Request {
			r := kmsg.NewPtrAlterConfigsRequest()
			r.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: 2, ResourceName: "v1"}}
			return r
		}, func(r kmsg.Response) (int16, *string) {
			resource := r.(*kmsg.AlterConfigsResponse).Resources[0]
			return resource.ErrorCode, resource.ErrorMessage
		}},
		{kmsg.IncrementalAlterConfigs, func(int16) kmsg.Request {
			r := kmsg.NewPtrIncrementalAlterConfigsRequest()
			r.Resources = []kmsg.IncrementalAlterConfigsRequestResource{adminAlteration(t, "2:v1", []string{"0 retention.ms 5"})}
			return r
		}, func(r kmsg.Response) (int16, *string) {
			resource := r.(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
			return resource.ErrorCode, resource.ErrorMessage
		}},
		{kmsg.CreatePartitions, func(version int16) kmsg.Request {
			r := kmsg.NewPtrCreatePartitionsRequest()
			r.TimeoutMillis, r.Topics = 5000, []kmsg.CreatePartitionsRequestTopic{{Topic: "v1", Count: int32(version) + 2}}
			return r
		}, func(r kmsg.Response) (int16, *string) {
			topic := r.(*kmsg.CreatePartitionsResponse).Topics[0]
			return topic.ErrorCode, topic.ErrorMessage
		}},
		{kmsg.DeleteTopics, func(version int16) kmsg.Request {
			r := kmsg.NewPtrDeleteTopicsRequest()
			name := fmt.Sprint("v", version)
			r.TimeoutMillis, r.TopicNames = 5000, []string{name}
			r.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
			return r
		}, func(r kmsg.Response) (int16, *string) {
			topic := r.(*kmsg.DeleteTopicsResponse).Topics[0]
			return topic.ErrorCode, topic.ErrorMessage
		}},
	} {
		row, found := Lookup(int16(sample.key))
		require.True(t, found)
		for version := row.Min; version <= row.Max; version++ {
			req := sample.make(version)
			req.SetVersion(version)
			decoded := kmsg.RequestForKey(int16(sample.key))
			decoded.SetVersion(version)
			require.NoError(t, decoded.ReadFrom(req.AppendTo(nil)))
			answer, later := h.Serve(t.Context(), row, &Request{}, decoded)
			require.Nil(t, later)
			require.Equal(t, version, answer.GetVersion())
			resp := decoded.ResponseKind()
			require.NoError(t, resp.ReadFrom(answer.AppendTo(nil)), "%s v%d", sample.key.Name(), version)
			code, text := sample.ok(resp)
			require.Zero(t, code, "%s v%d: %s", sample.key.Name(), version, adminText(text))
		}
	}
}
