//go:build langs

package langs

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A load produces records, round robin over the partitions, until it is stopped.
type load struct {
	acknowledged atomic.Int64
	failed       atomic.Pointer[error]
	quit         func()
}

func produce(t *testing.T, addr, topic string, every time.Duration, burst int) *load {
	return produceRecords(t, addr, every, burst, func(n int) []*kgo.Record {
		return []*kgo.Record{{Topic: topic, Key: fmt.Appendf(nil, "k%d", n%50), Value: fmt.Appendf(nil, "%d", n)}}
	}, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
}

// produceRecords produces what content has for n = 0, 1, 2, ….
func produceRecords(t *testing.T, addr string, every time.Duration, burst int, content func(n int) []*kgo.Record, opts ...kgo.Opt) *load {
	cl := franz(t, addr, opts...)
	l := &load{}
	ctx, cancel := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	loop.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			for _, r := range content(n) {
				cl.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
					if err != nil {
						l.failed.Store(&err)
					}
					l.acknowledged.Add(1)
				})
			}
			if n%burst == 0 {
				<-tick.C
			}
		}
	})
	l.quit = func() {
		cancel()
		loop.Wait()
		_ = cl.Flush(context.Background())
	}
	t.Cleanup(cancel)
	return l
}

// stop ends the load, and says how many records it has produced.
func (l *load) stop(t *testing.T) int {
	t.Helper()
	l.quit()
	if err := l.failed.Load(); err != nil {
		t.Fatalf("the load: %v", *err)
	}
	return int(l.acknowledged.Load())
}

// A record of the topic.
type record struct {
	partition int32
	offset    int64
}

func records(word string, members ...*process) map[record]int {
	times := map[record]int{}
	for _, m := range members {
		m.spans(word, func(p int32, o int64) { times[record{p, o}]++ })
	}
	return times
}

// groupStory: see README.md.
func groupStory(t *testing.T, c client, again bool, extra ...string) {
	s := start(t)
	cl := franz(t, s.addr)
	name := topic(t, cl, 6)
	l := produce(t, s.addr, name, 50*time.Millisecond, 6)
	var all []*process
	join := func(as string) *process {
		m := c.play(t, as, "member", append(extra, "bootstrap="+s.addr, "topic="+name, "group="+name)...)
		all = append(all, m)
		return m
	}
	began := time.Now()
	// busy waits until each of them has committed something that it was given after now.
	busy := func(what string, members ...*process) {
		t.Helper()
		before := map[*process]int{}
		for _, m := range members {
			before[m] = len(m.said("got"))
		}
		require.Eventually(t, func() bool {
			for _, m := range members {
				if len(m.said("got")) <= before[m] || len(m.said("done")) <= before[m] {
					return false
				}
			}
			return true
		}, within, 20*time.Millisecond, what)
		t.Logf("%6.2f s: %s", time.Since(began).Seconds(), what)
	}
	a := join("a")
	busy("one member", a)
	b, d := join("b"), join("d")
	busy("three members", a, b, d)
	s.killed(t)
	busy("the coordinator was killed", a, b, d)
	s.stopped(t)
	busy("the coordinator was stopped", a, b, d)
	b.kill()
	allOf(t, "the killed member's partitions have new owners", began, 6, a, d)
	grow(t, cl, name, 9)
	allOf(t, "the topic has grown", began, 9, a, d)
	a.leave()
	allOf(t, "one has left", began, 9, d)
	total := l.stop(t)
	await(t, total, all)
	judge(t, total, again, b, a, d)
	requireCommitted(t, cl, name)
	d.leave()
	t.Logf("%6.2f s: %d records", time.Since(began).Seconds(), total)
}

// processed are the records whose commit a member has seen, or that a killed member was given: it may have died
// between its commit and its word of it.
func processed(members []*process) map[record]int {
	times := records("done", members...)
	for _, m := range members {
		if m.killed {
			for r := range records("got", m) {
				times[r] = max(times[r], 1)
			}
		}
	}
	return times
}

// await waits until so many records were processed, or names those that nobody has.
func await(t *testing.T, total int, members []*process) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if len(processed(members)) >= total {
			return
		}
	}
	done, got, ends := processed(members), records("got", members...), map[int32]int64{}
	for r := range done {
		ends[r.partition] = max(ends[r.partition], r.offset+1)
	}
	var missing []string
	for p, end := range ends {
		for at := range end {
			if done[record{p, at}] == 0 {
				missing = append(missing, fmt.Sprintf("%d/%d (given %d times)", p, at, got[record{p, at}]))
			}
		}
	}
	for _, m := range members {
		t.Logf("%s: %v", m.name, m.said("error"))
	}
	t.Fatalf("%d of %d records are processed; missing before the last that is: %v, ends: %v", len(done), total, missing, ends)
}

// allOf waits until these members have each partition among them, and each of them has some.
func allOf(t *testing.T, what string, began time.Time, partitions int, members ...*process) {
	t.Helper()
	from := map[*process]int{}
	for _, m := range members {
		from[m] = len(m.said("done"))
	}
	require.Eventually(t, func() bool {
		have := map[int32]bool{}
		for _, m := range members {
			lines := m.said("done")[from[m]:]
			if len(lines) == 0 {
				return false
			}
			for _, line := range lines {
				var p int32
				_, err := fmt.Sscanf(line, "done %d ", &p)
				require.NoError(t, err)
				have[p] = true
			}
		}
		return len(have) == partitions
	}, within, 20*time.Millisecond, what)
	t.Logf("%6.2f s: %s", time.Since(began).Seconds(), what)
}

// judge: every record was processed; only what the killed member had been given and could not commit was processed by
// another; no error reached an application.
//
// again says that the client gives a batch to its application again when the commit failed for a lost connection.
func judge(t *testing.T, total int, again bool, killed *process, others ...*process) {
	t.Helper()
	all := append(others, killed)
	for _, m := range all {
		require.Empty(t, m.said("error"), "%s saw an error", m.name)
	}
	require.Len(t, records("got", all...), total, "records that nobody was given, or that nobody produced")
	for r, times := range records("done", all...) {
		require.Equal(t, 1, times, "committed %d times: %v", times, r)
	}
	done := records("done", killed)
	given := records("got", killed)
	repeated := 0
	for r, times := range records("got", others...) {
		require.True(t, times == 1 || again, "processed %d times by members that live: %v", times, r)
		require.Zero(t, done[r], "processed again, though the killed member had committed it: %v", r)
		repeated += given[r] + times - 1
	}
	t.Logf("processed again: %d of %d", repeated, total)
}

func grow(t *testing.T, cl *kgo.Client, topic string, to int) {
	t.Helper()
	answers, err := kadm.NewClient(cl).UpdatePartitions(t.Context(), to, topic)
	require.NoError(t, err)
	require.NoError(t, answers.Error())
}

// requireCommitted: the group, of the topic's name, has committed the end of every partition.
func requireCommitted(t *testing.T, cl *kgo.Client, topic string) {
	t.Helper()
	adm := kadm.NewClient(cl)
	require.Eventually(t, func() bool {
		ends, err := adm.ListEndOffsets(t.Context(), topic)
		if err != nil {
			return false
		}
		committed, err := adm.FetchOffsets(t.Context(), topic)
		if err != nil {
			return false
		}
		same := true
		ends.Each(func(end kadm.ListedOffset) {
			at, ok := committed.Lookup(topic, end.Partition)
			same = same && ok && at.At == end.Offset
		})
		return same
	}, within, 50*time.Millisecond, "committed offsets are not the end")
}
