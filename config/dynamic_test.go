package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Texts observed on Apache Kafka 4.4.0 (IncrementalAlterConfigs of broker, group and client metrics).

func TestDynamicBrokerConfigsAreRefusedWithKafkasTexts(t *testing.T) {
	v, err := Static(map[string]string{
		"process.roles": "broker,controller", "node.id": "1", "controller.listener.names": "CONTROLLER",
		"controller.quorum.voters": "1@localhost:9093", "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
	})
	require.NoError(t, err)
	const threads = "Invalid value org.apache.kafka.common.config.ConfigException: "
	for _, c := range []struct {
		name, value string
		isDefault   bool
		want        string
	}{
		{"node.id", "5", false, "Cannot update these configs dynamically: [node.id]"},
		{"advertised.listeners", "PLAINTEXT://h:1", false, "Cannot update these configs dynamically: [advertised.listeners]"},
		{"listeners", "PLAINTEXT://:1", true, "Cannot update these configs at default cluster level, broker id must be specified: [listeners]"},
		{"sasl.jaas.config", "x", true, "Cannot update these configs at default cluster level, broker id must be specified: [sasl.jaas.config]"},
		{"listener.name.plaintext.ssl.key.password", "x", true, "Cannot update these configs at default cluster level, broker id must be specified: [listener.name.plaintext.ssl.key.password]"},
		{"listener.name.plaintext.max.connections", "5", true, ""},
		{"ssl.keystore.location", "x", false, "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.location]"},
		{"listener.name.plaintext.ssl.keystore.location", "x", false, ""},
		{"log.segment.bytes", "5", false, "Invalid value 5 for configuration log.segment.bytes: Value must be at least 1048576"},
		{"log.segment.bytes", "abc", false, "Invalid value abc for configuration log.segment.bytes: Not a number of type INT"},
		{"log.segment.bytes", "3000000", true, ""},
		{"foo.bar", "abc", false, ""},
		{"listener.name.plaintext.max.connections", "x", false, "Invalid value x for configuration max.connections: Not a number of type INT"},
		{"log.retention.ms", "0", false, "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1"},
		{"log.roll.ms", "0", false, "requirement failed: log.roll.ms must be greater than or equal to 1"},
		{"log.cleanup.policy", "foo", false, "Invalid value foo for configuration log.cleanup.policy: String must be one of: compact, delete"},
		{"max.connections.per.ip", "0", false, "requirement failed: max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set."},
		{"log.cleaner.dedupe.buffer.size", "5", false, "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."},
		{"listeners", "PLAINTEXT://:1", false, "requirement failed: controller.listener.names must contain at least one value appearing in the 'listeners' configuration when running the KRaft controller role"},
		{"num.io.threads", "100", false, threads + "Dynamic thread count update validation failed for num.io.threads=100, value should not be greater than double the current value 8 for configuration Invalid dynamic configuration"},
		{"num.io.threads", "3", false, threads + "Dynamic thread count update validation failed for num.io.threads=3, value should be at least half the current value 8 for configuration Invalid dynamic configuration"},
		{"num.io.threads", "0", false, "Invalid value 0 for configuration num.io.threads: Value must be at least 1"},
		{"num.io.threads", "16", false, ""},
		{"log.cleaner.threads", "5", false, threads + "Log cleaner threads cannot be increased to more than double the current value 1 for configuration Invalid dynamic configuration"},
	} {
		err := v.ValidateBroker(map[string]string{c.name: c.value}, c.isDefault)
		if c.want == "" {
			require.NoError(t, err, c.name)
		} else {
			require.EqualError(t, err, c.want, c.name)
		}
	}
}

func TestGroupConfigsStayInTheBrokersRange(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"consumer.session.timeout.ms", "5", "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive."},
		{"consumer.session.timeout.ms", "50000", ""},
		{"consumer.heartbeat.interval.ms", "50000", "consumer.heartbeat.interval.ms must be in the range 5000 to 15000 inclusive."},
		{"share.record.lock.duration.ms", "5", "Invalid value 5 for configuration share.record.lock.duration.ms: Value must be at least 1000"},
		{"streams.num.standby.replicas", "9", "streams.num.standby.replicas must be less than or equal to 2"},
		{"share.delivery.count.limit", "50", "share.delivery.count.limit must be in the range 2 to 10 inclusive."},
		{"share.auto.offset.reset", "foo", "Invalid value foo for configuration share.auto.offset.reset: Invalid value `foo` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."},
		{"share.auto.offset.reset", "by_duration:PT1H", ""},
		{"share.auto.offset.reset", "by_duration:PT", "Invalid value by_duration:PT for configuration share.auto.offset.reset: Invalid value `by_duration:PT` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."},
		{"share.isolation.level", "foo", "Invalid value foo for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted"},
		{"consumer.assignment.interval.ms", "99999", "consumer.assignment.interval.ms must be in the range 0 to 15000 inclusive."},
		{"streams.rack.aware.assignment.tags", "a,,b", "Configuration 'streams.rack.aware.assignment.tags' values must not be empty."},
		{"zz", "1", "Unknown group config name: zz"},
	} {
		err := New(nil).ValidateGroup(map[string]string{c.name: c.value})
		if c.want == "" {
			require.NoError(t, err, c.name)
		} else {
			require.EqualError(t, err, c.want, c.name)
		}
	}
}

func TestClientMetricsAreRefusedWithKafkasTexts(t *testing.T) {
	for _, c := range []struct {
		name, value, want string
		request           bool
	}{
		{"interval.ms", "5", "Invalid value 5 for interval.ms, interval must be between 100 and 3600000 (1 hour)", true},
		{"x", "5", "Unknown client metrics configuration: x", true},
		{"interval.ms", "x", "Invalid value x for configuration interval.ms: Not a number of type INT", false},
		{"match", "a=b", "Illegal client matching pattern: a=b", false},
		{"match", "client_id=[", "Illegal client matching pattern: client_id=[", false},
		{"match", "client_id", "Illegal client matching pattern: client_id", false},
		{"match", "client_id=a.*", "", false},
		{"metrics", "a,b", "", false},
	} {
		err := ValidateClientMetrics(map[string]string{c.name: c.value})
		if c.want == "" {
			require.NoError(t, err, c.name)
			continue
		}
		require.EqualError(t, err, c.want, c.name)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, c.request, e.Request)
	}
}
