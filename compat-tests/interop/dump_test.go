//go:build kafka

package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestKafkasDumpToolFindsNoFaultInWhatWeWrote: a mixed load with stops and kills under it; after each of them every
// file is clean for Kafka's DumpLogSegments, before anything was recovered.
func TestKafkasDumpToolFindsNoFaultInWhatWeWrote(t *testing.T) {
	t.Parallel()
	n := newNode(t, static, 2, "log.retention.check.interval.ms=1000", "log.initial.task.delay.ms=500",
		"metadata.log.max.record.bytes.between.snapshots=4000", "log.index.interval.bytes=1024", "log.cleaner.backoff.ms=200")
	var l ledger
	for life, killed := range []bool{false, true, true, false} {
		n.start(ours)
		n.mixedLoad(&l, life)
		l.requireIn(n, n.look())
		if killed {
			n.killUnderLoad(&l, "rolled")
		} else {
			n.stop()
		}
		n.requireDumpsClean(l.count(), !killed)
	}
	n.requireMetadataSnapshot()
	segments := n.files(func(p string) bool { return strings.Contains(p, "rolled-0/") && strings.HasSuffix(p, ".log") })
	require.Greater(t, len(segments), 3, "nothing rolled")
}

// requireMetadataSnapshot: there is one besides that of the format.
func (n *node) requireMetadataSnapshot() {
	n.t.Helper()
	for _, path := range n.found("__cluster_metadata-0/*.checkpoint") {
		if filepath.Base(path) != "00000000000000000000-0000000000.checkpoint" {
			return
		}
	}
	n.t.Fatal("no metadata snapshot was taken")
}

func (n *node) mixedLoad(l *ledger, life int) {
	n.t.Helper()
	if life == 0 {
		n.create("rolled", 2, "segment.bytes", "1048576", "index.interval.bytes", "256")
		n.create("appendtime", 2, "message.timestamp.type", "LogAppendTime", "segment.bytes", "1048576")
		n.create("converted", 1, "compression.type", "lz4")
		n.create("short", 1, "segment.bytes", "1048576", "retention.bytes", "1000000", "file.delete.delay.ms", "0")
		n.create("compacted", 1, "cleanup.policy", "compact", "segment.bytes", "1048576", "min.cleanable.dirty.ratio", "0.01")
		n.create("cut", 1, "segment.bytes", "1048576")
	}
	n.produce(l, "rolled", 2, 4_000_000)
	n.produce(l, "appendtime", 2, 1_500_000)
	n.produce(l, "converted", 1, 100_000)
	n.produce(&ledger{}, "short", 1, 3_000_000)
	n.produce(&ledger{}, "compacted", 1, 1_500_000)
	n.produce(&ledger{}, "cut", 1, 1_500_000)
	n.alter("converted", "compression.type", []string{"gzip", "zstd", "snappy", "producer"}[life])
	n.alter("rolled", "max.message.bytes", "200000")
	n.create("dropped", 3)
	n.produce(&ledger{}, "dropped", 3, 100)
	n.delete("dropped")
	ctx, cancel := n.within()
	defer cancel()
	adm := kadm.NewClient(n.client())
	ends, err := adm.ListEndOffsets(ctx, "cut")
	require.NoError(n.t, err)
	end, _ := ends.Lookup("cut", 0)
	cut := kadm.Offsets{}
	cut.AddOffset("cut", 0, end.Offset-3, -1)
	_, err = adm.DeleteRecords(ctx, cut)
	require.NoError(n.t, err)
	require.Eventually(n.t, func() bool {
		starts, err := adm.ListStartOffsets(ctx, "short")
		o, _ := starts.Lookup("short", 0)
		return err == nil && o.Offset > 0
	}, 20*time.Second, 100*time.Millisecond, "retention deleted something")
	require.Eventually(n.t, func() bool {
		return slices.ContainsFunc(n.checkpoint("cleaner-offset-checkpoint", "compacted"), func(o int64) bool { return o > 0 })
	}, 20*time.Second, 100*time.Millisecond, "a partition was compacted")
}

// fault is what DumpLogSegments says of a file that is not right. Everything else that it prints is content.
var fault = regexp.MustCompile(`(?i)exception|mismatch|isvalid: false|invalid|out of order|^found|error|could not|unknown|malformed|not match`)

// requireDumpsClean runs the tool over all files that the stopped server left. The indexes of active segments are
// complete only after a clean stop.
func (n *node) requireDumpsClean(records int, clean bool) {
	n.t.Helper()
	by := map[string][]string{}
	for path := range n.files(func(p string) bool { return !strings.Contains(p, "-delete/") }) {
		kind := filepath.Ext(path)
		if strings.Contains(path, "__cluster_metadata-0/") {
			kind = "metadata" + kind
		}
		by[kind] = append(by[kind], path)
	}
	out := n.dump(by[".log"], "--deep-iteration")
	require.GreaterOrEqual(n.t, strings.Count(out, "| offset: "), records, "the tool saw fewer records than were acknowledged")
	indexes := append(append([]string{}, by[".index"]...), by[".timeindex"]...)
	indexes = append(append(indexes, by["metadata.index"]...), by["metadata.timeindex"]...)
	require.NotEmpty(n.t, indexes)
	out = n.dump(indexes, "--index-sanity-check")
	require.Equal(n.t, len(indexes), strings.Count(out, "passed sanity check")+strings.Count(out, "index is empty."), "%s", out)
	n.dump(indexes, "--verify-index-only")
	if clean {
		require.NotEmpty(n.t, by[".snapshot"])
	}
	n.dump(append(by[".snapshot"], by[".txnindex"]...))
	out = n.dump(append(by["metadata.log"], by["metadata.checkpoint"]...), "--cluster-metadata-decoder")
	require.Contains(n.t, out, `"type":"TOPIC_RECORD"`)
	require.Contains(n.t, out, `"type":"REGISTER_BROKER_RECORD"`)
	n.t.Logf("dump clean: %d logs, %d indexes, %d snapshots, %d metadata files", len(by[".log"]), len(indexes), len(by[".snapshot"]),
		len(by["metadata.log"])+len(by["metadata.checkpoint"]))
}

func (n *node) dump(files []string, args ...string) string {
	n.t.Helper()
	if len(files) == 0 {
		return ""
	}
	cmd := kafkaJava(toolJars, "256m", "org.apache.kafka.tools.DumpLogSegments", append([]string{"--files", strings.Join(files, ",")}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.t.Fatalf("%v: %v\n%.4000s", args, err, out)
	}
	file := ""
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Dumping ") {
			file = line
		}
		if fault.MatchString(line) && !strings.HasPrefix(line, "Dumping ") {
			kept, _ := os.MkdirTemp("", "interop-dump")
			_ = os.WriteFile(filepath.Join(kept, "out"), out, 0o600)
			n.t.Fatalf("%v, %s%.500s\n(all of it is in %s/out)", args, file, line, kept)
		}
	}
	return string(out)
}
