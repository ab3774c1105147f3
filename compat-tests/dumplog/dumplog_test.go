//go:build kafka

package dumplog

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/compat-tests/brokerproc"
)

const kafkaPort = "21410"

// differences are lines of Kafka's tool that ours does not have, and why.
var differences = []struct {
	line   *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`^Ignoring unknown file `), "Kafka's tool does not read checkpoints and partition.metadata; ours does"},
	{regexp.MustCompile(`^  -1 is followed by \d+$`), "Kafka's tool calls the beginning of each segment but the first a gap"},
}

// cleanerProperties make compaction quick.
var cleanerProperties = []string{
	"log.cleaner.backoff.ms=100", "log.cleaner.min.cleanable.ratio=0.01", "log.segment.bytes=1048576", "log.index.interval.bytes=1024",
	"log.retention.check.interval.ms=500", "log.initial.task.delay.ms=500", "group.initial.rebalance.delay.ms=0",
	"offsets.topic.num.partitions=2", "transaction.state.log.num.partitions=2",
}

var codecs = []kgo.CompressionCodec{
	kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func create(ctx context.Context, t *testing.T, addr, topic string, configs map[string]string) {
	t.Helper()
	set := map[string]*string{}
	for k, v := range configs {
		set[k] = &v
	}
	resp, err := kadm.NewClient(client(t, addr)).CreateTopic(ctx, 1, 1, set, topic)
	require.NoError(t, err)
	require.NoError(t, resp.Err, resp.ErrMessage)
}

// loadKeys writes rounds of records of few keys with every codec, one in five a tombstone, then as many bytes of
// other keys as close the segment, and returns the last value of each key.
func loadKeys(ctx context.Context, t *testing.T, addr, topic string) (last map[string]string, count int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	last = map[string]string{}
	for _, codec := range codecs {
		cl := client(t, addr, kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(60_000))
		var records []*kgo.Record
		for i := range 4000 {
			rec := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "key %d", r.IntN(700)), Value: fmt.Appendf(nil, "value %d %x", i, r.Uint64())}
			if r.IntN(5) == 0 {
				rec.Value = nil
				delete(last, string(rec.Key))
			} else {
				last[string(rec.Key)] = string(rec.Value)
			}
			if r.IntN(3) == 0 {
				rec.Headers = []kgo.RecordHeader{{Key: "first", Value: []byte("1")}, {Key: "null"}}
			}
			records = append(records, rec)
		}
		require.NoError(t, cl.ProduceSync(ctx, records...).FirstErr())
		count += len(records)
	}
	cl := client(t, addr, kgo.ProducerBatchCompression(kgo.NoCompression()))
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(r.IntN(256))
	}
	for i := range 1300 {
		key := fmt.Sprintf("noise %d", i)
		last[key] = string(noise)
		require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: noise}).FirstErr())
		count++
	}
	return last, count
}

// readAll reads the topic's only partition from its start to its present end.
func readAll(ctx context.Context, t *testing.T, addr, topic string) (last map[string]string, count int) {
	t.Helper()
	ends, err := kadm.NewClient(client(t, addr)).ListEndOffsets(ctx, topic)
	require.NoError(t, err)
	end, ok := ends.Lookup(topic, 0)
	require.True(t, ok)
	cl := client(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	last = map[string]string{}
	for at := int64(0); at < end.Offset; {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			require.GreaterOrEqual(t, r.Offset, at)
			at = r.Offset + 1
			count++
			if r.Value == nil {
				delete(last, string(r.Key))
			} else {
				last[string(r.Key)] = string(r.Value)
			}
		})
	}
	return last, count
}

// loadTransactions commits and aborts, in all codecs.
func loadTransactions(ctx context.Context, t *testing.T, addr, topic string) {
	t.Helper()
	for i, codec := range codecs {
		cl := client(t, addr, kgo.TransactionalID("dumplog"), kgo.TransactionTimeout(time.Minute), kgo.ProducerBatchCompression(codec))
		for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
			require.NoError(t, cl.BeginTransaction())
			for j := range 5 {
				rec := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "key %d", j), Value: fmt.Appendf(nil, "txn %d", i)}
				require.NoError(t, cl.ProduceSync(ctx, rec).FirstErr())
			}
			require.NoError(t, cl.EndTransaction(ctx, end))
		}
		cl.Close()
	}
}

