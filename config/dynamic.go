package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// perListenerOnly are security configs that can change only with a listener's prefix.
var perListenerOnly = []string{
	"ssl.keystore.type", "ssl.keystore.location", "ssl.keystore.password", "ssl.key.password",
	"ssl.keystore.certificate.chain", "ssl.keystore.key",
	"ssl.truststore.type", "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.certificates",
}

// clusterWideListener are the rows that may have a listener's prefix in the default of all brokers.
var clusterWideListener = []string{"max.connections", "max.connection.creation.rate", "num.network.threads"}

// threadPools cannot grow or shrink by more than half or double at once.
var threadPools = []string{
	"num.io.threads", "num.network.threads", "num.replica.fetchers", "background.threads", "num.recovery.threads.per.data.dir",
}

// ValidateBroker checks the whole set of dynamic configs that this broker is to have (or, isDefault,
// all brokers), against v as it is now. Names that are not Kafka's pass: plug-ins may read them. The
// error is an *Error with Kafka's text: INVALID_REQUEST (KAFKA-13609), never INVALID_CONFIG.
func (v *Values) ValidateBroker(props map[string]string, isDefault bool) error {
	names := slices.Sorted(maps.Keys(props))
	if err := refuse(names, "Cannot update these configs dynamically", func(name string) bool {
		r := Lookup(BrokerScope, name)
		return r != nil && r.Mode == ReadOnly
	}); err != nil {
		return err
	}
	if err := refuse(names, "These security configs can be dynamically updated only per-listener using the listener prefix",
		func(name string) bool { return slices.Contains(perListenerOnly, name) }); err != nil {
		return err
	}
	for _, name := range names {
		if r := Lookup(BrokerScope, baseName(name)); r != nil {
			if _, err := r.Parse(props[name]); err != nil {
				return err
			}
		}
	}
	next := v.WithDynamic(props, v.cluster)
	if isDefault {
		if err := refuse(names, "Cannot update these configs at default cluster level, broker id must be specified",
			isPerBroker); err != nil {
			return err
		}
		next = v.WithDynamic(v.broker, props)
	}
	if err := next.validateStatic(); err != nil {
		return err
	}
	return v.validateThreads(next)
}

func isPerBroker(name string) bool {
	if base := baseName(name); base != name {
		return !slices.Contains(clusterWideListener, base)
	}
	r := Lookup(BrokerScope, name)
	return r != nil && r.Mode == PerBroker
}

func refuse(names []string, why string, refused func(string) bool) error {
	var bad []string
	for _, name := range names {
		if refused(name) {
			bad = append(bad, name)
		}
	}
	if bad == nil {
		return nil
	}
	return &Error{Text: why + ": [" + strings.Join(bad, ", ") + "]"}
}

// validateThreads compares the sizes of thread pools before and after.
func (v *Values) validateThreads(next *Values) error {
	change := func(format string, args ...any) error {
		return &Error{Text: "Invalid value org.apache.kafka.common.config.ConfigException: " +
			fmt.Sprintf(format, args...) + " for configuration Invalid dynamic configuration"}
	}
	for _, name := range threadPools {
		was, is := v.number(name), next.number(name)
		const failed = "Dynamic thread count update validation failed for %s=%d, value should "
		switch {
		case is < was/2:
			return change(failed+"be at least half the current value %d", name, is, was)
		case is > was*2:
			return change(failed+"not be greater than double the current value %d", name, is, was)
		}
	}
	was, is := v.number("log.cleaner.threads"), next.number("log.cleaner.threads")
	switch {
	case is == was:
		return nil
	case is < 1:
		return change("Log cleaner threads should be at least 1")
	case is < was/2:
		return change("Log cleaner threads cannot be reduced to less than half the current value %d", was)
	case is > was*2:
		return change("Log cleaner threads cannot be increased to more than double the current value %d", was)
	}
	return nil
}

// ValidateGroup checks a group's whole set of configs. The error is an *Error: INVALID_CONFIG.
func (v *Values) ValidateGroup(overrides map[string]string) error {
	names := slices.Sorted(maps.Keys(overrides))
	for _, name := range names {
		if Lookup(GroupScope, name) == nil {
			return &Error{Text: "Unknown group config name: " + name}
		}
	}
	for _, name := range names {
		parsed, err := Lookup(GroupScope, name).Parse(overrides[name])
		if err != nil {
			return err
		}
		if n, ok := parsed.(int64); ok {
			if err := v.groupRange(name, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// groupRange: the broker bounds what a group may ask for (group.consumer.min.session.timeout.ms …).
func (v *Values) groupRange(name string, n int64) error {
	low, high := groupBounds(name)
	switch {
	case high == nil:
		return nil
	case low == nil && n > v.number(high.Name):
		return &Error{Text: fmt.Sprintf("%s must be less than or equal to %d", name, v.number(high.Name))}
	case low != nil && (n < v.number(low.Name) || n > v.number(high.Name)):
		return &Error{Text: fmt.Sprintf("%s must be in the range %d to %d inclusive.", name, v.number(low.Name), v.number(high.Name))}
	}
	return nil
}

// groupBounds are the broker's rows that bound a group's row; nil where there is none.
func groupBounds(name string) (low, high *Row) {
	family, rest, _ := strings.Cut(name, ".")
	rest = strings.TrimPrefix(rest, "num.")
	return Lookup(BrokerScope, "group."+family+".min."+rest), Lookup(BrokerScope, "group."+family+".max."+rest)
}

// offsetReset is share.auto.offset.reset: two words, or a duration as ISO 8601 writes it.
type offsetReset struct{}

var isoDuration = regexp.MustCompile(`(?i)^by_duration:[-+]?P([-+]?[0-9]+D)?(T([-+]?[0-9]+H)?([-+]?[0-9]+M)?([-+]?[0-9]+([.,][0-9]{0,9})?S)?)?$`)

func (offsetReset) check(name string, value any) error {
	s, _ := value.(string)
	if s == "latest" || s == "earliest" || isoDuration.MatchString(s) && strings.ContainsAny(s[len("by_duration:"):], "0123456789") {
		return nil
	}
	return invalid(name, value, fmt.Sprintf("Invalid value `%s` for configuration %s. The value must be either 'earliest', "+
		"'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.", s, name))
}

func (offsetReset) String() string { return "[latest, earliest, by_duration:PnDTnHnMn.nS]" }

var metricsMatchKeys = []string{
	"client_instance_id", "client_id", "client_software_name", "client_software_version",
	"client_source_address", "client_source_port",
}

// ValidateClientMetrics checks a metrics subscription. An *Error with Request set is INVALID_REQUEST.
func ValidateClientMetrics(settings map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		r := Lookup(ClientMetricsScope, name)
		if r == nil {
			return &Error{Text: "Unknown client metrics configuration: " + name, Request: true}
		}
		parsed, err := r.Parse(settings[name])
		if err != nil {
			return err
		}
		switch p := parsed.(type) {
		case int64:
			if p < 100 || p > 3600000 {
				return &Error{Text: fmt.Sprintf("Invalid value %d for interval.ms, interval must be between 100 and 3600000 (1 hour)", p), Request: true}
			}
		case []string:
			if err := validateMatch(name, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func validateMatch(name string, patterns []string) error {
	if name != "match" {
		return nil
	}
	for _, p := range patterns {
		key, expr, ok := strings.Cut(p, "=")
		_, err := regexp.Compile(strings.TrimSpace(expr))
		if !ok || err != nil || !slices.Contains(metricsMatchKeys, strings.TrimSpace(key)) {
			return &Error{Text: "Illegal client matching pattern: " + p}
		}
	}
	return nil
}
