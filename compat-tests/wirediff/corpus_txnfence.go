package wirediff

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// opened is a producer with a transaction on a topic, which times out after a time.
func (s *script) opened(name, topic string, timeoutMs int32, versionTwo bool) *producer {
	p := s.producer(name)
	p.reinit("", 4, timeoutMs, -1, -1)
	if versionTwo {
		p.produce(name+": produce", 12, topic)
	} else {
		p.add(name+": add", 3, topic, 0)
		p.produce(name+": produce", 11, topic)
	}
	return p
}

// reinit asks for an epoch until no transaction is in the way; the producer has what the answer says.
func (p *producer) reinit(step string, version int16, timeoutMs int32, pid int64, epoch int16) {
	ask := func() kmsg.Request { return initTxn(p.id, timeoutMs, pid, epoch) }
	take := func(resp kmsg.Response) int16 {
		r := resp.(*kmsg.InitProducerIDResponse)
		if r.ErrorCode == 0 {
			p.pid, p.epoch, p.next = r.ProducerID, r.ProducerEpoch, map[string]int32{}
		}
		return r.ErrorCode
	}
	if step == "" {
		p.s.await("producer id of "+p.id, func() bool { return take(p.s.quiet(version, ask())) == 0 })
		return
	}
	p.s.retry(step, version, ask, take)
}

func (p *producer) describe(step string) {
	p.s.send(step, 0, &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{p.id}})
}

// txnFenceScenario ends transactions from outside: by a new producer of the id, by the same one with its id and
// epoch (KIP-360), and by the time-out.
func txnFenceScenario(s *script) {
	t := s.topic("t", 1)
	for _, two := range []bool{false, true} {
		name := func(what string) string { return fmt.Sprintf("%s, version two %t", what, two) }
		end := int16(3)
		if two {
			end = 5
		}
		fenced := func(old *producer, what string) {
			old.end(name(what+": commit"), end, true)
			old.end(name(what+": abort"), end, false)
			old.add(name(what+": add"), 3, t, 0)
			old.produce(name(what+": produce"), 11, t)
			old.produce(name(what+": produce v2"), 12, t)
		}
		p := s.opened(name("anew"), t, 60000, two)
		old := *p
		p.reinit(name("anew: init"), 5, 60000, -1, -1)
		p.describe(name("anew: describe"))
		fenced(&old, "anew")
		old.reinit(name("anew: init by the old"), 5, 60000, old.pid, old.epoch)

		p = s.opened(name("own"), t, 60000, two)
		old = *p
		p.reinit(name("own: init"), 5, 60000, p.pid, p.epoch)
		p.describe(name("own: describe"))
		old.reinit(name("own: init again"), 5, 60000, old.pid, old.epoch)
		fenced(&old, "own")
		p.reinit(name("own: init with the new"), 5, 60000, p.pid, p.epoch)

		p = s.opened(name("late"), t, 300, two)
		p.settled("CompleteAbort")
		p.describe(name("late: describe"))
		old = *p
		fenced(&old, "late")
		p.reinit(name("late: init"), 5, 60000, p.pid, p.epoch)
		p.describe(name("late: describe after init"))
	}
}

// abortedScenario reads aborted transactions over several segments: a marker is so much newer than the records
// that each begins a segment.
func abortedScenario(s *script) {
	for _, interval := range []string{"4096", "0"} {
		t := s.topic("interval-"+interval, 1, "segment.ms", "10", "index.interval.bytes", interval)
		var producers []*producer
		for i := range 3 {
			producers = append(producers, s.producer(fmt.Sprintf("p%d-%s", i, interval)))
		}
		for round := range 6 {
			for i, p := range producers {
				for n := range 1 + (round+i)%3 {
					p.produce(fmt.Sprintf("interval %s, round %d: produce %d by %d", interval, round, n, i), 12, t)
				}
				if (round+i)%3 == 2 {
					continue // stays open over the next round
				}
				time.Sleep(30 * time.Millisecond)
				commit := (round*i)%2 == 1
				p.end(fmt.Sprintf("interval %s, round %d: end of %d", interval, round, i), 5, commit)
				p.settled(map[bool]string{true: "CompleteCommit", false: "CompleteAbort"}[commit])
			}
		}
		for _, size := range []int32{1, 150, 400, 1 << 20} {
			for offset := int64(0); offset < 44; offset += 3 {
				fetch := s.fetch(11, t, offset)
				fetch.IsolationLevel = 1
				fetch.MaxBytes, fetch.Topics[0].Partitions[0].PartitionMaxBytes = 1<<20, size
				s.send(fmt.Sprintf("interval %s: fetch at %d, %d bytes v11", interval, offset, size), 11, fetch)
			}
		}
	}
}

// versionOneScenario: a cluster that finalized transaction.version 1. Clients of version 2 do not ask it so, and
// are served all the same; who ends a transaction from outside does it by version 1.
func versionOneScenario(s *script) {
	s.each("features", 3, 4, func(int16) kmsg.Request { return apiVersionsRequest("wirediff", "1.0") })
	txnLifeScenario(s)
	s.name += "-fence"
	txnFenceScenario(s)
}
