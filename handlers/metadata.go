package handlers

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/groupcoord"
	"minikafka/metadata"
)

// Metadata v0-v13.
//
// Where Kafka creates an unknown topic behind its back and answers UNKNOWN_TOPIC_OR_PARTITION, we
// create it first and answer with it: the client need not ask again.

// Authorized operations as bits by operation code, when nothing is forbidden; noOperations: not asked.
const (
	allTopicOperations   int32 = 3576
	allClusterOperations int32 = 8096
	noOperations         int32 = -2147483648
)

// Names of the topics that the broker keeps for itself.
const (
	offsetsTopic     = groupcoord.Topic
	transactionTopic = "__transaction_state"
	shareTopic       = "__share_group_state"
)

func isInternal(topic string) bool {
	return topic == offsetsTopic || topic == transactionTopic || topic == shareTopic
}

func (h *Handlers) metadata(ctx context.Context, r *Request, req *kmsg.MetadataRequest) (kmsg.Response, Later) {
	if code := checkMetadata(req); code != 0 {
		return refusedMetadata(req, code), nil
	}
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	resp.AuthorizedOperations = noOperations
	if req.Version >= 8 && req.Version <= 10 && req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = allClusterOperations
	}
	view := h.view(r.Listener)
	resp.Topics = []kmsg.MetadataResponseTopic{}
	if req.Topics == nil || (req.Version == 0 && len(req.Topics) == 0) {
		for t := range view.image.Topics() {
			resp.Topics = append(resp.Topics, view.topic(t, req.Version))
		}
		slices.SortFunc(resp.Topics, func(a, b kmsg.MetadataResponseTopic) int { return strings.Compare(*a.Topic, *b.Topic) })
	} else {
		if h.createMissing(ctx, req, view.image) {
			view = h.view(r.Listener)
		}
		resp.Topics = view.named(req)
	}
	for i := range resp.Topics {
		resp.Topics[i].AuthorizedOperations = noOperations
		if req.IncludeTopicAuthorizedOperations && resp.Topics[i].Topic != nil {
			resp.Topics[i].AuthorizedOperations = allTopicOperations
		}
	}
	id := h.ClusterID
	resp.Brokers, resp.ClusterID, resp.ControllerID = view.brokers(), &id, view.controller()
	return resp, nil
}

// checkMetadata: ids, and topics without a name, need version 12; one without both is a bug in Kafka.
func checkMetadata(req *kmsg.MetadataRequest) int16 {
	for _, t := range req.Topics {
		switch hasID := t.TopicID != [16]byte{}; {
		case req.Version < 12 && (t.Topic == nil || hasID):
			return kerr.InvalidRequest.Code
		case t.Topic == nil && !hasID:
			return kerr.UnknownServerError.Code
		}
	}
	return 0
}

// refusedMetadata is Kafka's answer to a request that fails as a whole.
func refusedMetadata(req *kmsg.MetadataRequest, code int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	resp.ControllerID, resp.AuthorizedOperations = -1, noOperations
	resp.Brokers, resp.Topics = []kmsg.MetadataResponseBroker{}, []kmsg.MetadataResponseTopic{}
	if req.Version >= 13 {
		resp.ErrorCode = code
	}
	for _, t := range req.Topics {
		name := ""
		if t.Topic != nil {
			name = *t.Topic
		}
		m := kmsg.NewMetadataResponseTopic()
		m.ErrorCode, m.Topic, m.TopicID, m.AuthorizedOperations = code, &name, t.TopicID, noOperations
		m.Partitions = []kmsg.MetadataResponseTopicPartition{}
		resp.Topics = append(resp.Topics, m)
	}
	return resp
}

// createMissing creates the named topics that are not there, where client and broker allow it, and
// says whether it created any. What cannot be created stays unknown; internal topics are their
// coordinators' to create, with what these need.
func (h *Handlers) createMissing(ctx context.Context, req *kmsg.MetadataRequest, image *metadata.Image) bool {
	if asksByID(req) || (req.Version >= 4 && !req.AllowAutoTopicCreation) || !config.Get(h.Config(), config.AutoCreateTopicsEnable) {
		return false
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, autoCreateTimeoutMs
	for _, t := range req.Topics {
		if t.Topic == nil || image.TopicByName(*t.Topic) != nil || isInternal(*t.Topic) || metadata.CheckTopicName(*t.Topic) != nil ||
			slices.ContainsFunc(create.Topics, func(c kmsg.CreateTopicsRequestTopic) bool { return c.Topic == *t.Topic }) {
			continue
		}
		c := kmsg.NewCreateTopicsRequestTopic()
		c.Topic, c.NumPartitions, c.ReplicationFactor = *t.Topic, -1, -1 // the broker's defaults
		create.Topics = append(create.Topics, c)
	}
	if len(create.Topics) == 0 {
		return false
	}
	if _, err := h.Controller.CreateTopics(ctx, create); err != nil {
		h.Logger.Warn("auto-creating topics failed", "error", err)
		return false
	}
	return true
}

const autoCreateTimeoutMs = 10_000
