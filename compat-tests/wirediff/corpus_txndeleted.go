package wirediff

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// again deletes a topic and makes it anew.
func (s *script) again(name string, partitions int32) {
	s.quiet(6, deleteTopics(s.t(name)))
	s.awaitGone(s.t(name))
	s.topic(name, partitions)
}

// fetched notes what a reader of each isolation finds in a topic.
func (s *script) fetched(step, topic string) {
	for isolation, what := range []string{"uncommitted", "committed"} {
		fetch := s.fetch(11, topic, 0)
		fetch.IsolationLevel = int8(isolation)
		fetch.MaxBytes, fetch.Topics[0].Partitions[0].PartitionMaxBytes = 1<<20, 1<<20
		s.send(fmt.Sprintf("%s: read %s", step, what), 11, fetch)
	}
}

// txnDeletedScenario deletes topics, and makes them anew, under open transactions.
func txnDeletedScenario(s *script) {
	s.awaitCoordinator()
	for _, two := range []bool{false, true} {
		end, produce := int16(3), int16(11)
		if two {
			end, produce = 5, 12
		}
		name := func(what string) string { return fmt.Sprintf("%s, version two %t", what, two) }
		short := func(what string) string { return fmt.Sprintf("%s%d", what, end) }

		stays, gone := s.topic(short("stays"), 1, "segment.ms", "9223372036854775807"), s.topic(short("gone"), 1)
		p := s.opened(name("gone"), gone, 60000, two)
		if !two {
			p.add(name("gone: add what stays"), 3, stays, 0)
		}
		p.produce(name("gone: produce to what stays"), produce, stays)
		s.quiet(6, deleteTopics(gone))
		s.awaitGone(gone)
		p.describe(name("gone: describe"))
		p.produce(name("gone: produce to what is gone"), produce, gone)
		p.add(name("gone: add what is gone"), 3, gone, 0)
		p.end(name("gone: commit"), end, true)
		p.settled("CompleteCommit")
		p.describe(name("gone: describe after it"))
		s.fetched(name("gone"), stays)

		t := s.topic(short("again"), 2, "segment.ms", "9223372036854775807")
		p = s.opened(name("again"), t, 60000, two)
		p.add(name("again: add the second"), 3, t, 1)
		s.again(short("again"), 1)
		p.produce(name("again: produce goes on"), produce, t)
		p.next[t] = 0
		p.produce(name("again: produce begins anew"), produce, t)
		p.end(name("again: commit"), end, true)
		p.settled("CompleteCommit")
		s.fetched(name("again"), t)

		t = s.topic(short("nothing"), 1, "segment.ms", "9223372036854775807")
		p = s.opened(name("nothing"), t, 60000, two)
		s.again(short("nothing"), 1)
		p.end(name("nothing: abort"), end, false)
		p.settled("CompleteAbort")
		s.fetched(name("nothing"), t)
		s.send(name("nothing: producers"), 0, &kmsg.DescribeProducersRequest{Topics: []kmsg.DescribeProducersRequestTopic{{Topic: t, Partitions: []int32{0}}}})

		t = s.topic(short("offsets"), 1)
		group := s.t(short("group"))
		p = s.opened(name("offsets"), stays, 60000, two)
		if !two {
			s.send(name("offsets: add them"), 3, &kmsg.AddOffsetsToTxnRequest{TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, Group: group})
		}
		p.commitOffset(name("offsets: commit them"), end, group, t, nil)
		s.again(short("offsets"), 1)
		p.end(name("offsets: commit"), end, true)
		p.settled("CompleteCommit")
		s.send(name("offsets: fetch"), 9, offsetFetch(s, 9, group, t))
	}
}
