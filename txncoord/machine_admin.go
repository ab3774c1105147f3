package txncoord

import (
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// Describe tells of transactional ids. The answer is a []kmsg.DescribeTransactionsResponseTransactionState.
func (m *Machine) Describe(now time.Time, from coordinator.Token, ids []string) coordinator.Outcome {
	return m.step(now, func() {
		list := make([]kmsg.DescribeTransactionsResponseTransactionState, 0, len(ids))
		for _, id := range ids {
			list = append(list, m.describe(id))
		}
		m.reply(from, list)
	})
}

func (m *Machine) describe(id string) kmsg.DescribeTransactionsResponseTransactionState {
	t := m.byID[id]
	if t == nil {
		return NotDescribed(id, kerr.TransactionalIDNotFound)
	}
	d := kmsg.DescribeTransactionsResponseTransactionState{
		TransactionalID: id, State: t.state.String(), TimeoutMillis: t.timeoutMs, StartTimestamp: t.startedMs,
		ProducerID: t.producerID, ProducerEpoch: t.epoch,
		Topics: []kmsg.DescribeTransactionsResponseTransactionStateTopic{},
	}
	for _, p := range t.sorted() {
		if n := len(d.Topics); n == 0 || d.Topics[n-1].Topic != p.Topic {
			d.Topics = append(d.Topics, kmsg.DescribeTransactionsResponseTransactionStateTopic{Topic: p.Topic})
		}
		last := &d.Topics[len(d.Topics)-1]
		last.Partitions = append(last.Partitions, p.Partition)
	}
	return d
}

// NotDescribed is a row of an error.
func NotDescribed(id string, e *kerr.Error) kmsg.DescribeTransactionsResponseTransactionState {
	return kmsg.DescribeTransactionsResponseTransactionState{
		TransactionalID: id, ErrorCode: e.Code, Topics: []kmsg.DescribeTransactionsResponseTransactionStateTopic{},
	}
}

// Filter says which transactions List is to tell of; its zero values let all pass.
type Filter struct {
	States      []State
	ProducerIDs []int64
	Duration    time.Duration // more than that since its start; negative: any
	Pattern     *regexp.Regexp
}

// ParseStates are the states by their names, and the names that none has.
func ParseStates(names []string) (states []State, unknown []string) {
	for _, name := range names {
		if i := slices.Index(stateNames[:], name); i >= 0 {
			states = append(states, State(i))
		} else {
			unknown = append(unknown, name)
		}
	}
	return states, unknown
}

// List tells of the transactions that pass. The answer is a []kmsg.ListTransactionsResponseTransactionState.
func (m *Machine) List(now time.Time, from coordinator.Token, f Filter) coordinator.Outcome {
	return m.step(now, func() {
		list := []kmsg.ListTransactionsResponseTransactionState{}
		for id, t := range m.byID {
			if f.passes(t, now) {
				list = append(list, kmsg.ListTransactionsResponseTransactionState{
					TransactionalID: id, ProducerID: t.producerID, TransactionState: t.state.String(),
				})
			}
		}
		m.reply(from, list)
	})
}

func (f *Filter) passes(t *transaction, now time.Time) bool {
	switch {
	case len(f.States) > 0 && !slices.Contains(f.States, t.state),
		len(f.ProducerIDs) > 0 && !slices.Contains(f.ProducerIDs, t.producerID),
		f.Duration >= 0 && now.UnixMilli()-t.startedMs <= f.Duration.Milliseconds(),
		f.Pattern != nil && !f.Pattern.MatchString(t.id):
		return false
	}
	return true
}
