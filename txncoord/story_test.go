package txncoord

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// teller runs a machine as a shard would, and tells what comes out.
type teller struct {
	m       *Machine
	now     time.Time
	log     []coordinator.Record
	token   coordinator.Token
	who     map[coordinator.Token]string // who waits for an answer
	owed    []markers
	level   int16
	ids     int64 // the next producer id
	noIDs   bool
	batch   int
	expires time.Duration
	text    strings.Builder
}

func newTeller() *teller {
	s := &teller{
		now: time.UnixMilli(1_000_000).UTC(), who: map[coordinator.Token]string{}, level: 2, batch: 1 << 20, ids: 100, expires: time.Hour,
	}
	s.load()
	return s
}

// load makes a machine from the log. Who waited gets no answer, and markers that were owed are forgotten:
// the machine must find them again.
func (s *teller) load() {
	s.m = NewMachine(Settings{
		Expiration: s.expires, ExpiryInterval: 10 * time.Minute,
		Level: func() int16 { return s.level }, MaxBatchBytes: func() int { return s.batch },
		ProducerID: func() (int64, bool) {
			if s.noIDs {
				return 0, false
			}
			s.ids++
			return s.ids - 1, true
		},
	})
	clear(s.who)
	s.owed = nil
	for i, r := range s.log {
		if err := s.m.Replay(int64(i), -1, r); err != nil {
			panic(err)
		}
	}
	s.tell(s.m.Loaded(s.now))
}

// tell writes down an outcome.
func (s *teller) tell(o coordinator.Outcome) {
	for _, e := range o.Events {
		fmt.Fprintf(&s.text, "event: %s %v\n", e.Message, e.Args)
	}
	for _, r := range o.Records {
		s.log = append(s.log, r)
		fmt.Fprintf(&s.text, "record: %s\n", tellRecord(r))
	}
	for _, a := range o.Actions {
		owed := a.(markers)
		s.owed = append(s.owed, owed)
		fmt.Fprintf(&s.text, "markers: %s of %s\n", tellMarkers(owed), owed.id)
	}
	for _, r := range o.Replies {
		if who, ok := s.who[r.Token]; ok {
			fmt.Fprintf(&s.text, "%s: %s\n", who, tellAnswer(r.Answer))
			delete(s.who, r.Token)
		}
	}
}

func tellMarkers(m markers) string {
	what := "abort"
	if m.commit {
		what = "commit"
	}
	return fmt.Sprintf("%s of %d/%d v%d on %v", what, m.producerID, m.epoch, m.version, tellPartitions(m.partitions))
}

func tellPartitions(list []TopicPartition) []string {
	var names []string
	for _, p := range list {
		names = append(names, fmt.Sprintf("%s-%d", p.Topic, p.Partition))
	}
	return names
}

func tellRecord(r coordinator.Record) string {
	id, err := parseKey(r.Key)
	if err != nil {
		return err.Error()
	}
	if r.Value == nil {
		return id + " is no more"
	}
	t, err := parseTransaction(id, r.Value)
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%s %v %d/%d v%d %v", id, t.state, t.producerID, t.epoch, t.version, tellPartitions(t.sorted()))
	if t.previousProducerID != noProducerID && t.previousProducerID != t.producerID {
		text += fmt.Sprintf(" before %d", t.previousProducerID)
	}
	if t.nextProducerID != noProducerID {
		text += fmt.Sprintf(" next %d", t.nextProducerID)
	}
	return text
}

func tellCode(e *kerr.Error) string {
	if e == nil {
		return "ok"
	}
	return e.Message
}

func tellAnswer(a any) string {
	switch r := a.(type) {
	case Identity:
		switch {
		case r.needsID:
			return "needs a producer id"
		case r.Code != nil:
			return tellCode(r.Code)
		}
		return fmt.Sprintf("ok, goes on with %d/%d", r.ProducerID, r.Epoch)
	case Added:
		if r.Code == nil && len(r.Missing) > 0 {
			t := transaction{partitions: map[TopicPartition]struct{}{}}
			for p := range r.Missing {
				t.partitions[p] = struct{}{}
			}
			return fmt.Sprintf("not in the transaction: %v", tellPartitions(t.sorted()))
		}
		return tellCode(r.Code)
	case []kmsg.DescribeTransactionsResponseTransactionState:
		d := r[0]
		if d.ErrorCode != 0 {
			return kerr.TypedErrorForCode(d.ErrorCode).Message
		}
		text := fmt.Sprintf("%s %s %d/%d timeout %d began %d", d.TransactionalID, d.State, d.ProducerID, d.ProducerEpoch, d.TimeoutMillis, d.StartTimestamp)
		for _, t := range d.Topics {
			text += fmt.Sprintf(" %s%v", t.Topic, t.Partitions)
		}
		return text
	case []kmsg.ListTransactionsResponseTransactionState:
		var rows []string
		for _, row := range r {
			rows = append(rows, fmt.Sprintf("%s %d %s", row.TransactionalID, row.ProducerID, row.TransactionState))
		}
		slices.Sort(rows)
		return strings.Join(rows, ", ")
	}
	return fmt.Sprintf("%T", a)
}

// line is one command of a story: name=value, with defaults.
type line struct{ d *datadriven.TestData }

func (l line) str(name, def string) string {
	for _, c := range l.d.CmdArgs {
		if c.Key == name {
			return strings.Join(c.Vals, ",")
		}
	}
	return def
}

