package logstore

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"minikafka/protocol"
)

// CleanerConfig says how compaction runs: the broker's log.cleaner.* keys. It can change while it runs.
type CleanerConfig struct {
	Disabled          bool // log.cleaner.enable=false
	Threads           int
	DedupeBufferSize  int64   // bytes, over all threads
	LoadFactor        float64 // share of the buffer that is filled (log.cleaner.io.buffer.load.factor)
	MaxBytesPerSecond float64 // of reading and writing; 0: no limit
	Backoff           time.Duration
}

func (c CleanerConfig) withDefaults() CleanerConfig {
	if c.Threads <= 0 {
		c.Threads = 1
	}
	if c.DedupeBufferSize <= 0 {
		c.DedupeBufferSize = 128 << 20
	}
	if c.LoadFactor <= 0 {
		c.LoadFactor = 0.9
	}
	if c.Backoff <= 0 {
		c.Backoff = 15 * time.Second
	}
	return c
}

// cleaner compacts a store's logs, the dirtiest first, one clean a thread. It has goroutines of its own,
// so that a long clean holds nothing else up.
type cleaner struct {
	s      *Store
	config atomic.Pointer[CleanerConfig]
	quit   chan struct{}
	wg     sync.WaitGroup

	mu          sync.Mutex
	running     int           // threads
	inProgress  map[*Log]bool // being cleaned
	uncleanable map[*Log]bool // until the next start
	spent       float64       // bytes of I/O since throttleFrom
	spentFrom   time.Time
}

func newCleaner(s *Store, c CleanerConfig) *cleaner {
	k := &cleaner{s: s, quit: make(chan struct{}), inProgress: map[*Log]bool{}, uncleanable: map[*Log]bool{}}
	k.set(c)
	return k
}

// SetCleanerConfig puts changed log.cleaner.* keys in force.
func (s *Store) SetCleanerConfig(c CleanerConfig) { s.cleaner.set(c) }

func (k *cleaner) set(c CleanerConfig) {
	c = c.withDefaults()
	k.config.Store(&c)
	k.mu.Lock()
	defer k.mu.Unlock()
	for !c.Disabled && k.running < c.Threads {
		k.running++
		k.wg.Add(1)
		go k.run(k.running)
	}
}

// stop ends the threads; a clean under way is aborted.
func (k *cleaner) stop() {
	if k == nil {
		return
	}
	close(k.quit)
	k.wg.Wait()
}

func (k *cleaner) stopping() bool {
	select {
	case <-k.quit:
		return true
	default:
		return false
	}
}

// run is one thread. It ends when there are to be fewer.
func (k *cleaner) run(number int) {
	defer k.wg.Done()
	timer := k.s.o.Clock.NewTimer(k.config.Load().Backoff)
	defer timer.Stop()
	for {
		select {
		case <-k.quit:
			return
		case <-timer.C():
		}
		for !k.stopping() && k.cleanDirtiest() {
		}
		k.mu.Lock()
		c := k.config.Load()
		if number == k.running && (c.Disabled || number > c.Threads) {
			k.running--
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
		timer.Reset(c.Backoff)
	}
}

// cleanDirtiest cleans one log, and then deletes old segments of the compacted ones; false when there was
// nothing to clean.
func (k *cleaner) cleanDirtiest() bool {
	c, ok := k.take()
	if ok {
		_, err := k.clean(&c)
		k.release(c.log, err)
	}
	for _, l := range k.s.Logs() {
		if config := l.config.Load(); !config.CleanupCompact || l.usable() != nil || k.stopping() {
			continue
		}
		if err := l.DeleteOldSegments(); err != nil && l.usable() == nil {
			l.logger.Error("deleting old segments", "err", err)
		}
	}
	return ok
}

// take chooses the dirtiest log that is due and keeps it from the other threads.
func (k *cleaner) take() (cleanable, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.s.o.Clock.Now()
	var due []cleanable
	for _, l := range k.s.Logs() {
		if !l.config.Load().CleanupCompact || k.inProgress[l] || k.uncleanable[l] || l.usable() != nil {
			continue
		}
		c, err := l.cleanableNow(now)
		if err != nil {
			k.failed(l, l.cleanFailed(err))
			continue
		}
		if c.due() {
			due = append(due, c)
		}
	}
	if len(due) == 0 {
		return cleanable{}, false
	}
	dirtiest := slices.MaxFunc(due, func(a, b cleanable) int { return cmp.Compare(a.ratio(), b.ratio()) })
	k.inProgress[dirtiest.log] = true
	return dirtiest, true
}

// release gives a log back. A log that cannot be cleaned stays as it is: it is not tried again before the
// next start.
func (k *cleaner) release(l *Log, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.inProgress, l)
	for old := range k.uncleanable {
		if old.usable() != nil {
			delete(k.uncleanable, old) // deleted
		}
	}
	k.failed(l, err)
}

