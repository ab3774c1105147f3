package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Create makes the log of a new partition, in the directory with the fewest logs. Its name becomes
// durable with the first flush. Any number of logs may be made at once.
func (s *Store) Create(tp TopicPartition, topicID UUID, c Config) (*Log, error) {
	d, err := s.reserve(tp)
	if err != nil {
		return nil, err
	}
	l := s.newLog(tp, filepath.Join(d.path, tp.dirName()), d, c)
	defer s.unreserve(l.tp)
	l.topicID = topicID
	err = s.o.FS.Mkdir(l.path.get(), 0o755)
	fresh := err == nil
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err == nil && topicID != (UUID{}) {
		text := "version: 0\ntopic_id: " + formatUUID(topicID)
		err = writeInPlace(s.o.FS, filepath.Join(l.path.get(), partitionMetadataFile), []byte(text), false)
	}
	switch {
	case err == nil && fresh:
		err = l.begin()
	case err == nil:
		err = l.load(checkpointed{clean: true})
	}
	if err != nil {
		return nil, l.ioFailed("creating", err)
	}
	s.mu.Lock()
	s.logs[l.tp] = l
	s.mu.Unlock()
	return l, nil
}

// begin is load for a directory that was made just now: there is nothing to look for.
func (l *Log) begin() error {
	s, err := l.newSegmentFiles(0)
	if err != nil {
		return err
	}
	l.list.Store(&segmentList{s})
	l.epochs = newEpochCache(l.fs, filepath.Join(l.path.get(), epochsFile))
	l.lastFlush.Store(l.clock.Now().UnixMilli())
	return nil
}

// reserve chooses the directory of a log, which nobody else makes until unreserve.
func (s *Store) reserve(tp TopicPartition) (*logDir, error) {
	s.createMu.Lock()
	defer s.createMu.Unlock()
	if err := s.failedToLoad(tp); err != nil {
		return nil, err
	}
	if s.creating[tp] != nil || s.Log(tp) != nil {
		return nil, fmt.Errorf("creating %s: %w", tp, fs.ErrExist)
	}
	d, err := s.emptiest()
	if err != nil {
		return nil, err
	}
	if err := s.forget(d, tp); err != nil {
		return nil, err
	}
	s.creating[tp] = d
	return d, nil
}

func (s *Store) unreserve(tp TopicPartition) {
	s.createMu.Lock()
	delete(s.creating, tp)
	s.createMu.Unlock()
}

// emptiest is the usable directory with the fewest logs. Caller holds createMu.
func (s *Store) emptiest() (*logDir, error) {
	if len(s.o.Dirs) == 1 {
		return s.dirs[0], s.dirs[0].usable()
	}
	count := map[*logDir]int{}
	s.mu.RLock()
	for _, l := range s.logs {
		count[l.disk]++
	}
	for _, u := range s.unloaded {
		count[u.disk]++
	}
	for tp, d := range s.creating {
		if s.logs[tp] == nil {
			count[d]++
		}
	}
	s.mu.RUnlock()
	var best *logDir
	var err error
	for _, d := range s.dirs[:len(s.o.Dirs)] {
		if e := d.usable(); e != nil {
			err = e
		} else if best == nil || count[d] < count[best] {
			best = d
		}
	}
	if best == nil {
		return nil, err
	}
	return best, nil
}
