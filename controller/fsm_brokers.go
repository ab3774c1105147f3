package controller

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"minikafka/metadata"
)

// producerIDBlock is the number of producer ids that a broker gets at once, Kafka's number.
const producerIDBlock = 1000

// registerBroker writes a registration, fenced. Its epoch is the offset of the batch's first record, as
// in Kafka. What the broker led before is taken from it first: a new registration is a new life of the
// broker, and leader epochs must tell one from the other.
func (m *machine) registerBroker(v view, b metadata.Broker) ([]metadata.Record, int64) {
	var records []metadata.Record
	if old := v.image.Broker(b.ID); old != nil {
		records = m.takeLeaderships(v.image, b.ID)
	}
	b.Epoch, b.Fenced, b.InControlledShutdown = v.next, true, false
	return append(records, b.Registration()), v.next
}

// unfence lets a broker serve, and gives it the leaderships that waited for it.
func (m *machine) unfence(v view, id int32, epoch int64) ([]metadata.Record, error) {
	b, err := registered(v.image, id, epoch)
	if err != nil || !b.Fenced {
		return nil, err
	}
	records := []metadata.Record{&metadata.BrokerRegistrationChangeRecord{BrokerID: id, BrokerEpoch: epoch, Fenced: metadata.ChangeUnfence}}
	active := func(other int32) bool { return other == id || isActive(v.image, other) }
	for t := range sortedTopics(v.image) {
		for p := range t.Partitions {
			if t.Partitions[p].Leader == metadata.NoLeader {
				records = appendChange(records, electLeader(v.image, t, int32(p), active))
			}
		}
	}
	return records, nil
}

// shutDown puts a broker into controlled shutdown: it leads nothing any more.
func (m *machine) shutDown(v view, id int32, epoch int64) ([]metadata.Record, error) {
	b, err := registered(v.image, id, epoch)
	if err != nil || b.InControlledShutdown {
		return nil, err
	}
	records := []metadata.Record{&metadata.BrokerRegistrationChangeRecord{
		BrokerID: id, BrokerEpoch: epoch, InControlledShutdown: metadata.ChangeShutdown,
	}}
	return append(records, m.takeLeaderships(v.image, id)...), nil
}

func (m *machine) allocateProducerIDs(v view, id int32, epoch int64) ([]metadata.Record, int64, error) {
	if _, err := registered(v.image, id, epoch); err != nil {
		return nil, 0, err
	}
	first := v.image.NextProducerID
	return []metadata.Record{&metadata.ProducerIdsRecord{
		BrokerID: id, BrokerEpoch: epoch, NextProducerID: first + producerIDBlock,
	}}, first, nil
}

func registered(image *metadata.Image, id int32, epoch int64) (*metadata.Broker, error) {
	b := image.Broker(id)
	if b == nil {
		return nil, fmt.Errorf("%w: %d", kerr.BrokerIDNotRegistered, id)
	}
	if b.Epoch != epoch {
		return nil, fmt.Errorf("%w: broker %d has %d, not %d", kerr.StaleBrokerEpoch, id, b.Epoch, epoch)
	}
	return b, nil
}

func isActive(image *metadata.Image, id int32) bool {
	b := image.Broker(id)
	return b != nil && b.Active()
}

// takeLeaderships takes a broker out of every ISR, and the leadership where it has it.
func (m *machine) takeLeaderships(image *metadata.Image, id int32) (records []metadata.Record) {
	active := func(other int32) bool { return other != id && isActive(image, other) }
	for t := range sortedTopics(image) {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if p.Leader != id && !slices.Contains(p.ISR, id) {
				continue
			}
			change := electLeader(image, t, int32(i), active)
			records = appendChange(records, change)
		}
	}
	return records
}

