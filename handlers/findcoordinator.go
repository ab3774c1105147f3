package handlers

import (
	"context"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/groupcoord"
	"minikafka/metadata"
	"minikafka/txncoord"
)

// Key types of FindCoordinator.
const (
	groupKey       int8 = 0
	transactionKey int8 = 1
	shareKey       int8 = 2
)

// Versions of FindCoordinator from which something is different.
const (
	findInBatches  = 4
	findKnowsShare = 6
)

// found is the coordinator of one key.
type found struct {
	node int32
	host string
	port int32
	code *kerr.Error // nil: found
	text string      // v4+
}

func notFound(e *kerr.Error) found { return found{node: -1, port: -1, code: e} }

// FindCoordinator v0-v6. Kafka makes the internal topic and answers COORDINATOR_NOT_AVAILABLE until it is
// there; here the answer waits for it, which saves the client's first group a back-off.
func (h *Handlers) findCoordinator(ctx context.Context, r *Request, req *kmsg.FindCoordinatorRequest) (kmsg.Response, Later) {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if req.Version < findInBatches {
		h.findOne(ctx, r, req, resp)
		return resp, nil
	}
	resp.Coordinators = make([]kmsg.FindCoordinatorResponseCoordinator, 0, len(req.CoordinatorKeys))
	for _, key := range req.CoordinatorKeys {
		f := h.coordinatorOf(ctx, r, req, key)
		c := kmsg.FindCoordinatorResponseCoordinator{Key: key, NodeID: f.node, Host: f.host, Port: f.port, ErrorMessage: &f.text}
		if f.code != nil {
			c.ErrorCode = f.code.Code
		}
		resp.Coordinators = append(resp.Coordinators, c)
	}
	return resp, nil
}

// findOne answers old versions. Their message is never null: Kafka writes the name of "no error".
func (h *Handlers) findOne(ctx context.Context, r *Request, req *kmsg.FindCoordinatorRequest, resp *kmsg.FindCoordinatorResponse) {
	f := h.coordinatorOf(ctx, r, req, req.CoordinatorKey)
	text := "NONE"
	if f.code != nil {
		resp.ErrorCode, text = f.code.Code, f.code.Description
	}
	resp.NodeID, resp.Host, resp.Port, resp.ErrorMessage = f.node, f.host, f.port, &text
}

func (h *Handlers) coordinatorOf(ctx context.Context, r *Request, req *kmsg.FindCoordinatorRequest, key string) found {
	name, partitionFor := groupcoord.Topic, h.Groups.PartitionFor
	switch req.CoordinatorType {
	case groupKey:
	case transactionKey:
		name, partitionFor = txncoord.Topic, h.Transactions.PartitionFor
	case shareKey:
		if req.Version < findKnowsShare {
			return notFound(kerr.InvalidRequest)
		}
		return notFound(kerr.CoordinatorNotAvailable) // nor share groups
	default:
		f := notFound(kerr.InvalidRequest)
		f.text = kerr.InvalidRequest.Description
		return f
	}
	topic := h.Image().TopicByName(name)
	if topic == nil {
		if name == txncoord.Topic {
			h.createTransactionTopic(ctx)
		} else {
			h.createGroupTopic(ctx)
		}
		if topic = h.Image().TopicByName(name); topic == nil {
			return notFound(kerr.CoordinatorNotAvailable)
		}
	}
	return h.view(r.Listener).coordinator(topic, partitionFor(key))
}

// coordinator is the leader of a partition, by its endpoint on the listener.
func (v clusterView) coordinator(t *metadata.Topic, partition int32) found {
	if int(partition) >= len(t.Partitions) {
		return notFound(kerr.CoordinatorNotAvailable)
	}
	leader, code := v.leader(&t.Partitions[partition], true)
	if code != 0 {
		return notFound(kerr.CoordinatorNotAvailable)
	}
	e, _ := v.image.Broker(leader).Endpoint(v.listener)
	return found{node: leader, host: e.Host, port: int32(e.Port)}
}

func (h *Handlers) createGroupTopic(ctx context.Context) {
	values := h.Config()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic = groupcoord.Topic
	t.NumPartitions = config.Get(values, config.OffsetsTopicNumPartitions)
	t.ReplicationFactor = config.Get(values, config.OffsetsTopicReplicationFactor)
	h.createInternalTopic(ctx, t, [][2]string{
		{"cleanup.policy", "compact"},
		{"compression.type", "producer"},
		{"segment.bytes", strconv.Itoa(int(config.Get(values, config.OffsetsTopicSegmentBytes)))},
	})
}

func (h *Handlers) createTransactionTopic(ctx context.Context) {
	values := h.Config()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic = txncoord.Topic
	t.NumPartitions = config.Get(values, config.TransactionStateLogNumPartitions)
	t.ReplicationFactor = config.Get(values, config.TransactionStateLogReplicationFactor)
	h.createInternalTopic(ctx, t, [][2]string{
		{"cleanup.policy", "compact"},
		{"compression.type", "uncompressed"},
		{"min.insync.replicas", strconv.Itoa(int(config.Get(values, config.TransactionStateLogMinISR)))},
		{"segment.bytes", strconv.Itoa(int(config.Get(values, config.TransactionStateLogSegmentBytes)))},
		{"unclean.leader.election.enable", "false"},
	})
}

// createInternalTopic makes a coordinator's topic; somebody else may do so at the same time.
func (h *Handlers) createInternalTopic(ctx context.Context, t kmsg.CreateTopicsRequestTopic, configs [][2]string) {
	for _, c := range configs {
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: c[0], Value: &c[1]})
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis, req.Topics = 7, autoCreateTimeoutMs, []kmsg.CreateTopicsRequestTopic{t}
	resp, err := h.Controller.CreateTopics(ctx, req)
	if err != nil {
		h.Logger.Error("cannot create an internal topic", "topic", t.Topic, "error", err)
		return
	}
	for _, answered := range resp.Topics {
		if e := answered.ErrorCode; e != 0 && e != kerr.TopicAlreadyExists.Code {
			h.Logger.Error("cannot create an internal topic", "topic", t.Topic, "error", kerr.ErrorForCode(e), "message", answered.ErrorMessage)
		}
	}
}
