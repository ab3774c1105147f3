package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryLimitIsNineTenthsOfTheCgroups(t *testing.T) {
	for text, want := range map[string]int64{"1000000000\n": 900000000, "max\n": 0, "9223372036854771712\n": 0, "0\n": 0, "": 0} {
		got, ok := memoryLimit(text)
		require.Equal(t, want, got, text)
		require.Equal(t, want != 0, ok, text)
	}
}

func TestVersionIsPrinted(t *testing.T) {
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"version"})
	require.NoError(t, cmd.Execute())
	require.Contains(t, out.String(), "minikafka dev go1.")
}

func TestInvalidConfigurationStopsWithKafkasMessage(t *testing.T) {
	for _, c := range []struct{ args, message string }{
		{"log.retention.ms=abc", "Invalid value abc for configuration log.retention.ms: Not a number of type LONG"},
		{"nonsense", `override "nonsense" is not of the form name=value`},
	} {
		cmd := root()
		cmd.SetArgs([]string{"server", "--data-dir", t.TempDir(), "--override", c.args})
		require.ErrorContains(t, cmd.Execute(), c.message)
	}
	cmd := root()
	cmd.SetArgs([]string{"server", "--log-format", "xml"})
	require.ErrorContains(t, cmd.Execute(), `"xml" is neither text nor json`)
}
