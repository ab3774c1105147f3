//go:build langs

package langs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// copyStory: copiers of one group move the records of a topic to another in transactions, and are killed and started
// again with their transactional ids, as the broker is. What read_committed sees of the output is the input, exactly
// once and in order.
func copyStory(t *testing.T, c client, copiers int, extra ...string) {
	s := start(t)
	cl := franz(t, s.addr)
	in, out := topic(t, cl, 3), topic(t, cl, 3)
	l := produce(t, s.addr, in, 20*time.Millisecond, 6)
	began := time.Now()
	lives := 0
	run := func(n int) *process {
		lives++
		return c.play(t, fmt.Sprintf("copier %d, life %d", n, lives), "copy", append(extra,
			"bootstrap="+s.addr, "topic="+in, "out="+out, "group="+in, fmt.Sprintf("txid=%s-%d", in, n))...)
	}
	running := make([]*process, copiers)
	for n := range running {
		running[n] = run(n)
	}
	progress := func(what string) {
		t.Helper()
		before := map[*process]int{}
		for _, p := range running {
			before[p] = len(p.said("committed"))
		}
		require.Eventually(t, func() bool {
			for p, n := range before {
				if len(p.said("committed")) < n+3 {
					return false
				}
			}
			return true
		}, within, 10*time.Millisecond, what)
		t.Logf("%6.2f s: %s", time.Since(began).Seconds(), what)
	}
	progress("all copy")
	for n := range running {
		running[n].kill()
		running[n] = run(n)
		progress(fmt.Sprintf("copier %d was killed", n))
	}
	s.killed(t)
	progress("the broker was killed")
	running[0].kill()
	s.killed(t)
	running[0] = run(0)
	progress("both were killed")
	total := l.stop(t)
	requireCopied(t, cl, s.addr, in, out, total)
	for _, p := range running {
		require.Empty(t, p.said("error"), "%s saw an error", p.name)
		p.leave()
	}
	t.Logf("%6.2f s: %d records", time.Since(began).Seconds(), total)
}

// requireCopied compares two topics as read_committed sees them.
func requireCopied(t *testing.T, cl *kgo.Client, addr, in, out string, total int) {
	t.Helper()
	want, got := read(t, addr, in, total), read(t, addr, out, total)
	for p, values := range want {
		for i := range values {
			values[i] += "+"
		}
		require.Equal(t, values, got[p], "partition %d", p)
	}
	requireCommitted(t, cl, in)
}

// read returns the values of a topic by partition.
func read(t *testing.T, addr, topic string, total int) map[int32][]string {
	t.Helper()
	values := map[int32][]string{}
	for p, records := range readRecords(t, addr, topic, total) {
		for _, r := range records {
			values[p] = append(values[p], string(r.Value))
		}
	}
	return values
}

// readRecords returns what read_committed sees of a topic: as many records as there must be, and what follows
// within a moment.
func readRecords(t *testing.T, addr, topic string, total int) map[int32][]*kgo.Record {
	t.Helper()
	cl := franz(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	list, n := map[int32][]*kgo.Record{}, 0
	patience := 30 * time.Second
	for {
		if n >= total {
			patience = time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		fetches := cl.PollFetches(ctx)
		ended := ctx.Err() != nil
		cancel()
		if ended {
			require.Equal(t, total, n, "records of %s", topic)
			return list
		}
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			list[r.Partition] = append(list[r.Partition], r)
		})
	}
}
