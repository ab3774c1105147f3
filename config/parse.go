package config

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// listSeparator is Java's \s*,\s*: its \s is ASCII white space.
var listSeparator = regexp.MustCompile(`[ \t\n\v\f\r]*,[ \t\n\v\f\r]*`)

// parse reads text as the row's type in Kafka's way: bool, int64 (all three integer types), float64,
// string or []string. The validator is not asked.
func (r *Row) parse(raw string) (any, error) {
	trimmed := javaTrim(raw)
	switch r.Type {
	case Boolean:
		switch {
		case strings.EqualFold(trimmed, "true"):
			return true, nil
		case strings.EqualFold(trimmed, "false"):
			return false, nil
		}
		return nil, invalid(r.Name, trimmed, "Expected value to be either true or false")
	case Short, Int, Long:
		bits := map[Type]int{Short: 16, Int: 32, Long: 64}[r.Type]
		n, err := strconv.ParseInt(trimmed, 10, bits)
		if err != nil {
			return nil, invalid(r.Name, trimmed, "Not a number of type "+r.Type.String())
		}
		return n, nil
	case Double:
		f, ok := parseJavaDouble(trimmed)
		if !ok {
			return nil, invalid(r.Name, trimmed, "Not a number of type "+r.Type.String())
		}
		return f, nil
	case List:
		if trimmed == "" {
			return []string{}, nil
		}
		return listSeparator.Split(trimmed, -1), nil
	case String, Class, PasswordText, typeUndefined:
	}
	return trimmed, nil
}

// Parse reads and checks text as Kafka does; the error is an *Error with Kafka's text.
func (r *Row) Parse(raw string) (any, error) {
	v, err := r.parse(raw)
	if err != nil {
		return nil, err
	}
	if l, ok := v.([]string); ok {
		v = withoutDuplicates(l)
	}
	if r.Valid == nil {
		return v, nil
	}
	if err := r.Valid.check(r.Name, v); err != nil {
		return nil, err
	}
	return v, nil
}

// Canonical is the value as DescribeConfigs shows it; text that does not parse comes back as it is.
func (r *Row) Canonical(raw string) string {
	v, err := r.parse(raw)
	if err != nil {
		return raw
	}
	if l, ok := v.([]string); ok {
		return render(withoutDuplicates(l))
	}
	return render(v)
}

// typed is a parsed value as the key's Go type.
func (r *Row) typed(v any) any {
	n, isInt := v.(int64)
	switch {
	case isInt && r.unit != 0:
		return toDuration(n, r.unit)
	case isInt && r.Type == Int:
		return int32(n)
	case isInt && r.Type == Short:
		return int16(n)
	case r.Type == PasswordText:
		s, _ := v.(string)
		return Password(s)
	}
	return v
}

// zero is what a null reads as.
func (r *Row) zero() any {
	switch {
	case r.unit != 0:
		return time.Duration(0)
	case r.Type == Boolean:
		return false
	case r.Type == Int, r.Type == Short, r.Type == Long:
		return r.typed(int64(0))
	case r.Type == Double:
		return float64(0)
	case r.Type == List:
		return []string(nil)
	}
	return r.typed("")
}

// toDuration saturates: Kafka's "for ever" is the largest int64 of milliseconds.
func toDuration(n int64, unit time.Duration) time.Duration {
	limit := int64(math.MaxInt64 / unit)
	switch {
	case n > limit:
		return math.MaxInt64
	case n < -limit:
		return math.MinInt64
	}
	return time.Duration(n) * unit
}

// render is Kafka's convertToString.
func render(v any) string {
	switch x := v.(type) {
	case bool:
		return strconv.FormatBool(x)
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return javaDouble(x)
	case []string:
		return strings.Join(x, ",")
	case string:
		return x
	}
	return ""
}

// javaTrim is String.trim: everything up to the space goes.
func javaTrim(s string) string {
	return strings.TrimFunc(s, func(c rune) bool { return c <= ' ' })
}

// parseJavaDouble is Double.parseDouble: decimal with exponent, an f or d behind it, NaN, Infinity.
func parseJavaDouble(s string) (float64, bool) {
	if s == "" {
		return 0, false
	}
	if strings.ContainsAny(s, "_xXpP") || strings.EqualFold(strings.TrimLeft(s, "+-"), "inf") {
		return 0, false // Go's forms
	}
	if last := s[len(s)-1]; strings.IndexByte("fFdD", last) >= 0 {
		s = s[:len(s)-1]
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// javaDouble is Double.toString: plain between 0.001 and 10^7, else one digit, a point, and E.
func javaDouble(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	abs := math.Abs(f)
	if abs == 0 || (abs >= 1e-3 && abs < 1e7) {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return mantissa + "E" + strconv.Itoa(n)
}

// withoutDuplicates: a repeated element counts once (KIP-1161).
func withoutDuplicates(l []string) []string {
	unique := make([]string, 0, len(l))
	for _, e := range l {
		if !slices.Contains(unique, e) {
			unique = append(unique, e)
		}
	}
	return unique
}
