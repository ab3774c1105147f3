package handlers

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/metadata"
)

// Codes and texts in the tests of admin requests were observed on Apache Kafka 4.4.0.

func adminPtr[T any](v T) *T { return &v }

var adminTopicID = metadata.UUID{0: 1, 15: 7}

// adminHandlers are of broker 1 with one topic, t1, that overrides segment.bytes. There is no
// controller: a request that reaches it fails the test with a nil dereference.
func adminHandlers(t *testing.T, props map[string]string) *Handlers {
	t.Helper()
	image, _, err := metadata.Apply(metadata.Empty("c"), []metadata.Record{
		&metadata.TopicRecord{Name: "t1", TopicID: adminTopicID},
		&metadata.PartitionRecord{TopicID: adminTopicID, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1, Directories: []metadata.UUID{{1}}},
		&metadata.ConfigRecord{ResourceType: metadata.ResourceTopic, ResourceName: "t1", Name: "segment.bytes", Value: adminPtr("2000000")},
		&metadata.ConfigRecord{ResourceType: metadata.ResourceBroker, ResourceName: "1", Name: "log.cleanup.policy", Value: adminPtr("delete")},
	}, metadata.Position{Offset: 3, Epoch: 1})
	require.NoError(t, err)
	static := config.Dev("/data")
	for name, value := range props {
		static[name] = value
	}
	values, err := config.Static(static)
	require.NoError(t, err)
	values = values.WithDynamic(map[string]string{"log.cleanup.policy": "delete"}, map[string]string{"message.max.bytes": "999999"})
	level := &slog.LevelVar{}
	return &Handlers{
		NodeID: 1, LogLevel: level,
		Logger: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: level})),
		Config: func() *config.Values { return values },
		Image:  func() *metadata.Image { return image },
	}
}

func adminCode(code int16) string {
	if code == 0 {
		return "NONE"
	}
	return kerr.TypedErrorForCode(code).Message
}

