package groupcoord

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"minikafka/coordinator"
	"minikafka/metadata"
	wire "minikafka/protocol"
)

// UUID is a topic's id.
type UUID = metadata.UUID

// keyConsumerGroupPartitionMetadata is of Kafka up to 4.0: the group's topics as they were. Since 4.1 the
// group's own record has a hash of them, and this one is only deleted.
const keyConsumerGroupPartitionMetadata int16 = 4

// consumerKey begins with the record's type; the rest are strings: the group, and the member or pattern.
func consumerKey(key int16, parts ...string) []byte {
	size := 2
	for _, p := range parts {
		size += 2 + len(p)
	}
	b := binary.BigEndian.AppendUint16(make([]byte, 0, size), uint16(key))
	for _, p := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
		b = append(b, p...)
	}
	return b
}

// parseConsumerKey reads what follows the type: the group, and where there is one the member or pattern.
func parseConsumerKey(key int16, b []byte) (group, part string, err error) {
	take := func() string {
		if len(b) < 2 || int(binary.BigEndian.Uint16(b)) > len(b)-2 {
			err = fmt.Errorf("%w: key of type %d is cut short", errMalformedRecord, key)
			return ""
		}
		size := 2 + int(binary.BigEndian.Uint16(b))
		s := string(b[2:size])
		b = b[size:]
		return s
	}
	group = take()
	switch key {
	case keyConsumerGroupMetadata, keyConsumerGroupPartitionMetadata, keyConsumerGroupTargetAssignmentMetadata:
	default:
		part = take()
	}
	return group, part, err
}

// isConsumerKey says whether records of this type belong to consumer groups.
func isConsumerKey(key int16) bool {
	switch key {
	case keyConsumerGroupMetadata, keyConsumerGroupPartitionMetadata, keyConsumerGroupMemberMetadata,
		keyConsumerGroupTargetAssignmentMetadata, keyConsumerGroupTargetAssignmentMember,
		keyConsumerGroupCurrentMemberAssignment, keyConsumerGroupRegularExpression:
		return true
	}
	return false
}

// consumerValue is the value of a record of a consumer group; all have version 0 alone.
type consumerValue interface {
	encode(dst []byte, v int16) []byte
	decode(r *wire.FieldReader, v int16)
}

func consumerRecord(v consumerValue, key int16, parts ...string) coordinator.Record {
	return coordinator.Record{Key: consumerKey(key, parts...), Value: v.encode([]byte{0, 0}, 0)}
}

func consumerTombstone(key int16, parts ...string) coordinator.Record {
	return coordinator.Record{Key: consumerKey(key, parts...)}
}

// parseConsumerValue decodes a value into v.
func parseConsumerValue(value []byte, v consumerValue) error {
	version, err := valueVersion(value, 0)
	if err != nil {
		return err
	}
	r := wire.NewFieldReader(value[2:])
	v.decode(r, version)
	if r.Err() != nil {
		return fmt.Errorf("%w: %T: %w", errMalformedRecord, v, r.Err())
	}
	return nil
}

// heldPartition is a partition that a member has, and the member epoch at which it got it.
type heldPartition struct{ partition, epoch int32 }

// holding are partitions that a member has: by topic, ascending, no topic without any. It never changes.
type holding map[UUID][]heldPartition

func comparePartition(h heldPartition, partition int32) int {
	return cmp.Compare(h.partition, partition)
}

// epochOf is the member epoch at which the partition was given.
func (h holding) epochOf(topic UUID, partition int32) (epoch int32, held bool) {
	list := h[topic]
	i, ok := slices.BinarySearchFunc(list, partition, comparePartition)
	if !ok {
		return 0, false
	}
	return list[i].epoch, true
}

func (h holding) equal(other holding) bool {
	return maps.EqualFunc(h, other, slices.Equal[[]heldPartition])
}

// samePartitions looks at the partitions alone, not at their epochs.
func (h holding) samePartitions(other holding) bool {
	return maps.EqualFunc(h, other, func(a, b []heldPartition) bool {
		return slices.EqualFunc(a, b, func(x, y heldPartition) bool { return x.partition == y.partition })
	})
}

// partitions are the partitions of a topic.
func (h holding) partitions(topic UUID) []int32 {
	list := make([]int32, 0, len(h[topic]))
	for _, p := range h[topic] {
		list = append(list, p.partition)
	}
	return list
}

// sortedTopics are the topics of an assignment or a holding in one order, whatever the map's.
func sortedTopics[V any](m map[UUID]V) []UUID {
	return slices.SortedFunc(maps.Keys(m), func(a, b UUID) int { return slices.Compare(a[:], b[:]) })
}

func (h holding) record() []currentPartitions {
	list := make([]currentPartitions, 0, len(h))
	for _, topic := range sortedTopics(h) {
		r := currentPartitions{TopicID: topic, Partitions: h.partitions(topic)}
		for _, p := range h[topic] {
			r.AssignmentEpochs = append(r.AssignmentEpochs, p.epoch)
		}
		list = append(list, r)
	}
	return list
}

// loadHolding reads a record's partitions. Before 4.3 they have no epochs: then it is the member's.
func loadHolding(list []currentPartitions, memberEpoch int32) holding {
	h := holding{}
	for _, r := range list {
		for i, p := range r.Partitions {
			held := heldPartition{p, memberEpoch}
			if i < len(r.AssignmentEpochs) {
				held.epoch = r.AssignmentEpochs[i]
			}
			h[r.TopicID] = append(h[r.TopicID], held)
		}
		slices.SortFunc(h[r.TopicID], func(a, b heldPartition) int { return cmp.Compare(a.partition, b.partition) })
	}
	return h
}

func (a Assignment) record() []targetPartitions {
	list := make([]targetPartitions, 0, len(a))
	for _, topic := range sortedTopics(a) {
		list = append(list, targetPartitions{TopicID: topic, Partitions: a[topic]})
	}
	return list
}

func loadAssignment(list []targetPartitions) Assignment {
	a := Assignment{}
	for _, r := range list {
		if len(r.Partitions) > 0 {
			a[r.TopicID] = slices.Sorted(slices.Values(r.Partitions))
		}
	}
	return a
}

func (a Assignment) equal(other Assignment) bool {
	return maps.EqualFunc(a, other, slices.Equal[[]int32])
}

// has are all partitions that a member may be using: what is assigned, and then what it is to give up.
func (c *consumerMember) has() Assignment {
	a := Assignment{}
	for _, h := range [...]holding{c.assigned, c.revoking} {
		for topic := range h {
			a[topic] = append(a[topic], h.partitions(topic)...)
		}
	}
	return a
}
