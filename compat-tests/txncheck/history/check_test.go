package history

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	p0 = Partition{"a", 0}
	p1 = Partition{"a", 1}
	q0 = Partition{"b", 0}
)

func v(writer, seq uint32) Value { return ValueOf(writer, seq) }

// good is a history without anomalies: a committed transaction on two partitions, an aborted one, one whose commit was
// not answered, two plain records, and a copied record. Each test below breaks one thing in it.
func good() *History {
	return &History{
		Txns: []*Txn{
			{ID: "t", Fate: Committed, Asked: 10, Answered: 20, Writes: []Write{
				{Value: v(1, 0), Partition: p0, Offset: 0}, {Value: v(1, 1), Partition: p0, Offset: 1}, {Value: v(1, 2), Partition: p1, Offset: 0},
			}},
			{ID: "t", Fate: Aborted, Writes: []Write{{Value: v(1, 3), Partition: p0, Offset: 3}, {Value: v(1, 4), Partition: p1, Offset: -1}}},
			{ID: "u", Fate: Unknown, Asked: 30, Writes: []Write{{Value: v(2, 0), Partition: p0, Offset: 5}, {Value: v(2, 1), Partition: p1, Offset: -1}}},
			{ID: "plain", Plain: true, Fate: Committed, Writes: []Write{{Value: v(3, 0), Partition: p1, Offset: 6}}},
			{ID: "plain", Plain: true, Fate: Unknown, Writes: []Write{{Value: v(3, 1), Partition: p1, Offset: -1}}},
			{ID: "copy", Fate: Committed, Asked: 40, Answered: 50, Reads: []Value{v(1, 0), v(1, 1)}, Writes: []Write{
				{Value: v(4, 0), Partition: q0, Offset: 0, Source: v(1, 0)}, {Value: v(4, 1), Partition: q0, Offset: 1, Source: v(1, 1)},
			}},
		},
		Readers: []*Reader{
			{Name: "committed", Committed: true, Polled: map[Partition][]Seen{
				p0: {{0, v(1, 0), 15}, {1, v(1, 1), 15}, {5, v(2, 0), 35}}, p1: {{0, v(1, 2), 15}, {4, v(2, 1), 35}, {6, v(3, 0), 36}},
				q0: {{0, v(4, 0), 45}, {1, v(4, 1), 45}},
			}},
			{Name: "uncommitted", Polled: map[Partition][]Seen{
				p0: {{0, v(1, 0), 5}, {1, v(1, 1), 5}, {3, v(1, 3), 16}, {5, v(2, 0), 17}},
				p1: {{0, v(1, 2), 5}, {2, v(1, 4), 16}, {4, v(2, 1), 17}, {6, v(3, 0), 18}}, q0: {{0, v(4, 0), 41}, {1, v(4, 1), 41}},
			}},
			{Name: "looks in", Committed: true, From: map[Partition]int64{p1: 1}, Polled: map[Partition][]Seen{p1: {{4, v(2, 1), 40}}}},
		},
		Logs: map[Partition][]Entry{
			p0: {{0, v(1, 0), 0, true}, {1, v(1, 1), 0, true}, {3, v(1, 3), 0, false}, {5, v(2, 0), 0, true}},
			p1: {{0, v(1, 2), 0, true}, {2, v(1, 4), 0, false}, {4, v(2, 1), 0, true}, {6, v(3, 0), 0, true}},
			q0: {{0, v(4, 0), v(1, 0), true}, {1, v(4, 1), v(1, 1), true}},
		},
		Copies: []Copying{{
			Inputs: []Partition{p0}, Output: "b", Final: map[Partition]int64{p0: 5},
			Offsets: []OffsetRead{{p0, 0, 1}, {p0, 2, 45}, {p0, 5, 60}},
		}},
		Pinned:     []Pinned{{p0, 3, 4 * time.Second}},
		PinnedMost: 5 * time.Second,
	}
}

func TestSoundHistoryHasNoAnomalies(t *testing.T) {
	r := Check(good())
	require.Empty(t, r.Anomalies)
	require.Equal(t, Report{
		Committed: 2, Aborted: 1, Unknown: 1, Survived: 1, Plain: 2, Visible: 8, Hidden: 2, Polled: 19, Copied: 2,
		LongestPin: 4 * time.Second,
	}, *r)
}

// insert puts an entry where its offset belongs, and lets the readers who get it have it.
func insert(h *History, p Partition, e Entry) {
	at, _ := slices.BinarySearchFunc(h.Logs[p], e.Offset, func(e Entry, o int64) int { return cmp.Compare(e.Offset, o) })
	h.Logs[p] = slices.Insert(h.Logs[p], at, e)
	for _, r := range h.Readers {
		if r.From == nil && (e.Visible || !r.Committed) {
			poll(r, p, Seen{e.Offset, e.Value, 100})
		}
	}
}

