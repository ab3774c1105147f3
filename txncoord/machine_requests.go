package txncoord

import (
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"minikafka/coordinator"
)

// Identity answers Init and End: what the producer writes with from now on.
type Identity struct {
	Code       *kerr.Error // nil: no error
	ProducerID int64
	Epoch      int16
	// needsID: nothing was decided, the step needs a new producer id.
	needsID bool
}

func refuse(e *kerr.Error) Identity {
	return Identity{Code: e, ProducerID: noProducerID, Epoch: noEpoch}
}

// Init is an InitProducerId with a transactional id.
type Init struct {
	TransactionalID string
	TimeoutMs       int32
	// ProducerID and Epoch are what the producer has; -1: none.
	ProducerID int64
	Epoch      int16
}

// InitProducerID fences the producers before, ends what they left open and gives an epoch to write with.
// The answer is an Identity.
func (m *Machine) InitProducerID(now time.Time, from coordinator.Token, r Init) coordinator.Outcome {
	return m.step(now, func() { m.init(from, r, now.Add(maxWait)) })
}

func (m *Machine) init(from coordinator.Token, r Init, until time.Time) {
	t := m.byID[r.TransactionalID]
	retry, busy := func() { m.init(from, r, until) }, func() { m.reply(from, refuse(kerr.ConcurrentTransactions)) }
	switch {
	case t == nil:
		id, ok := m.settings.ProducerID()
		if !ok {
			m.reply(from, Identity{needsID: true})
			return
		}
		m.begin(from, r, transaction{
			id: r.TransactionalID, producerID: id, previousProducerID: id, nextProducerID: noProducerID,
			epoch: noEpoch, lastEpoch: noEpoch, startedMs: -1,
		})
	case !t.admitsInit(r):
		m.reply(from, refuse(kerr.ProducerFenced))
	case t.state == Ongoing && !m.fence(t):
		m.reply(from, Identity{needsID: true})
	case t.state.preparing(): // since just now, perhaps
		m.wait(t, waiter{until: until, retry: retry, busy: busy})
	default:
		m.begin(from, r, *t)
	}
}

func (t *transaction) admitsInit(r Init) bool {
	return r.ProducerID == noProducerID || t.epoch == noEpoch || r.ProducerID == t.producerID ||
		r.ProducerID == t.previousProducerID && r.Epoch >= exhaustedEpoch
}

// begin bumps the epoch of an idle transactional id.
func (m *Machine) begin(from coordinator.Token, r Init, next transaction) {
	known := r.Epoch != noEpoch
	switch {
	case next.epoch >= exhaustedEpoch && (!known || r.Epoch == next.epoch):
		id, ok := m.settings.ProducerID()
		if !ok {
			m.reply(from, Identity{needsID: true})
			return
		}
		last := noEpoch
		if known {
			last = next.epoch
		}
		next.producerID, next.epoch, next.lastEpoch = id, 0, last
	case !known:
		next.epoch, next.lastEpoch = next.epoch+1, noEpoch
	case next.epoch == noEpoch || r.Epoch == next.epoch:
		next.epoch, next.lastEpoch = next.epoch+1, next.epoch
	case r.Epoch == next.lastEpoch: // a retry of what was answered already
	default:
		m.reply(from, refuse(kerr.ProducerFenced))
		return
	}
	next.state, next.timeoutMs, next.startedMs, next.partitions = next.state.to(Empty), r.TimeoutMs, -1, nil
	t := m.put(next)
	m.reply(from, Identity{ProducerID: t.producerID, Epoch: t.epoch})
}

// Add puts partitions into a transaction, or only asks whether they are in it.
type Add struct {
	TransactionalID string
	ProducerID      int64
	Epoch           int16
	VerifyOnly      bool
	Version         int16 // the client's transaction.version
	Partitions      []TopicPartition
}

// Added answers Add: Code is of all partitions, Missing (of VerifyOnly) are those that the transaction
// does not have.
type Added struct {
	Code    *kerr.Error
	Missing map[TopicPartition]bool
}

// AddPartitions is Add. The answer is an Added.
func (m *Machine) AddPartitions(now time.Time, from coordinator.Token, r Add) coordinator.Outcome {
	return m.step(now, func() {
		if r.VerifyOnly {
			m.reply(from, m.verify(r))
			return
		}
		m.add(from, r, now.Add(maxWait))
	})
}

func (m *Machine) add(from coordinator.Token, r Add, until time.Time) {
	t, e := m.find(r.TransactionalID, r.ProducerID)
	switch {
	case e != nil && (t == nil || !t.reserved(r.ProducerID, r.Epoch)):
		m.reply(from, Added{Code: e})
		return
	case e == nil && t.epoch != r.Epoch:
		m.reply(from, Added{Code: kerr.ProducerFenced})
		return
	case t.state.preparing():
		m.wait(t, waiter{
			until: until,
			retry: func() { m.add(from, r, until) },
			busy:  func() { m.reply(from, Added{Code: kerr.ConcurrentTransactions}) },
		})
		return
	}
	next := *t
	next.partitions = maps.Clone(t.partitions)
	if next.partitions == nil {
		next.partitions = map[TopicPartition]struct{}{}
	}
	for _, p := range r.Partitions {
		next.partitions[p] = struct{}{}
	}
	if t.state == Ongoing && len(next.partitions) == len(t.partitions) {
		m.reply(from, Added{})
		return
	}
	if t.state != Ongoing {
		next.startedMs = m.now.UnixMilli()
	}
	next.state, next.version = next.state.to(Ongoing), r.Version
	if coordinator.RecordSize(next.record(m.settings.Level())) > m.settings.MaxBatchBytes() {
		m.reply(from, Added{Code: kerr.UnknownServerError})
		return
	}
	began := t.state != Ongoing
	t = m.put(next)
	if began {
		m.arm(t, t.deadline())
	}
	m.reply(from, Added{})
}

