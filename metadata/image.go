package metadata

import (
	"encoding/base64"
	"iter"
)

// UUID is a topic, directory or incarnation id; its text form is 22 characters of base64url.
type UUID [16]byte

// String is Kafka's text form (base64url without padding).
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// Partition is one partition's replicas and leadership, as PartitionRecord and PartitionChangeRecord say.
type Partition struct {
	Replicas, ISR, Removing, Adding     []int32
	Leader, LeaderEpoch, PartitionEpoch int32 // Leader -1: none
	LeaderRecoveryState                 int8
	Directories                         []UUID // beside Replicas
	ELR, LastKnownELR                   []int32
}

// Topic is a topic and its partitions; the index is the partition id.
type Topic struct {
	ID         UUID
	Name       string
	Partitions []Partition
}

// Endpoint is where a broker listens.
type Endpoint struct {
	Name, Host       string
	Port             uint16
	SecurityProtocol int16 // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
}

// Broker is a registered broker.
type Broker struct {
	ID                           int32
	Epoch                        int64 // offset of its registration record
	IncarnationID                UUID
	Endpoints                    []Endpoint
	Rack                         *string
	Fenced, InControlledShutdown bool
	Directories                  []UUID
}

// Endpoint finds the endpoint of a listener name.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Name == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// Config resource types of ConfigRecord and the config APIs.
const (
	ResourceTopic  int8 = 2
	ResourceBroker int8 = 4 // name "" is the cluster-wide default
)

// Resource names what a set of dynamic configs belongs to.
type Resource struct {
	Type int8
	Name string
}

// Image is the cluster's metadata after one committed offset. It never changes: a new offset is a new
// Image. All slices and maps reachable from it are read-only.
type Image struct {
	Offset         int64 // last offset that is in it; -1 when empty
	Epoch          int32
	ClusterID      string
	NextProducerID int64

	features map[string]int16
	brokers  map[int32]*Broker
	byName   map[string]*Topic
	byID     map[UUID]*Topic
	configs  map[Resource]map[string]string
}

// TopicByName finds a topic; nil when there is none.
func (i *Image) TopicByName(name string) *Topic { return i.byName[name] }

// TopicByID finds a topic; nil when there is none.
func (i *Image) TopicByID(id UUID) *Topic { return i.byID[id] }

// Topics visits all topics in no order.
func (i *Image) Topics() iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for _, t := range i.byName {
			if !yield(t) {
				return
			}
		}
	}
}

// Broker finds a registered broker, fenced or not; nil when there is none.
func (i *Image) Broker(id int32) *Broker { return i.brokers[id] }

// Brokers visits all registered brokers in no order.
func (i *Image) Brokers() iter.Seq[*Broker] {
	return func(yield func(*Broker) bool) {
		for _, b := range i.brokers {
			if !yield(b) {
				return
			}
		}
	}
}

// Configs are a resource's dynamic configs; nil when there are none. Do not change them.
func (i *Image) Configs(r Resource) map[string]string { return i.configs[r] }

// Features visits the finalized feature levels.
func (i *Image) Features() map[string]int16 { return i.features }
