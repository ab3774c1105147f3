package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Kind is what is wrong.
type Kind string

// The anomalies.
const (
	LostWrite          Kind = "lost write"           // acknowledged and committed, and not there
	TornTransaction    Kind = "torn transaction"     // some of its records are visible and others are not
	AbortedRead        Kind = "aborted read"         // G1a: a record whose transaction did not commit was read
	IntermediateRead   Kind = "intermediate read"    // G1b: a record was read before its commit was asked for
	WriteReadCycle     Kind = "G1c"                  // transactions read from each other in a circle
	Duplicate          Kind = "duplicate"            // one value at two offsets
	InconsistentOffset Kind = "inconsistent offset"  // two values at one offset
	WrongOffset        Kind = "wrong offset"         // acknowledged with an offset at which it is not
	Phantom            Kind = "phantom"              // nobody sent it
	NonmonotonicSend   Kind = "nonmonotonic send"    // a writer's records are in another order than it sent them
	NonmonotonicPoll   Kind = "nonmonotonic poll"    // a reader went back
	PollSkip           Kind = "poll skip"            // a reader never got a visible record that it went past
	Unseen             Kind = "unseen"               // a reader had time to get a visible record and did not
	OffsetWentBack     Kind = "offset went back"     // a group's committed offset
	CopyLost           Kind = "copy lost"            // the offset is past the record, its copy is not there
	CopyDuplicate      Kind = "copy duplicate"       // there are two copies of a record
	CopyTooEarly       Kind = "copy without offset"  // a copy is visible, its offset is not committed
	FencedCommit       Kind = "commit of the fenced" // asked for after another had the transactional id
	OpenTransaction    Kind = "open transaction"     // beyond its time-out
)

// Anomaly is one of them.
type Anomaly struct {
	Kind Kind
	Text string
}

// Report is what a history came to.
type Report struct {
	Anomalies []Anomaly
	// Committed, Aborted and Unknown are transactions; Survived are those of Unknown that are visible.
	Committed, Aborted, Unknown, Survived int
	Plain                                 int // records without a transaction
	Visible, Hidden                       int // records in the end
	Polled                                int // records, by all readers
	Copied                                int
	// WriteCycles are circles of transactions by the order of their records alone, G0, and MixedCycles those that reads
	// close as well: Kafka's model allows both, since a transaction's records may lie between another's.
	WriteCycles, MixedCycles int
	LongestPin               time.Duration
	// HiddenDuplicates are values that are twice in a log where no reader of committed records sees them.
	HiddenDuplicates int
}

// Count is how many anomalies there are of each kind.
func (r *Report) Count() map[Kind]int {
	n := map[Kind]int{}
	for _, a := range r.Anomalies {
		n[a.Kind]++
	}
	return n
}

func (r *Report) add(k Kind, format string, args ...any) {
	r.Anomalies = append(r.Anomalies, Anomaly{k, fmt.Sprintf(format, args...)})
}

// place is where a value is in the logs.
type place struct {
	partition Partition
	offset    int64
}

// checker holds the indexes of a history.
type checker struct {
	*History
	*Report
	sent    map[Value]*Txn
	writes  map[Value]*Write
	visible map[Value]place
}

// Check finds all anomalies of a history.
func Check(h *History) *Report {
	c := &checker{
		History: h, Report: &Report{},
		sent: map[Value]*Txn{}, writes: map[Value]*Write{}, visible: map[Value]place{},
	}
	for _, t := range h.Txns {
		for i := range t.Writes {
			c.sent[t.Writes[i].Value], c.writes[t.Writes[i].Value] = t, &t.Writes[i]
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(h.Logs), comparePartitions) {
		c.log(p, h.Logs[p])
	}
	for _, t := range h.Txns {
		c.transaction(t)
	}
	for _, r := range h.Readers {
		for _, p := range slices.SortedFunc(maps.Keys(h.Logs), comparePartitions) {
			c.reader(r, p, r.Polled[p])
		}
	}
	for i := range h.Copies {
		c.copying(&h.Copies[i])
	}
	c.ends()
	c.cycles()
	return c.Report
}

func comparePartitions(a, b Partition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Index, b.Index))
}

