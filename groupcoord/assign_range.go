package groupcoord

import (
	"cmp"
	"slices"

	"minikafka/metadata"
)

// Range gives each member a run of consecutive partitions of each of its topics. The members are in one
// order for all topics, so members with one subscription have the same partitions of topics with equally
// many: what is keyed alike is consumed together. The last assignment does not matter.
type Range struct{}

// Name is "range".
func (Range) Name() string { return "range" }

// Assign is Assignor.Assign.
func (Range) Assign(spec *AssignSpec) []Assignment {
	order := rangeOrder(spec.Members)
	subscribers := map[metadata.UUID]int32{}
	for i := range spec.Members {
		for _, topic := range spec.Members[i].Subscribed {
			subscribers[topic]++
		}
	}
	topics := make(map[metadata.UUID]*rangeTopic, len(subscribers))
	for id, n := range subscribers {
		info, _ := spec.Topics.ByID(id)
		topics[id] = &rangeTopic{all: info.Partitions, share: info.Partitions / n, extra: info.Partitions % n}
	}
	assignments := make([]Assignment, len(spec.Members))
	for _, i := range order {
		m := &spec.Members[i]
		a := make(Assignment, len(m.Subscribed))
		for _, id := range m.Subscribed {
			if run := topics[id].take(); len(run) > 0 {
				a[id] = run
			}
		}
		assignments[i] = kept(m.Target, a)
	}
	return assignments
}

// rangeTopic is what is left of a topic to hand out.
type rangeTopic struct{ all, share, extra, next int32 }

func (t *rangeTopic) take() []int32 {
	n := t.share
	if t.extra > 0 {
		t.extra--
		n++
	}
	run := make([]int32, n)
	for i := range run {
		run[i] = t.next
		t.next++
	}
	return run
}

// rangeOrder is the order of members: the static ones by instance, which outlives their ids, then the others.
func rangeOrder(members []AssignMember) []int {
	order := make([]int, len(members))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := members[a].InstanceID, members[b].InstanceID
		if (x == "") != (y == "") {
			return -cmp.Compare(x, y) // "" is the smallest, and comes last
		}
		return cmp.Compare(x, y)
	})
	return order
}

// kept is the target itself when the assignment is the same: then the caller sees at once that nothing changed.
func kept(target, a Assignment) Assignment {
	if len(target) != len(a) {
		return a
	}
	for topic, partitions := range a {
		if !slices.Equal(target[topic], partitions) {
			return a
		}
	}
	if target == nil {
		return a
	}
	return target
}
