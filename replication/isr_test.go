package replication

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

func anyReplica(int32) bool { return true }

func at(seconds int) time.Time { return time.Unix(1000+int64(seconds), 0) }

// TestISRScenarios runs testdata/isr. Commands:
//
//	lead replicas=(1,2,3) isr=(1,2) end=5 hw=3 min=2 [now=0]   replica 1 leads; the lag limit is 30 s
//	append end=7 [now=0]
//	fetch replica=2 offset=7 [broker-epoch=1] [fenced] [now=0]
//	shrink now=31
//	commit isr=(1,2) epoch=1 | refuse | min n=1 | replicas ids=(1,2)
func TestISRScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/isr", func(t *testing.T, path string) {
		var s *isr
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return runISR(t, &s, d)
		})
	})
}

func runISR(t *testing.T, sp **isr, d *datadriven.TestData) string {
	number := func(name string, def int) int {
		if d.HasArg(name) {
			d.ScanArgs(t, name, &def)
		}
		return def
	}
	list := func(name string) (ids []int32) {
		a, ok := d.Arg(name)
		require.True(t, ok, name)
		for _, v := range a.Vals {
			var id int32
			_, err := fmt.Sscan(v, &id)
			require.NoError(t, err)
			ids = append(ids, id)
		}
		return ids
	}
	s, now := *sp, at(number("now", 0))
	var out strings.Builder
	switch d.Cmd {
	case "lead":
		s = lead(leadership{
			self: 1, replicas: list("replicas"), isr: list("isr"), leaderEpoch: 1,
			logEnd: int64(number("end", 0)), highWatermark: int64(number("hw", 0)),
			minInsync: int32(number("min", 1)), lagMax: 30 * time.Second, now: now, eligible: anyReplica,
		})
		*sp = s
	case "append":
		s.onAppend(int64(number("end", 0)), now)
	case "fetch":
		proposal, known := s.onFetch(followerFetch{
			replica: int32(number("replica", 0)), offset: int64(number("offset", 0)),
			brokerEpoch: int64(number("broker-epoch", 1)), eligible: !d.HasArg("fenced"), now: now,
		})
		if !known {
			return "unknown replica\n"
		}
		if proposal != nil {
			fmt.Fprintf(&out, "propose %v\n", proposal)
		}
	case "shrink":
		if proposal := s.checkShrink(now); proposal != nil {
			fmt.Fprintf(&out, "propose %v\n", proposal)
		}
	case "commit":
		s.commit(list("isr"), int32(number("epoch", 1)), now)
	case "refuse":
		s.refuse(now)
	case "min":
		s.setMinInsync(int32(number("n", 1)), now)
	case "replicas":
		s.setReplicas(list("ids"))
	}
	state := map[isrState]string{isrCommitted: "committed", isrPendingExpand: "pending expand", isrPendingShrink: "pending shrink"}
	fmt.Fprintf(&out, "hw %d of %d, isr %v, %s", s.highWatermark, s.logEnd, s.committed, state[s.state])
	if s.underMin() {
		out.WriteString(", under min")
	}
	return out.String() + "\n"
}

// TestISRKeepsItsInvariantsInEverySmallWorld walks every sequence of what can happen to three replicas
// with two records, min.insync.replicas 1 and 2, a controller that accepts or refuses and may keep the
// leader waiting, followers that fetch one by one, and time that passes the lag limit.
func TestISRKeepsItsInvariantsInEverySmallWorld(t *testing.T) {
	for _, minInsync := range []int32{1, 2} {
		w := isrWorld{
			isr: lead(leadership{
				self: 1, replicas: []int32{1, 2, 3}, isr: []int32{1, 2}, leaderEpoch: 1,
				minInsync: minInsync, lagMax: 30 * time.Second, now: at(0), eligible: anyReplica,
			}),
			controller: []int32{1, 2},
		}
		seen := map[string]bool{}
		walkISR(t, w, 9, seen)
		require.Greater(t, len(seen), 1000)
	}
}

// isrWorld is the machine, what the controller has, and the clock.
type isrWorld struct {
	isr        *isr
	controller []int32
	epoch      int32
	asked      []int32 // the proposal under way
	ends       [4]int64
	seconds    int
	path       string
}

func (w isrWorld) key() string {
	return fmt.Sprint(w.isr.logEnd, w.isr.highWatermark, w.isr.committed, w.isr.state, w.isr.proposed, w.isr.followers,
		w.controller, w.asked, w.ends, w.seconds)
}

func (w isrWorld) clone() isrWorld {
	s := *w.isr
	s.followers = slices.Clone(s.followers)
	w.isr = &s
	return w
}

func walkISR(t *testing.T, w isrWorld, depth int, seen map[string]bool) {
	if k := w.key() + fmt.Sprint(depth); depth == 0 || seen[k] {
		return
	} else {
		seen[k] = true
	}
	step := func(name string, do func(w *isrWorld)) {
		n := w.clone()
		n.path += " " + name
		before, under := n.isr.highWatermark, n.isr.underMin()
		do(&n)
		checkISR(t, &n, before, under)
		walkISR(t, n, depth-1, seen)
	}
	if w.isr.logEnd < 2 {
		step("append", func(w *isrWorld) { w.isr.onAppend(w.isr.logEnd+1, at(w.seconds)) })
	}
	for _, id := range []int32{2, 3} {
		for _, offset := range []int64{w.ends[id], w.isr.logEnd} {
			step(fmt.Sprintf("fetch(%d,%d)", id, offset), func(w *isrWorld) {
				w.ends[id] = offset
				proposal, known := w.isr.onFetch(followerFetch{replica: id, offset: offset, eligible: true, now: at(w.seconds)})
				require.True(t, known)
				w.propose(proposal)
			})
		}
	}
	if w.seconds == 0 {
		step("later", func(w *isrWorld) { w.seconds = 31 })
	}
	step("shrink", func(w *isrWorld) { w.propose(w.isr.checkShrink(at(w.seconds))) })
	if w.asked != nil {
		step("decide", func(w *isrWorld) { w.controller, w.asked = w.asked, nil; w.epoch++ })
		step("refuse", func(w *isrWorld) { w.asked = nil; w.isr.refuse(at(w.seconds)) })
	}
	if w.epoch > w.isr.partitionEpoch {
		step("commit", func(w *isrWorld) { w.isr.commit(w.controller, w.epoch, at(w.seconds)) })
	}
}

func (w *isrWorld) propose(proposal []int32) {
	if proposal != nil {
		w.asked = slices.Clone(proposal)
	}
}

func checkISR(t *testing.T, w *isrWorld, before int64, wasUnder bool) {
	s := w.isr
	require.GreaterOrEqual(t, s.highWatermark, before, "the high watermark fell:%s", w.path)
	require.LessOrEqual(t, s.highWatermark, s.logEnd, w.path)
	if wasUnder && s.underMin() {
		require.Equal(t, before, s.highWatermark, "moved under min.insync.replicas:%s", w.path)
	}
	require.Contains(t, s.committed, int32(1), w.path)
	// Whoever the controller might elect, now or once it decides, has all committed records.
	electable := slices.Concat(w.controller, w.asked)
	for _, id := range electable {
		if id != 1 {
			require.GreaterOrEqual(t, w.ends[id], s.highWatermark, "replica %d can lead and lacks committed records:%s", id, w.path)
		}
	}
}
