package txncoord

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// Records of __transaction_state are Kafka's: the key is an int16 0 and the transactional id, the value
// an int16 version and the transaction. kmsg has both; version 1, with tags, is written from
// transaction.version 1 on.

var errMalformedRecord = errors.New("malformed record")

// minTransactionSize is what a value has at least, in any version.
const minTransactionSize = 2 + 8 + 2 + 4 + 1 + 1 + 8 + 8

func transactionKey(id string) []byte {
	k := kmsg.TxnMetadataKey{TransactionalID: id}
	return k.AppendTo(make([]byte, 0, 4+len(id)))
}

// record is the transaction's; level is the finalized transaction.version.
func (t *transaction) record(level int16) coordinator.Record {
	v := kmsg.NewTxnMetadataValue()
	v.Version = min(level, 1)
	v.ProducerID, v.ProducerEpoch = t.producerID, t.epoch
	v.TimeoutMillis, v.State = t.timeoutMs, kmsg.TransactionState(t.state)
	v.LastUpdateTimestamp, v.StartTimestamp = t.updatedMs, t.startedMs
	v.PreviousProducerID, v.NextProducerID = t.previousProducerID, t.nextProducerID
	v.ClientTransactionVersion = t.version
	if t.state != Empty {
		v.Topics = []kmsg.TxnMetadataValueTopic{}
		for _, p := range t.sorted() {
			if n := len(v.Topics); n == 0 || v.Topics[n-1].Topic != p.Topic {
				v.Topics = append(v.Topics, kmsg.TxnMetadataValueTopic{Topic: p.Topic})
			}
			last := &v.Topics[len(v.Topics)-1]
			last.Partitions = append(last.Partitions, p.Partition)
		}
	}
	return coordinator.Record{Key: transactionKey(t.id), Value: v.AppendTo(nil)}
}

// sorted are the transaction's partitions by topic and number.
func (t *transaction) sorted() []TopicPartition {
	list := make([]TopicPartition, 0, len(t.partitions))
	for p := range t.partitions {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b TopicPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return list
}

func parseKey(key []byte) (id string, err error) {
	var k kmsg.TxnMetadataKey
	if err := k.ReadFrom(key); err != nil {
		return "", fmt.Errorf("%w: key: %w", errMalformedRecord, err)
	}
	if k.Version != 0 {
		return "", fmt.Errorf("%w: key of type %d", errMalformedRecord, k.Version)
	}
	return k.TransactionalID, nil
}

func parseTransaction(id string, value []byte) (*transaction, error) {
	if len(value) < minTransactionSize {
		return nil, fmt.Errorf("%w: a value of %d bytes", errMalformedRecord, len(value))
	}
	version := int16(binary.BigEndian.Uint16(value))
	if version < 0 || version > 1 {
		return nil, fmt.Errorf("%w: value version %d", errMalformedRecord, version)
	}
	if version == 1 && !tagsFit(value) {
		return nil, fmt.Errorf("%w: more tags than bytes", errMalformedRecord)
	}
	v := kmsg.NewTxnMetadataValue()
	if err := v.ReadFrom(value); err != nil {
		return nil, fmt.Errorf("%w: value v%d: %w", errMalformedRecord, version, err)
	}
	if v.State < 0 || State(v.State) >= Dead {
		return nil, fmt.Errorf("%w: state %d", errMalformedRecord, v.State)
	}
	t := &transaction{
		id: id, producerID: v.ProducerID, previousProducerID: v.PreviousProducerID, nextProducerID: v.NextProducerID,
		epoch: v.ProducerEpoch, lastEpoch: noEpoch, timeoutMs: v.TimeoutMillis, state: State(v.State),
		updatedMs: v.LastUpdateTimestamp, startedMs: v.StartTimestamp, version: v.ClientTransactionVersion,
		partitions: map[TopicPartition]struct{}{},
	}
	for i := range v.Topics {
		for _, p := range v.Topics[i].Partitions {
			t.partitions[TopicPartition{v.Topics[i].Topic, p}] = struct{}{}
		}
	}
	return t, nil
}

// tagsFit walks over a value of version 1: kmsg does not bound its arrays and tags by the bytes that remain.
func tagsFit(value []byte) bool {
	b, ok := value[2+8+2+4+1:], true
	uvarint := func() uint64 {
		v, n := binary.Uvarint(b[:min(len(b), binary.MaxVarintLen32)])
		if n <= 0 {
			ok = false
			return 0
		}
		b = b[n:]
		return v
	}
	skip := func(n uint64) {
		if ok = ok && n <= uint64(len(b)); ok {
			b = b[n:]
		}
	}
	tags := func() {
		for n := uvarint(); n > 0 && ok; n-- {
			uvarint()
			skip(uvarint())
		}
	}
	for n := uvarint(); n > 1 && ok; n-- {
		skip(max(uvarint(), 1) - 1) // topic
		skip(4 * (max(uvarint(), 1) - 1))
		tags()
	}
	skip(8 + 8)
	tags()
	return ok
}