func (l line) num(name string, def int) int {
	n, err := strconv.Atoi(l.str(name, strconv.Itoa(def)))
	if err != nil {
		panic(err)
	}
	return n
}

func (l line) list(name, def string) []string {
	return strings.FieldsFunc(l.str(name, def), func(r rune) bool { return r == ',' || r == ' ' })
}

func (l line) duration(name, def string) time.Duration {
	d, err := time.ParseDuration(l.str(name, def))
	if err != nil {
		panic(err)
	}
	return d
}

func (l line) partitions() []TopicPartition {
	var list []TopicPartition
	for _, name := range l.list("on", "a-0") {
		at := strings.LastIndexByte(name, '-')
		p, err := strconv.Atoi(name[at+1:])
		if err != nil {
			panic(err)
		}
		list = append(list, TopicPartition{name[:at], int32(p)})
	}
	return list
}

func (s *teller) run(d *datadriven.TestData) string {
	l := line{d}
	s.text.Reset()
	s.token++
	s.who[s.token] = l.str("who", d.Cmd)
	id, producer, epoch := strings.Trim(l.str("id", "t"), "'"), int64(l.num("producer", 100)), int16(l.num("epoch", 0))
	switch d.Cmd {
	case "init": // without producer= it has none
		r := Init{TransactionalID: id, TimeoutMs: int32(l.duration("timeout", "1m").Milliseconds()), ProducerID: -1, Epoch: -1}
		if l.str("producer", "") != "" {
			r.ProducerID, r.Epoch = producer, epoch
		}
		s.tell(s.m.InitProducerID(s.now, s.token, r))
	case "add", "verify":
		s.tell(s.m.AddPartitions(s.now, s.token, Add{
			TransactionalID: id, ProducerID: producer, Epoch: epoch, VerifyOnly: d.Cmd == "verify",
			Version: int16(l.num("version", 2)), Partitions: l.partitions(),
		}))
	case "commit", "abort":
		s.tell(s.m.EndTxn(s.now, s.token, End{
			TransactionalID: id, ProducerID: producer, Epoch: epoch, Commit: d.Cmd == "commit", VersionTwo: l.num("version", 2) == 2,
		}))
	case "describe":
		s.tell(s.m.Describe(s.now, s.token, []string{id}))
	case "list":
		s.tell(s.m.List(s.now, s.token, s.filter(l)))
	default:
		delete(s.who, s.token)
		s.happen(d.Cmd, l)
	}
	if _, waits := s.who[s.token]; waits {
		s.text.WriteString("it waits\n")
	}
	return s.text.String()
}

func (s *teller) filter(l line) Filter {
	f := Filter{Duration: l.duration("longer", "-1ms")}
	f.States, _ = ParseStates(l.list("states", ""))
	for _, p := range l.list("producers", "") {
		n, err := strconv.ParseInt(p, 10, 64)
		if err != nil {
			panic(err)
		}
		f.ProducerIDs = append(f.ProducerIDs, n)
	}
	if pattern := l.str("pattern", ""); pattern != "" {
		f.Pattern = regexp.MustCompile("^(?:" + pattern + ")$")
	}
	return f
}

// happen is what no client asks for.
func (s *teller) happen(what string, l line) {
	switch what {
	case "settings":
		s.level, s.batch, s.noIDs = int16(l.num("level", 2)), l.num("batch", 1<<20), l.str("ids", "") == "none"
	case "crash":
		s.load()
	case "written": // the oldest markers that are owed
		a := s.owed[0]
		s.owed = s.owed[1:]
		s.tell(s.m.Completed(s.now, s.token, a.id, a.producerID, a.epoch))
	case "written-before-the-crash": // a sender of the life before says so now
		s.tell(s.m.Completed(s.now, s.token, l.str("id", "t"), int64(l.num("producer", 100)), int16(l.num("epoch", 0))))
	case "used-up": // many transactions later: a record that says so, and a start from it
		t := *s.m.byID[l.str("id", "t")]
		t.epoch = int16(l.num("epoch", int(exhaustedEpoch)))
		s.log = append(s.log, t.record(s.level))
		s.load()
	case "pass":
		began := s.now
		for end := s.now.Add(l.duration("time", "1s")); ; {
			wake := s.m.Wake()
			if wake.After(end) {
				s.now = end
				return
			}
			if wake.After(s.now) {
				s.now = wake
			}
			before := s.text.Len()
			o := s.m.Tick(s.now)
			if len(o.Records)+len(o.Replies)+len(o.Events) > 0 {
				fmt.Fprintf(&s.text, "after %v:\n", s.now.Sub(began))
			}
			s.tell(o)
			if s.text.Len() == before && !s.m.Wake().After(s.now) {
				panic("the machine wants to be woken again and again")
			}
		}
	default:
		panic("unknown command " + what)
	}
}

// TestStories runs the scenarios in testdata; each file is a story that can be read.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := newTeller()
		datadriven.RunTest(t, path, func(_ *testing.T, d *datadriven.TestData) string { return s.run(d) })
		s.requireReplayed(t)
	})
}

// requireReplayed: memory is the replay of the log.
func (s *teller) requireReplayed(t *testing.T) {
	t.Helper()
	before := s.m.byID
	s.load()
	require.Len(t, s.m.byID, len(before))
	for id, one := range before {
		require.Equal(t, tellRecord(one.record(s.level)), tellRecord(s.m.byID[id].record(s.level)))
	}
}
