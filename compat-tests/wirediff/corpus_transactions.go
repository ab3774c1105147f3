package wirediff

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// producer is a transactional producer of a script.
type producer struct {
	s     *script
	id    string
	pid   int64
	epoch int16
	next  map[string]int32 // sequence by topic
}

// awaitTransactions waits until the broker coordinates transactions.
func (s *script) awaitTransactions(id string) {
	s.awaitProducerIDs()
	s.await("transaction coordinator of "+id, func() bool {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorType, find.CoordinatorKeys = 1, []string{id}
		if s.quiet(4, find).(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode != 0 {
			return false
		}
		describe := &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{id}}
		return s.quiet(0, describe).(*kmsg.DescribeTransactionsResponse).TransactionStates[0].ErrorCode == 105
	})
}

func initTxn(id string, timeout int32, pid int64, epoch int16) *kmsg.InitProducerIDRequest {
	return &kmsg.InitProducerIDRequest{TransactionalID: &id, TransactionTimeoutMillis: timeout, ProducerID: pid, ProducerEpoch: epoch}
}

// producer begins with a new transactional id.
func (s *script) producer(name string) *producer {
	p := &producer{s: s, id: s.t(name)}
	s.awaitTransactions(p.id)
	p.init("", 4)
	return p
}

// init asks for an epoch, as the step if it has a name.
func (p *producer) init(step string, version int16) {
	p.s.await("producer id of "+p.id, func() bool {
		resp := p.s.quiet(version, initTxn(p.id, 60000, -1, -1)).(*kmsg.InitProducerIDResponse)
		p.pid, p.epoch, p.next = resp.ProducerID, resp.ProducerEpoch, map[string]int32{}
		return resp.ErrorCode == 0
	})
	if step != "" {
		p.s.out = append(p.s.out, Exchange{Step: step, Key: 22, Version: version, Outcome: fmt.Sprintf("epoch %d", p.epoch)})
	}
}

// produce sends a record in the transaction, again while the markers of the last one are under way.
func (p *producer) produce(step string, version int16, topic string) {
	b := newBatch("x")
	b.producerID, b.epoch, b.sequence, b.attributes = p.pid, p.epoch, p.next[topic], attrTransactional
	request := func() *kmsg.ProduceRequest {
		req := p.s.produce(version, topic, -1, b)
		req.TransactionID = &p.id
		return req
	}
	p.s.retry(step, version, func() kmsg.Request { return request() }, func(resp kmsg.Response) int16 {
		code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		if code == 0 {
			p.next[topic]++
		}
		return code
	})
}

// retry notes the first answer that is neither CONCURRENT_TRANSACTIONS nor NOT_ENOUGH_REPLICAS.
func (s *script) retry(step string, version int16, request func() kmsg.Request, code func(kmsg.Response) int16) {
	s.unused(step)
	x := Exchange{Step: step, Version: version, Outcome: "answered"}
	s.await(step, func() bool {
		req := request()
		x.Key = req.Key()
		resp, exact, err := s.exchange(req.Key(), version, s.wire.encode(req, version))
		if err != nil {
			x.Outcome = err.Error()
			return true
		}
		x.Loose, x.Response = !exact, s.tree.of(resp)
		c := code(resp)
		return c != 51 && c != 19
	})
	s.out = append(s.out, x)
}

func addPartitions(version int16, id string, pid int64, epoch int16, verify bool, topic string, partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	if version < 4 {
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, pid, epoch
		req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: topic, Partitions: partitions}}
		return req
	}
	req.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{{TransactionalID: id, ProducerID: pid, ProducerEpoch: epoch, VerifyOnly: verify,
		Topics: []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: topic, Partitions: partitions}}}}
	return req
}

func (p *producer) add(step string, version int16, topic string, partitions ...int32) {
	p.s.retry(step, version, func() kmsg.Request { return addPartitions(version, p.id, p.pid, p.epoch, false, topic, partitions...) },
		func(resp kmsg.Response) int16 {
			r := resp.(*kmsg.AddPartitionsToTxnResponse)
			if version < 4 {
				return r.Topics[0].Partitions[0].ErrorCode
			}
			return r.Transactions[0].Topics[0].Partitions[0].ErrorCode
		})
}

