package handlers

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/logstore"
	"minikafka/protocol"
	"minikafka/replication"
	"minikafka/txncoord"
)

// What the transactional requests share.

// transactionV2 is the version of the transaction protocol with an epoch for each transaction.
const transactionV2 = 2

// Versions of Produce and TxnOffsetCommit from which an unknown partition is added to the transaction,
// and from which TRANSACTION_ABORTABLE is understood.
const (
	produceAdds     = 12
	produceAborts   = 11
	txnCommitAdds   = 5
	txnCommitAborts = 4
)

// fencedAs: clients below a version know PRODUCER_FENCED by another name.
func fencedAs(e *kerr.Error, version, knownFrom int16) *kerr.Error {
	if e == kerr.ProducerFenced && version < knownFrom {
		return kerr.InvalidProducerEpoch
	}
	return e
}

// errorCode is the wire code of an error; nil is none.
func errorCode(e *kerr.Error) int16 {
	if e == nil {
		return 0
	}
	return e.Code
}

// errNotAdded is INVALID_TXN_STATE with the text that Kafka has for old clients.
var errNotAdded = fmt.Errorf("%w: %s", logstore.ErrTxnState, notAddedText)

const notAddedText = "Partition was not added to the transaction"

// joining is a producer that is about to write on partitions.
type joining struct {
	transactionalID string
	producerID      int64
	epoch           int16
	adds            bool // partitions that the transaction does not have are added
	aborts          bool // TRANSACTION_ABORTABLE is understood
}

// joined is what came of it for one partition.
type joined struct {
	verification logstore.Verification
	err          error
}

// join holds a producer against its transaction before it writes. The answer has a row for each partition.
func (h *Handlers) join(ctx context.Context, j joining, partitions map[txncoord.TopicPartition]*replication.Partition) map[txncoord.TopicPartition]joined {
	rows := make(map[txncoord.TopicPartition]joined, len(partitions))
	ask := make([]txncoord.TopicPartition, 0, len(partitions))
	for tp, p := range partitions {
		if p == nil || p.Log() == nil {
			continue
		}
		if !j.adds && !config.Get(h.Config(), config.TransactionPartitionVerificationEnable) {
			rows[tp] = joined{}
			continue
		}
		since, ongoing, err := p.Log().VerificationPoint(j.producerID, j.epoch)
		if j.adds { // whatever ends the transaction has a newer epoch; the marker of the last one, which it may wait for, does not
			since = math.MaxInt64
		}
		rows[tp] = joined{logstore.Verification{Needed: true, Since: since}, err}
		if err == nil && !ongoing {
			ask = append(ask, tp)
		}
	}
	if len(ask) == 0 {
		return rows
	}
	version := int16(0)
	if j.adds {
		version = transactionV2
	}
	added, e := txncoord.Wait[txncoord.Added](ctx, h.Transactions.AddPartitions(txncoord.Add{
		TransactionalID: j.transactionalID, ProducerID: j.producerID, Epoch: j.epoch,
		VerifyOnly: !j.adds, Version: version, Partitions: ask,
	}))
	if e == nil {
		e = added.Code
	}
	for _, tp := range ask {
		code := e
		if code == nil && added.Missing[tp] {
			code = kerr.TransactionAbortable
		}
		if code != nil {
			rows[tp] = joined{err: code}
		}
	}
	return rows
}

// produceError is what a producer is told of a coordinator's word.
func (j joining) produceError(err error) error {
	switch {
	case errors.Is(err, kerr.ProducerFenced):
		return kerr.InvalidProducerEpoch
	case errors.Is(err, kerr.TransactionAbortable) && !j.aborts:
		return errNotAdded
	case errors.Is(err, kerr.ConcurrentTransactions) && j.adds:
		return err
	case errors.Is(err, kerr.ConcurrentTransactions), errors.Is(err, kerr.CoordinatorLoadInProgress),
		errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.NotCoordinator):
		return kerr.NotEnoughReplicas
	}
	return err
}

// joinTransaction is join for the transactional batches of a Produce request.
func (c *produceCall) joinTransaction(ctx context.Context, req *kmsg.ProduceRequest) {
	partitions := map[txncoord.TopicPartition]*replication.Partition{}
	j := joining{transactionalID: *req.TransactionID, adds: c.version >= produceAdds, aborts: c.version >= produceAborts}
	for t := range req.Topics {
		name, err := c.topic(&c.resp.Topics[t])
		if err != nil {
			continue
		}
		for p := range req.Topics[t].Partitions {
			asked := &req.Topics[t].Partitions[p]
			b, _, err := protocol.NextBatch(asked.Records)
			if err != nil || !b.IsTransactional() || exists(c.image, name, asked.Partition) != nil {
				continue
			}
			if len(partitions) > 0 && (j.producerID != b.ProducerID() || j.epoch != b.ProducerEpoch()) {
				c.refused = kerr.InvalidProducerIDMapping
				return
			}
			j.producerID, j.epoch = b.ProducerID(), b.ProducerEpoch()
			partitions[txncoord.TopicPartition{Topic: name, Partition: asked.Partition}] = c.h.Partitions.Partition(name, asked.Partition)
		}
	}
	if len(partitions) == 0 {
		return
	}
	c.joined = c.h.join(ctx, j, partitions)
	for tp, row := range c.joined {
		if row.err != nil {
			row.err = j.produceError(row.err)
			c.joined[tp] = row
		}
	}
}
