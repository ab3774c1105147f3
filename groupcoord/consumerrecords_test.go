package groupcoord

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/coordinator"
)

// rewritten is what the machine writes of the state that a record makes.
func rewritten(t *testing.T, k parsed, r coordinator.Record) coordinator.Record {
	t.Helper()
	if r.Value == nil {
		if slices.Contains([]int16{keyConsumerGroupMetadata, keyConsumerGroupPartitionMetadata, keyConsumerGroupTargetAssignmentMetadata}, k.key) {
			return consumerTombstone(k.key, k.group)
		}
		return consumerTombstone(k.key, k.group, k.member)
	}
	g, m := newConsumerGroup(k.group), NewMachine(Settings{})
	require.NoError(t, g.replay(k, r.Value))
	switch k.key {
	case keyConsumerGroupMetadata:
		m.saveEpoch(g, g.epoch, g.hash)
	case keyConsumerGroupMemberMetadata:
		m.saveMember(g, g.members[k.member])
	case keyConsumerGroupTargetAssignmentMetadata:
		m.saveTargetEpoch(g, g.assignmentEpoch, g.assignedAt)
	case keyConsumerGroupTargetAssignmentMember:
		m.saveTarget(g, k.member, g.target[k.member])
	case keyConsumerGroupCurrentMemberAssignment:
		m.saveCurrent(g, g.members[k.member])
	case keyConsumerGroupRegularExpression:
		m.saveRegex(g, k.member, g.regexes[k.member])
	}
	require.Len(t, m.out.Records, 1)
	return m.out.Records[0]
}

// TestKafkasRecordsOfConsumerGroupsAreWrittenToTheByte: of the same state we write what Apache Kafka 4.4.0 wrote.
func TestKafkasRecordsOfConsumerGroupsAreWrittenToTheByte(t *testing.T) {
	kinds := map[[2]int]int{}
	for _, r := range recordsOf(t, "consumer-records-4.4.0.txt") {
		k, err := parseKey(r.Key)
		require.NoError(t, err)
		kinds[[2]int{int(k.key), min(len(r.Value), 1)}]++
		require.Equal(t, r, rewritten(t, k, r), showRecord(r))
		for n := range len(r.Key) {
			_, err := parseKey(r.Key[:n])
			require.Error(t, err)
		}
		for n := range len(r.Value) {
			require.Error(t, newConsumerGroup(k.group).replay(k, r.Value[:n]), "%s cut to %d", showRecord(r), n)
		}
	}
	require.Len(t, kinds, 13, "%v: keys 3, 5, 6, 7, 8, 16 and their tombstones, and that of 4", slices.Collect(maps.Keys(kinds)))
}
