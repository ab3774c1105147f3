package coordinator

import (
	"errors"
	"sync"

	"minikafka/protocol"
)

// MemLog is a Log in memory that outlives its shards, for tests: its high watermark and its failures are set.
// The zero MemLog is empty.
type MemLog struct {
	mu        sync.Mutex
	batches   []protocol.Batch
	end       int64
	held      bool // the high watermark stays
	hw        int64
	admit     error
	fail      error
	refuse    error // what the producer state says
	watchers  []chan struct{}
	appended  int
	batchSize int
}

// Admit implements Log.
func (l *MemLog) Admit() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.admit
}

// Append implements Log.
func (l *MemLog) Append(b []byte) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, l.fail
	}
	if l.batchSize > 0 && len(b) > l.batchSize {
		return 0, errors.New("batch is too large")
	}
	batch := protocol.Batch(append([]byte(nil), b...))
	batch.SetBaseOffset(l.end)
	first := l.end
	l.end = batch.NextOffset()
	l.batches = append(l.batches, batch)
	l.appended++
	if !l.held {
		l.hw = l.end
	}
	return first, nil
}

// CheckProducer implements Log.
func (l *MemLog) CheckProducer([]byte, ProducerRules) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refuse
}

// Read implements Log.
func (l *MemLog) Read(offset int64, maxBytes int32) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []byte
	for _, b := range l.batches {
		if b.NextOffset() <= offset {
			continue
		}
		if len(out) > 0 && len(out)+len(b) > int(maxBytes) {
			return append(out, b[:len(b)/2]...), nil // a batch that is cut
		}
		out = append(out, b...)
	}
	return out, nil
}

// LogStartOffset implements Log.
func (l *MemLog) LogStartOffset() int64 { return 0 }

// LogEndOffset implements Log.
func (l *MemLog) LogEndOffset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// HighWatermark implements Log.
func (l *MemLog) HighWatermark() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hw
}

// Watch implements Log.
func (l *MemLog) Watch(c chan struct{}) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers = append(l.watchers, c)
	return func() {}
}

// MaxBatchBytes implements Log.
func (l *MemLog) MaxBatchBytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.batchSize > 0 {
		return l.batchSize
	}
	return 1 << 20
}

// RefuseWrites makes Admit say this; nil: writes are welcome.
func (l *MemLog) RefuseWrites(err error) { l.set(func() { l.admit = err }) }

// set changes something under the lock and wakes who watches.
func (l *MemLog) set(change func()) {
	l.mu.Lock()
	change()
	watchers := l.watchers
	l.mu.Unlock()
	for _, c := range watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