// electLeader is replication.md, section 4: the ISR without inactive brokers, and a leader from it, or from
// the eligible leader replicas when it is empty. Nil: nothing changes.
func electLeader(image *metadata.Image, t *metadata.Topic, partition int32, active func(int32) bool) *metadata.PartitionChangeRecord {
	p := &t.Partitions[partition]
	next := nextState(image, t, p, active)
	r := &metadata.PartitionChangeRecord{TopicID: t.ID, PartitionID: partition}
	changed := false
	for _, f := range []struct {
		old, new []int32
		to       *[]int32
	}{{p.ISR, next.ISR, &r.ISR}, {p.ELR, next.ELR, &r.EligibleLeaderReplicas}, {p.LastKnownELR, next.LastKnownELR, &r.LastKnownELR}} {
		if !slices.Equal(f.old, f.new) {
			*f.to, changed = append([]int32{}, f.new...), true
		}
	}
	if next.Leader != p.Leader {
		r.Leader, changed = &next.Leader, true
	}
	if changed && next.Leader != metadata.NoLeader && p.LeaderRecoveryState != 0 {
		r.LeaderRecoveryState = new(int8(0)) // recovered: our logs are when they are open
	}
	if !changed {
		return nil
	}
	return r
}

// nextState is p's ISR, leader and eligible replicas, given who is active.
func nextState(image *metadata.Image, t *metadata.Topic, p *metadata.Partition, active func(int32) bool) metadata.Partition {
	next := *p
	next.ISR = slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return !active(id) })
	switch leader := chooseLeader(p, next.ISR, active); {
	case leader != metadata.NoLeader:
		next.Leader = leader
		if !slices.Contains(next.ISR, leader) {
			next.ISR = []int32{leader}
		}
	case elr(image):
		next.Leader = metadata.NoLeader
	default: // the last one stays in the ISR: it has all that was committed
		next.Leader = metadata.NoLeader
		if len(next.ISR) == 0 && len(p.ISR) > 0 {
			next.ISR = p.ISR[len(p.ISR)-1:]
		}
	}
	if elr(image) {
		next.ELR, next.LastKnownELR = eligible(image, t, p, next.ISR)
	}
	return next
}

func chooseLeader(p *metadata.Partition, isr []int32, active func(int32) bool) int32 {
	if slices.Contains(isr, p.Leader) {
		return p.Leader
	}
	for _, id := range p.Replicas {
		if slices.Contains(isr, id) {
			return id
		}
	}
	for _, id := range p.Replicas {
		if slices.Contains(p.ELR, id) && active(id) {
			return id
		}
	}
	// An unclean stop empties ISR and ELR in Kafka; the one that had led last has the data all the same.
	if len(p.ISR) == 0 && len(p.ELR) == 0 && len(p.LastKnownELR) == 1 && active(p.LastKnownELR[0]) {
		return p.LastKnownELR[0]
	}
	return metadata.NoLeader
}

// eligible are the eligible leader replicas beside an ISR, and the last known ones: none while the ISR
// is large enough, else those that left it.
func eligible(image *metadata.Image, t *metadata.Topic, p *metadata.Partition, isr []int32) (elr, lastKnown []int32) {
	if len(isr) >= min(minISR(image, t.Name), len(p.Replicas)) {
		return nil, nil
	}
	for _, id := range append(slices.Clone(p.ELR), p.ISR...) {
		if !slices.Contains(isr, id) && !slices.Contains(elr, id) {
			elr = append(elr, id)
		}
	}
	lastKnown = p.LastKnownELR
	if len(isr) == 0 && p.Leader != metadata.NoLeader {
		lastKnown = []int32{p.Leader}
	}
	return elr, lastKnown
}

// minISR is a topic's min.insync.replicas: its own, the cluster's, or 1.
func minISR(image *metadata.Image, topic string) int {
	for _, r := range []metadata.Resource{{Type: metadata.ResourceTopic, Name: topic}, {Type: metadata.ResourceBroker}} {
		n := 0
		if _, err := fmt.Sscan(image.Configs(r)[configMinISR], &n); err == nil {
			return n
		}
	}
	return 1
}

func appendChange(records []metadata.Record, r *metadata.PartitionChangeRecord) []metadata.Record {
	if r == nil {
		return records
	}
	return append(records, r)
}

// sortedTopics visits the topics by name, so that the same image gives the same records.
func sortedTopics(image *metadata.Image) func(func(*metadata.Topic) bool) {
	topics := slices.SortedFunc(image.Topics(), func(a, b *metadata.Topic) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Values(topics)
}
