package logstore

import (
	"errors"
	"fmt"
	"sync"
)

// Close is the clean stop: flush, snapshots, index trim, checkpoints, marker with the broker epoch.
// A directory that is offline, or has a log that was not closed well, gets no marker: its next start
// recovers. Calls after the first return the same.
func (s *Store) Close(brokerEpoch int64) error {
	s.closeOnce.Do(func() { s.closeErr = s.close(brokerEpoch) })
	return s.closeErr
}

func (s *Store) close(brokerEpoch int64) error {
	s.cleaner.stop()
	s.bg.stop()
	failed := s.closeLogs()
	all := s.checkpointAll(recoveryPointFile, logStartFile, highWatermarkFile)
	for _, d := range s.dirs[:len(s.o.Dirs)] {
		err := failed[d]
		if err == nil {
			err = d.usable()
		}
		// What was not loaded is as the last stop left it: clean if that was.
		if err == nil && (d.hadCleanStop || !s.anyUnloaded(d)) {
			err = writeCleanShutdown(s.o.FS, d.path, brokerEpoch)
		}
		all = errors.Join(all, err)
	}
	s.unlock()
	return all
}

// closers is how many logs are closed at once.
const closers = 32

// syncEach is up to how many logs of a directory are synced file by file at a stop. Of more, each file would wait
// for the disk a few times; then the whole file system is synced, once, with whatever else is to be written there.
const syncEach = 64

// closeLogs closes all logs and returns the first error of each directory.
func (s *Store) closeLogs() map[*logDir]error {
	byDir := map[*logDir][]*Log{}
	for _, l := range s.Logs() {
		byDir[l.disk] = append(byDir[l.disk], l)
	}
	failed := map[*logDir]error{}
	for d, logs := range byDir {
		if err := d.closeLogs(logs, s.syncEach); err != nil {
			failed[d] = err
		}
	}
	return failed
}

func (d *logDir) closeLogs(logs []*Log, syncEach int) error {
	if unsaved(logs) <= syncEach || d.lock == nil {
		return eachLog(logs, (*Log).Close)
	}
	var mu sync.Mutex
	var left []*Log
	err := eachLog(logs, func(l *Log) error {
		ok, err := l.leave()
		if ok {
			mu.Lock()
			left = append(left, l)
			mu.Unlock()
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := d.lock.SyncFS(); err != nil {
		d.fail(fmt.Errorf("flushing the logs: %w", err))
		return err
	}
	for _, l := range left {
		l.recoveryPoint.Store(l.leo.Load())
	}
	return nil
}

// unsaved counts the logs that a stop has to sync something of.
func unsaved(logs []*Log) (n int) {
	for _, l := range logs {
		if l.recoveryPoint.Load() < l.leo.Load() {
			n++
		}
	}
	return n
}

// eachLog calls do with the logs, several at once, and returns an error if there was one.
func eachLog(logs []*Log, do func(l *Log) error) (first error) {
	work := make(chan *Log)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range min(closers, len(logs)) {
		wg.Go(func() {
			for l := range work {
				if err := do(l); err != nil {
					mu.Lock()
					first = fmt.Errorf("closing %s: %w", l.tp, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, l := range logs {
		work <- l
	}
	close(work)
	wg.Wait()
	return first
}
