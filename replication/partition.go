package replication

import (
	"context"
	"sync"
	"sync/atomic"

	"minikafka/internal/clock"
	"minikafka/logstore"
	"minikafka/metadata"
)

// Partition is one replica on this broker.
//
// The role is read without a lock; a term's changes are made under mu. An append read-holds mu, so that
// the role cannot change under it. Lock order: mu, then Log.appendMu.
type Partition struct {
	tp       logstore.TopicPartition
	topicID  metadata.UUID
	settings *atomic.Pointer[settings] // the topic's
	log      *logstore.Log             // nil when its directory was broken from the start
	clock    clock.Clock
	role     atomic.Pointer[role]

	// highWatermark never falls within a term. It is stored under publishMu, and the log is told before
	// anybody else can store a higher one.
	highWatermark atomic.Int64
	// unopened is nil once the log is there, as it is for whoever got the partition from the manager.
	unopened  atomic.Pointer[unopened]
	publishMu sync.Mutex // below mu; Log.appendMu may be taken under it
	watchers  watchers

	mu  sync.RWMutex
	isr *isr // nil while not the leader
}

// role is who leads. It is replaced, never changed.
type role struct {
	leader, leaderEpoch, partitionEpoch int32
	isLeader                            bool
	// alone: this broker is the only replica, so that whatever is appended is committed.
	alone bool
	// gone is why the partition does not serve at all: deleted, or its log dir is offline.
	gone error
}

// check fences as Kafka does: the epoch first, then leadership. Epoch -1 is not checked.
func (r *role) check(currentLeaderEpoch int32) error {
	switch {
	case r.gone != nil:
		return r.gone
	case currentLeaderEpoch != -1 && currentLeaderEpoch < r.leaderEpoch:
		return ErrFencedLeaderEpoch
	case currentLeaderEpoch > r.leaderEpoch:
		return ErrUnknownLeaderEpoch
	case !r.isLeader:
		return ErrNotLeader
	}
	return nil
}

// CheckEpoch fences as replication.md section 1 says: epoch first, then leadership.
func (p *Partition) CheckEpoch(currentLeaderEpoch int32) error {
	return p.role.Load().check(currentLeaderEpoch)
}

// Leader is the present leader and epoch; isLeader says whether it is this broker.
func (p *Partition) Leader() (id, epoch int32, isLeader bool) {
	r := p.role.Load()
	return r.leader, r.leaderEpoch, r.isLeader
}

// TopicPartition is the partition's name.
func (p *Partition) TopicPartition() logstore.TopicPartition { return p.tp }

// TopicID is the id of the topic that the log belongs to.
func (p *Partition) TopicID() metadata.UUID { return p.topicID }

// Log is the local log; nil when its directory could not be used.
func (p *Partition) Log() *logstore.Log { return p.log }

// Offsets are the partition's present ends.
func (p *Partition) Offsets() (logStart, highWatermark, lastStable, logEnd int64) {
	if p.log == nil {
		return -1, -1, -1, -1
	}
	return p.log.LogStartOffset(), p.highWatermark.Load(), p.lastStable(), p.log.LogEndOffset()
}

// lastStable is the end of what read_committed may see: never above the high watermark.
func (p *Partition) lastStable() int64 {
	return min(p.log.LastStableOffset(), p.highWatermark.Load())
}

// publish raises the high watermark, tells the log, and wakes who waits.
func (p *Partition) publish(highWatermark int64) {
	p.publishMu.Lock()
	raised := highWatermark > p.highWatermark.Load()
	if raised {
		p.log.SetHighWatermark(highWatermark)
		p.highWatermark.Store(highWatermark)
	}
	p.publishMu.Unlock()
	if raised {
		p.watchers.wake()
	}
}

// AppendRequest is one partition's part of a produce request.
type AppendRequest struct {
	Batch          []byte // one batch, changed in place; the caller's again when Append returns
	Acks           int16
	ProduceVersion int16
	Internal       bool // from a coordinator
	TransactionV2  bool // see logstore.AppendRules, for this and the following
	MarkerVersion  int8
	Verification   logstore.Verification
}

// AppendResult is what an append did: LastOffset+1 is what the high watermark must reach for acks=-1.
type AppendResult struct {
	logstore.AppendInfo
	LeaderEpoch int32
}

// DeleteRecords moves the log start; offset -1 is the high watermark. The answer is the partition's low
// watermark: the lowest log start of its live replicas.
func (p *Partition) DeleteRecords(_ context.Context, offset int64) (lowWatermark int64, err error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if err := p.role.Load().check(-1); err != nil {
		return -1, err
	}
	if !p.settings.Load().deletable {
		return -1, ErrPolicyViolation
	}
	highWatermark := p.highWatermark.Load()
	if offset == -1 {
		offset = highWatermark
	}
	if offset < 0 || offset > highWatermark {
		return -1, logstore.ErrOffsetOutOfRange
	}
	if offset > p.log.LogStartOffset() {
		if err := p.log.IncrementLogStartOffset(offset); err != nil {
			return -1, err
		}
		p.watchers.wake()
	}
	return p.log.LogStartOffset(), nil
}
