package logstore

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"minikafka/internal/clock"
	"minikafka/internal/vfs"
)

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

// TopicPartition names a partition's directory.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// UUID is a topic or directory id.
type UUID = [16]byte

// Config is what a log reads of its topic's configuration.
type Config struct {
	SegmentBytes, SegmentIndexBytes, IndexIntervalBytes int32
	SegmentMs, SegmentJitterMs                          time.Duration
	RetentionBytes                                      int64         // < 0: no limit
	RetentionMs                                         time.Duration // < 0: no limit
	FileDeleteDelay                                     time.Duration
	FlushMessages                                       int64
	FlushMs                                             time.Duration
	CleanupDelete, CleanupCompact                       bool
	Preallocate                                         bool
	DeleteRetentionMs                                   time.Duration
	MinCompactionLagMs, MaxCompactionLagMs              time.Duration
	MinCleanableDirtyRatio                              float64
	ProducerIDExpiration                                time.Duration
}

// Options say what a store stands on.
type Options struct {
	FS                                         vfs.FS
	Clock                                      clock.Clock
	Logger                                     *slog.Logger
	Dirs                                       []string // log.dirs
	MetadataDir                                string   // "" is Dirs[0]
	NodeID                                     int32
	ClusterID                                  string // wanted; "" takes what the dirs say, or makes one
	DefaultConfig                              Config // for logs found on disk, until SetConfig
	RecoveryThreads                            int
	RetentionCheckInterval, CheckpointInterval time.Duration
	// OnDirFailure is called once for each directory that went offline.
	OnDirFailure func(dir string, cause error)
}

// DirInfo is one log directory.
type DirInfo struct {
	Path                    string
	ID                      UUID
	Offline                 bool
	TotalBytes, UsableBytes int64
}

// Store owns the log directories: lock, meta.properties, checkpoints, and every partition's log.
type Store struct{}

// Open locks the directories, formats empty ones, and loads every log (recovering after a kill).
func Open(ctx context.Context, o Options) (*Store, error) { panic("logstore: being built") }

func (s *Store) ClusterID() string   { panic("being built") }
func (s *Store) Dirs() []DirInfo     { panic("being built") }
func (s *Store) MetadataDir() string { panic("being built") }

// PreviousBrokerEpoch is the epoch of the clean-shutdown marker, -1 after a kill.
func (s *Store) PreviousBrokerEpoch() int64 { panic("being built") }

// Log finds an open log; nil when there is none.
func (s *Store) Log(tp TopicPartition) *Log { panic("being built") }

// Logs lists all open logs.
func (s *Store) Logs() []*Log { panic("being built") }

// Create makes the log of a new partition, in the directory with the fewest logs.
func (s *Store) Create(tp TopicPartition, topicID UUID, c Config) (*Log, error) { panic("being built") }

// Delete renames the log away at once (its name can be used again) and removes the files later.
func (s *Store) Delete(tp TopicPartition) error { panic("being built") }

// MarkStray renames a log that the metadata does not know.
func (s *Store) MarkStray(tp TopicPartition) error { panic("being built") }

// SetCheckpointSource: the high watermark of each log is what the log was told by SetHighWatermark.
// Close is the clean stop: flush, snapshots, index trim, checkpoints, marker with the broker epoch.
func (s *Store) Close(brokerEpoch int64) error { panic("being built") }

// Origin says who appends.
type Origin int8

// Origins. Client appends are checked for duplicates and sequences; Coordinator ones only for epochs;
// Replication keeps offsets and epochs as they came; Raft is the metadata log's leader.
const (
	OriginClient Origin = iota
	OriginCoordinator
	OriginReplication
	OriginRaft
)

// AppendInfo is what an append did.
type AppendInfo struct {
	FirstOffset, LastOffset int64 // inclusive last
	LogAppendTime           int64 // ms; -1 for CreateTime topics
	LogStartOffset          int64
	Duplicate               bool // nothing was written: the offsets are the first write's
}

// Log is one partition's log. One writer at a time (the log's own mutex); readers never wait for it.
type Log struct{}

func (l *Log) TopicPartition() TopicPartition { panic("being built") }
func (l *Log) TopicID() UUID                  { panic("being built") }

// DirID is the id of the log directory that holds the log.
func (l *Log) DirID() UUID        { panic("being built") }
func (l *Log) Dir() string        { panic("being built") }
func (l *Log) SetConfig(c Config) { panic("being built") }

// Append writes batches that protocol.Validate passed. Offsets and leader epoch are set in place: the
// caller's bytes change. logAppendTime is -1 for CreateTime.
func (l *Log) Append(batches []byte, leaderEpoch int32, origin Origin, logAppendTime int64) (AppendInfo, error) {
	panic("being built")
}