func poll(r *Reader, p Partition, s Seen) {
	at, _ := slices.BinarySearchFunc(r.Polled[p], s.Offset, func(s Seen, o int64) int { return cmp.Compare(s.Offset, o) })
	r.Polled[p] = slices.Insert(r.Polled[p], at, s)
}

// hide makes an entry one of an aborted transaction, for the log and the readers alike.
func hide(h *History, p Partition, at int) {
	h.Logs[p][at].Visible = false
	for _, r := range h.Readers {
		var kept []Seen
		for _, s := range r.Polled[p] {
			if !r.Committed || s.Offset != h.Logs[p][at].Offset {
				kept = append(kept, s)
			}
		}
		r.Polled[p] = kept
	}
}

func TestEachAnomalyIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		breaks func(h *History)
		want   map[Kind]int
	}{
		"a committed transaction without a trace": {func(h *History) {
			h.Txns = append(h.Txns, &Txn{ID: "t", Fate: Committed, Asked: 70, Answered: 71, Writes: []Write{{v(1, 9), p0, 7, 0}}})
		}, map[Kind]int{LostWrite: 1}},
		"a committed transaction that was aborted": {func(h *History) {
			h.Txns = append(h.Txns, &Txn{ID: "t", Fate: Committed, Asked: 70, Answered: 71, Writes: []Write{{v(1, 9), p0, 7, 0}}})
			insert(h, p0, Entry{7, v(1, 9), 0, false})
		}, map[Kind]int{LostWrite: 1}},
		"an acknowledged plain record that is not there": {func(h *History) {
			h.Logs[p1] = h.Logs[p1][:3]
			for _, r := range h.Readers {
				r.Polled[p1] = r.Polled[p1][:len(r.Polled[p1])-1]
			}
		}, map[Kind]int{LostWrite: 1}},
		"a committed transaction is torn": {func(h *History) {
			hide(h, p1, 0)
		}, map[Kind]int{TornTransaction: 1}},
		"a transaction with an unanswered commit is torn": {func(h *History) {
			hide(h, p1, 2)
		}, map[Kind]int{TornTransaction: 1}},
		"an aborted record is visible": {func(h *History) {
			h.Logs[p1][1].Visible = true
			poll(h.Readers[0], p1, Seen{2, v(1, 4), 20})
			h.Readers[2].From[p1] = 3
		}, map[Kind]int{AbortedRead: 2}}, // by the log and by the reader
		"a reader gets what the log has as aborted": {func(h *History) {
			h.Txns[1].Fate, h.Txns[1].Asked = Unknown, 11
			poll(h.Readers[0], p1, Seen{2, v(1, 4), 20})
		}, map[Kind]int{AbortedRead: 1}},
		"a record is read before its commit was asked for": {func(h *History) {
			h.Readers[0].Polled[p0][2].At = 29
		}, map[Kind]int{IntermediateRead: 1}},
		"transactions read from each other": {func(h *History) {
			h.Txns[0].Reads = []Value{v(4, 0)}
		}, map[Kind]int{WriteReadCycle: 1}},
		"a value at two offsets": {func(h *History) {
			insert(h, p1, Entry{7, v(3, 0), 0, true})
		}, map[Kind]int{Duplicate: 1}},
		"a value in a partition that it was not sent to": {func(h *History) {
			insert(h, q0, Entry{7, v(3, 1), 0, true})
		}, map[Kind]int{Phantom: 1}},
		"a value that nobody sent": {func(h *History) {
			insert(h, p1, Entry{7, v(9, 9), 0, false})
		}, map[Kind]int{Phantom: 1}},
		"a reader saw another value": {func(h *History) {
			h.Readers[1].Polled[p0][2].Value = v(7, 7)
		}, map[Kind]int{InconsistentOffset: 1}},
		"a reader saw what is not there any more": {func(h *History) {
			h.Readers[1].Polled[p0] = append(h.Readers[1].Polled[p0], Seen{6, v(1, 9), 90})
		}, map[Kind]int{InconsistentOffset: 1}},
		"a record is elsewhere than acknowledged": {func(h *History) {
			h.Txns[3].Writes[0].Offset = 8
		}, map[Kind]int{WrongOffset: 1}},
		"a transactional id's records are in another order": {func(h *History) {
			h.Txns[0].Writes[0].Offset, h.Txns[0].Writes[1].Offset = 1, 0
			h.Logs[p0][0], h.Logs[p0][1] = Entry{0, v(1, 1), 0, true}, Entry{1, v(1, 0), 0, true}
			for _, r := range h.Readers[:2] {
				r.Polled[p0][0].Value, r.Polled[p0][1].Value = v(1, 1), v(1, 0)
			}
		}, map[Kind]int{NonmonotonicSend: 1}},
		"a reader goes back": {func(h *History) {
			polled := h.Readers[0].Polled[p0]
			h.Readers[0].Polled[p0] = append(polled[:2:2], polled[1:]...)
		}, map[Kind]int{NonmonotonicPoll: 1}},
		"one who looks in gets an aborted record": {func(h *History) {
			h.Readers[2].Polled[p1] = []Seen{{2, v(1, 4), 40}, {4, v(2, 1), 40}}
		}, map[Kind]int{AbortedRead: 1}},
		"one who looks in does not get the first visible record": {func(h *History) {
			h.Readers[2].From[p1] = 0
		}, map[Kind]int{PollSkip: 1}},
		"a reader stops": {func(h *History) {
			h.Readers[0].Polled[p0] = h.Readers[0].Polled[p0][:2]
		}, map[Kind]int{Unseen: 1}},
		"a reader skips": {func(h *History) {
			h.Readers[0].Polled[p0] = []Seen{{0, v(1, 0), 15}, {5, v(2, 0), 35}}
		}, map[Kind]int{PollSkip: 1}},
		"a reader of everything skips an aborted record": {func(h *History) {
			h.Readers[1].Polled[p0] = []Seen{{0, v(1, 0), 5}, {1, v(1, 1), 5}, {5, v(2, 0), 17}}
		}, map[Kind]int{PollSkip: 1}},
		"a committed offset goes back": {func(h *History) {
			h.Copies[0].Offsets[2].Offset = 1
		}, map[Kind]int{OffsetWentBack: 1}},
		"a committed offset is back in the end": {func(h *History) {
			h.Copies[0].Final[p0] = 2
		}, map[Kind]int{OffsetWentBack: 1}},
		"a record below the offset has no copy": {func(h *History) {
			h.Copies[0].Final[p0] = 6
		}, map[Kind]int{CopyLost: 1}},
		"a record has two copies": {func(h *History) {
			h.Txns[5].Writes = append(h.Txns[5].Writes, Write{v(4, 2), q0, 2, v(1, 0)})
			insert(h, q0, Entry{2, v(4, 2), v(1, 0), true})
		}, map[Kind]int{CopyDuplicate: 1}},
		"a copy is there and its offset is not committed": {func(h *History) {
			h.Copies[0].Final[p0] = 1
			h.Copies[0].Offsets = nil
		}, map[Kind]int{CopyTooEarly: 1}},
		"an aborted record was copied": {func(h *History) {
			h.Txns[5].Writes = append(h.Txns[5].Writes, Write{v(4, 2), q0, 2, v(1, 3)})
			insert(h, q0, Entry{2, v(4, 2), v(1, 3), true})
		}, map[Kind]int{CopyTooEarly: 1}},
		"a fenced producer commits": {func(h *History) {
			h.Txns[0].Fenced = 5
		}, map[Kind]int{FencedCommit: 1}},
		"a transaction is open in the end": {func(h *History) {
			h.Open = []string{"t, Ongoing"}
		}, map[Kind]int{OpenTransaction: 1}},
		"a transaction was open for too long": {func(h *History) {
			h.Pinned = append(h.Pinned, Pinned{p1, 2, 6 * time.Second})
		}, map[Kind]int{OpenTransaction: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			test.breaks(h)
			r := Check(h)
			require.Equal(t, test.want, r.Count(), "%v", r.Anomalies)
		})
	}
}

