package groupcoord

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPatternsMatchWholeNames(t *testing.T) {
	topics := fixedTopics{{Name: "orders"}, {Name: "orders.eu"}, {Name: "old-orders"}, {Name: "Orders"}, {Name: "__consumer_offsets"}}
	for pattern, want := range map[string][]string{
		"orders":             {"orders"},
		"orders.*":           {"orders", "orders.eu"},
		".*":                 {"Orders", "__consumer_offsets", "old-orders", "orders", "orders.eu"},
		"(?i)orders":         {"Orders", "orders"},
		"^orders$":           {"orders"},
		"orders|old":         {"orders"},
		"order":              {},
		"":                   {},
		`orders\.eu|old-.+`:  {"old-orders", "orders.eu"},
		"(?m)^orders$\n|x":   {},
		"orders(\n|$)(?:)":   {"orders"},
		"(?:__consumer_.*)$": {"__consumer_offsets"},
	} {
		names, err := MatchTopics(pattern, topics)
		require.NoError(t, err, pattern)
		require.Equal(t, want, names, pattern)
	}
}

// TestPatternErrorsAreRE2s: the texts are those that Kafka 4.4.0 was recorded to answer (wirediff, consumer-refused).
func TestPatternErrorsAreRE2s(t *testing.T) {
	for pattern, want := range map[string]string{
		"[": "missing closing ]", "(": "missing closing )", "(?=x)": "invalid or unsupported Perl syntax",
		"a**": "invalid nested repetition operator", `\`: "trailing backslash at end of expression",
		"(?P<n": "invalid named capture", "x{1001}": "invalid repeat count", "a)(b": "unexpected )",
	} {
		_, err := MatchTopics(pattern, fixedTopics{})
		require.EqualError(t, err, want, pattern)
	}
}
