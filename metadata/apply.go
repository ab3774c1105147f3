package metadata

import (
	"fmt"
	"slices"
)

// NoLeader is the leader of a partition that has none. In a PartitionChangeRecord a nil Leader leaves the
// leader as it is.
const NoLeader int32 = -1

// Values of BrokerRegistrationChangeRecord's Fenced and InControlledShutdown; 0 is no change.
const (
	ChangeFence    int8 = 1
	ChangeUnfence  int8 = -1
	ChangeShutdown int8 = 1
)

// apply is the meaning of each record type. Types that have no part in the image are kept as they are.
func (b *builder) apply(rec Record) error {
	switch r := rec.(type) {
	case *NoOpRecord:
		return nil
	case *TopicRecord:
		return b.addTopic(r)
	case *RemoveTopicRecord:
		return b.removeTopic(r)
	case *PartitionRecord:
		return b.setPartition(r)
	case *PartitionChangeRecord:
		return b.changePartition(r)
	case *ClearElrRecord:
		return b.clearELR(r)
	case *ConfigRecord:
		b.setConfig(r)
	case *FeatureLevelRecord:
		b.setFeature(r.Name, r.FeatureLevel)
	case *ProducerIdsRecord:
		if r.NextProducerID < b.next.NextProducerID {
			return fmt.Errorf("next producer id %d is below %d", r.NextProducerID, b.next.NextProducerID)
		}
		b.next.NextProducerID = r.NextProducerID
	default:
		if isBrokerRecord(rec) {
			return b.applyBroker(rec)
		}
		return b.keep(rec)
	}
	return nil
}

func isBrokerRecord(rec Record) bool {
	switch rec.(type) {
	case *RegisterBrokerRecord, *UnregisterBrokerRecord, *BrokerRegistrationChangeRecord,
		*FenceBrokerRecord, *UnfenceBrokerRecord:
		return true
	}
	return false
}

func (b *builder) applyBroker(rec Record) error {
	switch r := rec.(type) {
	case *RegisterBrokerRecord:
		b.setBroker(r.BrokerID, brokerOf(r))
	case *UnregisterBrokerRecord:
		if _, err := b.broker(r.BrokerID, r.BrokerEpoch); err != nil {
			return err
		}
		b.setBroker(r.BrokerID, nil)
	case *FenceBrokerRecord:
		return b.changeBroker(r.ID, r.Epoch, func(br *Broker) { br.Fenced = true })
	case *UnfenceBrokerRecord:
		return b.changeBroker(r.ID, r.Epoch, func(br *Broker) { br.Fenced = false })
	case *BrokerRegistrationChangeRecord:
		return b.changeBroker(r.BrokerID, r.BrokerEpoch, func(br *Broker) { changeRegistration(br, r) })
	}
	return nil
}

func brokerOf(r *RegisterBrokerRecord) *Broker {
	br := &Broker{
		ID: r.BrokerID, Epoch: r.BrokerEpoch, IncarnationID: r.IncarnationID, Rack: r.Rack,
		Fenced: r.Fenced, InControlledShutdown: r.InControlledShutdown,
		Directories: r.LogDirs, CordonedDirectories: r.CordonedLogDirs,
	}
	for _, e := range r.EndPoints {
		br.Endpoints = append(br.Endpoints, Endpoint(e))
	}
	for _, f := range r.Features {
		br.Features = append(br.Features, FeatureRange{f.Name, f.MinSupportedVersion, f.MaxSupportedVersion})
	}
	return br
}

func changeRegistration(br *Broker, r *BrokerRegistrationChangeRecord) {
	switch r.Fenced {
	case ChangeFence:
		br.Fenced = true
	case ChangeUnfence:
		br.Fenced = false
	}
	if r.InControlledShutdown == ChangeShutdown {
		br.InControlledShutdown = true
	}
	if len(r.LogDirs) > 0 {
		br.Directories = r.LogDirs
	}
	if r.CordonedLogDirs != nil {
		br.CordonedDirectories = r.CordonedLogDirs
	}
}

func (b *builder) broker(id int32, epoch int64) (*Broker, error) {
	br := b.next.brokers[id]
	if br == nil {
		return nil, fmt.Errorf("broker %d is not registered", id)
	}
	if br.Epoch != epoch {
		return nil, fmt.Errorf("broker %d has epoch %d, not %d", id, br.Epoch, epoch)
	}
	return br, nil
}

