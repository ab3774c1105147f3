package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Validator is a rule on a parsed value. String is how Kafka's documentation writes the rule.
type Validator interface {
	// check says what is wrong with a value of Kafka's type (int64, float64, string, []string), or "".
	check(value any) (bad any, reason string)
	String() string
}

// Range bounds numbers, both ends inclusive; infinite ends are open.
type Range struct{ Min, Max float64 }

func (r Range) check(value any) (any, string) {
	var f float64
	switch n := value.(type) {
	case int64:
		f = float64(n)
	case float64:
		f = n
	default:
		return nil, ""
	}
	if f < r.Min {
		return value, "Value must be at least " + bound(r.Min)
	}
	if f > r.Max {
		return value, "Value must be no more than " + bound(r.Max)
	}
	return nil, ""
}

func (r Range) String() string {
	if math.IsInf(r.Max, 1) {
		return "[" + bound(r.Min) + ",...]"
	}
	return "[" + bound(r.Min) + ",...," + bound(r.Max) + "]"
}

func bound(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// gzipLevel is 1 to 9, or -1 for the library's own default.
type gzipLevel struct{}

func (gzipLevel) check(value any) (any, string) {
	if n, ok := value.(int64); ok && n != -1 && (n < 1 || n > 9) {
		return value, "Value must be between 1 and 9 or equal to -1"
	}
	return nil, ""
}
func (gzipLevel) String() string { return "[1,...,9] or -1" }

// OneOf lists the strings that are allowed.
type OneOf struct {
	Values     []string
	IgnoreCase bool
}

func (o OneOf) check(value any) (any, string) {
	s, ok := value.(string)
	if o.IgnoreCase {
		if !ok || !slices.ContainsFunc(o.Values, func(v string) bool { return strings.EqualFold(v, s) }) {
			return value, "String must be one of (case insensitive): " + strings.Join(o.Values, ", ")
		}
		return nil, ""
	}
	if !ok || !slices.Contains(o.Values, s) {
		return value, "String must be one of: " + strings.Join(o.Values, ", ")
	}
	return nil, ""
}

func (o OneOf) String() string {
	s := "[" + strings.Join(o.Values, ", ") + "]"
	if o.IgnoreCase {
		return "(case insensitive) " + s
	}
	return s
}

// ListOf lists the elements that are allowed; no Values: any element, but (NonEmpty) at least one.
type ListOf struct {
	Values   []string
	NonEmpty bool
}

func (l ListOf) check(value any) (any, string) {
	elements, _ := value.([]string)
	if l.NonEmpty && len(elements) == 0 {
		return value, "" // see checkList: the text names the configuration
	}
	for _, e := range elements {
		if len(l.Values) > 0 && !slices.Contains(l.Values, e) {
			return e, "String must be one of: " + strings.Join(l.Values, ", ")
		}
	}
	return nil, ""
}

func (l ListOf) String() string {
	if len(l.Values) == 0 {
		return "non-empty list"
	}
	return "[" + strings.Join(l.Values, ", ") + "]"
}

// nonEmpty wants text with something in it.
type nonEmpty struct{}

func (nonEmpty) check(value any) (any, string) {
	if s, ok := value.(string); ok && s == "" {
		return value, "String must be non-empty"
	}
	return nil, ""
}
func (nonEmpty) String() string { return "non-empty string" }

// nonNull wants a value, be it empty.
type nonNull struct{}

func (nonNull) check(any) (any, string) { return nil, "" }
func (nonNull) String() string          { return "non-null string" }

var throttledReplica = regexp.MustCompile(`^[0-9]+:[0-9]+$`)

// throttledReplicas is a lone "*", or pairs of partition and broker.
type throttledReplicas struct{}

func (throttledReplicas) check(value any) (any, string) {
	l, _ := value.([]string)
	if len(l) == 1 && strings.TrimSpace(l[0]) == "*" {
		return nil, ""
	}
	for _, e := range l {
		if !throttledReplica.MatchString(strings.TrimSpace(e)) {
			return l[0], "" // see throttledReason
		}
	}
	return nil, ""
}

func (throttledReplicas) String() string {
	return "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
}

// Error is Kafka's ConfigException: its text goes to clients as it is.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

func invalid(name string, value any, reason string) *Error {
	shown := render(value)
	if value == nil {
		shown = "null"
	}
	text := fmt.Sprintf("Invalid value %s for configuration %s", shown, name)
	if reason != "" {
		text += ": " + reason
	}
	return &Error{text}
}
