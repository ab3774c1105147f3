package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/protocol"
	"minikafka/replication"
	"minikafka/txncoord"
)

type modelPartition = txncoord.TopicPartition

// Outcomes of a transaction.
const (
	modelCommitted = "committed"
	modelAborted   = "aborted"
	modelUnknown   = "unknown" // the answer to the commit was lost
)

// modelTxn is a transaction as its producer knows it.
type modelTxn struct {
	records map[modelPartition][]string
	offset  int64 // committed in it; 0: none
	outcome string
}

// txnProducer is a client that does one transaction after another.
type txnProducer struct {
	w       *txnWorld
	r       *rand.Rand
	id      string
	two     bool // its version of the protocol
	pid     int64
	epoch   int16
	next    map[modelPartition]int32 // sequence
	added   map[modelPartition]bool  // version 1: to the transaction
	txns    []*modelTxn
	delayed []func() // requests of earlier transactions that arrive once more
}

func newTxnProducer(w *txnWorld, r *rand.Rand, i int) *txnProducer {
	return &txnProducer{w: w, r: r, id: fmt.Sprintf("p%d", i), two: w.level == 2 && r.IntN(3) > 0, pid: -1, epoch: -1}
}

func (p *txnProducer) group() string { return "group-" + p.id }

func (p *txnProducer) work() {
	p.init()
	for range modelTxns {
		x := &modelTxn{records: map[modelPartition][]string{}, outcome: modelAborted}
		p.txns = append(p.txns, x)
		if p.two && len(p.delayed) > 0 && p.r.IntN(4) == 0 {
			p.delayed[p.r.IntN(len(p.delayed))]()
		}
		if !p.transact(x) {
			p.init()
		}
	}
	if p.r.IntN(2) == 0 { // the last one stays open
		p.send(&modelTxn{records: map[modelPartition][]string{}}, "left open by "+p.id)
	}
}

// again says whether a code means that the same request may be sent again, after a pause.
func (p *txnProducer) again(code int16) bool {
	e := kerr.TypedErrorForCode(code)
	if e == nil || !e.Retriable {
		return false
	}
	time.Sleep(time.Duration(1+p.r.IntN(30)) * time.Millisecond)
	return true
}

// ask sends a request until there is an answer that is not "again". It gives up, with lost, where the
// broker died and the client happens to lose patience.
func (p *txnProducer) ask(version int16, make func() kmsg.Request, code func(kmsg.Response) int16) (resp kmsg.Response, lost bool) {
	unanswered := false
	for {
		resp, gone := p.w.call(make(), version)
		c := code(resp)
		switch {
		case c == 0:
			return resp, false
		case gone:
			unanswered = true
			if p.r.IntN(4) == 0 {
				return resp, true
			}
		case !p.again(c):
			return resp, unanswered
		}
	}
}

func (p *txnProducer) init() {
	pid, epoch := p.pid, p.epoch
	if p.r.IntN(2) == 0 { // another instance
		pid, epoch = -1, -1
	}
	for {
		resp, lost := p.ask(5, func() kmsg.Request {
			req := kmsg.NewPtrInitProducerIDRequest()
			req.TransactionalID, req.TransactionTimeoutMillis = &p.id, int32(modelTimeout.Milliseconds())
			req.ProducerID, req.ProducerEpoch = pid, epoch
			return req
		}, func(r kmsg.Response) int16 { return r.(*kmsg.InitProducerIDResponse).ErrorCode })
		r := resp.(*kmsg.InitProducerIDResponse)
		if r.ErrorCode == 0 {
			p.begin(r.ProducerID, r.ProducerEpoch)
			return
		}
		if !lost {
			require.Equal(p.w.t, kerr.ProducerFenced.Code, r.ErrorCode)
			pid, epoch = -1, -1
		}
	}
}

func (p *txnProducer) begin(pid int64, epoch int16) {
	if pid != p.pid || epoch != p.epoch {
		p.next = map[modelPartition]int32{}
	}
	p.pid, p.epoch, p.added = pid, epoch, map[modelPartition]bool{}
}

// transact does one transaction; false: the producer has to begin anew.
func (p *txnProducer) transact(x *modelTxn) bool {
	good := true
	for i := range p.r.IntN(5) {
		if good = p.send(x, fmt.Sprintf("%s-%d-%d", p.id, len(p.txns), i)); !good {
			break
		}
	}
	if good && p.r.IntN(3) == 0 {
		good = p.commitOffset(x)
	}
	if len(x.records) == 0 && x.offset == 0 {
		return true
	}
	switch n := p.r.IntN(20); {
	case n < 2: // it is forgotten
		return false
	case n == 2:
		time.Sleep(modelTimeout + time.Duration(p.r.IntN(100)-50)*time.Millisecond)
	}
	return p.end(x, good && p.r.IntN(4) != 0)
}

