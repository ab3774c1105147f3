package groupcoord

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/metadata"
)

var casesFile = flag.String("cases", "", "write the cases of TestAssignmentsBesideKafkas to this file, and stop")

// fixedTopics are topics by their index.
type fixedTopics []TopicInfo

func (f fixedTopics) Version() int64 { return 1 }

func (f fixedTopics) ByName(name string) (TopicInfo, bool) {
	for _, t := range f {
		if t.Name == name {
			return t, true
		}
	}
	return TopicInfo{}, false
}

func (f fixedTopics) ByID(id metadata.UUID) (TopicInfo, bool) {
	i := int(binary.BigEndian.Uint64(id[8:]))
	if i >= len(f) || f[i].ID != id {
		return TopicInfo{}, false
	}
	return f[i], true
}

func (f fixedTopics) All() iter.Seq[TopicInfo] { return slices.Values(f) }

// topicID is of the topic with an index: the order of ids is not that of indexes.
func topicID(i int) (id metadata.UUID) {
	binary.BigEndian.PutUint64(id[:], uint64(i)*0x9e3779b97f4a7c15>>1)
	binary.BigEndian.PutUint64(id[8:], uint64(i))
	return id
}

func topicsOf(partitions ...int32) (f fixedTopics) {
	for i, n := range partitions {
		f = append(f, TopicInfo{Name: fmt.Sprintf("t%d", i), ID: topicID(i), Partitions: n})
	}
	return f
}

