package logstore

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"time"
)

// checkpointRecoveryPoints writes one directory's recovery points now.
func (b *background) checkpointRecoveryPoints(d *logDir) error {
	return b.store.checkpoint(d, recoveryPointFile)
}

// checkpoint writes one checkpoint file of a directory, unless it says the same already. An error takes
// the directory offline.
func (s *Store) checkpoint(d *logDir, name string) error {
	s.cpMu.Lock()
	defer s.cpMu.Unlock()
	if err := d.usable(); err != nil {
		return err
	}
	offsets := map[TopicPartition]int64{}
	s.mu.RLock()
	for _, l := range s.logs {
		if l.disk == d {
			l.checkpointInto(name, offsets)
		}
	}
	s.carryOver(d, name, offsets)
	s.mu.RUnlock()
	if maps.Equal(offsets, d.onDisk[name]) {
		return nil
	}
	path := filepath.Join(d.path, name)
	if err := writeOffsets(s.o.FS, path, offsets); err != nil {
		err = fmt.Errorf("writing %s: %w", path, err)
		d.fail(err)
		return fmt.Errorf("%w: %w", ErrStorage, err)
	}
	d.onDisk[name] = offsets
	return nil
}

// checkpointInto adds the log's row. A corrupt log keeps the rows that it was opened with.
func (l *Log) checkpointInto(name string, offsets map[TopicPartition]int64) {
	switch name {
	case recoveryPointFile:
		offsets[l.tp] = l.recoveryPoint.Load()
	case highWatermarkFile:
		offsets[l.tp] = l.highWatermark.Load()
	case cleanerFile:
		if to := l.cleanedTo.Load(); to >= 0 {
			offsets[l.tp] = to
		}
	case logStartFile:
		first := int64(0)
		if segments := l.segments(); len(segments) > 0 {
			first = segments[0].base
		}
		if start := l.logStart.Load(); start > first {
			offsets[l.tp] = start
		}
	}
}

// forget makes sure that no checkpoint file on disk says anything of a log that is about to be created: a
// deleted one of the same name may have left its offsets there.
func (s *Store) forget(d *logDir, tp TopicPartition) error {
	for _, name := range []string{recoveryPointFile, logStartFile, highWatermarkFile, cleanerFile} {
		s.cpMu.Lock()
		_, known := d.onDisk[name][tp]
		s.cpMu.Unlock()
		if known {
			if err := s.checkpoint(d, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) checkpointAll(names ...string) error {
	var all error
	for _, d := range s.dirs[:len(s.o.Dirs)] {
		for _, name := range names {
			if d.usable() == nil {
				all = errors.Join(all, s.checkpoint(d, name))
			}
		}
	}
	return all
}

// flushByTime flushes the logs whose flush.ms is over.
func (s *Store) flushByTime(now time.Time) {
	for _, l := range s.Logs() {
		limit := l.config.Load().FlushMs
		if l.recoveryPoint.Load() >= l.leo.Load() || now.Sub(time.UnixMilli(l.lastFlush.Load())) < limit {
			continue
		}
		if err := l.Flush(); err != nil && l.offline.Load() == nil {
			l.logger.Error("flushing by time", "err", err)
		}
	}
}

// deleteOldSegments applies retention to every log, and forgets silent producers.
func (s *Store) deleteOldSegments() {
	now := s.o.Clock.Now().UnixMilli()
	for _, l := range s.Logs() {
		if l.usable() != nil {
			continue
		}
		if err := l.DeleteOldSegments(); err != nil && l.usable() == nil {
			l.logger.Error("deleting old segments", "err", err)
		}
		l.appendMu.Lock()
		l.producers.expiration = l.config.Load().ProducerIDExpiration
		l.producers.expire(now)
		l.appendMu.Unlock()
	}
}
