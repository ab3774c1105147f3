package logstore

import (
	"fmt"
	"log/slog"
	"sort"
	"sync"
	"sync/atomic"

	"minikafka/internal/clock"
	"minikafka/internal/vfs"
)

// Log is one partition's log. One writer at a time (the log's own mutex); readers never wait for it.
type Log struct {
	tp      TopicPartition
	topicID UUID
	idLost  int8 // why topicID is zero: loadTopicID
	path    dirPath
	disk    *logDir
	fs      vfs.FS
	files   *fileCache
	clock   clock.Clock
	logger  *slog.Logger
	config  atomic.Pointer[Config]
	bg      *background // nil outside a store

	// What readers see; stored only under appendMu. leo is the log end offset (exclusive).
	list          atomic.Pointer[segmentList]
	leo, logStart atomic.Int64
	highWatermark atomic.Int64
	firstUnstable atomic.Int64 // math.MaxInt64: no open transaction
	offline       atomic.Pointer[offlineError]
	recoveryPoint atomic.Int64 // everything below is on disk
	cleanedTo     atomic.Int64 // everything below was compacted; -1: never
	generation    atomic.Int64 // counts truncations: a clean that spans one is void
	lastFlush     atomic.Int64 // ms

	// cuts is odd while a truncation is under way, and grows by two with each: what a reader that met one makes
	// of the bytes says nothing of the disk.
	cuts atomic.Int64

	newFiles atomic.Bool // names in the directory that are not durable yet

	epochs *epochCache

	appendMu  sync.Mutex
	prepared  preparedAppend
	producers *producerState
	// lastSnapshot is the offset of the newest producer snapshot, -1 for none known.
	lastSnapshot       int64
	producersAt        int64 // at load: the offset that recovery has brought the producer state to
	producersRecovered bool  // at load: that is the log end

	rounds     flushRounds
	flushMu    sync.Mutex // held across fdatasync; before appendMu
	dirDurable bool       // partition.metadata and the directory's name are on disk; guarded by flushMu
}

// segmentList is sorted by base offset and never empty. It is replaced, never changed.
type segmentList []*segment

// floor is the index of the segment that would hold offset (0 if all are above).
func (s segmentList) floor(offset int64) int {
	i := sort.Search(len(s), func(i int) bool { return s[i].base > offset })
	return max(i-1, 0)
}

func (s segmentList) active() *segment { return s[len(s)-1] }

func (l *Log) segments() segmentList { return *l.list.Load() }

// offlineError is why a log does not serve.
type offlineError struct{ cause error }

// usable is nil while the log serves.
func (l *Log) usable() error {
	if o := l.offline.Load(); o != nil {
		return fmt.Errorf("%w: %s: %w", ErrStorage, l.tp, o.cause)
	}
	return l.disk.usable()
}

// ioFailed takes the log's directory offline and returns what callers answer.
func (l *Log) ioFailed(doing string, cause error) error {
	err := fmt.Errorf("%s %s: %w", doing, l.tp, cause)
	l.disk.fail(err)
	return fmt.Errorf("%w: %w", ErrStorage, err)
}

// TopicPartition is whose log it is.
func (l *Log) TopicPartition() TopicPartition { return l.tp }

// TopicID is zero when the directory had no partition.metadata.
func (l *Log) TopicID() UUID { return l.topicID }

// DirID is the id of the log directory that holds the log.
func (l *Log) DirID() UUID { return l.disk.id }

// Dir is the log directory (log.dirs) that holds the log.
func (l *Log) Dir() string { return l.disk.path }

// SetConfig puts a topic's new configuration in force.
func (l *Log) SetConfig(c Config) {
	c = c.withDefaults()
	l.config.Store(&c)
}

// LogStartOffset is the first offset that can be read.
func (l *Log) LogStartOffset() int64 { return l.logStart.Load() }

// LogEndOffset is the next offset.
func (l *Log) LogEndOffset() int64 { return l.leo.Load() }

// HighWatermark is the last one set; after Open, the checkpointed one.
func (l *Log) HighWatermark() int64 { return l.highWatermark.Load() }

// SizeBytes is the sum of the segments.
func (l *Log) SizeBytes() int64 {
	total := int64(0)
	for _, s := range l.segments() {
		total += s.size.Load()
	}
	return total
}

// AssignEpoch records that a leader epoch starts at an offset (a new leader, even without data).
func (l *Log) AssignEpoch(epoch int32, start int64) error {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	// The file comes with the first record of the epoch that is flushed; until then recovery reads the
	// epoch from the batches.
	l.epochs.assignInMemory(epoch, start)
	return nil
}

// LatestEpoch is -1 when there is none.
func (l *Log) LatestEpoch() int32 { return l.epochs.entries().latest() }

// EndOffsetForEpoch is log-format.md section 9: (-1, -1) when undefined.
func (l *Log) EndOffsetForEpoch(epoch int32) (foundEpoch int32, endOffset int64) {
	return l.epochs.entries().endOffsetFor(epoch, l.leo.Load())
}

// EpochAt is the leader epoch of an offset, -1 when unknown.
func (l *Log) EpochAt(offset int64) int32 { return l.epochs.entries().at(offset) }

// assignEpochs notes the epochs that batches about to be written begin. As with AssignEpoch, the file comes with the
// flush.
func (l *Log) assignEpochs(b []byte) error {
	for len(b) > 0 {
		h, err := parseHeader(b, 0)
		if err != nil {
			return err
		}
		if entries := l.epochs.entries(); h.magic == 2 && h.epoch >= 0 && entries.latest() != h.epoch {
			l.epochs.assignInMemory(h.epoch, h.baseOffset)
		}
		b = b[h.size:]
	}
	return nil
}