func idsOf(topics ...int) (ids []metadata.UUID) {
	for _, t := range topics {
		ids = append(ids, topicID(t))
	}
	slices.SortFunc(ids, func(a, b metadata.UUID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// homogeneous are n members m000, m001 … with one subscription.
func homogeneous(topics fixedTopics, n int) *AssignSpec {
	all := make([]int, len(topics))
	for i := range all {
		all[i] = i
	}
	spec := &AssignSpec{Homogeneous: true, Topics: topics}
	subscribed := idsOf(all...)
	for i := range n {
		spec.Members = append(spec.Members, AssignMember{ID: fmt.Sprintf("m%03d", i), Subscribed: subscribed})
	}
	return spec
}

// follow makes assignments the targets of the next.
func follow(spec *AssignSpec, assignments []Assignment) {
	for i := range spec.Members {
		spec.Members[i].Target = assignments[i]
	}
}

func load(a Assignment) (n int) {
	for _, partitions := range a {
		n += len(partitions)
	}
	return n
}

// lost is how many partitions members had, could have kept, and do not have any more.
func lost(spec *AssignSpec, assignments []Assignment) (n int) {
	for i, m := range spec.Members {
		for id, partitions := range m.Target {
			info, ok := spec.Topics.ByID(id)
			if !ok || !slices.Contains(m.Subscribed, id) {
				continue
			}
			for _, p := range partitions {
				if p < info.Partitions && !slices.Contains(assignments[i][id], p) {
					n++
				}
			}
		}
	}
	return n
}

// check fails unless every subscribed partition has exactly one owner, which subscribes its topic.
func check(t *testing.T, spec *AssignSpec, assignments []Assignment) {
	t.Helper()
	require.Len(t, assignments, len(spec.Members))
	owned := map[metadata.UUID][]bool{}
	for _, m := range spec.Members {
		for _, id := range m.Subscribed {
			info, _ := spec.Topics.ByID(id)
			owned[id] = make([]bool, info.Partitions)
		}
	}
	for i, a := range assignments {
		for id, partitions := range a {
			if !slices.Contains(spec.Members[i].Subscribed, id) || len(partitions) == 0 || !slices.IsSorted(partitions) {
				t.Fatalf("%s has %v of topic %x", spec.Members[i].ID, partitions, id)
			}
			for _, p := range partitions {
				if owned[id][p] {
					t.Fatalf("partition %d of %x has two owners", p, id)
				}
				owned[id][p] = true
			}
		}
	}
	for id, topic := range owned {
		if slices.Contains(topic, false) {
			t.Fatalf("a partition of %x has no owner", id)
		}
	}
}

func TestUniformIsBalancedAndMovesNoMoreThanItMust(t *testing.T) {
	spec := homogeneous(topicsOf(7, 3, 12), 1)
	assignments := Uniform{}.Assign(spec)
	check(t, spec, assignments)
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		follow(spec, assignments)
		shared := spec.Members[0].Subscribed
		if n := len(spec.Members); r.IntN(2) == 0 {
			for range r.IntN(n) {
				i := r.IntN(len(spec.Members))
				spec.Members = slices.Delete(spec.Members, i, i+1)
			}
		} else {
			for range r.IntN(5) {
				spec.Members = append(spec.Members, AssignMember{ID: fmt.Sprintf("m%06d", r.IntN(1e6)), Subscribed: shared})
			}
		}
		assignments = Uniform{}.Assign(spec)
		check(t, spec, assignments)
		share, extra, least := 22/len(spec.Members), 22%len(spec.Members), 0
		for i, a := range assignments {
			require.InDelta(t, float64(22)/float64(len(spec.Members)), load(a), 1)
			had := load(spec.Members[i].Target)
			most := share
			if extra > 0 && had > share {
				extra--
				most++
			}
			least += max(0, had-most)
		}
		require.Equal(t, least, lost(spec, assignments), "moved more than balance asks for")
	}
}

func TestUniformSpreadsEachTopic(t *testing.T) {
	spec := homogeneous(topicsOf(10, 10, 10), 1)
	assignments := Uniform{}.Assign(spec)
	follow(spec, assignments)
	spec.Members = append(spec.Members, AssignMember{ID: "new", Subscribed: spec.Members[0].Subscribed})
	for _, a := range (Uniform{}).Assign(spec) {
		for topic := range 3 {
			require.Len(t, a[topicID(topic)], 5, "each member has half of each topic")
		}
	}
}

func TestUniformReturnsTheTargetWhereNothingChanges(t *testing.T) {
	for _, topics := range [][]int{{0, 1}, {0}} {
		spec := homogeneous(topicsOf(5, 5), 3)
		spec.Members[2].Subscribed = idsOf(topics...)
		spec.Homogeneous = len(topics) == 2
		first := Uniform{}.Assign(spec)
		follow(spec, first)
		for i, a := range (Uniform{}).Assign(spec) {
			a[metadata.UUID{}] = nil // seen through the other, if it is the same map
			require.Contains(t, first[i], metadata.UUID{})
		}
	}
}

// TestUniformBalancesThroughOthers: m1 can give to m2 alone, m2 to m3 alone.
func TestUniformBalancesThroughOthers(t *testing.T) {
	spec := &AssignSpec{Topics: topicsOf(6, 6), Members: []AssignMember{
		{ID: "m1", Subscribed: idsOf(0)},
		{ID: "m2", Subscribed: idsOf(0, 1), Target: Assignment{topicID(1): {0, 1, 2, 3, 4, 5}}},
		{ID: "m3", Subscribed: idsOf(1)},
	}}
	assignments := Uniform{}.Assign(spec)
	check(t, spec, assignments)
	for _, a := range assignments {
		require.Equal(t, 4, load(a))
	}
}

func TestAssignorsOfEmptyGroupsAndTopics(t *testing.T) {
	for _, a := range []Assignor{Uniform{}, Range{}} {
		require.Empty(t, a.Assign(&AssignSpec{Homogeneous: true, Topics: topicsOf()}))
		spec := homogeneous(topicsOf(), 2)
		check(t, spec, a.Assign(spec))
		spec = homogeneous(topicsOf(1), 3)
		spec.Members[0].Target = Assignment{topicID(9): {0}, topicID(0): {7}}
		check(t, spec, a.Assign(spec))
	}
}

// assignCase is a random group after random changes.
func assignCase(r *rand.Rand) *AssignSpec {
	topics := make(fixedTopics, 1+r.IntN(5))
	for i := range topics {
		topics[i] = TopicInfo{Name: fmt.Sprintf("t%d", i), ID: topicID(i), Partitions: int32(1 + r.IntN(12))}
	}
	spec := &AssignSpec{Topics: topics, Homogeneous: r.IntN(2) == 0}
	n := 1 + r.IntN(12)
	for i := range n {
		m := AssignMember{ID: fmt.Sprintf("m%02d", i)}
		if r.IntN(4) == 0 {
			m.InstanceID = fmt.Sprintf("i%02d", (i*7+5)%100)
		}
		spec.Members = append(spec.Members, m)
	}
	subscribeAtRandom(r, spec)
	for range r.IntN(3) { // a history: others were there, topics were smaller, subscriptions differed
		was := *spec
		was.Members = slices.Clone(spec.Members)
		was.Topics = slices.Clone(topics)
		if r.IntN(3) == 0 {
			smaller := &was.Topics.(fixedTopics)[r.IntN(len(topics))]
			smaller.Partitions = 1 + r.Int32N(smaller.Partitions)
		}
		if r.IntN(4) == 0 && !spec.Homogeneous {
			subscribeAtRandom(r, &was)
		}
		was.Members = was.Members[min(len(was.Members)-1, r.IntN(4)):]
		for i := range len(spec.Members) - len(was.Members) {
			spec.Members[i].Target = nil
		}
		for i, a := range (Uniform{}).Assign(&was) {
			spec.Members[len(spec.Members)-len(was.Members)+i].Target = a
		}
	}
	return spec
}

func subscribeAtRandom(r *rand.Rand, spec *AssignSpec) {
	topics := spec.Topics.(fixedTopics)
	var shared []int
	for t := range topics {
		if r.IntN(4) > 0 {
			shared = append(shared, t)
		}
	}
	for i := range spec.Members {
		if !spec.Homogeneous {
			shared = nil
			for t := range topics {
				if r.IntN(5) < 3 {
					shared = append(shared, t)
				}
			}
		}
		spec.Members[i].Subscribed = idsOf(shared...)
	}
}

const (
	assignCases = 4000
	answersFile = "testdata/assignments-4.4.0.txt"
)

func eachCase(do func(n int, spec *AssignSpec)) {
	r := rand.New(rand.NewPCG(44, 0))
	for n := range assignCases {
		do(n, assignCase(r))
	}
}

// TestAssignmentsBesideKafkas compares with what Apache Kafka 4.4.0's own assignors made of the same cases
// (compat-tests/assignors). Range is equal. Uniform is as balanced or better, and as balanced moves no more.
func TestAssignmentsBesideKafkas(t *testing.T) {
	if *casesFile != "" {
		writeCases(t)
		return
	}
	data, err := os.ReadFile(answersFile)
	require.NoError(t, err)
	answers := strings.Split(strings.TrimSpace(string(data)), "\n")
	require.Len(t, answers, assignCases)
	better, fewer, more := 0, 0, 0
	eachCase(func(n int, spec *AssignSpec) {
		var number, squares, moves int
		var hash string
		_, err := fmt.Sscanf(answers[n], "%d %s %d %d", &number, &hash, &squares, &moves)
		require.NoError(t, err)
		ranged := Range{}.Assign(spec)
		check(t, spec, ranged)
		require.Equal(t, hash, digest(spec, ranged), "range, case %d", n)
		uniform := Uniform{}.Assign(spec)
		check(t, spec, uniform)
		require.Equal(t, uniform, Uniform{}.Assign(spec), "the same again")
		ours := 0
		for _, a := range uniform {
			ours += load(a) * load(a)
		}
		require.LessOrEqual(t, ours, squares, "uniform, case %d", n)
		moved := lost(spec, uniform)
		switch {
		case ours < squares:
			better++
		case moved < moves:
			fewer++
		case moved > moves:
			more++
			t.Logf("case %d moves %d, Kafka %d", n, moved, moves)
		}
	})
	t.Logf("of %d cases: %d better balanced than Kafka's, %d as balanced with fewer moves", assignCases, better, fewer)
	require.Zero(t, more)
}

func digest(spec *AssignSpec, assignments []Assignment) string {
	h := sha256.New()
	for i, a := range assignments {
		_, _ = fmt.Fprintf(h, "%s%s\n", spec.Members[i].ID, assignmentText(spec, a))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// assignmentText is " topic:partition,partition" for each topic, by index.
func assignmentText(spec *AssignSpec, a Assignment) string {
	var out strings.Builder
	for i := range 20 {
		if partitions := a[topicID(i)]; len(partitions) > 0 {
			fmt.Fprintf(&out, " %d:%s", i, strings.ReplaceAll(strings.Trim(fmt.Sprint(partitions), "[]"), " ", ","))
		}
	}
	return out.String()
}

// writeCases writes what the Java program of compat-tests/assignors reads.
func writeCases(t *testing.T) {
	f, err := os.Create(*casesFile)
	require.NoError(t, err)
	w := bufio.NewWriter(f)
	eachCase(func(n int, spec *AssignSpec) {
		_, _ = fmt.Fprintf(w, "case %d %t\n", n, spec.Homogeneous)
		for i, topic := range spec.Topics.(fixedTopics) {
			_, _ = fmt.Fprintf(w, "topic %d %d %d\n", i, int64(binary.BigEndian.Uint64(topic.ID[:8])), topic.Partitions)
		}
		for _, m := range spec.Members {
			_, _ = fmt.Fprintf(w, "member %s %q subscribed", m.ID, m.InstanceID)
			for i := range spec.Topics.(fixedTopics) {
				if slices.Contains(m.Subscribed, topicID(i)) {
					_, _ = fmt.Fprintf(w, " %d", i)
				}
			}
			_, _ = fmt.Fprintf(w, " had%s\n", assignmentText(spec, m.Target))
		}
	})
	require.NoError(t, w.Flush())
	require.NoError(t, f.Close())
}

func benchmarkAssign(b *testing.B, a Assignor, change func(*AssignSpec, []Assignment)) {
	partitions := make([]int32, 100)
	for i := range partitions {
		partitions[i] = 100
	}
	spec := homogeneous(topicsOf(partitions...), 1000)
	change(spec, a.Assign(spec))
	b.ReportAllocs()
	for b.Loop() {
		a.Assign(spec)
	}
}

// 1,000 members and 10,000 partitions of 100 topics.
func BenchmarkUniformFresh(b *testing.B) {
	benchmarkAssign(b, Uniform{}, func(*AssignSpec, []Assignment) {})
}

func BenchmarkUniformOneLeaves(b *testing.B) {
	benchmarkAssign(b, Uniform{}, func(spec *AssignSpec, as []Assignment) {
		follow(spec, as)
		spec.Members = spec.Members[1:]
	})
}

func BenchmarkUniformMixedFresh(b *testing.B) {
	benchmarkAssign(b, Uniform{}, func(spec *AssignSpec, _ []Assignment) { mix(spec) })
}

func BenchmarkUniformMixedOneLeaves(b *testing.B) {
	benchmarkAssign(b, Uniform{}, func(spec *AssignSpec, _ []Assignment) {
		mix(spec)
		follow(spec, Uniform{}.Assign(spec))
		spec.Members = spec.Members[1:]
	})
}

func BenchmarkUniformMixedHundredJoin(b *testing.B) {
	benchmarkAssign(b, Uniform{}, func(spec *AssignSpec, _ []Assignment) {
		mix(spec)
		whole := spec.Members
		spec.Members = spec.Members[:900]
		follow(spec, Uniform{}.Assign(spec))
		spec.Members = whole
	})
}

func BenchmarkRange(b *testing.B) {
	benchmarkAssign(b, Range{}, func(*AssignSpec, []Assignment) {})
}

// mix gives each member ten of the topics.
func mix(spec *AssignSpec) {
	spec.Homogeneous = false
	for i := range spec.Members {
		var topics []int
		for k := range 10 {
			topics = append(topics, (i*7+k*(1+i%3))%100)
		}
		slices.Sort(topics)
		spec.Members[i].Subscribed = idsOf(slices.Compact(topics)...)
	}
}
