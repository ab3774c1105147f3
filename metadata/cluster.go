package metadata

import (
	"encoding/base64"
	"errors"
)

// UUID is a topic, directory or incarnation id; its text form is 22 characters of base64url.
type UUID [16]byte

// String is Kafka's text form (base64url without padding).
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// ParseUUID reads the text form.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(u) {
		return u, errors.New("not a UUID: " + s)
	}
	copy(u[:], b)
	return u, nil
}

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

// LeaderEpochs are those of the partitions that a broker leads, and -1 for the others.
func (t *Topic) LeaderEpochs(broker int32) []int32 {
	epochs := make([]int32, len(t.Partitions))
	for i := range t.Partitions {
		epochs[i] = -1
		if t.Partitions[i].Leader == broker {
			epochs[i] = t.Partitions[i].LeaderEpoch
		}
	}
	return epochs
}

// Endpoint is where a broker listens.
type Endpoint struct {
	Name, Host       string
	Port             uint16
	SecurityProtocol int16 // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
}

// FeatureRange is what a node supports of a feature.
type FeatureRange struct {
	Name     string
	Min, Max int16
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
	CordonedDirectories          []UUID
	Features                     []FeatureRange
}

// Active says whether the broker can lead partitions and be an in-sync replica.
func (b *Broker) Active() bool { return !b.Fenced && !b.InControlledShutdown }

// Endpoint finds the endpoint of a listener name.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Name == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}