// Slice is records of one segment: a file range. It implements protocol.RecordSource.
type Slice struct{}

// ReadResult: Records is nil when nothing is there yet.
type ReadResult struct {
	Records *Slice
	// FirstOffset is the base offset of the first batch.
	FirstOffset int64
}

// Read returns whole-file bytes from the batch that contains offset, at most maxBytes (the tail may be
// a partial batch), of batches whose base offset is below upTo (exclusive). With minOne the first batch
// comes whole even if it is larger. ErrOffsetOutOfRange below the log start or beyond the log end.
func (l *Log) Read(offset, upTo int64, maxBytes int32, minOne bool) (ReadResult, error) {
	panic("being built")
}

func (l *Log) LogStartOffset() int64 { panic("being built") }
func (l *Log) LogEndOffset() int64   { panic("being built") }

// SetHighWatermark is told by the partition; retention, LSO, compaction and the checkpoint read it.
func (l *Log) SetHighWatermark(hw int64) { panic("being built") }

// HighWatermark is the last one set; after Open, the checkpointed one.
func (l *Log) HighWatermark() int64 { panic("being built") }

// LastStableOffset is min(high watermark, first unstable offset).
func (l *Log) LastStableOffset() int64 { panic("being built") }

// SizeBytes is the sum of the segments.
func (l *Log) SizeBytes() int64 { panic("being built") }

// AbortedTxn is one row of the aborted list of a read_committed fetch.
type AbortedTxn struct{ ProducerID, FirstOffset int64 }

// AbortedTxns lists what a reader of [from, upTo) must drop; it may be a superset.
func (l *Log) AbortedTxns(from, upTo int64) ([]AbortedTxn, error) { panic("being built") }

// TimestampedOffset is a record's offset, timestamp and leader epoch; Offset -1: none.
type TimestampedOffset struct {
	Offset, Timestamp int64
	LeaderEpoch       int32
}

// OffsetForTimestamp finds the first record with timestamp >= ts and offset >= log start, below upTo.
func (l *Log) OffsetForTimestamp(ts, upTo int64) (TimestampedOffset, error) { panic("being built") }

// MaxTimestamp finds the first record that has the largest timestamp.
func (l *Log) MaxTimestamp() (TimestampedOffset, error) { panic("being built") }

// AssignEpoch records that a leader epoch starts at an offset (a new leader, even without data).
func (l *Log) AssignEpoch(epoch int32, start int64) error { panic("being built") }

// LatestEpoch is -1 when there is none.
func (l *Log) LatestEpoch() int32 { panic("being built") }

// EndOffsetForEpoch is log-format.md section 9: (-1, -1) when undefined.
func (l *Log) EndOffsetForEpoch(epoch int32) (foundEpoch int32, endOffset int64) {
	panic("being built")
}

// EpochAt is the leader epoch of an offset, -1 when unknown.
func (l *Log) EpochAt(offset int64) int32 { panic("being built") }

// IncrementLogStartOffset deletes records below offset (DeleteRecords).
func (l *Log) IncrementLogStartOffset(offset int64) error { panic("being built") }

// TruncateTo removes offsets >= offset.
func (l *Log) TruncateTo(offset int64) error { panic("being built") }

// TruncateFullyAndStartAt empties the log.
func (l *Log) TruncateFullyAndStartAt(offset int64) error { panic("being built") }

// Flush makes everything up to the log end durable; concurrent calls share one fdatasync.
func (l *Log) Flush() error { panic("being built") }

// ActiveProducer is one producer's state (DescribeProducers).
type ActiveProducer struct {
	ProducerID            int64
	Epoch                 int16
	LastSequence          int32
	LastTimestamp         int64
	CoordinatorEpoch      int32
	CurrentTxnStartOffset int64
}

func (l *Log) ActiveProducers() []ActiveProducer { panic("being built") }

// LogOptions open a single log outside a store: the metadata log.
type LogOptions struct {
	FS             vfs.FS
	Clock          clock.Clock
	Logger         *slog.Logger
	Dir            string // the partition directory itself
	TopicPartition TopicPartition
	TopicID        UUID
	Config         Config
	// Recover scans everything (an unclean stop).
	Recover bool
}

// OpenLog opens or creates one log.
func OpenLog(ctx context.Context, o LogOptions) (*Log, error) { panic("being built") }

// Close closes the files; clean trims indexes and writes a producer snapshot.
func (l *Log) Close() error { panic("being built") }
