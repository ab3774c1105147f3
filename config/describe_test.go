package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// observedValues are what the broker had that testdata/describe-4.4.0.txt was observed on.
func observedValues(t *testing.T) *Values {
	t.Helper()
	v, err := Static(map[string]string{
		"process.roles": "broker,controller", "node.id": "1",
		"controller.quorum.bootstrap.servers": "127.0.0.1:24011",
		"listeners":                           "PLAINTEXT://127.0.0.1:24010,CONTROLLER://127.0.0.1:24011",
		"advertised.listeners":                "PLAINTEXT://127.0.0.1:24010",
		"controller.listener.names":           "CONTROLLER",
		"log.dirs":                            "/tmp/cfgk/data", "num.partitions": "1",
		"log.retention.hours": "168", "log.segment.bytes": "1073741824",
		"offsets.topic.replication.factor": "1", "some.unknown.key": "abc",
		"log.flush.interval.ms": "600000", "group.initial.rebalance.delay.ms": "0",
	})
	require.NoError(t, err)
	return v.WithDynamic(
		map[string]string{
			"foo": "1", "log.cleanup.policy": "delete,compact",
			"listener.name.plaintext.max.connections": "7",
		},
		map[string]string{
			"log.segment.bytes": "4000000", "message.max.bytes": "999999", "min.insync.replicas": "1", "log.retention.ms": "77",
		})
}

func TestDescribeEqualsKafkas(t *testing.T) {
	want, err := os.ReadFile("testdata/describe-4.4.0.txt")
	require.NoError(t, err)
	v := observedValues(t)
	var got strings.Builder
	write := func(kind int, name string, entries []Entry) {
		fmt.Fprintf(&got, "R %d %q err=0 msg= n=%d\n", kind, name, len(entries))
		for _, e := range entries {
			fmt.Fprintf(&got, "%s=%s src=%d type=%d ro=%v sens=%v", e.Name, shown(e.Value), e.Source, e.Type, e.ReadOnly, e.Sensitive)
			for _, s := range e.Synonyms {
				fmt.Fprintf(&got, " {%d:%s=%s}", s.Source, s.Name, shown(s.Value))
			}
			got.WriteString("\n")
		}
	}
	write(2, "t1", v.DescribeTopic(map[string]string{
		"cleanup.policy": "compact, delete", "min.cleanable.dirty.ratio": ".7", "preallocate": "TRUE", "retention.ms": "7",
	}))
	write(32, "g", v.DescribeGroup(map[string]string{"consumer.session.timeout.ms": "50000"}))
	write(4, "", v.DescribeDefaultBroker())
	write(16, "m", v.DescribeClientMetrics(map[string]string{"interval.ms": "60000"}))
	write(4, "1", v.DescribeBroker())
	wantLines := strings.Split(string(want), "\n")[1:]
	gotLines := strings.Split(got.String(), "\n")
	for i := range min(len(wantLines), len(gotLines)) {
		require.Equal(t, wantLines[i], gotLines[i])
	}
	require.Len(t, gotLines, len(wantLines))
}

func shown(s *string) string {
	if s == nil {
		return "null"
	}
	return fmt.Sprintf("%q", *s)
}

func TestTopicThatSetsNothingInheritsHoursWithoutShowingThem(t *testing.T) {
	v := New(map[string]string{"log.retention.hours": "2"})
	for _, e := range v.DescribeTopic(nil) {
		if e.Name == "retention.ms" {
			require.Equal(t, "7200000", *e.Value)
			require.Equal(t, DefaultSource, e.Source)
			require.Empty(t, e.Synonyms)
		}
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	v := New(map[string]string{"sasl.jaas.config": "secret", "plugin.password": "secret", "listener.name.x.plain.sasl.jaas.config": "secret"})
	for _, e := range v.DescribeBroker() {
		require.False(t, e.Value != nil && strings.Contains(*e.Value, "secret"), e.Name)
		for _, s := range e.Synonyms {
			require.False(t, s.Value != nil && strings.Contains(*s.Value, "secret"), e.Name)
		}
	}
}

func TestCreatedTopicKeepsTextAsGiven(t *testing.T) {
	for _, e := range New(nil).CreatedTopic(map[string]string{"cleanup.policy": " compact , delete "}) {
		if e.Name == "cleanup.policy" {
			require.Equal(t, " compact , delete ", *e.Value)
			require.Equal(t, TopicSource, e.Source)
		}
	}
}

func TestCreatedTopicNamesTheLevelOfHours(t *testing.T) {
	v := New(map[string]string{"log.retention.hours": "2"})
	for _, e := range v.CreatedTopic(nil) {
		if e.Name == "retention.ms" {
			require.Equal(t, "7200000", *e.Value)
			require.Equal(t, StaticBrokerSource, e.Source)
		}
	}
}