func modelPlace(r *rand.Rand) modelPartition {
	return modelPartition{Topic: fmt.Sprintf("t%d", r.IntN(modelTopics)), Partition: r.Int32N(modelPartitions)}
}

// send writes one record; false: whether it is there is not known, so the transaction must not be committed.
func (p *txnProducer) send(x *modelTxn, value string) bool {
	at := modelPlace(p.r)
	x.records[at] = append(x.records[at], value)
	version := int16(12)
	if !p.two {
		if version = 11; !p.add(at) {
			return false
		}
	}
	pid, epoch, sequence, sent := p.pid, p.epoch, p.next[at], time.Now().UnixMilli()
	produce := func() kmsg.Request {
		var b protocol.Builder
		b.Reset(protocol.BuilderOptions{ProducerID: pid, ProducerEpoch: epoch, BaseSequence: sequence, Transactional: true})
		b.Append(sent, nil, []byte(value), nil)
		batch, err := b.AppendTo(nil)
		require.NoError(p.w.t, err)
		req := kmsg.NewPtrProduceRequest()
		req.TransactionID, req.Acks, req.TimeoutMillis = &p.id, -1, 5000
		req.Topics = []kmsg.ProduceRequestTopic{{
			Topic: at.Topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: at.Partition, Records: batch}},
		}}
		return req
	}
	resp, _ := p.ask(version, produce, produceCode)
	p.delayed = append(p.delayed, func() { _, _ = p.w.call(produce(), version) })
	p.next[at]++
	return produceCode(resp) == 0
}

func produceCode(r kmsg.Response) int16 {
	return r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
}

// add is version 1's: partitions are added before they are written.
func (p *txnProducer) add(at modelPartition) bool {
	if p.added[at] {
		return true
	}
	code := func(r kmsg.Response) int16 {
		return r.(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode
	}
	resp, _ := p.ask(3, func() kmsg.Request {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.id, p.pid, p.epoch
		req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: at.Topic, Partitions: []int32{at.Partition}}}
		return req
	}, code)
	p.added[at] = code(resp) == 0
	return p.added[at]
}

func (p *txnProducer) commitOffset(x *modelTxn) bool {
	offset := int64(len(p.txns))
	version := int16(5)
	if !p.two {
		version = 4
		resp, _ := p.ask(3, func() kmsg.Request {
			req := kmsg.NewPtrAddOffsetsToTxnRequest()
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.id, p.pid, p.epoch, p.group()
			return req
		}, func(r kmsg.Response) int16 { return r.(*kmsg.AddOffsetsToTxnResponse).ErrorCode })
		if x.offset = offset; resp.(*kmsg.AddOffsetsToTxnResponse).ErrorCode != 0 {
			return false
		}
	}
	x.offset = offset
	code := func(r kmsg.Response) int16 {
		return r.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	}
	resp, _ := p.ask(version, func() kmsg.Request {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group, req.Generation = p.id, p.pid, p.epoch, p.group(), -1
		req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{
			Topic: "t0", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: offset, LeaderEpoch: -1}},
		}}
		return req
	}, code)
	return code(resp) == 0
}

// end commits or aborts; false: the producer has to begin anew.
func (p *txnProducer) end(x *modelTxn, commit bool) bool {
	version, pid, epoch := int16(5), p.pid, p.epoch
	if !p.two {
		version = 3
	}
	request := func() kmsg.Request {
		req := kmsg.NewPtrEndTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.id, pid, epoch, commit
		return req
	}
	resp, lost := p.ask(version, request, func(r kmsg.Response) int16 { return r.(*kmsg.EndTxnResponse).ErrorCode })
	p.delayed = append(p.delayed, func() { _, _ = p.w.call(request(), version) })
	r := resp.(*kmsg.EndTxnResponse)
	switch {
	case commit && r.ErrorCode == 0:
		x.outcome = modelCommitted
	case commit && lost:
		x.outcome = modelUnknown
	}
	if r.ErrorCode != 0 {
		return false
	}
	if p.two {
		pid, epoch = r.ProducerID, r.ProducerEpoch
	}
	p.begin(pid, epoch)
	return true
}

// txnReader follows all partitions, read committed.
type txnReader struct {
	w    *txnWorld
	r    *rand.Rand
	at   map[modelPartition]int64
	seen map[modelPartition][]string
	err  error // of the last poll
}

