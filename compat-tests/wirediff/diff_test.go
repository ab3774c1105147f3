package wirediff

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestDifferencesAreFoundUnlessARuleAllowsThem(t *testing.T) {
	want := []Exchange{
		{Step: "a", Outcome: "answered", Response: map[string]any{"Topics": []any{map[string]any{"ErrorCode": "X 3"}}}},
		{Step: "b", Outcome: "closed"},
		{Step: "c", Outcome: "answered", Response: map[string]any{"ErrorCode": "Y 1"}},
	}
	got := []Exchange{
		{Step: "a", Outcome: "answered", Response: map[string]any{"Topics": []any{map[string]any{"ErrorCode": "X 4"}}}},
		{Step: "b", Outcome: "answered"},
		{Step: "c", Outcome: "answered", Loose: true, Response: map[string]any{"ErrorCode": "Y 1", "ErrorMessage": "more"}},
		{Step: "d", Outcome: "closed"},
	}
	paths := func(ds []Difference) []string {
		var out []string
		for _, d := range ds {
			out = append(out, d.Step+" "+d.Path)
		}
		return out
	}
	require.Empty(t, compare("s", want, want, nil))
	require.Equal(t, []string{"s/a Topics[0].ErrorCode", "s/b outcome", "s/c encoding", "s/c ErrorMessage", "s/d step"}, paths(compare("s", want, got, nil)))
	rules := []*rule{{step: "s/a", path: "Topics[*].ErrorCode"}, {step: "s/c", path: "*"}, {step: "s/e", path: "*"}}
	require.Equal(t, []string{"s/b outcome", "s/d step"}, paths(compare("s", want, got, rules)))
	require.True(t, rules[0].used)
	require.False(t, rules[2].used)
	require.Equal(t, []string{"s/b step"}, paths(compare("s", want[1:2], nil, nil)))
}

func TestPatternsMatchWholeTexts(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*b", "ab", true}, {"*", "", true}, {"a*c*e", "abcde", true},
		{"a*c*e", "abde", false}, {"a*a", "a", false}, {"*[0].x", "T[0].x", true},
	} {
		require.Equal(t, c.want, matches(c.pattern, c.text), "%q %q", c.pattern, c.text)
	}
}

func TestVolatileFieldsAreMasked(t *testing.T) {
	tr := &tree{ids: map[[16]byte]string{{1}: "s.t"}, port: 999, own: "s.", served: map[int16]bool{}}
	resp := kmsg.NewPtrMetadataResponse()
	resp.ClusterID = kmsg.StringPtr("abc")
	resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: 1, Host: "h", Port: 999})
	resp.Topics = []kmsg.MetadataResponseTopic{
		{Topic: kmsg.StringPtr("s.t"), TopicID: [16]byte{1}, ErrorCode: 3}, {Topic: kmsg.StringPtr("s.a")}, {Topic: kmsg.StringPtr("other.t")},
	}
	got := tr.of(resp)
	require.Equal(t, "<cluster>", got["ClusterID"])
	require.Equal(t, "<port>", got["Brokers"].([]any)[0].(map[string]any)["Port"])
	topics := got["Topics"].([]any)
	require.Len(t, topics, 2)
	require.Equal(t, "s.a", topics[0].(map[string]any)["Topic"])
	require.Equal(t, "<id of s.t>", topics[1].(map[string]any)["TopicID"])
	require.Equal(t, "UNKNOWN_TOPIC_OR_PARTITION 3", topics[1].(map[string]any)["ErrorCode"])
}

// TestBatchesAreWhatKmsgReads: the corpus must send good batches when it means to.
func TestBatchesAreWhatKmsgReads(t *testing.T) {
	for codec := codecNone; codec <= codecZstd; codec++ {
		b := keyed("k", "v", nil, "w").with(func(b *batch) { b.attributes = codec })
		out := describeRecords(append(b.encode(), 1, 2, 3))
		require.Len(t, out, 4)
		require.Contains(t, out[0], "crc=good")
		require.Contains(t, out[0], "count=2")
		require.Equal(t, `record +1 time+10 null="w" `, out[2])
		require.Equal(t, "3 bytes of a cut batch", out[3])
	}
}
