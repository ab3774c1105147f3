package logstore

import "errors"

// Errors that callers map to Kafka's codes (handlers/errors.go).
var (
	ErrOffsetOutOfRange = errors.New("offset out of range")
	ErrStorage          = errors.New("log directory is offline") // wraps the cause
	ErrRecordListTooBig = errors.New("batch is larger than segment.bytes")
	ErrOutOfOrderSeq    = errors.New("out of order sequence number")
	ErrProducerEpoch    = errors.New("producer epoch is older than the known one")
	ErrTxnState         = errors.New("invalid transaction state")
	ErrCoordinatorEpoch = errors.New("transaction coordinator epoch is older than the known one")
)