func newTxnReader(w *txnWorld, r *rand.Rand) *txnReader {
	f := &txnReader{w: w, r: r, at: map[modelPartition]int64{}, seen: map[modelPartition][]string{}}
	for t := range modelTopics {
		for p := range int32(modelPartitions) {
			f.at[modelPartition{Topic: fmt.Sprintf("t%d", t), Partition: p}] = 0
		}
	}
	return f
}

// follow reads until done, and then to the end.
func (f *txnReader) follow(done <-chan struct{}) {
	for {
		f.poll()
		select {
		case <-done:
			for f.poll() {
			}
			return
		case <-time.After(time.Duration(1+f.r.IntN(20)) * time.Millisecond):
		}
	}
}

// poll reads once of each partition; false: there was nothing.
func (f *txnReader) poll() (some bool) {
	f.err = nil
	for at, offset := range f.at {
		p := f.w.alive().b.partitions.Partition(at.Topic, at.Partition)
		if p == nil {
			f.err = replication.ErrNotLeader
			continue
		}
		read, err := p.Read(replication.ReadRequest{
			Offset: offset, MaxBytes: 1 + f.r.Int32N(2000), MinOne: true, Isolation: replication.ReadCommitted,
			CurrentLeaderEpoch: -1, LastFetchedEpoch: -1,
		})
		if err != nil {
			f.err = err
			continue
		}
		if read.Records == nil {
			continue
		}
		b, err := read.Records.AppendTo(nil)
		read.Records.Release()
		if err != nil {
			f.err = err // it died
			continue
		}
		some = true
		f.take(at, b, read)
	}
	return some
}

// take is what consumers do: records of a producer are dropped from where its aborted transaction begins
// until its abort marker.
func (f *txnReader) take(at modelPartition, b []byte, read replication.ReadResult) {
	aborted := slices.Clone(read.Aborted)
	dropping := map[int64]bool{}
	for {
		batch, rest, err := protocol.NextBatch(b)
		if err != nil {
			return // a batch that is cut
		}
		b = rest
		for i := range aborted {
			if aborted[i].FirstOffset <= batch.LastOffset() && aborted[i].ProducerID >= 0 {
				dropping[aborted[i].ProducerID] = true
				aborted[i].ProducerID = -1
			}
		}
		if batch.NextOffset() <= f.at[at] {
			continue
		}
		f.at[at] = batch.NextOffset()
		if marker, ok, _ := protocol.MarkerOf(batch); ok {
			if !marker.Commit {
				delete(dropping, batch.ProducerID())
			}
			continue
		}
		if dropping[batch.ProducerID()] {
			continue
		}
		records := batch.Iterate()
		var r protocol.Record
		for records.Next(&r) {
			f.seen[at] = append(f.seen[at], string(r.Value))
		}
		records.Close()
	}
}

// check holds what was read against the model.
func (w *txnWorld) check(producers []*txnProducer, live *txnReader) {
	t, b := w.t, w.alive().b
	for at := range live.at {
		p := b.partitions.Partition(at.Topic, at.Partition)
		_, highWatermark, lastStable, end := p.Offsets()
		require.Equal(t, []int64{end, end}, []int64{highWatermark, lastStable}, "%v: a transaction is open", at)
	}
	again := newTxnReader(w, live.r)
	for again.poll() {
	}
	require.NoError(t, again.err)
	require.Equal(t, again.seen, live.seen, "who read meanwhile saw what is there in the end")
	for _, p := range producers {
		want := map[modelPartition][]string{}
		offset := int64(-1)
		for _, x := range p.txns {
			visible := x.outcome == modelCommitted
			for at, values := range x.records { // in doubt the first record says which it was
				visible = visible || x.outcome == modelUnknown && slices.Contains(live.seen[at], values[0])
			}
			if len(x.records) == 0 && x.outcome == modelUnknown {
				visible = w.committedOffset(p) >= x.offset
			}
			if !visible {
				continue
			}
			if x.offset > 0 {
				offset = x.offset
			}
			for at, values := range x.records {
				want[at] = append(want[at], values...)
			}
		}
		for at := range live.at {
			var got []string
			for _, value := range live.seen[at] {
				if strings.HasPrefix(value, p.id+"-") {
					got = append(got, value)
				}
				require.NotContains(t, value, "left open")
			}
			require.Equal(t, want[at], got, "%s in %v", p.id, at)
		}
		require.Equal(t, offset, w.committedOffset(p), "offset of %s", p.group())
	}
}

func (w *txnWorld) committedOffset(p *txnProducer) int64 {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = p.group(), true
	req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t0", Partitions: []int32{0}}}
	resp, _ := w.call(req, 7)
	row := resp.(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0]
	require.Zero(w.t, row.ErrorCode)
	return row.Offset
}
