package config

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// notKafkas are checks where this broker does something else, and why.
var notKafkas = map[string]string{
	"controller.quorum.voters=UNSET":            "a node alone needs no quorum configuration",
	"controller.quorum.voters=":                 "a node alone needs no quorum configuration",
	"max.connections.per.ip.overrides=abc:x":    "nothing reads the row: no effect yet",
	"offsets.topic.compression.codec=99":        "nothing reads the row: no effect yet",
	"principal.builder.class=nope":              "no class loader here",
	"group.consumer.assignors=java.lang.String": "no class loader here",
	"cordoned.log.dirs=/x":                      "nothing reads the row: no effect yet",
	"early.start.listeners=FOO":                 "nothing reads the row: no effect yet",
	"min.cleanable.dirty.ratio=0x1p3":           "hexadecimal doubles are Java's own",
	"internal.segment.bytes=5":                  "a name of Kafka's own tests",
}

// TestChecksEqualKafkas runs what 4.4.0 was asked, and compares the texts.
func TestChecksEqualKafkas(t *testing.T) {
	text, err := os.ReadFile("testdata/checks-4.4.0.tsv")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		kind, given, want := f[0], f[1], f[2]
		t.Run(kind+"/"+given, func(t *testing.T) {
			got := "OK"
			if err := check(kind, given); err != nil {
				got = err.Error()
			}
			if why, ok := notKafkas[given]; ok {
				require.NotEqual(t, want, got, "equal after all, though: %s", why)
				return
			}
			require.Equal(t, want, got)
		})
	}
}

func check(kind, given string) error {
	props := map[string]string{}
	if kind == "broker" {
		props = map[string]string{
			"process.roles": "broker,controller", "node.id": "1", "controller.listener.names": "CONTROLLER",
			"controller.quorum.voters": "1@localhost:9093", "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
		}
	}
	for kv := range strings.SplitSeq(given, ";;") {
		name, value, _ := strings.Cut(kv, "=")
		if value == "UNSET" {
			delete(props, name)
		} else {
			props[name] = value
		}
	}
	if kind == "topic" {
		return New(nil).ValidateTopic(props)
	}
	_, err := Static(props)
	return err
}