func (b *builder) changeBroker(id int32, epoch int64, change func(*Broker)) error {
	br, err := b.broker(id, epoch)
	if err != nil {
		return err
	}
	next := *br
	change(&next)
	b.setBroker(id, &next)
	return nil
}

func (b *builder) setPartition(r *PartitionRecord) error {
	t, err := b.topic(r.TopicID)
	if err != nil {
		return err
	}
	p := Partition{
		Replicas: r.Replicas, ISR: r.ISR, Removing: r.RemovingReplicas, Adding: r.AddingReplicas,
		Leader: r.Leader, LeaderEpoch: r.LeaderEpoch, PartitionEpoch: r.PartitionEpoch,
		LeaderRecoveryState: r.LeaderRecoveryState, Directories: directoriesFor(r.Replicas, r.Directories),
		ELR: r.EligibleLeaderReplicas, LastKnownELR: r.LastKnownELR,
	}
	switch n := int32(len(t.Partitions)); {
	case r.PartitionID >= 0 && r.PartitionID < n:
		t.Partitions[r.PartitionID] = p
	case r.PartitionID == n:
		t.Partitions = append(t.Partitions, p)
	default:
		return fmt.Errorf("partition %d of topic %s, which has %d", r.PartitionID, t.Name, n)
	}
	return nil
}

// directoriesFor gives every replica a directory; records older than version 1 have none.
func directoriesFor(replicas []int32, dirs []UUID) []UUID {
	if len(dirs) == len(replicas) {
		return dirs
	}
	return make([]UUID, len(replicas)) // Kafka's MIGRATING
}

func (b *builder) changePartition(r *PartitionChangeRecord) error {
	t, err := b.topic(r.TopicID)
	if err != nil {
		return err
	}
	if r.PartitionID < 0 || int(r.PartitionID) >= len(t.Partitions) {
		return fmt.Errorf("partition %d of topic %s, which has %d", r.PartitionID, t.Name, len(t.Partitions))
	}
	t.Partitions[r.PartitionID] = t.Partitions[r.PartitionID].Changed(r)
	return nil
}

// Changed is the partition after a change: a record that names a leader, even the same one, starts a
// new leader epoch; every record a new partition epoch.
func (p Partition) Changed(r *PartitionChangeRecord) Partition {
	p.PartitionEpoch++
	if r.Leader != nil {
		p.Leader = *r.Leader
		p.LeaderEpoch++
	}
	if r.Replicas != nil {
		p.Replicas, p.Directories = r.Replicas, directoriesFor(r.Replicas, r.Directories)
	} else if len(r.Directories) == len(p.Replicas) {
		p.Directories = r.Directories
	}
	for _, f := range []struct{ to, from *[]int32 }{
		{&p.ISR, &r.ISR}, {&p.Removing, &r.RemovingReplicas}, {&p.Adding, &r.AddingReplicas},
		{&p.ELR, &r.EligibleLeaderReplicas}, {&p.LastKnownELR, &r.LastKnownELR},
	} {
		if *f.from != nil {
			*f.to = *f.from
		}
	}
	if r.LeaderRecoveryState != nil {
		p.LeaderRecoveryState = *r.LeaderRecoveryState
	}
	return p
}

// clearELR empties the eligible leader replicas of a topic, or of all topics when the name is empty.
func (b *builder) clearELR(r *ClearElrRecord) error {
	if r.TopicName != "" {
		t, ok := b.byName.get(r.TopicName)
		if !ok {
			return fmt.Errorf("there is no topic %s", r.TopicName)
		}
		return b.clearTopicELR(t)
	}
	for _, t := range b.byID.current().all() {
		if err := b.clearTopicELR(t); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) clearTopicELR(t *Topic) error {
	has := func(p Partition) bool { return len(p.ELR) > 0 || len(p.LastKnownELR) > 0 }
	if !slices.ContainsFunc(t.Partitions, has) {
		return nil
	}
	t, err := b.topic(t.ID)
	if err != nil {
		return err
	}
	for i := range t.Partitions {
		if has(t.Partitions[i]) {
			t.Partitions[i].ELR, t.Partitions[i].LastKnownELR = nil, nil
			t.Partitions[i].PartitionEpoch++
		}
	}
	return nil
}
