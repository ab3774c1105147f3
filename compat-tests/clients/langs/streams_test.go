//go:build langs

package langs

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func line(n int) string { return fmt.Sprintf("w%d w%d x%d", n%17, n%5, n%23) }

// TestStreams: a word count and a join by Kafka Streams with exactly_once_v2 are killed and restarted under load, as
// the broker is. What read_committed sees is the input's: each word's counts are 1, 2, 3, …, and each pair is joined once.
func TestStreams(t *testing.T) {
	s := start(t)
	cl := franz(t, s.addr)
	prefix := topic(t, cl, 1)
	for _, name := range []string{"lines", "counts", "left", "right", "joined"} {
		create(t, cl, prefix+"-"+name, 3)
	}
	l := produceRecords(t, s.addr, 100*time.Millisecond, 15, func(n int) []*kgo.Record {
		key := []byte(strconv.Itoa(n))
		return []*kgo.Record{
			{Topic: prefix + "-lines", Key: key, Value: []byte(line(n))},
			{Topic: prefix + "-left", Key: key, Value: []byte("l")},
			{Topic: prefix + "-right", Key: key, Value: []byte("r")},
		}
	})
	dir, began, lives := t.TempDir(), time.Now(), 0
	run := func(n int) *process {
		lives++
		return streams.play(t, fmt.Sprintf("instance %d, life %d", n, lives), "streams", "bootstrap="+s.addr, "prefix="+prefix,
			"state="+filepath.Join(dir, strconv.Itoa(n)))
	}
	running := []*process{run(0), run(1)}
	progress := func(what string) {
		t.Helper()
		counts, joined := end(t, cl, prefix+"-counts"), end(t, cl, prefix+"-joined")
		require.Eventually(t, func() bool {
			return end(t, cl, prefix+"-counts") > counts+300 && end(t, cl, prefix+"-joined") > joined+100
		}, within, 50*time.Millisecond, what)
		t.Logf("%6.2f s: %s", time.Since(began).Seconds(), what)
	}
	progress("both run")
	for n := range running {
		running[n].kill()
		progress(fmt.Sprintf("instance %d was killed", n))
		running[n] = run(n)
		progress("and runs again")
	}
	s.killed(t)
	progress("the broker was killed")
	running[0].kill()
	s.killed(t)
	running[0] = run(0)
	progress("both were killed")
	s.stopped(t)
	progress("the broker was stopped")
	total := l.stop(t) / 3
	requireCounted(t, s.addr, prefix, total)
	for _, p := range running {
		require.Empty(t, p.said("error"), "%s saw an error", p.name)
		p.leave()
	}
	t.Logf("%6.2f s: %d lines and pairs", time.Since(began).Seconds(), total)
}

func requireCounted(t *testing.T, addr, prefix string, total int) {
	t.Helper()
	want, words := map[string]int{}, 0
	for n := range total {
		for word := range strings.FieldsSeq(line(n)) {
			want[word]++
			words++
		}
	}
	got := map[string]int{}
	for _, records := range readRecords(t, addr, prefix+"-counts", words) {
		for _, r := range records {
			word := string(r.Key)
			got[word]++
			require.Equal(t, strconv.Itoa(got[word]), string(r.Value), "count of %s", word)
		}
	}
	require.Equal(t, want, got)
	pairs := map[string]int{}
	for _, records := range readRecords(t, addr, prefix+"-joined", total) {
		for _, r := range records {
			pairs[string(r.Key)]++
			require.Equal(t, "lr", string(r.Value))
		}
	}
	require.Len(t, pairs, total)
}
