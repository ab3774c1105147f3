package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
	"minikafka/metadata"
	"minikafka/txncoord"
)

// addInBatches is the version of AddPartitionsToTxn from which brokers ask, for several producers at once.
const addInBatches = 4

// addedTopics are the partitions of one transaction and their codes.
type addedTopics []kmsg.AddPartitionsToTxnResponseTransactionTopic

// AddPartitionsToTxn v0-v5. Where one partition does not exist, none is added.
func (h *Handlers) addPartitionsToTxn(_ context.Context, _ *Request, req *kmsg.AddPartitionsToTxnRequest) (kmsg.Response, Later) {
	version, image := req.Version, h.Image()
	transactions := req.Transactions
	if version < addInBatches {
		one := kmsg.AddPartitionsToTxnRequestTransaction{
			TransactionalID: req.TransactionalID, ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch,
		}
		for _, t := range req.Topics {
			one.Topics = append(one.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: t.Topic, Partitions: t.Partitions})
		}
		transactions = []kmsg.AddPartitionsToTxnRequestTransaction{one}
	}
	answers := make([]func(context.Context) addedTopics, 0, len(transactions))
	for i := range transactions {
		answers = append(answers, h.addToTxn(&transactions[i], version, image))
	}
	return nil, func(ctx context.Context) kmsg.Response {
		resp := kmsg.NewPtrAddPartitionsToTxnResponse()
		if version >= addInBatches {
			resp.Transactions = []kmsg.AddPartitionsToTxnResponseTransaction{}
			for i, answer := range answers {
				resp.Transactions = append(resp.Transactions, kmsg.AddPartitionsToTxnResponseTransaction{
					TransactionalID: transactions[i].TransactionalID, Topics: answer(ctx),
				})
			}
			return resp
		}
		resp.Topics = []kmsg.AddPartitionsToTxnResponseTopic{}
		for _, t := range answers[0](ctx) {
			old := kmsg.AddPartitionsToTxnResponseTopic{Topic: t.Topic}
			for _, p := range t.Partitions {
				old.Partitions = append(old.Partitions, kmsg.AddPartitionsToTxnResponseTopicPartition(p))
			}
			resp.Topics = append(resp.Topics, old)
		}
		return resp
	}
}

// addToTxn posts one transaction's part. Its strings are copies: a Later outlives the request's bytes.
func (h *Handlers) addToTxn(t *kmsg.AddPartitionsToTxnRequestTransaction, version int16, image *metadata.Image) func(context.Context) addedTopics {
	add := txncoord.Add{
		TransactionalID: t.TransactionalID, ProducerID: t.ProducerID, Epoch: t.ProducerEpoch, VerifyOnly: t.VerifyOnly,
	}
	if version >= addInBatches {
		add.Version = transactionV2
	}
	unknown := map[txncoord.TopicPartition]bool{}
	for _, topic := range t.Topics {
		for _, p := range topic.Partitions {
			tp := txncoord.TopicPartition{Topic: topic.Topic, Partition: p}
			add.Partitions = append(add.Partitions, tp)
			if exists(image, topic.Topic, p) != nil {
				unknown[tp] = true
			}
		}
	}
	if len(unknown) > 0 {
		rows := codesOf(add.Partitions, func(tp txncoord.TopicPartition) *kerr.Error {
			if unknown[tp] {
				return kerr.UnknownTopicOrPartition
			}
			return kerr.OperationNotAttempted
		})
		return func(context.Context) addedTopics { return rows }
	}
	call := h.Transactions.AddPartitions(add)
	return func(ctx context.Context) addedTopics {
		added, e := txncoord.Wait[txncoord.Added](ctx, call)
		if e == nil {
			e = added.Code
		}
		e = fencedAs(e, version, 2)
		return codesOf(add.Partitions, func(tp txncoord.TopicPartition) *kerr.Error {
			if e == nil && added.Missing[tp] {
				return kerr.TransactionAbortable
			}
			return e
		})
	}
}

// codesOf are rows for partitions, a topic's together.
func codesOf(partitions []txncoord.TopicPartition, code func(txncoord.TopicPartition) *kerr.Error) addedTopics {
	topics, at := addedTopics{}, map[string]int{}
	for _, tp := range partitions {
		i, ok := at[tp.Topic]
		if !ok {
			i = len(topics)
			at[tp.Topic] = i
			topics = append(topics, kmsg.AddPartitionsToTxnResponseTransactionTopic{Topic: tp.Topic})
		}
		topics[i].Partitions = append(topics[i].Partitions, kmsg.AddPartitionsToTxnResponseTransactionTopicPartition{
			Partition: tp.Partition, ErrorCode: errorCode(code(tp)),
		})
	}
	return topics
}

// AddOffsetsToTxn v0-v4: the partition of the group's offsets becomes part of the transaction.
func (h *Handlers) addOffsetsToTxn(_ context.Context, _ *Request, req *kmsg.AddOffsetsToTxnRequest) (kmsg.Response, Later) {
	version := req.Version
	call := h.Transactions.AddPartitions(txncoord.Add{
		TransactionalID: req.TransactionalID, ProducerID: req.ProducerID, Epoch: req.ProducerEpoch,
		Partitions: []txncoord.TopicPartition{{Topic: groupcoord.Topic, Partition: h.Groups.PartitionFor(req.Group)}},
	})
	return nil, func(ctx context.Context) kmsg.Response {
		added, e := txncoord.Wait[txncoord.Added](ctx, call)
		if e == nil {
			e = added.Code
		}
		resp := kmsg.NewPtrAddOffsetsToTxnResponse()
		resp.ErrorCode = errorCode(fencedAs(e, version, 2))
		return resp
	}
}