// loadOffsetsInTransactions consumes and produces exactly once: the group's offsets belong to transactions that are
// committed and aborted.
func loadOffsetsInTransactions(ctx context.Context, t *testing.T, addr, from, to string) {
	t.Helper()
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(addr), kgo.TransactionalID("once"), kgo.TransactionTimeout(time.Minute),
		kgo.ConsumerGroup("once"), kgo.ConsumeTopics(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(50_000))
	require.NoError(t, err)
	defer session.Close()
	for i := range 6 {
		fetches := session.PollRecords(ctx, 50)
		require.NoError(t, fetches.Err())
		require.NoError(t, session.Begin())
		require.NoError(t, session.ProduceSync(ctx, &kgo.Record{Topic: to, Key: fmt.Appendf(nil, "read %d", fetches.NumRecords())}).FirstErr())
		commit := kgo.TransactionEndTry(i%3 != 1)
		committed, err := session.End(ctx, commit)
		require.NoError(t, err)
		require.Equal(t, bool(commit), committed)
	}
}

// leaveOpen begins a transaction that nobody ends, with an offset in it.
func leaveOpen(ctx context.Context, t *testing.T, addr, topic string) {
	t.Helper()
	cl := client(t, addr, kgo.TransactionalID("open"), kgo.TransactionTimeout(10*time.Minute))
	require.NoError(t, cl.BeginTransaction())
	require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("open")}).FirstErr())
	id, epoch, err := cl.ProducerID(ctx)
	require.NoError(t, err)
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = "open", "stays", id, epoch, -1
	topics, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	require.NoError(t, err)
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic, rt.TopicID = topic, topics[topic].ID
	rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	rp.Offset = 1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, cl)
	require.NoError(t, err)
	require.Zero(t, resp.Topics[0].Partitions[0].ErrorCode)
}

// loadShort writes more than retention keeps, and waits until something was deleted.
func loadShort(ctx context.Context, t *testing.T, addr string) {
	t.Helper()
	create(ctx, t, addr, "short", map[string]string{"retention.bytes": "1000000", "file.delete.delay.ms": "0"})
	for range 2 {
		_, _ = loadKeys(ctx, t, addr, "short")
	}
	adm := kadm.NewClient(client(t, addr))
	require.Eventually(t, func() bool {
		starts, err := adm.ListStartOffsets(ctx, "short")
		o, _ := starts.Lookup("short", 0)
		return err == nil && o.Offset > 0
	}, 30*time.Second, 100*time.Millisecond, "retention deletes something")
}

