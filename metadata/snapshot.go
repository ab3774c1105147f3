package metadata

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// metadataVersionFeature comes first in every snapshot, because it decides how the rest is written.
const metadataVersionFeature = "metadata.version"

// Records are the records that make this image out of an empty one, in the order in which Kafka writes a
// snapshot: features, controllers and brokers, topics, configs, and the rest.
func (i *Image) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		_ = i.yieldFeatures(yield) && i.yieldKept(yield, KeyRegisterController) && i.yieldBrokers(yield) &&
			i.yieldTopics(yield) && i.yieldConfigs(yield) && i.yieldKept(yield, KeyClientQuota) &&
			(i.NextProducerID == 0 ||
				yield(&ProducerIdsRecord{BrokerID: -1, BrokerEpoch: -1, NextProducerID: i.NextProducerID})) &&
			i.yieldKept(yield, KeyAccessControlEntry) && i.yieldKept(yield, KeyUserScramCredential) &&
			i.yieldKept(yield, KeyDelegationToken) && i.yieldKept(yield, KeyZkMigrationState)
	}
}

func (i *Image) yieldFeatures(yield func(Record) bool) bool {
	names := slices.SortedFunc(maps.Keys(i.features), func(a, b string) int {
		if (a == metadataVersionFeature) != (b == metadataVersionFeature) {
			if a == metadataVersionFeature {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	for _, name := range names {
		if !yield(&FeatureLevelRecord{Name: name, FeatureLevel: i.features[name]}) {
			return false
		}
	}
	return true
}

func (i *Image) yieldBrokers(yield func(Record) bool) bool {
	for _, id := range slices.Sorted(maps.Keys(i.brokers)) {
		if !yield(i.brokers[id].Registration()) {
			return false
		}
	}
	return true
}

// Registration is the record that registers b as it is now.
func (b *Broker) Registration() *RegisterBrokerRecord {
	r := &RegisterBrokerRecord{
		BrokerID: b.ID, IncarnationID: b.IncarnationID, BrokerEpoch: b.Epoch, Rack: b.Rack,
		Fenced: b.Fenced, InControlledShutdown: b.InControlledShutdown,
		LogDirs: b.Directories, CordonedLogDirs: b.CordonedDirectories,
	}
	for _, e := range b.Endpoints {
		r.EndPoints = append(r.EndPoints, BrokerEndpoint(e))
	}
	for _, f := range b.Features {
		r.Features = append(r.Features, BrokerFeature{f.Name, f.Min, f.Max})
	}
	return r
}

func (i *Image) yieldTopics(yield func(Record) bool) bool {
	for t := range i.Topics() {
		if !yield(&TopicRecord{Name: t.Name, TopicID: t.ID}) {
			return false
		}
		for id := range t.Partitions {
			if !yield(t.Partitions[id].Record(t.ID, int32(id))) {
				return false
			}
		}
	}
	return true
}

// Record is the record that makes partition id of a topic as it is now.
func (p *Partition) Record(topic UUID, id int32) *PartitionRecord {
	r := &PartitionRecord{
		PartitionID: id, TopicID: topic, Replicas: p.Replicas, ISR: p.ISR,
		RemovingReplicas: p.Removing, AddingReplicas: p.Adding,
		Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
		LeaderRecoveryState: p.LeaderRecoveryState, Directories: p.Directories,
	}
	if len(p.ELR) > 0 { // like Kafka: an empty list is left out
		r.EligibleLeaderReplicas = p.ELR
	}
	if len(p.LastKnownELR) > 0 {
		r.LastKnownELR = p.LastKnownELR
	}
	return r
}

func (i *Image) yieldConfigs(yield func(Record) bool) bool {
	for res, configs := range i.configs.all() {
		for _, name := range slices.Sorted(maps.Keys(configs)) {
			value := configs[name]
			if !yield(&ConfigRecord{ResourceType: res.Type, ResourceName: res.Name, Name: name, Value: &value}) {
				return false
			}
		}
	}
	return true
}

func (i *Image) yieldKept(yield func(Record) bool, kind int16) bool {
	for key, rec := range i.kept.all() {
		if key.kind == kind && !yield(rec) {
			return false
		}
	}
	return true
}
