package handlers

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/metadata"
)

var (
	threeID  = metadata.UUID{3}
	hiddenID = metadata.UUID{4}
)

// words prints values with a blank between each two.
func words(values ...any) string { return strings.TrimSpace(fmt.Sprintln(values...)) }

// clusterHandlers are of broker 1 in a cluster of four: 2 has only the internal listener, 3 is fenced, 4
// is not registered. Topic "three" has a partition led by each of 1 to 4, and one without leader.
func clusterHandlers(t *testing.T) *Handlers {
	t.Helper()
	rack := "r1"
	client := metadata.Endpoint{Name: "CLIENT", Host: "h", Port: 9092}
	internal := metadata.Endpoint{Name: "INTERNAL", Host: "i", Port: 9093}
	records := []metadata.Record{
		(&metadata.Broker{ID: 1, Endpoints: []metadata.Endpoint{client, internal}, Rack: &rack}).Registration(),
		(&metadata.Broker{ID: 2, Endpoints: []metadata.Endpoint{internal}}).Registration(),
		(&metadata.Broker{ID: 3, Endpoints: []metadata.Endpoint{client, internal}, Fenced: true}).Registration(),
		&metadata.FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 33},
		&metadata.FeatureLevelRecord{Name: "group.version", FeatureLevel: 1},
		&metadata.TopicRecord{Name: "three", TopicID: threeID},
		&metadata.TopicRecord{Name: "__consumer_offsets", TopicID: hiddenID},
		&metadata.PartitionRecord{TopicID: hiddenID, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1},
	}
	for i, leader := range []int32{1, 2, 3, 4, -1} {
		records = append(records, &metadata.PartitionRecord{
			TopicID: threeID, PartitionID: int32(i), Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2}, Leader: leader, LeaderEpoch: int32(10 + i),
		})
	}
	image, _, err := metadata.Apply(metadata.Empty("c"), records, metadata.Position{Offset: 77, Epoch: 1})
	require.NoError(t, err)
	static := config.Dev("/data")
	static["auto.create.topics.enable"] = "false"
	values, err := config.Static(static)
	require.NoError(t, err)
	return &Handlers{
		NodeID: 1, ClusterID: "c", APIs: Table, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Config: func() *config.Values { return values },
		Image:  func() *metadata.Image { return image },
	}
}

func askMetadata(t *testing.T, version int16, listener string, change func(*kmsg.MetadataRequest)) *kmsg.MetadataResponse {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = version
	if change != nil {
		change(req)
	}
	resp, later := clusterHandlers(t).metadata(t.Context(), &Request{Listener: listener}, req)
	require.Nil(t, later)
	return resp.(*kmsg.MetadataResponse)
}

func namedTopics(names ...string) func(*kmsg.MetadataRequest) {
	return func(r *kmsg.MetadataRequest) {
		for _, n := range names {
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = kmsg.StringPtr(n)
			r.Topics = append(r.Topics, topic)
		}
	}
}

func TestMetadataShowsUnfencedBrokersByTheRequestsListener(t *testing.T) {
	resp := askMetadata(t, 9, "CLIENT", nil)
	require.Len(t, resp.Brokers, 1)
	b := resp.Brokers[0]
	require.Equal(t, "1 h 9092 r1", words(b.NodeID, b.Host, b.Port, *b.Rack))
	require.EqualValues(t, 1, resp.ControllerID)
	resp = askMetadata(t, 9, "INTERNAL", nil)
	require.Len(t, resp.Brokers, 2)
	require.Nil(t, resp.Brokers[1].Rack)
	require.EqualValues(t, 9093, resp.Brokers[1].Port)
}

func TestMetadataNamesWhyAPartitionHasNoLeader(t *testing.T) {
	for _, c := range []struct {
		version int16
		codes   []int16 // leaders: here, alive without this listener, fenced, unregistered, none
	}{{6, []int16{0, 72, 5, 5, 5}}, {5, []int16{0, 5, 5, 5, 5}}, {0, []int16{9, 5, 5, 5, 5}}} {
		resp := askMetadata(t, c.version, "CLIENT", namedTopics("three"))
		require.Len(t, resp.Topics, 1)
		var codes []int16
		for i, p := range resp.Topics[0].Partitions {
			codes = append(codes, p.ErrorCode)
			require.EqualValues(t, 10+i, p.LeaderEpoch)
			require.Equal(t, []int32{2, 3}, p.OfflineReplicas)
			require.Equal(t, i == 0, p.Leader == 1)
		}
		require.Equal(t, c.codes, codes, "v%d", c.version)
	}
}

func TestMetadataOfAllTopicsMarksInternalOnes(t *testing.T) {
	resp := askMetadata(t, 12, "CLIENT", nil)
	require.Len(t, resp.Topics, 2)
	require.True(t, resp.Topics[0].IsInternal)
	require.False(t, resp.Topics[1].IsInternal)
	require.Empty(t, askMetadata(t, 1, "CLIENT", func(r *kmsg.MetadataRequest) { r.Topics = []kmsg.MetadataRequestTopic{} }).Topics)
	require.Len(t, askMetadata(t, 0, "CLIENT", func(r *kmsg.MetadataRequest) { r.Topics = []kmsg.MetadataRequestTopic{} }).Topics, 2)
}