func (p *producer) end(step string, version int16, commit bool) {
	req := &kmsg.EndTxnRequest{TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, Commit: commit}
	p.s.retry(step, version, func() kmsg.Request { return req }, func(resp kmsg.Response) int16 {
		r := resp.(*kmsg.EndTxnResponse)
		if version >= 5 && r.ErrorCode == 0 {
			p.pid, p.epoch, p.next = r.ProducerID, r.ProducerEpoch, map[string]int32{}
		}
		return r.ErrorCode
	})
}

// settled waits until the transactional id is in the state.
func (p *producer) settled(state string) {
	p.s.await(p.id+" in "+state, func() bool {
		resp := p.s.quiet(0, &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{p.id}}).(*kmsg.DescribeTransactionsResponse)
		return resp.TransactionStates[0].State == state
	})
}

func txnLifeScenario(s *script) {
	t := s.topic("t", 2, "segment.ms", "9223372036854775807") // the records are old, the markers new: one segment all the same
	for v := int16(0); v <= 5; v++ {
		p := s.producer(fmt.Sprintf("p%d", v))
		step := func(what string) string { return fmt.Sprintf("%s v%d", what, v) }
		produceVersion := int16(11)
		if v == 5 {
			produceVersion = 12
		}
		for _, commit := range []bool{true, false} {
			what := map[bool]string{true: "commit", false: "abort"}[commit]
			if v < 5 {
				p.add(step(what+": add"), min(v, 5), t, 0, 1)
				p.add(step(what+": add again"), min(v, 5), t, 0)
			}
			p.produce(step(what+": produce"), produceVersion, t)
			p.produce(step(what+": produce more"), produceVersion, t)
			before := *p
			p.end(step(what+": end"), v, commit)
			p.settled(map[bool]string{true: "CompleteCommit", false: "CompleteAbort"}[commit])
			before.end(step(what+": end, again"), v, commit)
			before.end(step(what+": end, the other way"), v, !commit)
		}
		p.end(step("commit of nothing"), v, true)
		p.end(step("abort of nothing"), v, false)
		p.init(step("begin anew"), min(v, 5))
	}
	p := s.producer("adds")
	for v := int16(12); v <= 13; v++ {
		p.produce(fmt.Sprintf("produce adds v%d", v), v, t)
		p.end(fmt.Sprintf("produce adds, commit, v%d", v), 5, true)
	}
	p.settled("CompleteCommit")
	for isolation, what := range []string{"read uncommitted", "read committed"} {
		fetch := s.fetch(11, t, 0)
		fetch.IsolationLevel = int8(isolation)
		fetch.MaxBytes, fetch.Topics[0].Partitions[0].PartitionMaxBytes = 1<<20, 1<<20
		s.send(what, 11, fetch)
	}
}

