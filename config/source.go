package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Sources are where a node's static configuration comes from, the weakest first.
type Sources struct {
	// Defaults stand below everything: Dev, or nil. Kafka has no such level: they count as static.
	Defaults map[string]string
	File     []byte   // server.properties; nil: none
	Environ  []string // KEY=value, as os.Environ has them; only KAFKA_* names count
	// Overrides are name=value, as --override has them.
	Overrides []string
}

// Warnings are names that were set in vain: to be logged, never fatal.
type Warnings struct {
	Unknown  []string // not Kafka's
	NoEffect []string // Kafka's, but nothing here reads them
}

// Dev are the properties of a server that was started with nothing given: one node that is broker and
// controller, on the loopback interface, whose internal topics need one replica and whose groups do
// not wait. They count as lines of server.properties, like the file in Kafka's image: DescribeConfigs
// shows them as STATIC_BROKER_CONFIG.
func Dev(dataDir string) map[string]string {
	return map[string]string{
		"node.id":                          "1",
		"process.roles":                    "broker,controller",
		"listeners":                        "PLAINTEXT://127.0.0.1:9092",
		"advertised.listeners":             "PLAINTEXT://localhost:9092",
		"log.dirs":                         dataDir,
		"offsets.topic.replication.factor": "1",
		"transaction.state.log.replication.factor":         "1",
		"transaction.state.log.min.isr":                    "1",
		"share.coordinator.state.topic.replication.factor": "1",
		"share.coordinator.state.topic.min.isr":            "1",
		"group.initial.rebalance.delay.ms":                 "0",
	}
}

// replaced: who sets the left name does not want the default of the right ones.
var replaced = map[string][]string{
	"listeners": {"advertised.listeners"},
	"broker.id": {"node.id"},
	"log.dir":   {"log.dirs"},
}

// Load reads and validates a node's static configuration: file < environment < overrides, on top of
// the defaults. The error is what Kafka would refuse to start with.
func Load(s Sources) (*Values, Warnings, error) {
	given, err := parseProperties(s.File)
	if err != nil {
		return nil, Warnings{}, err
	}
	env, err := environment(s.Environ)
	if err != nil {
		return nil, Warnings{}, err
	}
	maps.Copy(given, env)
	for _, o := range s.Overrides {
		name, value, ok := strings.Cut(o, "=")
		if !ok {
			return nil, Warnings{}, fmt.Errorf("override %q is not of the form name=value", o)
		}
		given[strings.TrimSpace(name)] = value
	}
	props := maps.Clone(s.Defaults)
	for name, dropped := range replaced {
		if _, ok := given[name]; ok {
			for _, d := range dropped {
				delete(props, d)
			}
		}
	}
	if props == nil {
		props = map[string]string{}
	}
	maps.Copy(props, given)
	v, err := Static(props)
	return v, warnings(given), err
}

// Static validates static properties and makes values of them.
func Static(props map[string]string) (*Values, error) {
	props = maps.Clone(props)
	if err := foldNodeID(props); err != nil {
		return nil, err
	}
	for _, r := range Rows(BrokerScope) {
		raw, ok := props[r.Name]
		if !ok {
			continue
		}
		if _, err := r.Parse(raw); err != nil {
			return nil, err
		}
	}
	v := New(props)
	return v, v.validateStatic()
}

// foldNodeID gives node.id and its old name broker.id the same value, as Kafka does.
func foldNodeID(props map[string]string) error {
	node, hasNode := props[NodeID.Name()]
	broker, hasBroker := props[brokerID.Name()]
	switch {
	case hasNode && hasBroker && node != broker:
		return &Error{Text: "`node.id` and `broker.id` must be set to the same value. " +
			"`broker.id` is deprecated, please use `node.id` instead."}
	case hasNode:
		props[brokerID.Name()] = node
	case hasBroker:
		props[NodeID.Name()] = broker
	}
	return nil
}

// notProperties are KAFKA_ variables of the image's scripts that are no configuration.
var notProperties = []string{
	"KAFKA_VERSION", "KAFKA_HEAP_OPTS", "KAFKA_LOG4J_OPTS", "KAFKA_OPTS", "KAFKA_JMX_OPTS",
	"KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_GC_LOG_OPTS", "KAFKA_LOG4J_ROOT_LOGLEVEL", "KAFKA_LOG4J_LOGGERS",
	"KAFKA_TOOLS_LOG4J_LOGLEVEL", "KAFKA_JMX_HOSTNAME",
}

var hostOfListener = regexp.MustCompile(`://[^:]*:`)

// environment maps KAFKA_* variables to properties as Kafka's image does.
func environment(environ []string) (map[string]string, error) {
	props := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if property, ok := propertyOfVariable(name); ok {
			props[property] = value
		}
	}
	advertised := props[advertisedListeners.Name()]
	if advertised == "" {
		return props, nil
	}
	if props[processRoles.Name()] == "controller" {
		return nil, &Error{Text: "KAFKA_ADVERTISED_LISTENERS is not supported on a KRaft controller."}
	}
	if props[listeners.Name()] == "" {
		props[listeners.Name()] = hostOfListener.ReplaceAllString(advertised, "://0.0.0.0:")
	}
	return props, nil
}

func propertyOfVariable(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, "KAFKA_")
	if !ok || slices.Contains(notProperties, name) {
		return "", false
	}
	dotted := strings.ReplaceAll(strings.ToLower(rest), "_", ".")
	return strings.ReplaceAll(strings.ReplaceAll(dotted, "...", "-"), "..", "_"), true
}

func warnings(given map[string]string) (w Warnings) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch r := Lookup(BrokerScope, baseName(name)); {
		case r == nil:
			w.Unknown = append(w.Unknown, name)
		case !r.Effect:
			w.NoEffect = append(w.NoEffect, name)
		}
	}
	return w
}

var listenerPrefix = regexp.MustCompile(`^listener\.name\.[^.]*\.(.*)$`)

// baseName takes listener.name.{listener}. off a name, and a SASL mechanism behind it.
func baseName(name string) string {
	m := listenerPrefix.FindStringSubmatch(name)
	if m == nil {
		return name
	}
	if Lookup(BrokerScope, m[1]) != nil {
		return m[1]
	}
	if _, after, ok := strings.Cut(m[1], "."); ok {
		return after
	}
	return m[1]
}
