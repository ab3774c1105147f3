package wirediff

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/compat-tests/brokerproc"
)

var (
	record = flag.String("record", "", "host:port of a fresh Apache Kafka with the settings of unretained: write its answers to testdata")
	verify = flag.String("verify", "", "the same: fail where testdata is not what it answers")
)

var recordVariant = flag.String("variant", "", "with -record: the Kafka has the settings of this variant, record it alone")

const drivenFile = "../driven.tsv"

// unretained keeps a broker, Kafka or ours, from deleting the corpus' records, which are of 2023, and Kafka from looking
// for late transactions every 10 s alone.
var unretained = []string{"group.initial.rebalance.delay.ms=0", "group.consumer.assignment.interval.ms=0", "group.consumer.heartbeat.interval.ms=5000", "log.initial.task.delay.ms=3600000", "log.retention.check.interval.ms=3600000", "transaction.abort.timed.out.transaction.cleanup.interval.ms=100"}

// play runs scenarios against the broker at addr and gives each run to check, as a subtest.
func play(t *testing.T, addr string, scenarios []scenario, check func(t *testing.T, name string, file []byte, got []Exchange)) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			xs, err := run(sc, addr)
			file, got, encodeErr := normal(xs)
			require.NoError(t, encodeErr)
			check(t, sc.name, file, got)
			require.NoError(t, err)
		})
	}
}

// TestAnswersAreKafkas compares every answer with what Apache Kafka 4.4.0 was recorded to answer.
func TestAnswersAreKafkas(t *testing.T) {
	if *record != "" || *verify != "" {
		t.Log("a run against Apache Kafka: see TestRecordingsAreCurrent")
		return
	}
	rules, err := readRules(allowedFile)
	require.NoError(t, err)
	addr := brokerproc.Start(t, unretained...).Addr
	play(t, addr, corpus(), func(t *testing.T, name string, _ []byte, got []Exchange) {
		want, err := readRecording(name)
		require.NoError(t, err)
		for _, d := range compare(name, want, got, rules) {
			t.Error(d)
		}
	})
	for _, r := range rules {
		if !r.used && flag.Lookup("test.run").Value.String() == "" {
			t.Errorf("%s:%d allows a difference that is not there (any more): %s | %s", allowedFile, r.line, r.step, r.path)
		}
	}
}

// TestRecordingsAreCurrent records Apache Kafka's answers (-record) or compares them with the recordings (-verify).
// Without a Kafka it checks that each scenario has a recording and that driven.tsv is made from them.
func TestRecordingsAreCurrent(t *testing.T) {
	runs := map[string][]Exchange{}
	everything := corpus()
	for _, v := range variants() {
		if v.name == *recordVariant {
			everything = []scenario{v.scenario}
		}
	}
	switch {
	case *record != "":
		play(t, *record, everything, func(t *testing.T, name string, file []byte, got []Exchange) {
			require.NoError(t, os.WriteFile(recordingOf(name), file, 0o600))
			runs[name] = got
		})
		for _, sc := range corpus() { // with -run, only some were recorded
			if runs[sc.name] == nil {
				xs, err := readRecording(sc.name)
				require.NoError(t, err)
				runs[sc.name] = xs
			}
		}
		require.NoError(t, os.WriteFile(drivenFile, []byte(driven(runs)), 0o600))
	case *verify != "":
		play(t, *verify, everything, func(t *testing.T, name string, _ []byte, got []Exchange) {
			want, err := readRecording(name)
			require.NoError(t, err)
			for _, d := range compare(name, want, got, nil) {
				t.Error(d)
			}
		})
	default:
		for _, sc := range everything {
			xs, err := readRecording(sc.name)
			require.NoError(t, err)
			runs[sc.name] = xs
		}
		want, err := os.ReadFile(drivenFile)
		require.NoError(t, err)
		require.Equal(t, driven(runs), string(want), "driven.tsv is stale: record again")
	}
}

// TestEveryServedVersionIsDriven: a key or version without a recorded answer is not compared with anything.
func TestEveryServedVersionIsDriven(t *testing.T) {
	runs := map[string][]Exchange{}
	for _, sc := range corpus() {
		xs, err := readRecording(sc.name)
		require.NoError(t, err)
		runs[sc.name] = xs
	}
	rows := strings.Count(driven(runs), "\n")
	want := 3 // Produce 0-2
	for _, a := range served {
		want += int(a.max-a.min) + 1
	}
	require.Equal(t, want, rows)
}

// TestVariantsAnswerAsKafka compares brokers with other settings.
func TestVariantsAnswerAsKafka(t *testing.T) {
	if *record != "" || *verify != "" {
		return
	}
	rules, err := readRules(allowedFile)
	require.NoError(t, err)
	for _, v := range variants() {
		t.Setenv("MINIKAFKA_FEATURES", v.features)
		addr := brokerproc.Start(t, slices.Concat(unretained, v.settings)...).Addr
		play(t, addr, []scenario{v.scenario}, func(t *testing.T, name string, _ []byte, got []Exchange) {
			want, err := readRecording(name)
			require.NoError(t, err)
			for _, d := range compare(name, want, got, rules) {
				t.Error(d)
			}
		})
	}
}