// log checks a partition: who sent what is in it, and whether it is in it once.
func (c *checker) log(p Partition, entries []Entry) {
	seen := make(map[Value]bool, len(entries))
	type sender struct {
		id string
		// Without transactions a new client is another producer, and what its predecessor had under way may come later.
		writer uint32
	}
	last := map[sender]Value{}
	for _, e := range entries {
		t, w := c.sent[e.Value], c.writes[e.Value]
		switch {
		case t == nil:
			c.add(Phantom, "%v at %v offset %d", e.Value, p, e.Offset)
			continue
		case w.Partition != p:
			c.add(Phantom, "%v was sent to %v and is in %v at %d", e.Value, w.Partition, p, e.Offset)
			continue
		}
		if !e.Visible {
			c.Hidden++
			if seen[e.Value] {
				c.HiddenDuplicates++
			}
			seen[e.Value] = true
			continue
		}
		c.Visible++
		if first, twice := c.visible[e.Value]; twice {
			c.add(Duplicate, "%v of %s at %v offsets %d and %d", e.Value, t.ID, p, first.offset, e.Offset)
			continue
		} else if seen[e.Value] {
			c.HiddenDuplicates++
		}
		seen[e.Value] = true
		c.visible[e.Value] = place{p, e.Offset}
		if w.Offset >= 0 && w.Offset != e.Offset {
			c.add(WrongOffset, "%v of %s was acknowledged at %v offset %d and is at %d", e.Value, t.ID, p, w.Offset, e.Offset)
		}
		s := sender{id: t.ID}
		if t.Plain {
			s.writer = e.Value.Writer()
		}
		if before, ok := last[s]; ok && before > e.Value {
			c.add(NonmonotonicSend, "%v of %s at %v offset %d comes after %v", e.Value, t.ID, p, e.Offset, before)
		}
		last[s] = e.Value
	}
}

// transaction checks that the records of one share its fate.
func (c *checker) transaction(t *Txn) {
	var there, missing []Value
	for _, w := range t.Writes {
		if _, ok := c.visible[w.Value]; ok {
			there = append(there, w.Value)
		} else {
			missing = append(missing, w.Value)
		}
	}
	if t.Plain {
		c.Plain++
	} else {
		c.count(t, len(there) > 0)
	}
	if t.Fenced > 0 && t.Answered > 0 && t.Asked > t.Fenced {
		c.add(FencedCommit, "%s: fenced at %v, its commit asked for at %v was answered well", t.ID, t.Fenced, t.Asked)
	}
	switch {
	case t.Fate == Aborted && len(there) > 0:
		c.add(AbortedRead, "%s: %v are visible, no commit was asked for; missing: %v", t.ID, there, missing)
	case len(there) > 0 && len(missing) > 0:
		c.add(TornTransaction, "%s: visible %v, missing %v, fate %d, commit at %v", t.ID, c.places(there), c.sentTo(missing), t.Fate, t.Asked)
	case t.Fate == Committed && len(missing) > 0:
		c.add(LostWrite, "%s: %v, committed at %v", t.ID, c.sentTo(missing), t.Answered)
	}
}

func (c *checker) count(t *Txn, visible bool) {
	switch t.Fate {
	case Committed:
		c.Committed++
	case Aborted:
		c.Aborted++
	case Unknown:
		c.Unknown++
		if visible {
			c.Survived++
		}
	}
}

func (c *checker) places(values []Value) []string {
	text := make([]string, 0, len(values))
	for _, v := range values {
		text = append(text, fmt.Sprintf("%v at %v:%d", v, c.visible[v].partition, c.visible[v].offset))
	}
	return text
}

func (c *checker) sentTo(values []Value) []string {
	text := make([]string, 0, len(values))
	for _, v := range values {
		text = append(text, fmt.Sprintf("%v to %v:%d", v, c.writes[v].Partition, c.writes[v].Offset))
	}
	return text
}

