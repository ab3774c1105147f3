package coordinator

import (
	"errors"
	"sync"

	"minikafka/protocol"
)

// memLog is a Log in memory whose high watermark and failures a test sets.
type memLog struct {
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

func (l *memLog) Admit() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.admit
}

func (l *memLog) Append(b []byte) (int64, error) {
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

func (l *memLog) CheckProducer([]byte, ProducerRules) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refuse
}

func (l *memLog) Read(offset int64, maxBytes int32) ([]byte, error) {
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

func (l *memLog) LogStartOffset() int64 { return 0 }

func (l *memLog) LogEndOffset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

func (l *memLog) HighWatermark() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hw
}

func (l *memLog) Watch(c chan struct{}) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers = append(l.watchers, c)
	return func() {}
}

func (l *memLog) MaxBatchBytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.batchSize > 0 {
		return l.batchSize
	}
	return 1 << 20
}

// set changes something under the lock and wakes who watches.
func (l *memLog) set(change func()) {
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