// reserved: with the markers under way the producer has its next id already.
func (t *transaction) reserved(producerID int64, epoch int16) bool {
	return t.state.preparing() && t.nextProducerID != noProducerID && producerID == t.nextProducerID && epoch == 0
}

func (m *Machine) verify(r Add) Added {
	t, e := m.find(r.TransactionalID, r.ProducerID)
	switch {
	case e != nil:
		return Added{Code: e}
	case t.epoch != r.Epoch:
		return Added{Code: kerr.ProducerFenced}
	case t.state.preparing():
		return Added{Code: kerr.ConcurrentTransactions}
	}
	missing := map[TopicPartition]bool{}
	for _, p := range r.Partitions {
		if _, ok := t.partitions[p]; !ok {
			missing[p] = true
		}
	}
	return Added{Missing: missing}
}

// End is an EndTxn. VersionTwo is that of v5 on.
type End struct {
	TransactionalID string
	ProducerID      int64
	Epoch           int16
	Commit          bool
	VersionTwo      bool
}

// EndTxn decides how a transaction ends. The answer is an Identity: with version 2 what the next
// transaction is to be written with.
func (m *Machine) EndTxn(now time.Time, from coordinator.Token, r End) coordinator.Outcome {
	return m.step(now, func() { m.end(from, r, now.Add(maxWait)) })
}

func (m *Machine) end(from coordinator.Token, r End, until time.Time) {
	verdict, e := m.judge(r)
	t := m.byID[r.TransactionalID]
	switch {
	case e != nil:
		m.reply(from, refuse(e))
	case verdict == endDone:
		m.reply(from, Identity{ProducerID: t.producerID, Epoch: t.epoch})
	case verdict == endUnderWay:
		m.wait(t, waiter{
			until: until, first: true,
			retry: func() { m.end(from, r, until) },
			busy:  func() { m.reply(from, refuse(kerr.ConcurrentTransactions)) },
		})
	default:
		m.endNow(from, r, t)
	}
}

func (m *Machine) endNow(from coordinator.Token, r End, t *transaction) {
	next := *t
	next.version = 0
	if r.VersionTwo && !m.newEpoch(&next) {
		m.reply(from, Identity{needsID: true})
		return
	}
	if t.state != Ongoing { // an abort without partitions
		next.startedMs, next.partitions = m.now.UnixMilli(), nil
	}
	t = m.prepare(next, r.Commit)
	if t.nextProducerID != noProducerID {
		m.reply(from, Identity{ProducerID: t.nextProducerID})
		return
	}
	m.reply(from, Identity{ProducerID: t.producerID, Epoch: t.epoch})
}

// verdict is what an EndTxn finds.
type verdict int8

const (
	endNow      verdict = iota // it ends the transaction
	endDone                    // a retry: it has ended so
	endUnderWay                // a retry: it is about to
)

// judge holds an EndTxn against the state, as Kafka does.
func (m *Machine) judge(r End) (verdict, *kerr.Error) {
	if r.TransactionalID == "" {
		return 0, kerr.InvalidRequest
	}
	t := m.byID[r.TransactionalID]
	if t == nil {
		return 0, kerr.InvalidProducerIDMapping
	}
	if r.VersionTwo {
		return t.judgeTwo(r)
	}
	switch {
	case t.producerID != r.ProducerID:
		return 0, kerr.InvalidProducerIDMapping
	case t.epoch != r.Epoch:
		return 0, kerr.ProducerFenced
	case t.state == Ongoing:
		return endNow, nil
	case r.Commit && t.state == CompleteCommit, !r.Commit && t.state == CompleteAbort:
		return endDone, nil
	case r.Commit && t.state == PrepareCommit, !r.Commit && t.state == PrepareAbort:
		return endUnderWay, nil
	}
	return 0, kerr.InvalidTxnState
}

func (t *transaction) judgeTwo(r End) (verdict, *kerr.Error) {
	bump := int32(t.epoch) == int32(r.Epoch)+1
	overflow := t.previousProducerID == r.ProducerID && r.Epoch == exhaustedEpoch && t.epoch == 0
	retry := bump || overflow
	valid := t.epoch == r.Epoch
	switch {
	case t.producerID != r.ProducerID && !overflow:
		return 0, kerr.InvalidProducerIDMapping
	case t.state.preparing():
		valid = bump
	case t.state == CompleteCommit || t.state == CompleteAbort:
		valid = valid || retry
	}
	if !valid {
		return 0, kerr.ProducerFenced
	}
	switch {
	case t.state == Ongoing, t.state.idle() && !retry && !r.Commit:
		return endNow, nil
	case retry && (r.Commit && t.state == CompleteCommit || !r.Commit && t.state == CompleteAbort):
		return endDone, nil
	case r.Commit && t.state == PrepareCommit, !r.Commit && t.state == PrepareAbort:
		return endUnderWay, nil
	}
	return 0, kerr.InvalidTxnState
}
