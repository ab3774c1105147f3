package logstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
)

// unloadedLog is a log that was found on disk and not looked into yet. Loading thousands takes seconds when the
// last stop was a kill; who serves first and loads on the first use has the same result.
type unloadedLog struct {
	disk *logDir
	checkpointed
	once sync.Once
}

// Unloaded says that the log is on disk and was not loaded yet.
func (s *Store) Unloaded(tp TopicPartition) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.unloaded[tp] != nil
}

// failedToLoad is why a log that is on disk cannot be used.
func (s *Store) failedToLoad(tp TopicPartition) error {
	s.mu.RLock()
	u := s.unloaded[tp]
	s.mu.RUnlock()
	if u == nil {
		return nil
	}
	return u.disk.usable()
}

// Partitions names every log, loaded or not.
func (s *Store) Partitions() []TopicPartition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]TopicPartition, 0, len(s.logs)+len(s.unloaded))
	for tp := range s.logs {
		list = append(list, tp)
	}
	for tp := range s.unloaded {
		list = append(list, tp)
	}
	return list
}

// LoadAll loads what is not loaded yet, RecoveryThreads at once, and returns early only when ctx ends. A log
// that is corrupt is offline alone; an I/O error takes the directory offline.
func (s *Store) LoadAll(ctx context.Context) error {
	work := make(chan TopicPartition)
	var wg sync.WaitGroup
	for range s.o.RecoveryThreads {
		wg.Go(func() {
			for tp := range work {
				s.Log(tp)
			}
		})
	}
	for _, tp := range s.Partitions() {
		if !s.Unloaded(tp) || ctx.Err() != nil {
			continue
		}
		work <- tp
	}
	close(work)
	wg.Wait()
	return ctx.Err()
}

// loadUnloaded loads the log once, whoever asks; nil when its directory is offline.
func (s *Store) loadUnloaded(tp TopicPartition, u *unloadedLog) *Log {
	u.once.Do(func() {
		l := s.loadLog(u.disk, tp, u.checkpointed)
		if l == nil {
			return // the directory is offline, and what it held stays as it is
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.unloaded, tp)
		s.logs[l.tp] = l
	})
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.logs[tp]
}

func (s *Store) loadLog(d *logDir, tp TopicPartition, c checkpointed) *Log {
	if d.usable() != nil {
		return nil
	}
	l := s.newLog(tp, filepath.Join(d.path, tp.dirName()), d, s.o.DefaultConfig)
	l.cleanedTo.Store(c.cleanedTo)
	err := l.loadTopicID()
	if err == nil {
		err = l.load(c)
	}
	var corrupt *CorruptError
	switch {
	case errors.As(err, &corrupt):
		l.offline.Store(&offlineError{corrupt})
		l.closeFiles()
		l.epochs = &epochCache{}
		l.epochs.value.Store(&epochEntries{})
		l.recoveryPoint.Store(c.recoveryPoint)
		l.logStart.Store(c.logStart)
		l.highWatermark.Store(c.highWatermark)
		l.logger.Error("the log is corrupt and stays offline; nothing was changed", "file", corrupt.File, "position", corrupt.Position,
			"err", corrupt, "remedy", corrupt.Remedy())
	case err != nil:
		l.closeFiles()
		d.fail(fmt.Errorf("loading %s: %w", tp, err))
		return nil
	}
	return l
}

// carryOver copies the checkpoint rows of a directory's unloaded logs, which are as they were. Caller holds cpMu.
func (s *Store) carryOver(d *logDir, name string, offsets map[TopicPartition]int64) {
	for tp, f := range s.futures {
		if offset, ok := d.onDisk[name][tp]; ok && f.disk == d {
			offsets[tp] = offset
		}
	}
	for tp, u := range s.unloaded {
		if u.disk != d {
			continue
		}
		if offset, ok := d.onDisk[name][tp]; ok {
			offsets[tp] = offset
		}
	}
}

// anyUnloaded says whether a directory has logs that nobody loaded.
func (s *Store) anyUnloaded(d *logDir) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, u := range s.unloaded {
		if u.disk == d {
			return true
		}
	}
	return false
}
