package replication

import (
	"context"
	"errors"
	"log/slog"

	"minikafka/config"
	"minikafka/internal/clock"
	"minikafka/logstore"
	"minikafka/metadata"
)

// Errors that callers map to Kafka's codes.
var (
	ErrUnknownPartition   = errors.New("partition is not known")
	ErrNotLeader          = errors.New("not the leader of the partition")
	ErrFencedLeaderEpoch  = errors.New("leader epoch is older than the partition's")
	ErrUnknownLeaderEpoch = errors.New("leader epoch is newer than the partition's")
	ErrNotEnoughReplicas  = errors.New("fewer in-sync replicas than min.insync.replicas")
	ErrNotEnoughAfter     = errors.New("fewer in-sync replicas than min.insync.replicas after the append")
	ErrPolicyViolation    = errors.New("records of a compacted topic cannot be deleted")
)

// Options say what a manager stands on.
type Options struct {
	Store  *logstore.Store
	NodeID int32
	Clock  clock.Clock
	Logger *slog.Logger
	Config func() *config.Values
}

// Manager owns this broker's partitions and follows the metadata image.
type Manager struct{}

// NewManager makes a manager without partitions; Apply brings them.
func NewManager(o Options) *Manager { panic("replication: being built") }

// Apply is the metadata.Subscriber: it creates, leads, reconfigures and deletes partitions, and returns
// when they can be produced to and fetched from. The first call also marks logs stray that the image
// does not know.
func (m *Manager) Apply(image *metadata.Image, delta *metadata.Delta) { panic("being built") }

// Partition finds a hosted partition; nil when this broker does not host it.
func (m *Manager) Partition(topic string, partition int32) *Partition { panic("being built") }

// Close stops background work; it does not close the store.
func (m *Manager) Close() { panic("being built") }

// Partition is one replica on this broker.
type Partition struct{}

// AppendRequest is one partition's part of a produce request.
type AppendRequest struct {
	Batch          []byte // one batch, changed in place; the caller's again when Append returns
	Acks           int16
	ProduceVersion int16
	Internal       bool // from a coordinator
}

// AppendResult: LastOffset+1 is what the high watermark must reach for acks=-1.
type AppendResult struct {
	logstore.AppendInfo
	LeaderEpoch int32
}

// Append validates and appends as leader. Errors: ErrNotLeader, ErrNotEnoughReplicas, *protocol.RecordError
// and the other protocol.Err*, logstore.Err*.
func (p *Partition) Append(r AppendRequest) (AppendResult, error) { panic("being built") }

// AwaitCommit waits until the high watermark passes offset (then the ISR is checked again), the epoch ends, or ctx is done.
func (p *Partition) AwaitCommit(ctx context.Context, lastOffset int64, leaderEpoch int32) error {
	panic("being built")
}

// Isolation of a read.
type Isolation int8

// Isolations: up to the high watermark, the last stable offset, or (followers) the log end.
const (
	ReadUncommitted Isolation = iota
	ReadCommitted
	ReadLogEnd
)

// ReadRequest is one partition's part of a fetch.
type ReadRequest struct {
	Offset             int64
	MaxBytes           int32
	MinOne             bool
	Isolation          Isolation
	CurrentLeaderEpoch int32 // -1: do not check
	LastFetchedEpoch   int32 // -1: do not check
}

// ReadResult is what a fetch answers; the three offsets are valid with an error nil.
type ReadResult struct {
	Records                                         *logstore.Slice // nil: empty
	HighWatermark, LastStableOffset, LogStartOffset int64
	Aborted                                         []logstore.AbortedTxn // read_committed only, never nil then
	DivergingEpoch                                  int32                 // -1: none
	DivergingEndOffset                              int64
}

// Read reads as leader.
func (p *Partition) Read(r ReadRequest) (ReadResult, error) { panic("being built") }

// Offsets are the partition's present ends.
func (p *Partition) Offsets() (logStart, highWatermark, lastStable, logEnd int64) {
	panic("being built")
}

// Leader is the present leader and epoch; isLeader says whether it is this broker.
func (p *Partition) Leader() (id, epoch int32, isLeader bool) { panic("being built") }

// Log is the local log.
func (p *Partition) Log() *logstore.Log { panic("being built") }

// CheckEpoch fences as replication.md section 1 says: epoch first, then leadership.
func (p *Partition) CheckEpoch(currentLeaderEpoch int32) error { panic("being built") }

// DeleteRecords moves the log start; offset -1 is the high watermark.
func (p *Partition) DeleteRecords(ctx context.Context, offset int64) (lowWatermark int64, err error) {
	panic("being built")
}

// Watch registers a one-slot channel that gets a token whenever the high watermark, the last stable
// offset, the log start or the leadership may have changed; the returned function unregisters.
// Register first, then try, then wait.
func (p *Partition) Watch(c chan struct{}) (cancel func()) { panic("being built") }
