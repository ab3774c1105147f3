package groupcoord

import (
	"slices"
	"strings"
	"time"

	"minikafka/config"
)

// assignorsByName are those that can be configured.
//
//nolint:gochecknoglobals // a table
var assignorsByName = map[string]Assignor{Uniform{}.Name(): Uniform{}, Range{}.Name(): Range{}}

// regexRefresh is Kafka's default of group.consumer.regex.refresh.interval.ms, which is internal to it.
const regexRefresh = 10 * time.Minute

// ConsumerSettingsOf reads the configuration of consumer groups. values is the broker's present
// configuration; overrides is what a group has of its own (its ConfigRecords), nil for nothing.
func ConsumerSettingsOf(values func() *config.Values, overrides func(group string) map[string]string) ConsumerSettings {
	atStart := values()
	s := ConsumerSettings{
		Resolve:      MatchTopics,
		MaxSize:      int(config.Get(atStart, config.GroupConsumerMaxSize)),
		Migration:    migrationPolicies[strings.ToLower(config.Get(atStart, config.GroupConsumerMigrationPolicy))],
		RegexRefresh: regexRefresh,
		Config: func(group string) (c ConsumerConfig) {
			v, own := values(), overrides(group)
			c.SessionTimeout, _ = v.GroupDuration(config.GroupConsumerSessionTimeoutMs, own)
			c.HeartbeatInterval, c.HeartbeatIntervalSet = v.GroupDuration(config.GroupConsumerHeartbeatIntervalMs, own)
			c.AssignmentInterval, _ = v.GroupDuration(config.GroupConsumerAssignmentIntervalMs, own)
			return c
		},
	}
	for _, name := range config.Get(atStart, config.GroupConsumerAssignors) {
		s.Assignors = append(s.Assignors, assignorsByName[config.AssignorName(name)])
	}
	return s
}

// ServesConsumerGroups says whether the configuration has the consumer protocol.
func ServesConsumerGroups(v *config.Values) bool {
	return slices.Contains(config.Get(v, config.GroupCoordinatorRebalanceProtocols), "consumer")
}

//nolint:gochecknoglobals // a table
var migrationPolicies = map[string]MigrationPolicy{
	"disabled": MigrationDisabled, "upgrade": MigrationUpgrade, "downgrade": MigrationDowngrade,
	"bidirectional": MigrationBidirectional,
}
