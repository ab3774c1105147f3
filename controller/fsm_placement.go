package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"minikafka/metadata"
)

// place is Kafka's StripedReplicaPlacer: leaders go round the racks, the replicas of a partition to
// different racks as far as they reach, and within a rack round its brokers, those that serve before
// those that are fenced. problem is Kafka's text of why it cannot be done.
func place(image *metadata.Image, random *rand.Rand, partitions, replicas int) (assignments [][]int32, problem string) {
	racks := newRackList(image, random)
	switch {
	case replicas <= 0:
		return nil, fmt.Sprintf("Invalid replication factor %d: the replication factor must be positive.", replicas)
	case racks.unfenced == 0:
		return nil, "All brokers are currently fenced."
	case replicas > racks.total:
		return nil, fmt.Sprintf("The target replication factor of %d cannot be reached because only %d broker(s) are registered "+
			"or some brokers have all their log directories cordoned.",
			replicas, racks.total)
	}
	for range partitions {
		assignments = append(assignments, racks.place(replicas))
	}
	return assignments, ""
}

// brokerRing hands out its brokers one after the other, once a round; each round starts one further.
type brokerRing struct {
	brokers              []int32
	round, index, offset int
}

func (r *brokerRing) shuffleInto(random *rand.Rand) {
	slices.Sort(r.brokers)
	if len(r.brokers) > 0 {
		r.offset = random.IntN(len(r.brokers))
	}
	r.round = -1
}

// next is -1 when all were handed out in this round.
func (r *brokerRing) next(round int) int32 {
	if len(r.brokers) == 0 {
		return -1
	}
	if r.round != round {
		r.round, r.index = round, 0
		r.offset = (r.offset + 1) % len(r.brokers)
	}
	if r.index >= len(r.brokers) {
		return -1
	}
	id := r.brokers[(r.index+r.offset)%len(r.brokers)]
	r.index++
	return id
}

// rack is the brokers of one rack.
type rack struct {
	name             string
	unfenced, fenced brokerRing
}

func (r *rack) next(round int) int32 {
	if id := r.unfenced.next(round); id >= 0 {
		return id
	}
	return r.fenced.next(round)
}

// rackList is the racks by name; brokers without one are a rack of their own.
type rackList struct {
	racks           []*rack
	total, unfenced int
	round, offset   int
	random          *rand.Rand
}

func newRackList(image *metadata.Image, random *rand.Rand) *rackList {
	l := &rackList{random: random}
	byName := map[string]*rack{}
	for b := range image.Brokers() {
		if b.InControlledShutdown {
			continue
		}
		name := ""
		if b.Rack != nil {
			name = "r" + *b.Rack // apart from "no rack"
		}
		r := byName[name]
		if r == nil {
			r = &rack{name: name}
			byName[name] = r
			l.racks = append(l.racks, r)
		}
		l.total++
		if b.Fenced {
			r.fenced.brokers = append(r.fenced.brokers, b.ID)
			continue
		}
		l.unfenced++
		r.unfenced.brokers = append(r.unfenced.brokers, b.ID)
	}
	slices.SortFunc(l.racks, func(a, b *rack) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	l.shuffle()
	return l
}

func (l *rackList) shuffle() {
	l.round = 0
	for _, r := range l.racks {
		r.unfenced.shuffleInto(l.random)
		r.fenced.shuffleInto(l.random)
	}
	if len(l.racks) > 0 {
		l.offset = l.random.IntN(len(l.racks))
	}
}

// place is the replicas of one partition; the first is never fenced. There are at least so many brokers.
func (l *rackList) place(replicas int) []int32 {
	if l.round == l.unfenced {
		l.shuffle()
	}
	l.offset %= len(l.racks)
	out := make([]int32, 0, replicas)
	first := l.offset
	for len(out) == 0 {
		if id := l.racks[first].unfenced.next(l.round); id >= 0 {
			out = append(out, id)
			break
		}
		first = (first + 1) % len(l.racks)
	}
	at := l.offset
	for skip := true; len(out) < replicas; at = (at + 1) % len(l.racks) {
		if skip && at == first { // its rack has had its turn
			skip = false
			continue
		}
		if id := l.racks[at].next(l.round); id >= 0 {
			out = append(out, id)
		}
	}
	l.round++
	l.offset++
	return out
}
