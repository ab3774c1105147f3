package groupcoord

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/config"
)

func TestGroupsOwnConfigurationWins(t *testing.T) {
	broker := config.New(nil)
	own := map[string]string{}
	s := ConsumerSettingsOf(func() *config.Values { return broker }, func(string) map[string]string { return own })
	require.Equal(t, ConsumerConfig{45 * time.Second, 5 * time.Second, false, time.Second}, s.Config("g"))
	broker = config.New(map[string]string{"group.consumer.heartbeat.interval.ms": "5000"})
	require.True(t, s.Config("g").HeartbeatIntervalSet, "set to the default is set")
	broker = config.New(nil).WithDynamic(nil, map[string]string{"group.consumer.assignment.interval.ms": "0"})
	require.Zero(t, s.Config("g").AssignmentInterval, "it is dynamic")
	own = map[string]string{
		"consumer.session.timeout.ms": "50000", "consumer.heartbeat.interval.ms": "7000", "consumer.assignment.interval.ms": "20",
	}
	require.Equal(t, ConsumerConfig{50 * time.Second, 7 * time.Second, true, 20 * time.Millisecond}, s.Config("g"))
	broker = config.New(map[string]string{"group.consumer.max.session.timeout.ms": "47000", "group.consumer.min.heartbeat.interval.ms": "9000"})
	require.Equal(t, ConsumerConfig{47 * time.Second, 9 * time.Second, true, 20 * time.Millisecond}, s.Config("g"),
		"the broker's bounds changed after the group's values were set")
}

func TestConsumerSettingsAreReadAtTheStart(t *testing.T) {
	none := func(string) map[string]string { return nil }
	s := ConsumerSettingsOf(func() *config.Values { return config.New(nil) }, none)
	require.Equal(t, []Assignor{Uniform{}, Range{}}, s.Assignors)
	require.Equal(t, MigrationBidirectional, s.Migration)
	require.True(t, ServesConsumerGroups(config.New(nil)))
	v := config.New(map[string]string{
		"group.consumer.assignors": "org.apache.kafka.coordinator.group.assignor.RangeAssignor", "group.consumer.max.size": "7",
		"group.consumer.migration.policy": "UpGrade", "group.coordinator.rebalance.protocols": "classic",
	})
	s = ConsumerSettingsOf(func() *config.Values { return v }, none)
	require.Equal(t, []Assignor{Range{}}, s.Assignors)
	require.Equal(t, MigrationUpgrade, s.Migration)
	require.Equal(t, 7, s.MaxSize)
	require.False(t, ServesConsumerGroups(v))
}
