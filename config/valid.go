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
	// check is given a value of Kafka's type: bool, int64, float64, string or []string.
	check(name string, value any) error
	String() string
}

// Range bounds numbers, both ends inclusive; infinite ends are open.
type Range struct{ Min, Max float64 }

func (r Range) check(name string, value any) error {
	var f float64
	switch n := value.(type) {
	case int64:
		f = float64(n)
	case float64:
		f = n
	}
	if f < r.Min {
		return invalid(name, value, "Value must be at least "+bound(r.Min))
	}
	if f > r.Max {
		return invalid(name, value, "Value must be no more than "+bound(r.Max))
	}
	return nil
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

func (gzipLevel) check(name string, value any) error {
	if n, ok := value.(int64); ok && n != -1 && (n < 1 || n > 9) {
		return invalid(name, value, "Value must be between 1 and 9 or equal to -1")
	}
	return nil
}
func (gzipLevel) String() string { return "[1,...,9] or -1" }

// OneOf lists the strings that are allowed.
type OneOf struct {
	Values     []string
	IgnoreCase bool
}

func (o OneOf) check(name string, value any) error {
	s, _ := value.(string)
	if o.IgnoreCase {
		if !slices.ContainsFunc(o.Values, func(v string) bool { return strings.EqualFold(v, s) }) {
			return invalid(name, value, "String must be one of (case insensitive): "+strings.Join(o.Values, ", "))
		}
		return nil
	}
	if !slices.Contains(o.Values, s) {
		return invalid(name, value, "String must be one of: "+strings.Join(o.Values, ", "))
	}
	return nil
}

func (o OneOf) String() string {
	s := "[" + strings.Join(o.Values, ", ") + "]"
	if o.IgnoreCase {
		return "(case insensitive) " + s
	}
	return s
}

// ListOf is KIP-1161's rule for lists: no element is empty, and (with Values) each is one of them.
type ListOf struct {
	Values   []string
	NonEmpty bool // at least one element
	// Shown is what the documentation shows where there are no Values.
	Shown string
}

func (l ListOf) check(name string, value any) error {
	elements, _ := value.([]string)
	if l.NonEmpty && len(elements) == 0 {
		values := "any non-empty value"
		if len(l.Values) > 0 {
			values = l.String()
		}
		return &Error{Text: "Configuration '" + name + "' must not be empty. Valid values include: " + values}
	}
	for _, e := range elements {
		if e == "" {
			return &Error{Text: "Configuration '" + name + "' values must not be empty."}
		}
		if len(l.Values) > 0 && !slices.Contains(l.Values, e) {
			return invalid(name, e, "String must be one of: "+strings.Join(l.Values, ", "))
		}
	}
	return nil
}

func (l ListOf) String() string {
	if len(l.Values) == 0 {
		return l.Shown
	}
	return "[" + strings.Join(l.Values, ", ") + "]"
}

// nonEmpty wants text with something in it.
type nonEmpty struct{}

func (nonEmpty) check(name string, value any) error {
	if value == "" {
		return invalid(name, value, "String must be non-empty")
	}
	return nil
}
func (nonEmpty) String() string { return "non-empty string" }

// nonNull wants a value, be it empty: text from a file or a request always is one.
type nonNull struct{}

func (nonNull) check(string, any) error { return nil }
func (nonNull) String() string          { return "non-null string" }

const throttledFormat = "[partitionId]:[brokerId],[partitionId]:[brokerId],..."

var throttledReplica = regexp.MustCompile(`^[0-9]+:[0-9]+$`)

// throttledReplicas is a lone "*", or pairs of partition and broker.
type throttledReplicas struct{}

func (throttledReplicas) check(name string, value any) error {
	l, _ := value.([]string)
	if len(l) == 1 && l[0] == "*" {
		return nil
	}
	for _, e := range l {
		if !throttledReplica.MatchString(e) {
			return invalid(name, "["+strings.Join(l, ", ")+"]",
				name+" must be the literal '*' or a list of replicas in the following format: "+throttledFormat)
		}
	}
	return nil
}

func (throttledReplicas) String() string { return throttledFormat }

// Error is Kafka's ConfigException: its text goes to clients as it is.
type Error struct {
	Text string
	// Request: the code is INVALID_REQUEST where a resource's other errors are INVALID_CONFIG.
	Request bool
}

func (e *Error) Error() string { return e.Text }

func invalid(name string, value any, reason string) *Error {
	return &Error{Text: fmt.Sprintf("Invalid value %s for configuration %s: %s", render(value), name, reason)}
}