func TestMetadataByNameAnswersEachNameOnce(t *testing.T) {
	resp := askMetadata(t, 4, "CLIENT", namedTopics("three", "nope", "three", "a b", ""))
	require.Len(t, resp.Topics, 4)
	for i, code := range []int16{0, 3, 17, 17} {
		require.Equal(t, code, resp.Topics[i].ErrorCode)
	}
}

func TestMetadataByIDNeedsVersionTwelve(t *testing.T) {
	ask := func(r *kmsg.MetadataRequest) {
		for _, id := range []metadata.UUID{threeID, threeID, {99}} {
			topic := kmsg.NewMetadataRequestTopic()
			topic.TopicID = id
			r.Topics = append(r.Topics, topic)
		}
	}
	resp := askMetadata(t, 12, "CLIENT", ask)
	require.Len(t, resp.Topics, 2)
	require.Equal(t, "three", *resp.Topics[0].Topic)
	require.EqualValues(t, 100, resp.Topics[1].ErrorCode)
	require.Nil(t, resp.Topics[1].Topic)
	resp = askMetadata(t, 11, "CLIENT", ask)
	require.Len(t, resp.Topics, 3)
	require.Empty(t, resp.Brokers)
	require.EqualValues(t, 42, resp.Topics[0].ErrorCode)
	resp = askMetadata(t, 13, "CLIENT", func(r *kmsg.MetadataRequest) { r.Topics = []kmsg.MetadataRequestTopic{{}} })
	require.EqualValues(t, -1, resp.ErrorCode)
}

func TestAuthorizedOperationsAreShownWhenAskedFor(t *testing.T) {
	resp := askMetadata(t, 9, "CLIENT", namedTopics("three"))
	require.EqualValues(t, -2147483648, resp.AuthorizedOperations)
	require.EqualValues(t, -2147483648, resp.Topics[0].AuthorizedOperations)
	resp = askMetadata(t, 9, "CLIENT", func(r *kmsg.MetadataRequest) {
		r.IncludeClusterAuthorizedOperations, r.IncludeTopicAuthorizedOperations = true, true
	})
	require.EqualValues(t, 8096, resp.AuthorizedOperations)
	require.EqualValues(t, 3576, resp.Topics[0].AuthorizedOperations)
}

func TestApiVersionsShowsTheTableAndTheFeatures(t *testing.T) {
	h := clusterHandlers(t)
	ask := func(version int16, change func(*kmsg.ApiVersionsRequest)) *kmsg.ApiVersionsResponse {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion, req.NodeID = version, "n", "1.0", -1
		if change != nil {
			change(req)
		}
		var s Software
		resp, _ := h.apiVersions(t.Context(), &Request{Software: &s}, req)
		return resp.(*kmsg.ApiVersionsResponse)
	}
	resp := ask(4, nil)
	require.Len(t, resp.ApiKeys, len(Table))
	require.Len(t, resp.SupportedFeatures, 7)
	require.Len(t, resp.FinalizedFeatures, 2)
	require.EqualValues(t, 77, resp.FinalizedFeaturesEpoch)
	require.Len(t, ask(3, nil).SupportedFeatures, 1, "only metadata.version begins above 0")
	require.Empty(t, ask(2, nil).FinalizedFeatures)

	require.EqualValues(t, 42, ask(3, func(r *kmsg.ApiVersionsRequest) { r.ClientSoftwareVersion = "1+2" }).ErrorCode)
	require.Zero(t, ask(2, func(r *kmsg.ApiVersionsRequest) { r.ClientSoftwareVersion = "1+2" }).ErrorCode)
	identity := func(cluster string, node int32) int16 {
		return ask(5, func(r *kmsg.ApiVersionsRequest) {
			if r.NodeID = node; cluster != "" {
				r.ClusterID = &cluster
			}
		}).ErrorCode
	}
	require.Zero(t, identity("c", 1))
	require.Zero(t, identity("", -1))
	require.EqualValues(t, 129, identity("c", 2))
	require.EqualValues(t, 129, identity("d", 1))
	require.EqualValues(t, 42, identity("c", -1))
	require.EqualValues(t, 42, identity("", 1))
}

func TestDescribeClusterShowsFencedBrokersWhenAskedFor(t *testing.T) {
	h := clusterHandlers(t)
	for _, fenced := range []bool{false, true} {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.Version, req.IncludeFencedBrokers = 2, fenced
		r, _ := h.describeCluster(t.Context(), &Request{Listener: "CLIENT"}, req)
		resp := r.(*kmsg.DescribeClusterResponse)
		require.Equal(t, "c", resp.ClusterID)
		if !fenced {
			require.Len(t, resp.Brokers, 1)
			continue
		}
		require.Len(t, resp.Brokers, 2)
		require.True(t, resp.Brokers[1].IsFenced)
	}
}

func TestDescribeTopicPartitionsPages(t *testing.T) {
	h := clusterHandlers(t)
	var seen []string
	var next *kmsg.DescribeTopicPartitionsRequestCursor
	for page := range 10 {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = 2, next
		r, _ := h.describeTopicPartitions(t.Context(), &Request{Listener: "CLIENT"}, req)
		resp := r.(*kmsg.DescribeTopicPartitionsResponse)
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				seen = append(seen, words(page, *topic.Topic, p.Partition))
			}
		}
		if resp.NextCursor == nil {
			break
		}
		next = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
	require.Equal(t, []string{"0 __consumer_offsets 0", "0 three 0", "1 three 1", "1 three 2", "2 three 3", "2 three 4"}, seen)
}