func txnRefusedScenario(s *script) {
	t := s.topic("t", 2)
	s.awaitTransactions(s.t("none"))
	none := s.t("none")
	s.each("init: no timeout", 0, 5, func(int16) kmsg.Request { return initTxn(none, 0, -1, -1) })
	s.each("init: too long a timeout", 0, 5, func(int16) kmsg.Request { return initTxn(none, 900001, -1, -1) })
	p := s.producer("p")
	for v := int16(3); v <= 5; v++ {
		s.send(fmt.Sprintf("init: another producer id v%d", v), v, initTxn(p.id, 60000, p.pid+100, 0))
		s.send(fmt.Sprintf("init: another epoch v%d", v), v, initTxn(p.id, 60000, p.pid, p.epoch+7))
	}
	s.each("add: unknown id", 0, 5, func(v int16) kmsg.Request { return addPartitions(v, none, 7, 0, false, t, 0) })
	s.each("add: empty id", 0, 5, func(v int16) kmsg.Request { return addPartitions(v, "", 7, 0, false, t, 0) })
	s.each("add: another producer id", 0, 5, func(v int16) kmsg.Request { return addPartitions(v, p.id, p.pid+100, p.epoch, false, t, 0) })
	s.each("add: another epoch", 0, 5, func(v int16) kmsg.Request { return addPartitions(v, p.id, p.pid, p.epoch+5, false, t, 0) })
	s.each("add: unknown partition", 0, 5, func(v int16) kmsg.Request { return addPartitions(v, p.id, p.pid, p.epoch, false, t, 0, 9) })
	s.each("verify: not in it", 4, 5, func(v int16) kmsg.Request { return addPartitions(v, p.id, p.pid, p.epoch, true, t, 0) })
	s.each("add offsets: unknown id", 0, 4, func(int16) kmsg.Request {
		return &kmsg.AddOffsetsToTxnRequest{TransactionalID: none, ProducerID: 7, Group: s.t("g")}
	})
	s.each("add offsets: another epoch", 0, 4, func(int16) kmsg.Request {
		return &kmsg.AddOffsetsToTxnRequest{TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch + 5, Group: s.t("g")}
	})
	s.each("end: unknown id", 0, 5, func(int16) kmsg.Request { return &kmsg.EndTxnRequest{TransactionalID: none, ProducerID: 7} })
	s.each("end: empty id", 0, 5, func(int16) kmsg.Request { return &kmsg.EndTxnRequest{ProducerID: 7} })
	s.each("end: another producer id", 0, 5, func(int16) kmsg.Request {
		return &kmsg.EndTxnRequest{TransactionalID: p.id, ProducerID: p.pid + 100, ProducerEpoch: p.epoch}
	})
	s.each("end: another epoch", 0, 5, func(int16) kmsg.Request {
		return &kmsg.EndTxnRequest{TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch + 5}
	})
	for v := int16(3); v <= 11; v++ {
		p.produce(fmt.Sprintf("produce without adding v%d", v), v, t)
	}
	p.produce("produce adds v12", 12, t)
	old := *p
	p.init("", 4)
	for v := int16(9); v <= 13; v++ {
		old.produce(fmt.Sprintf("produce when fenced v%d", v), v, t)
	}
	for v := int16(0); v <= 5; v++ {
		old.add(fmt.Sprintf("add when fenced v%d", v), v, t, 0)
		old.end(fmt.Sprintf("end when fenced v%d", v), v, true)
	}
	for v := int16(3); v <= 5; v++ {
		s.send(fmt.Sprintf("init when fenced v%d", v), v, initTxn(p.id, 60000, old.pid, old.epoch))
	}
}

func (p *producer) commitOffset(step string, version int16, group, topic string, change func(*kmsg.TxnOffsetCommitRequest)) {
	request := func() kmsg.Request {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = p.id, group, p.pid, p.epoch
		c := kmsg.NewTxnOffsetCommitRequestTopic()
		if c.Topic = topic; version >= 6 {
			c.TopicID = p.s.id(topic)
		}
		c.Partitions = []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 0, Offset: 3, LeaderEpoch: -1, Metadata: kmsg.StringPtr("m")}}
		req.Topics = append(req.Topics, c)
		if change != nil {
			change(req)
		}
		return req
	}
	p.s.retry(step, version, request, func(resp kmsg.Response) int16 {
		return resp.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	})
}

