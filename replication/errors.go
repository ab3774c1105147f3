package replication

import "errors"

// Errors that callers map to Kafka's codes.
var (
	ErrUnknownPartition   = errors.New("partition is not known")
	ErrNotLeader          = errors.New("not the leader of the partition")
	ErrFencedLeaderEpoch  = errors.New("leader epoch is older than the partition's")
	ErrUnknownLeaderEpoch = errors.New("leader epoch is newer than the partition's")
	ErrNotEnoughReplicas  = errors.New("fewer in-sync replicas than min.insync.replicas")
	ErrNotEnoughAfter     = errors.New("fewer in-sync replicas than min.insync.replicas after the append")
	ErrPolicyViolation    = errors.New("records of a compacted topic cannot be deleted")
	// ErrOffsetNotAvailable: a new leader's high watermark has not reached the start of its epoch yet.
	ErrOffsetNotAvailable = errors.New("high watermark is behind the leader epoch's start")
	// ErrUnsupportedTimestamp is a special timestamp of ListOffsets that does not exist.
	ErrUnsupportedTimestamp = errors.New("timestamp has no meaning")
)
