package config

import "math"

// What known_gen.go is written with: names of Kafka's that nothing here reads, and their rules.

// open is the end of a range that has none.
var open = math.Inf(1)

func knownBroker(name string, t Type, def string, m Mode, v Validator) Row {
	return Row{Name: name, Scope: BrokerScope, Type: t, def: def, Mode: m, Valid: v}
}

func knownGroup(name string, t Type, def string, v Validator) Row {
	return Row{Name: name, Scope: GroupScope, Type: t, def: def, Valid: v}
}

func knownMetrics(name string, t Type, def string, v Validator) Row {
	return Row{Name: name, Scope: ClientMetricsScope, Type: t, def: def, Valid: v}
}