func txnOffsetsScenario(s *script) {
	t := s.topic("t", 1)
	s.awaitCoordinator()
	for v := int16(0); v <= 6; v++ {
		p, group := s.producer(fmt.Sprintf("p%d", v)), s.t(fmt.Sprintf("g%d", v))
		step := func(what string) string { return fmt.Sprintf("%s v%d", what, v) }
		end := int16(4)
		if v < 5 {
			p.commitOffset(step("not in the transaction"), v, group, t, nil)
			s.send(step("add offsets"), min(v, 4), &kmsg.AddOffsetsToTxnRequest{TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, Group: group})
		} else {
			end = 5
		}
		p.commitOffset(step("commit"), v, group, t, nil)
		stable := offsetFetch(s, 9, group, t)
		stable.RequireStable = true
		s.send(step("pending, fetched stable"), 9, stable)
		s.send(step("pending"), 9, offsetFetch(s, 9, group, t))
		p.commitOffset(step("unknown partition"), v, group, t, func(req *kmsg.TxnOffsetCommitRequest) { req.Topics[0].Partitions[0].Partition = 5 })
		p.commitOffset(step("no group"), v, "", t, nil)
		p.commitOffset(step("another epoch"), v, group, t, func(req *kmsg.TxnOffsetCommitRequest) { req.ProducerEpoch += 9 })
		if v >= 3 {
			p.commitOffset(step("a member"), v, group, t, func(req *kmsg.TxnOffsetCommitRequest) { req.MemberID, req.Generation = "x", 4 })
		}
		p.end(step("end"), end, true)
		p.settled("CompleteCommit")
		s.send(step("committed"), 9, offsetFetch(s, 9, group, t))
	}
}

func txnAdminScenario(s *script) {
	t := s.topic("t", 2)
	p := s.producer("p")
	list := func(states ...string) *kmsg.ListTransactionsRequest {
		pattern := ""
		return &kmsg.ListTransactionsRequest{StateFilters: states, ProducerIDFilters: []int64{p.pid}, DurationFilterMillis: -1, TransactionalIDPattern: &pattern}
	}
	p.produce("produce", 12, t)
	s.send("describe v0", 0, &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{p.id, s.t("none"), ""}})
	s.each("list", 0, 2, func(int16) kmsg.Request { return list() })
	s.each("list ongoing", 0, 2, func(int16) kmsg.Request { return list("Ongoing") })
	s.each("list others", 0, 2, func(int16) kmsg.Request { return list("Empty", "CompleteCommit") })
	s.each("list unknown", 0, 2, func(int16) kmsg.Request { return list("Bad") })
	s.each("list unknown and ongoing", 0, 2, func(int16) kmsg.Request { return list("Ongoing", "Bad") })
	s.each("list long ones", 1, 2, func(int16) kmsg.Request {
		req := list()
		req.DurationFilterMillis = 100_000
		return req
	})
	for _, pattern := range []string{"txn-admin.*", "nothing", "(", ".*p"} {
		req := list()
		req.TransactionalIDPattern = &pattern
		s.send(fmt.Sprintf("list by pattern %s v2", pattern), 2, req)
	}
	producers := &kmsg.DescribeProducersRequest{Topics: []kmsg.DescribeProducersRequestTopic{
		{Topic: t, Partitions: []int32{0, 1, 7}}, {Topic: s.t("none"), Partitions: []int32{0}},
	}}
	s.send("producers v0", 0, producers)
	marker := func(pid int64, epoch int16, coordinator int32, version int8, topic string, partitions ...int32) *kmsg.WriteTxnMarkersRequest {
		return &kmsg.WriteTxnMarkersRequest{Markers: []kmsg.WriteTxnMarkersRequestMarker{{
			ProducerID: pid, ProducerEpoch: epoch, CoordinatorEpoch: coordinator, TransactionVersion: version,
			Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: topic, Partitions: partitions}},
		}}}
	}
	s.each("marker: unknown partition", 1, 2, func(int16) kmsg.Request { return marker(p.pid, 9, 0, 0, t, 9) })
	s.send("marker: version two, same epoch v2", 2, marker(p.pid, p.epoch, 0, 2, t, 0))
	s.send("marker: abort of a hanging transaction v1", 1, marker(p.pid, p.epoch, 3, 0, t, 0))
	s.send("producers after it v0", 0, producers)
	s.each("marker: old coordinator", 1, 2, func(int16) kmsg.Request { return marker(p.pid, p.epoch, 1, 0, t, 0) })
	s.each("marker: old epoch", 1, 2, func(int16) kmsg.Request { return marker(p.pid, p.epoch-1, 3, 0, t, 0) })
	s.send("marker: again v2", 2, marker(p.pid, p.epoch, 3, 2, t, 0))
	s.send("list offsets v5", 5, listOffsets(t, -1))
}