// consumeAsGroup reads a little in a group, commits, and leaves; then the group's offsets are deleted.
func consumeAsGroup(ctx context.Context, t *testing.T, addr, topic string) {
	t.Helper()
	for _, group := range []string{"stays", "goes"} {
		cl := client(t, addr, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		for cl.PollRecords(ctx, 100).NumRecords() == 0 { // errors of a coordinator that is loading come here, too
			require.NoError(t, ctx.Err(), "a member of group %s reads nothing", group)
		}
		require.NoError(t, cl.CommitUncommittedOffsets(ctx))
		cl.Close()
	}
	_, err := kadm.NewClient(client(t, addr)).DeleteGroup(ctx, "goes")
	require.NoError(t, err)
}

func load(t *testing.T, addr, dataDir string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	create(ctx, t, addr, "plain", map[string]string{"message.timestamp.type": "LogAppendTime"})
	_, _ = loadKeys(ctx, t, addr, "plain")
	create(ctx, t, addr, "txn", nil)
	loadTransactions(ctx, t, addr, "txn")
	loadOffsetsInTransactions(ctx, t, addr, "plain", "txn")
	loadShort(ctx, t, addr)
	create(ctx, t, addr, "compacted", map[string]string{
		"cleanup.policy": "compact", "delete.retention.ms": "500", "file.delete.delay.ms": "100", "min.cleanable.dirty.ratio": "0.01",
	})
	loadTransactions(ctx, t, addr, "compacted")
	want, written := loadKeys(ctx, t, addr, "compacted")
	consumeAsGroup(ctx, t, addr, "plain")
	leaveOpen(ctx, t, addr, "txn")
	var found map[string]string
	count := written
	require.Eventually(t, func() bool {
		found, count = readAll(ctx, t, addr, "compacted")
		return count < written/4
	}, 40*time.Second, 200*time.Millisecond, "compaction did not run")
	require.Equal(t, want, found)
	t.Logf("%d records were written, %d are left, %d keys", written, count, len(want))
	// Again with something dirty and the horizon over: tombstones and markers go.
	time.Sleep(700 * time.Millisecond)
	want, written = loadKeys(ctx, t, addr, "compacted")
	require.Eventually(t, func() bool {
		found, count = readAll(ctx, t, addr, "compacted")
		return count < written/4
	}, 40*time.Second, 200*time.Millisecond)
	require.Equal(t, want, found)
	checkpoint, err := os.ReadFile(filepath.Join(dataDir, "cleaner-offset-checkpoint"))
	require.NoError(t, err)
	require.Contains(t, string(checkpoint), "compacted 0 ")
}

// output runs a command; the two streams apart.
func output(t *testing.T, name string, args ...string) (out, errOut string, code int) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	_ = cmd.Run() // the exit status says it
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func kafkaTool(t *testing.T, args ...string) (out, errOut string) {
	t.Helper()
	out, errOut, code := output(t, "../apache-kafka", append([]string{"tool", "org.apache.kafka.tools.DumpLogSegments"}, args...)...)
	require.Zero(t, code, errOut)
	return out, errOut
}

// writer says whose files they are. In ours Kafka's tool must find nothing, after a kill but for a last batch that
// is not whole. Of Kafka's own compacted files it does: the cleaner's time index has entries of batches that it
// emptied.
type writer int

const (
	byKafka writer = iota
	byUs
	byUsKilled
)

// comparer holds the tool under test.
type comparer struct {
	binary string
	writer writer
}

// compare runs both tools with the flags on the files.
func (c comparer) compare(t *testing.T, files []string, flags ...string) {
	t.Helper()
	require.NotEmpty(t, files)
	args := append([]string{"--files", strings.Join(files, ",")}, flags...)
	theirs, theirErr := kafkaTool(t, args...)
	ours, ourErr, code := output(t, c.binary, append([]string{"dump-log"}, args...)...)
	require.Zero(t, code, "dump-log %s: %s", strings.Join(args, " "), ourErr)
	require.Equal(t, lines(theirs), lines(ours), strings.Join(args, " "))
	require.Equal(t, findings(theirErr), findings(ourErr), strings.Join(args, " "))
	if c.writer == byKafka {
		return
	}
	require.NotContains(t, theirErr, "Mismatch")
	require.NotContains(t, theirErr, "mismatch")
	require.NotContains(t, theirErr, "out of order")
	require.NotContains(t, theirErr, "not found")
	if c.writer == byUs {
		require.NotContains(t, theirs, "invalid bytes")
	}
	require.NotContains(t, theirs, "isvalid: false")
}

// lines leaves out what is in the list of differences, and what is not ASCII (Java writes ? for it).
func lines(text string) (kept []string) {
	for line := range strings.Lines(text) {
		line = nonASCII.ReplaceAllString(strings.TrimSuffix(line, "\n"), "?")
		skip := false
		for _, d := range differences {
			skip = skip || d.line.MatchString(line)
		}
		if !skip {
			kept = append(kept, line)
		}
	}
	return kept
}

var nonASCII = regexp.MustCompile(`[^\x20-\x7e\t]+`)

// findings are the lines of the error output, each with its heading: Kafka prints files and their lines in no
// fixed order.
func findings(text string) map[string]int {
	count, heading := map[string]int{}, ""
	for _, line := range lines(text) {
		if strings.HasPrefix(line, "  ") {
			count[heading+line]++
		} else {
			heading = line
		}
	}
	return count
}

func glob(t *testing.T, dir string, patterns ...string) (files []string) {
	t.Helper()
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, p))
		require.NoError(t, err)
		files = append(files, found...)
	}
	return files
}

