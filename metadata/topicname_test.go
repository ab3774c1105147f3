package metadata

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Texts observed on Apache Kafka 4.4.0.
func TestTopicNamesAreRefusedWithKafkasTexts(t *testing.T) {
	long := strings.Repeat("x", 250)
	for name, want := range map[string]string{
		"":    "Topic name is invalid: the empty string is not allowed",
		".":   "Topic name is invalid: '.' is not allowed",
		"..":  "Topic name is invalid: '..' is not allowed",
		"a b": "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
		"é":   "Topic name is invalid: 'é' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
		long:  "Topic name is invalid: the length of '" + long + "' is longer than the max allowed length 249",
	} {
		require.EqualError(t, CheckTopicName(name), want)
	}
	for _, name := range []string{"a", "...", "A.b_c-9", strings.Repeat("x", 249), "__consumer_offsets"} {
		require.NoError(t, CheckTopicName(name), name)
	}
}