// reader checks what one reader polled of a partition against the partition as it is in the end.
func (c *checker) reader(r *Reader, p Partition, polled []Seen) {
	log := c.Logs[p]
	from, looked := r.From[p]
	if r.From != nil && !looked {
		return
	}
	at := find(log, from) // the first entry that was not passed
	for i, s := range polled {
		c.Polled++
		if i > 0 && s.Offset <= polled[i-1].Offset {
			c.add(NonmonotonicPoll, "%s: %v offset %d after %d", r.Name, p, s.Offset, polled[i-1].Offset)
			at = find(log, s.Offset)
		}
		for ; at < len(log) && log[at].Offset < s.Offset; at++ {
			if log[at].Visible || !r.Committed {
				c.add(PollSkip, "%s: %v went past offset %d (%v) to %d", r.Name, p, log[at].Offset, log[at].Value, s.Offset)
			}
		}
		found := at < len(log) && log[at].Offset == s.Offset
		switch {
		case !found || log[at].Value != s.Value:
			c.add(InconsistentOffset, "%s: %v offset %d was %v and is another, or nothing", r.Name, p, s.Offset, s.Value)
		case r.Committed:
			c.committedRead(r, p, s, log[at])
		}
		if found {
			at++
		}
	}
	for ; !looked && at < len(log); at++ {
		if log[at].Visible || !r.Committed {
			c.add(Unseen, "%s: %v offset %d (%v), and what is behind", r.Name, p, log[at].Offset, log[at].Value)
			return
		}
	}
}

// find is the first entry at an offset or after it.
func find(log []Entry, offset int64) int {
	at, _ := slices.BinarySearchFunc(log, offset, func(e Entry, o int64) int { return cmp.Compare(e.Offset, o) })
	return at
}

func (c *checker) committedRead(r *Reader, p Partition, s Seen, e Entry) {
	t := c.sent[s.Value]
	switch {
	case t == nil: // a phantom
	case !e.Visible:
		c.add(AbortedRead, "%s: %v of %s at %v offset %d, which the log has as aborted", r.Name, s.Value, t.ID, p, s.Offset)
	case t.Fate == Aborted:
		c.add(AbortedRead, "%s: %v of %s at %v offset %d, no commit was asked for", r.Name, s.Value, t.ID, p, s.Offset)
	case !t.Plain && s.At < t.Asked:
		c.add(IntermediateRead, "%s: %v of %s at %v offset %d at %v, its commit was asked for at %v", r.Name, s.Value, t.ID, p, s.Offset, s.At, t.Asked)
	}
}

// copying checks that a group's offsets only went on, and that each record below them has one copy.
func (c *checker) copying(g *Copying) {
	last := map[Partition]int64{}
	for _, o := range g.Offsets {
		if o.Offset < last[o.Partition] {
			c.add(OffsetWentBack, "of %v from %d to %d, read at %v", o.Partition, last[o.Partition], o.Offset, o.At)
		}
		last[o.Partition] = o.Offset
	}
	copies := map[Value]int{}
	for _, p := range slices.SortedFunc(maps.Keys(c.Logs), comparePartitions) {
		for _, e := range c.Logs[p] {
			if p.Topic == g.Output && e.Visible {
				copies[e.Source]++
				c.Copied++
			}
		}
	}
	for _, p := range g.Inputs {
		if last[p] > g.Final[p] {
			c.add(OffsetWentBack, "of %v from %d to %d in the end", p, last[p], g.Final[p])
		}
		for _, e := range c.Logs[p] {
			n := copies[e.Value]
			switch {
			case n > 1:
				c.add(CopyDuplicate, "%v at %v offset %d has %d", e.Value, p, e.Offset, n)
			case e.Visible && e.Offset < g.Final[p] && n == 0:
				c.add(CopyLost, "%v at %v offset %d; the committed offset is %d", e.Value, p, e.Offset, g.Final[p])
			case n == 1 && (!e.Visible || e.Offset >= g.Final[p]):
				c.add(CopyTooEarly, "%v at %v offset %d (visible: %v); the committed offset is %d", e.Value, p, e.Offset, e.Visible, g.Final[p])
			}
		}
	}
}

func (c *checker) ends() {
	for _, text := range c.Open {
		c.add(OpenTransaction, "in the end: %s", text)
	}
	for _, pin := range c.Pinned {
		c.LongestPin = max(c.LongestPin, pin.For)
		if pin.For > c.PinnedMost {
			c.add(OpenTransaction, "%v: the last stable offset was %d for %v", pin.Partition, pin.Offset, pin.For)
		}
	}
}
