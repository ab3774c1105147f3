package handlers

import (
	"context"
	"regexp"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/txncoord"
)

// DescribeTransactions v0.
func (h *Handlers) describeTransactions(_ context.Context, _ *Request, req *kmsg.DescribeTransactionsRequest) (kmsg.Response, Later) {
	ids := req.TransactionalIDs
	calls := make([]*txncoord.Call, len(ids))
	for i, id := range ids {
		if id != "" {
			calls[i] = h.Transactions.Describe(id)
		}
	}
	return nil, func(ctx context.Context) kmsg.Response {
		resp := kmsg.NewPtrDescribeTransactionsResponse()
		resp.TransactionStates = []kmsg.DescribeTransactionsResponseTransactionState{}
		for i, id := range ids {
			if calls[i] == nil {
				resp.TransactionStates = append(resp.TransactionStates, txncoord.NotDescribed(id, kerr.InvalidRequest))
				continue
			}
			rows, e := txncoord.Wait[[]kmsg.DescribeTransactionsResponseTransactionState](ctx, calls[i])
			if e != nil {
				rows = []kmsg.DescribeTransactionsResponseTransactionState{txncoord.NotDescribed(id, e)}
			}
			resp.TransactionStates = append(resp.TransactionStates, rows...)
		}
		return resp
	}
}

// ListTransactions v0-v2: those that this broker coordinates. A partition that is loading fails the whole.
func (h *Handlers) listTransactions(_ context.Context, _ *Request, req *kmsg.ListTransactionsRequest) (kmsg.Response, Later) {
	resp := kmsg.NewPtrListTransactionsResponse()
	resp.UnknownStateFilters, resp.TransactionStates = []string{}, []kmsg.ListTransactionsResponseTransactionState{}
	filter := txncoord.Filter{ProducerIDs: req.ProducerIDFilters, Duration: -1}
	states, unknown := txncoord.ParseStates(req.StateFilters)
	resp.UnknownStateFilters = append(resp.UnknownStateFilters, unknown...)
	filter.States = states
	if req.Version >= 1 && req.DurationFilterMillis >= 0 {
		filter.Duration = time.Duration(req.DurationFilterMillis) * time.Millisecond
	}
	if pattern := req.TransactionalIDPattern; pattern != nil && *pattern != "" {
		var err error
		if filter.Pattern, err = regexp.Compile("^(?:" + *pattern + ")$"); err != nil {
			resp.ErrorCode = kerr.InvalidRegularExpression.Code
			return resp, nil
		}
	}
	if len(states) == 0 && len(unknown) > 0 {
		return resp, nil
	}
	calls := h.Transactions.List(filter)
	return nil, func(ctx context.Context) kmsg.Response {
		for _, c := range calls {
			rows, e := txncoord.Wait[[]kmsg.ListTransactionsResponseTransactionState](ctx, c)
			switch {
			case e == kerr.NotCoordinator: // it is another broker's by now
			case e != nil:
				resp.ErrorCode, resp.TransactionStates = e.Code, []kmsg.ListTransactionsResponseTransactionState{}
				return resp
			default:
				resp.TransactionStates = append(resp.TransactionStates, rows...)
			}
		}
		return resp
	}
}

// notHosted is Kafka's text of an unknown topic; of a topic's unknown partition it has none.
const notHosted = "This server does not host this topic-partition."

// DescribeProducers v0: what a partition's leader knows of its producers.
func (h *Handlers) describeProducers(_ context.Context, _ *Request, req *kmsg.DescribeProducersRequest) (kmsg.Response, Later) {
	resp := kmsg.NewPtrDescribeProducersResponse()
	resp.Topics = []kmsg.DescribeProducersResponseTopic{}
	image := h.Image()
	for _, t := range req.Topics {
		topic := kmsg.DescribeProducersResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			row := kmsg.DescribeProducersResponseTopicPartition{
				Partition: p, ActiveProducers: []kmsg.DescribeProducersResponseTopicPartitionActiveProducer{},
			}
			err := exists(image, t.Topic, p)
			if err == nil {
				err = h.describePartitionProducers(t.Topic, &row)
			}
			if row.ErrorCode = h.codeOf(err, kmsg.DescribeProducers, req.Version); row.ErrorCode != 0 && image.TopicByName(t.Topic) == nil {
				row.ErrorMessage = kmsg.StringPtr(notHosted)
			}
			topic.Partitions = append(topic.Partitions, row)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp, nil
}

func (h *Handlers) describePartitionProducers(topic string, row *kmsg.DescribeProducersResponseTopicPartition) error {
	p := h.Partitions.Partition(topic, row.Partition)
	if p == nil {
		return kerr.NotLeaderForPartition
	}
	if err := p.CheckEpoch(-1); err != nil {
		return err
	}
	for _, a := range p.Log().ActiveProducers() {
		row.ActiveProducers = append(row.ActiveProducers, kmsg.DescribeProducersResponseTopicPartitionActiveProducer{
			ProducerID: a.ProducerID, ProducerEpoch: int32(a.Epoch), LastSequence: a.LastSequence, LastTimestamp: a.LastTimestamp,
			CoordinatorEpoch: a.CoordinatorEpoch, CurrentTxnStartOffset: a.CurrentTxnStartOffset,
		})
	}
	return nil
}