func compareAll(t *testing.T, dataDir string, w writer) {
	binary, err := brokerproc.Binary()
	require.NoError(t, err)
	c := comparer{binary, w}
	partitions := glob(t, dataDir, "plain-0", "txn-0", "short-0", "compacted-0", "__transaction_state-*")
	var logs, indexes, rest []string
	for _, p := range partitions {
		logs = append(logs, glob(t, p, "*.log")...)
		indexes = append(indexes, glob(t, p, "*.index", "*.timeindex")...)
		rest = append(rest, glob(t, p, "*.snapshot", "*.txnindex")...)
	}
	c.compare(t, logs)
	c.compare(t, logs, "--deep-iteration")
	c.compare(t, logs, "--deep-iteration", "--max-bytes", "100000")
	c.compare(t, glob(t, dataDir, "plain-0/*.log"), "--print-data-log")
	c.compare(t, glob(t, dataDir, "compacted-0/*.log"), "--print-data-log", "--skip-record-metadata")
	c.compare(t, indexes)
	c.compare(t, indexes, "--verify-index-only")
	c.compare(t, indexes, "--index-sanity-check")
	c.compare(t, rest)
	meta := filepath.Join(dataDir, "__cluster_metadata-0")
	c.compare(t, glob(t, meta, "*.log", "*.checkpoint", "*.index", "*.timeindex"), "--cluster-metadata-decoder")
	c.compare(t, glob(t, dataDir, "__consumer_offsets-*/*.log"), "--offsets-decoder")
	c.compare(t, glob(t, dataDir, "__transaction_state-*/*.log"), "--transaction-log-decoder")
	// Files that only ours reads.
	only := append(glob(t, dataDir, "*-checkpoint"), glob(t, dataDir, "compacted-0/leader-epoch-checkpoint", "compacted-0/partition.metadata")...)
	out, errOut, code := output(t, c.binary, "dump-log", "--files", strings.Join(only, ","))
	require.Zero(t, code, errOut)
	require.Regexp(t, `topic: compacted partition: 0 offset: \d+\n`, out)
	require.Regexp(t, `epoch: \d+ startOffset: 0\n`, out)
	require.Regexp(t, `topicId: [A-Za-z0-9_-]{22}\n`, out)
}

func TestDumpLogPrintsWhatKafkasToolPrintsOfKafkasFiles(t *testing.T) {
	dir := t.TempDir()
	start := append([]string{"start", kafkaPort, dir}, cleanerProperties...)
	_, errOut, code := output(t, "../apache-kafka", start...)
	require.Zero(t, code, errOut)
	stop := func() { _, _, _ = output(t, "../apache-kafka", "stop", dir) }
	t.Cleanup(stop)
	data := filepath.Join(dir, "data")
	load(t, "127.0.0.1:"+kafkaPort, data)
	stop()
	compareAll(t, data, byKafka)
}

// TestKafkasLogCompactionTesterFindsNoMismatch runs Kafka's own test of compaction on our broker.
func TestKafkasLogCompactionTesterFindsNoMismatch(t *testing.T) {
	b := brokerproc.Start(t, cleanerProperties...)
	out, errOut, code := output(t, "../apache-kafka", "tool", "org.apache.kafka.tools.LogCompactionTester", "--bootstrap-server", b.Addr,
		"--messages", "300000", "--topics", "1", "--duplicates", "5", "--percent-deletes", "10", "--sleep", "3")
	require.Zero(t, code, out+errOut)
	require.Regexp(t, `Validated \d+ values, 0 mismatches`, out)
	reduction := regexp.MustCompile(`\(([\d.]+)% reduction\)`).FindStringSubmatch(out)
	require.NotNil(t, reduction, out)
	percent, err := strconv.ParseFloat(reduction[1], 64)
	require.NoError(t, err)
	require.Greater(t, percent, 50.0, "compaction did not run: %s", out)
	t.Logf("%s", reduction[0])
}

func TestKafkasToolFindsNothingWrongWithOurFiles(t *testing.T) {
	b := brokerproc.Start(t, cleanerProperties...)
	data := filepath.Join(b.Dir, "data")
	load(t, b.Addr, data)
	require.NoError(t, b.Stop())
	compareAll(t, data, byUs)
}
