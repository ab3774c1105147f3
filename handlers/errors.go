package handlers

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/logstore"
	"minikafka/protocol"
	"minikafka/replication"
)

// Errors of the handlers themselves.
var (
	ErrInternalTopic       = errors.New("the topic is internal")
	ErrUnknownTopicID      = errors.New("topic id is not known")
	ErrInconsistentTopicID = errors.New("topic id is not that of the log")
	ErrUnknownTopic        = errors.New("topic or partition is not known")
	ErrInvalidAcks         = errors.New("acks must be -1, 0 or 1")
	// ErrTransactionalID: transactional records without a transactional id, or one that may not be used.
	ErrTransactionalID = errors.New("transactional id is not authorized")
	ErrDuplicate       = errors.New("partition comes twice in the request")
)

// errorTable maps Go errors to Kafka's codes: the first row that errors.Is matches. It is the only place
// where that is decided; a test fails for an exported Err* without a row.
var errorTable = []struct {
	err  error
	code *kerr.Error
}{
	{logstore.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{logstore.ErrStorage, kerr.KafkaStorageError},
	{logstore.ErrCorruptFile, kerr.KafkaStorageError},
	{logstore.ErrRecordListTooBig, kerr.RecordListTooLarge},
	{logstore.ErrOutOfOrderSeq, kerr.OutOfOrderSequenceNumber},
	{logstore.ErrProducerEpoch, kerr.InvalidProducerEpoch},
	{logstore.ErrTxnState, kerr.InvalidTxnState},
	{logstore.ErrCoordinatorEpoch, kerr.TransactionCoordinatorFenced},

	{replication.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{replication.ErrNotLeader, kerr.NotLeaderForPartition},
	{replication.ErrFencedLeaderEpoch, kerr.FencedLeaderEpoch},
	{replication.ErrUnknownLeaderEpoch, kerr.UnknownLeaderEpoch},
	{replication.ErrNotEnoughReplicas, kerr.NotEnoughReplicas},
	{replication.ErrNotEnoughAfter, kerr.NotEnoughReplicasAfterAppend},
	{replication.ErrPolicyViolation, kerr.PolicyViolation},
	{replication.ErrOffsetNotAvailable, kerr.OffsetNotAvailable},
	{replication.ErrUnsupportedTimestamp, kerr.UnsupportedVersion},

	{protocol.ErrInvalidRecord, kerr.InvalidRecord},
	{protocol.ErrRecordSize, kerr.InvalidRecord},
	{protocol.ErrInvalidTimestamp, kerr.InvalidTimestamp},
	{protocol.ErrTooLarge, kerr.MessageTooLarge},
	{protocol.ErrUnsupportedCodec, kerr.UnsupportedCompressionType},
	{protocol.ErrUnknownCodec, kerr.UnknownServerError},
	{protocol.ErrUndecodable, kerr.UnknownServerError},
	{protocol.ErrShortBatch, kerr.CorruptMessage},
	{protocol.ErrCorrupt, kerr.CorruptMessage},

	{ErrInternalTopic, kerr.InvalidTopicException},
	{ErrUnknownTopicID, kerr.UnknownTopicID},
	{ErrInconsistentTopicID, kerr.InconsistentTopicID},
	{ErrUnknownTopic, kerr.UnknownTopicOrPartition},
	{ErrInvalidAcks, kerr.InvalidRequiredAcks},
	{ErrTransactionalID, kerr.TransactionalIDAuthorizationFailed},
	{ErrDuplicate, kerr.InvalidRequest},

	{context.DeadlineExceeded, kerr.RequestTimedOut},
}

// fallbacks are codes that clients of old versions do not know: below the version another code goes out.
var fallbacks = []struct {
	key    kmsg.Key
	before int16
	code   *kerr.Error
	old    *kerr.Error
}{
	{kmsg.Produce, 4, kerr.KafkaStorageError, kerr.NotLeaderForPartition},
	{kmsg.Fetch, 6, kerr.KafkaStorageError, kerr.NotLeaderForPartition},
	{kmsg.ListOffsets, 5, kerr.OffsetNotAvailable, kerr.LeaderNotAvailable},
}

// codeOf is the code that an API answers in a version. What the table does not know is
// UNKNOWN_SERVER_ERROR, and somebody's bug: it is logged.
func (h *Handlers) codeOf(err error, key kmsg.Key, version int16) int16 {
	if err == nil {
		return 0
	}
	for i := range errorTable {
		if !errors.Is(err, errorTable[i].err) {
			continue
		}
		code := errorTable[i].code
		for _, f := range fallbacks {
			if f.key == key && version < f.before && f.code == code {
				return f.old.Code
			}
		}
		return code.Code
	}
	if known := (*kerr.Error)(nil); errors.As(err, &known) {
		return known.Code
	}
	h.Logger.Error("request failed", "api", key.Name(), "error", err)
	return kerr.UnknownServerError.Code
}
