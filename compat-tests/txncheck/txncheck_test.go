package txncheck

import (
	"bufio"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/compat-tests/txncheck/faultproxy"
	"minikafka/compat-tests/txncheck/history"
)

var (
	duration  = flag.Duration("duration", 8*time.Second, "of the transactions")
	seed      = flag.Uint64("seed", 0, "of choices, faults and kills; 0 takes one from the clock")
	killEvery = flag.Duration("kill-every", 2*time.Second, "on average")
	kafkaPort = flag.Int("kafka", 0, "check Apache Kafka, on this port and the next, and not minikafka")
	keep      = flag.String("keep", "", "directory for the broker's data and the logs of a run; without it they go when it passes")
)

// place is where a run leaves its files.
func place(t *testing.T) string {
	dir := *keep
	if dir == "" {
		var err error
		dir, err = os.MkdirTemp("", "txncheck")
		require.NoError(t, err)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("the broker's data and the logs are in %s", dir)
			} else {
				_ = os.RemoveAll(dir)
			}
		})
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	return dir
}

// setup is a configuration with a broker that is not started yet.
func setup(t *testing.T) Config {
	dir := place(t)
	proxy, err := faultproxy.Listen()
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	file, err := os.Create(filepath.Join(dir, "faults.log"))
	require.NoError(t, err)
	out := bufio.NewWriter(file)
	var mu sync.Mutex
	t.Cleanup(func() { _, _ = out.Flush(), file.Close() })
	c := Config{
		Proxy: proxy, Seed: *seed, Duration: *duration, Producers: 6, Copiers: 3, Plains: 2,
		TxnTimeout: 5 * time.Second, Slack: 4 * time.Second,
		Log: func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(out, format+"\n", args...)
		},
	}
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano())
	}
	if *kafkaPort != 0 {
		c.Broker = Kafka(dir, *kafkaPort, proxy.Addr)
		c.Slack += 12 * time.Second // Kafka looks for time-outs every ten seconds, and takes its time to start
	} else {
		c.Broker, err = Ours(dir, proxy.Addr)
		require.NoError(t, err)
	}
	t.Cleanup(func() { _ = c.Broker.Kill() })
	return c
}

// TestTransactionsHold: see the package comment.
func TestTransactionsHold(t *testing.T) {
	c := setup(t)
	c.Faults, c.KillEvery = true, *killEvery
	t.Logf("%v, seed %d", c.Duration, c.Seed)
	result, err := Run(t.Context(), c)
	require.NoError(t, err)
	report := history.Check(result.History)
	show(t, result, report)
	for _, a := range report.Anomalies[:min(len(report.Anomalies), 30)] {
		t.Errorf("%s: %s", a.Kind, a.Text)
	}
	require.Greater(t, report.Committed, int(c.Duration.Seconds()), "hardly anything was committed: the test tests nothing")
	if c.Duration >= 30*time.Second { // a group takes its time to find together under faults
		require.Positive(t, report.Copied, "nothing was copied")
	}
}

func show(t *testing.T, result *Result, r *history.Report) {
	t.Logf("%d kills, %d clean stops; transactions: %d committed, %d aborted, %d unknown (%d of them came through); %d plain records",
		result.Kills, result.Stops, r.Committed, r.Aborted, r.Unknown, r.Survived, r.Plain)
	t.Logf("records: %d visible, %d not, %d copied, %d polled; longest open transaction: %v; allowed: %d G0, %d mixed cycles; %d values twice where nobody sees them",
		r.Visible, r.Hidden, r.Copied, r.Polled, r.LongestPin, r.WriteCycles, r.MixedCycles, r.HiddenDuplicates)
	for _, what := range slices.Sorted(maps.Keys(result.Faults)) {
		t.Logf("%6d %s", result.Faults[what], what)
	}
	t.Logf("anomalies: %d %v", len(r.Anomalies), r.Count())
}

// TestBrokenBrokersAreFound makes a broker that breaks a promise out of a sound one, by changing requests on their
// way, and wants the checker to say which.
func TestBrokenBrokersAreFound(t *testing.T) {
	var ends atomic.Int32
	for name, broken := range map[string]struct {
		rewrite func(kmsg.Request) bool
		plain   []kgo.Opt
		faults  bool
		want    []history.Kind // any of them
	}{
		"every reader is one of uncommitted records": {
			rewrite: func(r kmsg.Request) bool {
				req, ok := r.(*kmsg.FetchRequest)
				if ok {
					req.IsolationLevel = 0
				}
				return ok
			},
			want: []history.Kind{history.AbortedRead, history.IntermediateRead},
		},
		"a commit now and then becomes an abort": {
			rewrite: func(r kmsg.Request) bool {
				req, ok := r.(*kmsg.EndTxnRequest)
				if ok && ends.Add(1)%5 == 0 {
					req.Commit = false
				}
				return ok
			},
			want: []history.Kind{history.LostWrite},
		},
		"an abort becomes a commit": {
			rewrite: func(r kmsg.Request) bool {
				req, ok := r.(*kmsg.EndTxnRequest)
				if ok {
					req.Commit = true
				}
				return ok
			},
			want: []history.Kind{history.AbortedRead},
		},
		"offsets of transactions are one behind": {
			rewrite: func(r kmsg.Request) bool {
				req, ok := r.(*kmsg.TxnOffsetCommitRequest)
				if ok {
					for t := range req.Topics {
						for p := range req.Topics[t].Partitions {
							req.Topics[t].Partitions[p].Offset--
						}
					}
				}
				return ok
			},
			want: []history.Kind{history.CopyDuplicate, history.CopyTooEarly},
		},
		"sequences are not looked at": {
			plain: []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1)}, faults: true,
			want: []history.Kind{history.Duplicate},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := setup(t)
			c.TxnTimeout = time.Second
			c.Duration, c.Rewrite, c.PlainOptions, c.Faults = 1500*time.Millisecond, broken.rewrite, broken.plain, broken.faults
			result, err := Run(t.Context(), c)
			require.NoError(t, err)
			found := history.Check(result.History).Count()
			t.Logf("%v", found)
			require.True(t, slices.ContainsFunc(broken.want, func(k history.Kind) bool { return found[k] > 0 }), "%v, want one of %v", found, broken.want)
		})
	}
}