// failed remembers a log that cannot be cleaned. Caller holds mu.
func (k *cleaner) failed(l *Log, err error) {
	switch {
	case err == nil, l.usable() != nil:
	case errors.Is(err, errCleanAborted), errors.Is(err, errRemoved):
		l.logger.Info("compaction was aborted", "err", err)
	default:
		k.uncleanable[l] = true
		l.logger.Error("the log cannot be compacted and stays as it is", "err", err)
	}
}

// cleanFailed sorts an error of a clean: what the bytes of the log are to blame for leaves the log as it
// is, anything else is the disk's and takes the directory offline.
func (l *Log) cleanFailed(err error) error {
	for _, ours := range []error{
		errCleanAborted, errRemoved, errShort, errFrame, errChecksum, errCorruptIndex,
		protocol.ErrCorrupt, protocol.ErrInvalidRecord, protocol.ErrTooLarge, protocol.ErrUndecodable, protocol.ErrUnknownCodec, ErrStorage,
	} {
		if errors.Is(err, ours) {
			return err
		}
	}
	return l.ioFailed("compacting", err)
}

// clean runs one clean.
func (k *cleaner) clean(c *cleanable) (CleanResult, error) {
	l, config := c.log, k.config.Load()
	run := cleaning{
		l: l, c: *c, nowMs: k.s.o.Clock.Now().UnixMilli(),
		keys:       newOffsetMap(config.DedupeBufferSize/int64(config.Threads), config.LoadFactor),
		checkpoint: func() error { return k.s.checkpoint(l.disk, cleanerFile) },
		pause:      k.pause,
	}
	if c.lastCleanBroken {
		l.logger.Warn("the cleaner's checkpoint is beyond the log end: all of the log counts as dirty", "logEndOffset", l.leo.Load())
	}
	if err := run.clean(); err != nil {
		return run.result, l.cleanFailed(err)
	}
	r := run.result
	l.logger.Info("compacted", "from", r.From, "to", r.To, "keys", r.Keys, "bytesBefore", r.BytesBefore,
		"bytesAfter", r.BytesAfter, "took", r.Took)
	return r, nil
}

// pause waits as log.cleaner.io.max.bytes.per.second demands after n more bytes of I/O.
func (k *cleaner) pause(n int) error {
	if k.stopping() {
		return errCleanAborted
	}
	limit := k.config.Load().MaxBytesPerSecond
	if limit <= 0 {
		return nil
	}
	k.mu.Lock()
	now := k.s.o.Clock.Now()
	if now.Sub(k.spentFrom) > time.Second {
		k.spent, k.spentFrom = 0, now
	}
	k.spent += float64(n)
	wait := time.Duration(k.spent/limit*float64(time.Second)) - now.Sub(k.spentFrom)
	k.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	timer := k.s.o.Clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-k.quit:
		return errCleanAborted
	}
}