// TestAllowedCyclesAreNotAnomalies: records of two transactions may lie between each other's.
func TestAllowedCyclesAreNotAnomalies(t *testing.T) {
	h := &History{
		Txns: []*Txn{
			{ID: "t", Fate: Committed, Writes: []Write{{v(1, 0), p0, 0, 0}, {v(1, 1), p1, 1, 0}}},
			{ID: "u", Fate: Committed, Writes: []Write{{v(2, 0), p0, 1, 0}, {v(2, 1), p1, 0, 0}}},
		},
		Logs: map[Partition][]Entry{
			p0: {{0, v(1, 0), 0, true}, {1, v(2, 0), 0, true}},
			p1: {{0, v(2, 1), 0, true}, {1, v(1, 1), 0, true}},
		},
	}
	r := Check(h)
	require.Empty(t, r.Anomalies)
	require.Equal(t, 1, r.WriteCycles)
	require.Equal(t, 1, r.MixedCycles)

	h.Txns[1].Reads = []Value{v(1, 0)} // and one reads the other: t before u by the read and in p0, u before t in p1
	require.Equal(t, 1, Check(h).MixedCycles)
	require.Empty(t, Check(h).Anomalies)
}

func TestRepeatedHiddenValuesAreCounted(t *testing.T) {
	h := good()
	insert(h, p1, Entry{7, v(1, 4), 0, false})
	r := Check(h)
	require.Empty(t, r.Anomalies)
	require.Equal(t, 1, r.HiddenDuplicates)
}
