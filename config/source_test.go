package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPropertiesAreReadAsJavaReadsThem(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"a=b":                               {"a": "b"},
		"a = b ":                            {"a": "b "},
		"a:b\nc d\n e\t=\tf":                {"a": "b", "c": "d", "e": "f"},
		"# x=1\n! y=2\n\n  # z=3\na=#b":     {"a": "#b"},
		"a=b\\\n   c\\\n\td":                {"a": "bcd"},
		"a=b\\\\\nc=d":                      {"a": `b\`, "c": "d"},
		"a\\=b=c\\:d\\ e":                   {"a=b": "c:d e"},
		"a=\\t\\n\\u0041\\q":                {"a": "\t\nAq"},
		"a=\\uD83D\\uDE00":                  {"a": "😀"},
		"a\r\nb=1\rc=2":                     {"a": "", "b": "1", "c": "2"},
		"a=1\na=2":                          {"a": "2"},
		"a=b\\":                             {"a": "b"},
		"a=x\\\n# not a comment":            {"a": "x# not a comment"},
		"a=x\\\n\nb=1":                      {"a": "x", "b": "1"},
		"=v":                                {"": "v"},
		"listeners=PLAINTEXT://:9092, A://": {"listeners": "PLAINTEXT://:9092, A://"},
	} {
		got, err := parseProperties([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	_, err := parseProperties([]byte(`a=\u12`))
	require.EqualError(t, err, `Malformed \uxxxx encoding.`)
}

func FuzzPropertiesNeverPanic(f *testing.F) {
	f.Add([]byte("a=b\\\n c\\u0041"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = parseProperties(data) })
}

func TestVariablesBecomeProperties(t *testing.T) {
	for name, want := range map[string]string{
		"KAFKA_VALID_PROPERTY":              "valid.property",
		"KAFKA_VALID___PROPERTY__ALL_CASES": "valid-property_all.cases",
		"KAFKA_KAFKA_VALID_PROPERTY":        "kafka.valid.property",
		"KAFKA_JMX_PORT":                    "jmx.port",
	} {
		got, ok := propertyOfVariable(name)
		require.True(t, ok, name)
		require.Equal(t, want, got)
	}
	for _, name := range []string{"SOME_VARIABLE", "KAFKA_OPTS", "KAFKA_HEAP_OPTS", "KAFKA_VERSION", "KAFKA_JMX_HOSTNAME"} {
		_, ok := propertyOfVariable(name)
		require.False(t, ok, name)
	}
}

func TestFileYieldsToEnvironmentYieldsToOverride(t *testing.T) {
	s := Sources{
		Defaults:  Dev("/data"),
		File:      []byte("num.partitions=2\nlog.retention.hours=2\nmessage.max.bytes=2"),
		Environ:   []string{"KAFKA_NUM_PARTITIONS=3", "KAFKA_LOG_RETENTION_HOURS=3", "PATH=/bin"},
		Overrides: []string{"num.partitions=4"},
	}
	v, _, err := Load(s)
	require.NoError(t, err)
	require.EqualValues(t, 4, Get(v, NumPartitions))
	require.Equal(t, 3*time.Hour, Get(v, RetentionMs))
	require.EqualValues(t, 2, Get(v, MaxMessageBytes))
	require.EqualValues(t, 1, Get(v, NodeID))
	require.Equal(t, []string{"/data"}, Get(v, LogDirs))

	s.Overrides = []string{"num.partitions"}
	_, _, err = Load(s)
	require.ErrorContains(t, err, "name=value")
}

func TestUnknownNamesAreWarnedAboutAndKept(t *testing.T) {
	v, w, err := Load(Sources{Defaults: Dev("/d"), File: []byte(
		"jmx.port=1\nssl.provider=x\nlistener.name.a.ssl.provider=y\nlistener.name.a.scram-sha-256.sasl.jaas.config=z\nlistener.name.a.b=c")})
	require.NoError(t, err)
	require.Equal(t, []string{"jmx.port", "listener.name.a.b"}, w.Unknown)
	require.Equal(t, []string{"listener.name.a.scram-sha-256.sasl.jaas.config", "listener.name.a.ssl.provider", "ssl.provider"}, w.NoEffect)
	kept, ok := v.Static("jmx.port")
	require.True(t, ok)
	require.Equal(t, "1", kept)
}

func TestInvalidValueIsRefusedWithKafkasText(t *testing.T) {
	_, _, err := Load(Sources{Defaults: Dev("/d"), Environ: []string{"KAFKA_NUM_PARTITIONS=none"}})
	require.EqualError(t, err, "Invalid value none for configuration num.partitions: Not a number of type INT")
}

func TestDevServerIsOneNodeOnLoopback(t *testing.T) {
	v, w, err := Load(Sources{Defaults: Dev("/d")})
	require.NoError(t, err)
	require.Empty(t, w)
	ls, err := Listeners(v)
	require.NoError(t, err)
	require.Equal(t, []Listener{{
		Name: "PLAINTEXT", Host: "127.0.0.1", Port: 9092, Advertised: true, AdvertisedHost: "localhost", AdvertisedPort: 9092,
	}}, ls)
	for name, value := range map[string]string{"offsets.topic.replication.factor": "1", "group.initial.rebalance.delay.ms": "0"} {
		set, ok := v.Static(name)
		require.True(t, ok, name)
		require.Equal(t, value, set)
	}
}

func TestDefaultsYieldToWhatReplacesThem(t *testing.T) {
	v, _, err := Load(Sources{Defaults: Dev("/d"), Overrides: []string{
		"listeners=PLAINTEXT://127.0.0.1:1234", "broker.id=7", "log.dir=/other"}})
	require.NoError(t, err)
	ls, err := Listeners(v)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", ls[0].AdvertisedHost)
	require.EqualValues(t, 1234, ls[0].AdvertisedPort)
	require.EqualValues(t, 7, Get(v, NodeID))
	require.Equal(t, []string{"/other"}, Get(v, LogDirs))
}

func TestAdvertisedVariableAloneDerivesListeners(t *testing.T) {
	v, _, err := Load(Sources{Defaults: Dev("/d"), Environ: []string{"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://broker:9092"}})
	require.NoError(t, err)
	ls, err := Listeners(v)
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0", ls[0].Host)
	require.Equal(t, "broker", ls[0].AdvertisedHost)
	_, _, err = Load(Sources{Environ: []string{"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://b:1", "KAFKA_PROCESS_ROLES=controller"}})
	require.EqualError(t, err, "KAFKA_ADVERTISED_LISTENERS is not supported on a KRaft controller.")
}

// TestComposeOfTheImageLoads is the environment of Kafka's own single-node example.
func TestComposeOfTheImageLoads(t *testing.T) {
	v, w, err := Load(Sources{Defaults: Dev("/d"), Environ: []string{
		"KAFKA_NODE_ID=1",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT",
		"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT_HOST://localhost:9092,PLAINTEXT://broker:19092",
		"KAFKA_PROCESS_ROLES=broker,controller",
		"KAFKA_CONTROLLER_QUORUM_VOTERS=1@broker:29093",
		"KAFKA_LISTENERS=CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092",
		"KAFKA_INTER_BROKER_LISTENER_NAME=PLAINTEXT",
		"KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0",
		"KAFKA_LOG_DIRS=/tmp/kraft-combined-logs",
	}})
	require.NoError(t, err)
	require.Empty(t, w.Unknown)
	ls, err := Listeners(v)
	require.NoError(t, err)
	require.Len(t, ls, 2)
	require.Equal(t, Listener{
		Name: "PLAINTEXT_HOST", Port: 9092, Advertised: true, AdvertisedHost: "localhost", AdvertisedPort: 9092}, ls[0])
	cs, err := ControllerListeners(v)
	require.NoError(t, err)
	require.Len(t, cs, 1)
	require.EqualValues(t, 29093, cs[0].Port)
	name, err := InterBrokerListener(v)
	require.NoError(t, err)
	require.Equal(t, "PLAINTEXT", name)
}

func TestListenersOfBothFamiliesMaySharePort(t *testing.T) {
	v := New(map[string]string{"listeners": "PLAINTEXT://127.0.0.1:9092,SSL://[::1]:9092"})
	ls, err := Listeners(v)
	require.NoError(t, err)
	require.Equal(t, "::1", ls[1].Host)
	require.Equal(t, SSL, ls[1].Protocol)
	for _, entries := range []string{"PLAINTEXT://:9092,SSL://:9092", "PLAINTEXT://a:9092,SSL://[::1]:9092"} {
		_, err = Listeners(New(map[string]string{"listeners": entries}))
		require.ErrorContains(t, err, "Each listener must have a different port")
	}
	_, err = Listeners(New(map[string]string{"listeners": "PLAINTEXT://127.0.0.1:9092,SSL://127.0.0.2:9092"}))
	require.ErrorContains(t, err, "one needs to be IPv4 and the other IPv6")
	_, err = Listeners(New(map[string]string{"listeners": "PLAINTEXT://:0,SSL://:0"}))
	require.NoError(t, err)
}

// FuzzStaticNeverPanics gives any text to every row and to the checks across rows.
func FuzzStaticNeverPanics(f *testing.F) {
	f.Add("PLAINTEXT://[::1]:9092,SSL://127.0.0.1:9092", "A:SSL,B", "1@a:1,2@b", "-1")
	f.Fuzz(func(_ *testing.T, listeners, protocols, voters, other string) {
		props := Dev("/d")
		props["listeners"], props["advertised.listeners"] = listeners, listeners
		props["listener.security.protocol.map"], props["controller.quorum.voters"] = protocols, voters
		_, _ = Static(props)
		v := New(props)
		_, _ = ControllerListeners(v)
		for s := BrokerScope; s <= ClientMetricsScope; s++ {
			for _, r := range Rows(s) {
				_, _ = r.Parse(other)
				_ = r.Canonical(other)
			}
		}
		_ = v.ValidateTopic(map[string]string{"retention.ms": other, "cleanup.policy": listeners})
		_ = v.ValidateBroker(map[string]string{"log.retention.ms": other, "listeners": listeners, voters: other}, false)
		v.WithDynamic(map[string]string{voters: other}, nil).DescribeBroker()
	})
}
