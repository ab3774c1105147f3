package metadata

import "iter"

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
	Epoch          int32 // of the batch that holds Offset
	Timestamp      int64 // of that batch, ms
	ClusterID      string
	NextProducerID int64
	KRaftVersion   int16 // of the quorum's control records; no metadata record changes it

	features map[string]int16
	brokers  map[int32]*Broker
	byName   *pmap[string, *Topic]
	byID     *pmap[UUID, *Topic]
	byFolded *pmap[string, string] // name with '.' as '_' → the name that holds it, for collisions
	configs  *pmap[Resource, map[string]string]
	// kept are the records of subsystems that have no part in the image yet (or never will), so that a
	// snapshot loses nothing that Kafka or a later release wrote.
	kept *pmap[keptKey, Record]
}

// Empty is the image before the first record.
func Empty(clusterID string) *Image { return &Image{Offset: -1, ClusterID: clusterID} }

// TopicByName finds a topic; nil when there is none.
func (i *Image) TopicByName(name string) *Topic {
	t, _ := i.byName.get(name)
	return t
}

// TopicByID finds a topic; nil when there is none.
func (i *Image) TopicByID(id UUID) *Topic {
	t, _ := i.byID.get(id)
	return t
}

// Collision is an existing topic whose name is the same but for '.' and '_'.
func (i *Image) Collision(name string) (existing string, found bool) {
	return i.byFolded.get(foldName(name))
}

// TopicCount is the number of topics.
func (i *Image) TopicCount() int { return i.byID.size() }

// Topics visits all topics in no order.
func (i *Image) Topics() iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for _, t := range i.byID.all() {
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
func (i *Image) Configs(r Resource) map[string]string {
	c, _ := i.configs.get(r)
	return c
}

// Features visits the finalized feature levels.
func (i *Image) Features() map[string]int16 { return i.features }

// MetadataVersion is the finalized level of metadata.version: that of this release before there is one.
func (i *Image) MetadataVersion() int16 {
	if level, ok := i.features[MetadataVersion]; ok {
		return level
	}
	return latestMetadataVersion
}