func adminText(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func TestDescribeConfigsOfTopicAndBroker(t *testing.T) {
	h := adminHandlers(t, nil)
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.IncludeSynonyms, req.IncludeDocumentation = 4, true, true
	req.Resources = []kmsg.DescribeConfigsRequestResource{
		{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t1", ConfigNames: []string{"segment.bytes", "max.message.bytes", "nope"}},
		{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1"},
		{ResourceType: kmsg.ConfigResourceTypeBroker},
		{ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: "g"},
		{ResourceType: kmsg.ConfigResourceTypeClientMetrics, ResourceName: "m"},
		{ResourceType: kmsg.ConfigResourceTypeBrokerLogger, ResourceName: "1"},
	}
	answer, later := h.describeConfigs(context.Background(), nil, req)
	require.Nil(t, later)
	resp := answer.(*kmsg.DescribeConfigsResponse)
	require.EqualValues(t, 4, resp.Version)
	counts := make([]int, 0, len(resp.Resources))
	for _, r := range resp.Resources {
		require.Zero(t, r.ErrorCode)
		require.Empty(t, *r.ErrorMessage)
		counts = append(counts, len(r.Configs))
	}
	require.Equal(t, []int{2, len(config.Rows(config.BrokerScope)), 1, 21, 3, 1}, counts)
	segment := resp.Resources[0].Configs[1]
	require.Equal(t, "segment.bytes", segment.Name)
	require.Equal(t, "2000000", *segment.Value)
	require.EqualValues(t, config.TopicSource, segment.Source)
	require.EqualValues(t, config.Int, segment.ConfigType)
	require.NotEmpty(t, *segment.Documentation)
	require.Equal(t, []string{"segment.bytes", "log.segment.bytes"}, []string{segment.ConfigSynonyms[0].Name, segment.ConfigSynonyms[1].Name})
	require.EqualValues(t, config.DynamicDefaultBrokerSource, resp.Resources[0].Configs[0].Source)
	require.Equal(t, "INFO", *resp.Resources[5].Configs[0].Value)

	req.IncludeSynonyms, req.IncludeDocumentation = false, false
	answer, _ = h.describeConfigs(context.Background(), nil, req)
	segment = answer.(*kmsg.DescribeConfigsResponse).Resources[0].Configs[1]
	require.Empty(t, segment.ConfigSynonyms)
	require.Nil(t, segment.Documentation)
	require.EqualValues(t, config.TopicSource, segment.Source)
}

func TestDescribeConfigsErrors(t *testing.T) {
	h := adminHandlers(t, nil)
	describe := func(resources ...kmsg.DescribeConfigsRequestResource) (lines []string) {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Version, req.Resources = 4, resources
		answer, _ := h.describeConfigs(context.Background(), nil, req)
		for _, r := range answer.(*kmsg.DescribeConfigsResponse).Resources {
			require.NotNil(t, r.Configs)
			require.Empty(t, r.Configs)
			lines = append(lines, fmt.Sprintf("%d %q %s %s", r.ResourceType, r.ResourceName, adminCode(r.ErrorCode), adminText(r.ErrorMessage)))
		}
		return lines
	}
	require.Equal(t, []string{
		`16 "" INVALID_REQUEST Client metrics subscription name must not be empty`,
		`32 "" INVALID_REQUEST Group name must not be empty`,
		`4 "2" INVALID_REQUEST Unexpected broker id, expected 1 or empty string, but received 2`,
		`4 "x" INVALID_REQUEST Broker id must be an integer, but it is: x`,
		`2 "nope" UNKNOWN_TOPIC_OR_PARTITION `,
		`2 ".." INVALID_TOPIC_EXCEPTION Topic name is invalid: '..' is not allowed`,
		`8 "2" INVALID_REQUEST Unexpected broker id, expected 1 but received 2`,
		`8 "" INVALID_REQUEST Broker id must not be empty`,
	}, describe(
		kmsg.DescribeConfigsRequestResource{ResourceType: 16}, kmsg.DescribeConfigsRequestResource{ResourceType: 32},
		kmsg.DescribeConfigsRequestResource{ResourceType: 4, ResourceName: "2"}, kmsg.DescribeConfigsRequestResource{ResourceType: 4, ResourceName: "x"},
		kmsg.DescribeConfigsRequestResource{ResourceType: 2, ResourceName: "nope"}, kmsg.DescribeConfigsRequestResource{ResourceType: 2, ResourceName: ".."},
		kmsg.DescribeConfigsRequestResource{ResourceType: 8, ResourceName: "2"}, kmsg.DescribeConfigsRequestResource{ResourceType: 8},
	))
	whole := describe(kmsg.DescribeConfigsRequestResource{ResourceType: 77, ResourceName: "x"}, kmsg.DescribeConfigsRequestResource{ResourceType: 2, ResourceName: "t1"})
	require.Len(t, whole, 2)
	for _, line := range whole {
		require.Contains(t, line, "INVALID_REQUEST This most likely occurs because of a request being malformed")
	}
}

func TestAlterationsAreRefusedBeforeTheController(t *testing.T) {
	h := adminHandlers(t, nil)
	for _, c := range []struct {
		resource string
		changes  []string // op key value
		want     string
	}{
		{"4:2", []string{"0 log.segment.bytes 5000000"}, "INVALID_REQUEST Unexpected broker id, expected 1, but received 2"},
		{"4:x", []string{"0 log.segment.bytes 5000000"}, "INVALID_REQUEST Node id must be an integer, but it is: x"},
		{"4:1", []string{"0 node.id 5"}, "INVALID_REQUEST Cannot update these configs dynamically: [node.id]"},
		{"4:1", []string{"0 log.segment.bytes abc"}, "INVALID_REQUEST Invalid value abc for configuration log.segment.bytes: Not a number of type INT"},
		{"4:1", []string{"2 log.segment.bytes 5"}, "INVALID_CONFIG Config value append is not allowed for config key: log.segment.bytes"},
		{"4:1", []string{"3 node.id x"}, "INVALID_CONFIG Config value subtract is not allowed for config key: node.id"},
		{"4:1", []string{"9 log.segment.bytes 5"}, "INVALID_REQUEST Unknown operations type 9"},
		{"4:1", []string{"2 log.cleanup.policy xx"}, "INVALID_REQUEST Invalid value xx for configuration log.cleanup.policy: String must be one of: compact, delete"},
		{"4:1", []string{"0 compression.type", "0 log.segment.bytes"}, "INVALID_REQUEST Null value not supported for : compression.type, log.segment.bytes"},
		{"2:t1", []string{"0 retention.ms 5", "0 retention.ms 6"}, "INVALID_REQUEST Error due to duplicate config keys"},
		{"2:t1", []string{"0 retention.ms"}, "INVALID_REQUEST Null value not supported for : retention.ms"},
		{"2:..", []string{"0 retention.ms 5"}, "INVALID_TOPIC_EXCEPTION Topic name is invalid: '..' is not allowed"},
		{"77:t1", []string{"0 a b"}, "INVALID_REQUEST Unknown resource type 77"},
		{"0:t1", []string{"0 a b"}, "INVALID_REQUEST Unknown resource type 0"},
		{"8:1", []string{"0 nologger DEBUG"}, "INVALID_CONFIG Logger nologger does not exist!"},
		{"8:1", []string{"0 root FOO"}, "INVALID_CONFIG Cannot set the log level of root to FOO as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"},
		{"8:1", []string{"1 root"}, "INVALID_REQUEST Removing the log level of the root logger is not allowed"},
		{"8:1", []string{"2 root X"}, "INVALID_REQUEST APPEND operation is not allowed for the BROKER_LOGGER resource"},
		{"8:2", []string{"0 root INFO"}, "INVALID_REQUEST Unexpected node id. Expected 1, but received 2"},
		{"8:1", []string{"0 root DEBUG"}, "NONE null"},
	} {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{adminAlteration(t, c.resource, c.changes)}
		answer, _ := h.incrementalAlterConfigs(context.Background(), nil, req)
		r := answer.(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
		require.Equal(t, c.want, adminCode(r.ErrorCode)+" "+adminText(r.ErrorMessage), "%s %v", c.resource, c.changes)
		require.Equal(t, req.Resources[0].ResourceName, r.ResourceName)
	}
	require.Equal(t, slog.LevelDebug, h.LogLevel.Level())
}

func adminAlteration(t *testing.T, resource string, changes []string) (r kmsg.IncrementalAlterConfigsRequestResource) {
	t.Helper()
	kind, name, _ := strings.Cut(resource, ":")
	var n int8
	_, err := fmt.Sscan(kind, &n)
	require.NoError(t, err)
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceType(n), name
	for _, c := range changes {
		f := strings.SplitN(c, " ", 3)
		out := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: f[1]}
		var op int8
		_, err := fmt.Sscan(f[0], &op)
		require.NoError(t, err)
		out.Op = kmsg.IncrementalAlterConfigOp(op)
		if len(f) > 2 {
			out.Value = &f[2]
		}
		r.Configs = append(r.Configs, out)
	}
	return r
}

func TestLoggersKeepTheirLevelWhenOnlyValidated(t *testing.T) {
	h := adminHandlers(t, nil)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = true
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{adminAlteration(t, "8:1", []string{"0 root ERROR"})}
	answer, _ := h.incrementalAlterConfigs(context.Background(), nil, req)
	require.Zero(t, answer.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode)
	require.Equal(t, slog.LevelInfo, h.LogLevel.Level())
}

func TestAlterConfigsRefusesResourcesThatComeTwice(t *testing.T) {
	h := adminHandlers(t, nil)
	req := kmsg.NewPtrAlterConfigsRequest()
	set := func(key, value string) []kmsg.AlterConfigsRequestResourceConfig {
		return []kmsg.AlterConfigsRequestResourceConfig{{Name: key, Value: &value}}
	}
	req.Resources = []kmsg.AlterConfigsRequestResource{
		{ResourceType: 2, ResourceName: "t1", Configs: set("retention.ms", "1")},
		{ResourceType: 8, ResourceName: "1", Configs: set("root", "INFO")},
		{ResourceType: 2, ResourceName: "t1", Configs: set("retention.ms", "2")},
		{ResourceType: 4, ResourceName: "1", Configs: set("node.id", "2")},
	}
	answer, _ := h.alterConfigs(context.Background(), nil, req)
	var got []string
	for _, r := range answer.(*kmsg.AlterConfigsResponse).Resources {
		got = append(got, adminCode(r.ErrorCode)+" "+adminText(r.ErrorMessage))
	}
	require.Equal(t, []string{
		"INVALID_REQUEST Each resource must appear at most once.",
		"INVALID_REQUEST Unknown resource type 8",
		"INVALID_REQUEST Each resource must appear at most once.",
		"INVALID_REQUEST Cannot update these configs dynamically: [node.id]",
	}, got)
}

func TestCreateTopicsRefusesDuplicatesTheMetadataLogAndNoTime(t *testing.T) {
	h := adminHandlers(t, nil)
	create := func(timeout int32, names ...string) (lines []string) {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = 7, timeout
		for _, n := range names {
			req.Topics = append(req.Topics, kmsg.CreateTopicsRequestTopic{Topic: n})
		}
		answer, _ := h.createTopics(context.Background(), nil, req)
		resp := answer.(*kmsg.CreateTopicsResponse)
		require.NotNil(t, resp.Topics)
		for _, r := range resp.Topics {
			require.NotNil(t, r.Configs, "TopicCommand fails on null")
			lines = append(lines, fmt.Sprintf("%s %s %s %d %d", r.Topic, adminCode(r.ErrorCode), adminText(r.ErrorMessage), r.NumPartitions, r.ReplicationFactor))
		}
		return lines
	}
	require.Equal(t, []string{
		"dd INVALID_REQUEST Duplicate topic name. -1 -1",
		"__cluster_metadata INVALID_REQUEST Creation of internal topic __cluster_metadata is prohibited. -1 -1",
	}, create(5000, "dd", "__cluster_metadata", "dd", "dd"))
	require.Equal(t, []string{
		"aa REQUEST_TIMED_OUT null -1 -1",
		"dd INVALID_REQUEST Duplicate topic name. -1 -1",
	}, create(0, "dd", "aa", "dd"))
	require.Equal(t, []string{"ee REQUEST_TIMED_OUT null -1 -1"}, create(-1, "ee"))
	require.Empty(t, create(5000))
}

func TestDeleteTopicsRefusesWhatIsNamedTwice(t *testing.T) {
	h := adminHandlers(t, nil)
	id1, id2, id3 := [16]byte{1}, [16]byte{2}, [16]byte{3}
	byName := func(n string) kmsg.DeleteTopicsRequestTopic { return kmsg.DeleteTopicsRequestTopic{Topic: &n} }
	byID := func(id [16]byte) kmsg.DeleteTopicsRequestTopic { return kmsg.DeleteTopicsRequestTopic{TopicID: id} }
	wanted, refused := admitDeletions([]kmsg.DeleteTopicsRequestTopic{
		byName("bb"), byName("bb"), byID(id1), byID(id2), byID(id2), {}, {Topic: adminPtr("cc"), TopicID: id3},
		byName("nope"), byName("t1"), byID(adminTopicID),
	}, h.Image())
	require.Len(t, wanted, 2)
	require.Equal(t, id1, wanted[0].TopicID)
	require.Equal(t, "nope", *wanted[1].Topic)
	var got []string
	for _, r := range refused {
		got = append(got, fmt.Sprintf("%s %d %s %s", adminText(r.Topic), r.TopicID[0], adminCode(r.ErrorCode), adminText(r.ErrorMessage)))
	}
	slices.Sort(got)
	require.Equal(t, []string{
		"bb 0 INVALID_REQUEST Duplicate topic name.",
		"cc 3 INVALID_REQUEST You may not specify both topic name and topic id.",
		"null 0 INVALID_REQUEST Neither topic name nor id were specified.",
		"null 2 INVALID_REQUEST Duplicate topic id.",
		"t1 1 INVALID_REQUEST The provided topic name maps to an ID that was already supplied.",
	}, got)
}

func TestDeleteTopicsWithoutTimeOrPermissionAnswersEveryTopic(t *testing.T) {
	for _, c := range []struct {
		enabled string
		version int16
		want    string
	}{{"true", 5, "REQUEST_TIMED_OUT"}, {"false", 2, "INVALID_REQUEST"}, {"false", 3, "TOPIC_DELETION_DISABLED"}} {
		h := adminHandlers(t, map[string]string{"delete.topic.enable": c.enabled})
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version, req.TimeoutMillis, req.TopicNames = c.version, 0, []string{"aa", "bb"}
		answer, _ := h.deleteTopics(context.Background(), nil, req)
		topics := answer.(*kmsg.DeleteTopicsResponse).Topics
		require.Len(t, topics, 2)
		for i, name := range req.TopicNames {
			require.Equal(t, name, *topics[i].Topic)
			require.Equal(t, c.want, adminCode(topics[i].ErrorCode))
			require.Nil(t, topics[i].ErrorMessage)
		}
	}
}

func TestCreatePartitionsRefusesDuplicatesFirst(t *testing.T) {
	h := adminHandlers(t, nil)
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 0
	req.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "gg", Count: 2}, {Topic: "t1", Count: 3}, {Topic: "t1", Count: 4}}
	answer, _ := h.createPartitions(context.Background(), nil, req)
	var got []string
	for _, r := range answer.(*kmsg.CreatePartitionsResponse).Topics {
		got = append(got, r.Topic+" "+adminCode(r.ErrorCode)+" "+adminText(r.ErrorMessage))
	}
	require.Equal(t, []string{"t1 INVALID_REQUEST Duplicate topic name.", "gg REQUEST_TIMED_OUT null"}, got)
}
