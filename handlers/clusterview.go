package handlers

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/metadata"
)

// clusterView is the cluster as a client of one listener sees it: brokers that are not fenced, by the
// endpoints of that listener.
type clusterView struct {
	image    *metadata.Image
	listener string
	nodeID   int32
}

func (h *Handlers) view(listener string) clusterView {
	return clusterView{h.Image(), listener, h.NodeID}
}

// alive says whether a broker serves at all, and here whether this listener has an endpoint of it.
func (v clusterView) alive(id int32) (alive, here bool) {
	b := v.image.Broker(id)
	if b == nil || b.Fenced {
		return false, false
	}
	_, here = b.Endpoint(v.listener)
	return true, here
}

// brokers are the visible brokers, by id.
func (v clusterView) brokers() []kmsg.MetadataResponseBroker {
	list := []kmsg.MetadataResponseBroker{}
	for b := range v.image.Brokers() {
		e, here := b.Endpoint(v.listener)
		if b.Fenced || !here {
			continue
		}
		m := kmsg.NewMetadataResponseBroker()
		m.NodeID, m.Host, m.Port, m.Rack = b.ID, e.Host, int32(e.Port), b.Rack
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b kmsg.MetadataResponseBroker) int { return cmp.Compare(a.NodeID, b.NodeID) })
	return list
}

// controller is a broker that admin requests may be sent to, whichever controller is active: this one,
// or any other that is alive; -1: none.
func (v clusterView) controller() int32 {
	if alive, _ := v.alive(v.nodeID); alive {
		return v.nodeID
	}
	for b := range v.image.Brokers() {
		if !b.Fenced {
			return b.ID
		}
	}
	return -1
}

// offline are the replicas that a client of this listener cannot reach.
func (v clusterView) offline(p *metadata.Partition) []int32 {
	list := []int32{}
	for _, id := range p.Replicas {
		if _, here := v.alive(id); !here {
			list = append(list, id)
		}
	}
	return list
}

// leader is the partition's leader as shown in a version, with the code beside it.
func (v clusterView) leader(p *metadata.Partition, listenerNotFound bool) (id int32, code int16) {
	switch alive, here := v.alive(p.Leader); {
	case here:
		return p.Leader, 0
	case alive && listenerNotFound:
		return -1, kerr.ListenerNotFound.Code
	}
	return -1, kerr.LeaderNotAvailable.Code
}

// topic is a topic in a Metadata answer.
func (v clusterView) topic(t *metadata.Topic, version int16) kmsg.MetadataResponseTopic {
	m := kmsg.NewMetadataResponseTopic()
	m.Topic, m.TopicID, m.IsInternal = &t.Name, t.ID, isInternal(t.Name)
	m.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range t.Partitions {
		p := &t.Partitions[i]
		r := kmsg.NewMetadataResponseTopicPartition()
		r.Partition, r.LeaderEpoch = int32(i), p.LeaderEpoch
		r.Leader, r.ErrorCode = v.leader(p, version >= 6)
		r.Replicas, r.ISR, r.OfflineReplicas = p.Replicas, p.ISR, v.offline(p)
		if version == 0 && r.ErrorCode == 0 && len(r.OfflineReplicas) > 0 {
			r.ErrorCode = kerr.ReplicaNotAvailable.Code
		}
		m.Partitions[i] = r
	}
	return m
}

// named are the topics of a Metadata request, by name or id, each once. As in Kafka, names count only
// where there is no id.
func (v clusterView) named(req *kmsg.MetadataRequest) []kmsg.MetadataResponseTopic {
	byID := asksByID(req)
	answer := make([]kmsg.MetadataResponseTopic, 0, len(req.Topics))
	names, ids := map[string]bool{}, map[[16]byte]bool{}
	for _, asked := range req.Topics {
		if asked.TopicID != [16]byte{} {
			if !ids[asked.TopicID] {
				ids[asked.TopicID] = true
				answer = append(answer, v.byID(asked.TopicID, req.Version))
			}
			continue
		}
		if !byID && !names[*asked.Topic] {
			names[*asked.Topic] = true
			answer = append(answer, v.byName(*asked.Topic, req.Version))
		}
	}
	return answer
}

func asksByID(req *kmsg.MetadataRequest) bool {
	return slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} })
}

func (v clusterView) byID(id [16]byte, version int16) kmsg.MetadataResponseTopic {
	if t := v.image.TopicByID(id); t != nil {
		return v.topic(t, version)
	}
	m := kmsg.NewMetadataResponseTopic()
	m.TopicID, m.ErrorCode, m.Partitions = id, kerr.UnknownTopicID.Code, []kmsg.MetadataResponseTopicPartition{}
	return m
}

func (v clusterView) byName(name string, version int16) kmsg.MetadataResponseTopic {
	if t := v.image.TopicByName(name); t != nil {
		return v.topic(t, version)
	}
	m := kmsg.NewMetadataResponseTopic()
	m.Topic, m.IsInternal, m.Partitions = &name, isInternal(name), []kmsg.MetadataResponseTopicPartition{}
	m.ErrorCode = unknownName(name)
	return m
}

// unknownName is the code for a topic that is not there: its name may not even be a topic's.
func unknownName(name string) int16 {
	if metadata.CheckTopicName(name) != nil {
		return kerr.InvalidTopicException.Code
	}
	return kerr.UnknownTopicOrPartition.Code
}
