package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// dirCheckpoints are a directory's checkpoint files.
type dirCheckpoints struct {
	recoveryPoints, logStarts, highWatermarks, cleaned map[TopicPartition]int64
}

// listDir finds the logs of a directory and what the checkpoints say of each. An I/O error takes the directory
// offline. The error is one that must end the start.
func (s *Store) listDir(d *logDir) error {
	clean, epoch, err := readCleanShutdown(s.o.FS, d.path)
	if err == nil {
		err = removeCleanShutdown(s.o.FS, d.path)
	}
	if err != nil {
		d.fail(err)
		return nil
	}
	d.hadCleanStop = clean
	if clean {
		s.previousEpoch = max(s.previousEpoch, epoch)
	}
	points, err := s.readCheckpoints(d)
	if err != nil {
		d.fail(err)
		return nil
	}
	entries, err := s.o.FS.ReadDir(d.path)
	if err != nil {
		d.fail(err)
		return nil
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == metadataLogDir {
			continue
		}
		path := filepath.Join(d.path, e.Name())
		tp, suffix, err := parseDirName(e.Name())
		switch {
		case err != nil:
			s.o.Logger.Warn("ignoring a directory that is not a partition's", "dir", path)
		case suffix == deleteDirSuffix:
			s.bg.after(0, path, func() error { return s.o.FS.RemoveAll(path) })
		case suffix == "":
			if other := s.unloaded[tp]; other != nil {
				return fmt.Errorf("%s is in two log directories: %s and %s", tp, other.disk.path, d.path)
			}
			s.unloaded[tp] = &unloadedLog{disk: d, checkpointed: points.of(tp, clean)}
		case suffix == futureDirSuffix:
			if other := s.futures[tp]; other != nil {
				s.o.Logger.Warn("a partition is on its way to two directories: ignoring one", "dir", path, "other", other.path)
				continue
			}
			s.futures[tp] = &futureLog{d, path, points.of(tp, clean)}
		}
	}
	return nil
}

// of is what the checkpoints say of one log.
func (c *dirCheckpoints) of(tp TopicPartition, clean bool) checkpointed {
	cleanedTo, compacted := c.cleaned[tp]
	if !compacted {
		cleanedTo = -1
	}
	return checkpointed{
		recoveryPoint: c.recoveryPoints[tp], logStart: c.logStarts[tp], highWatermark: c.highWatermarks[tp],
		clean: clean, compacted: compacted, cleanedTo: cleanedTo,
	}
}

// readCheckpoints reads the files; a malformed one is as good as none.
func (s *Store) readCheckpoints(d *logDir) (dirCheckpoints, error) {
	var c dirCheckpoints
	for name, into := range map[string]*map[TopicPartition]int64{
		recoveryPointFile: &c.recoveryPoints, logStartFile: &c.logStarts, highWatermarkFile: &c.highWatermarks,
		cleanerFile: &c.cleaned,
	} {
		path := filepath.Join(d.path, name)
		offsets, err := readOffsets(s.o.FS, path)
		if errors.Is(err, errMalformedCheckpoint) {
			s.o.Logger.Warn("ignoring a checkpoint file", "file", path, "err", err)
			offsets, err = map[TopicPartition]int64{}, nil
		}
		if err != nil {
			return c, err
		}
		*into = offsets
		d.onDisk[name] = offsets
	}
	return c, nil
}

// loadTopicID reads partition.metadata; one that is missing or torn leaves the topic id zero. It is made durable
// with the first flush, so a power failure before that may tear it, or take it.
func (l *Log) loadTopicID() error {
	id, err := readPartitionMetadata(l.fs, l.path.get())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.idLost = onlyWhenEmpty
		return nil
	case errors.Is(err, errMalformedFile):
		l.logger.Warn("the topic id is not readable", "err", err)
		l.idLost = always
		return nil
	}
	l.topicID = id
	return err
}

// Whether a log may be given the topic id that it has not.
const (
	never         int8 = iota // it has one, or is offline
	onlyWhenEmpty             // there is no partition.metadata: with records, somebody else's doing
	always                    // it is torn
)

// AdoptTopicID gives a log whose partition.metadata was lost or torn the id that the metadata log has for its
// partition, and says whether it did.
func (l *Log) AdoptTopicID(id UUID) (bool, error) {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if l.usable() != nil || l.idLost == never || l.idLost == onlyWhenEmpty && l.leo.Load() > 0 {
		return false, nil
	}
	if err := writePartitionMetadata(l.fs, l.path.get(), id); err != nil {
		return false, l.ioFailed("writing partition.metadata of", err)
	}
	l.topicID, l.idLost = id, never
	l.logger.Info("the topic id was lost and is the metadata log's again", "topicID", formatUUID(id))
	return true, nil
}

func (s *Store) newLog(tp TopicPartition, path string, d *logDir, c Config) *Log {
	tp.Topic = strings.Clone(tp.Topic) // it may alias a request's buffer
	l := newLog(tp, path, d, s.o.FS, s.files, s.o.Clock, s.o.Logger, c)
	l.bg = s.bg
	return l
}

// Delete renames the log away at once (its name can be used again) and removes the files later.
func (s *Store) Delete(tp TopicPartition) error {
	if err := s.deleteFuture(tp); err != nil {
		return err
	}
	l, err := s.retire(tp, deleteDirSuffix)
	if err != nil || l == nil {
		return err
	}
	path := l.path.get()
	s.bg.after(l.config.Load().FileDeleteDelay, path, func() error { return s.o.FS.RemoveAll(path) })
	return nil
}

// MarkStray renames a log that the metadata does not know.
func (s *Store) MarkStray(tp TopicPartition) error {
	_, err := s.retire(tp, strayDirSuffix)
	return err
}

// retire takes a log out and renames its directory; nil when there is no such log.
func (s *Store) retire(tp TopicPartition, suffix string) (*Log, error) {
	s.Log(tp) // loads it
	s.mu.Lock()
	l := s.logs[tp]
	delete(s.logs, tp) // appends and checkpoints that have it see a closed log
	s.mu.Unlock()
	if l == nil {
		return nil, nil
	}
	if err := l.disk.usable(); err != nil {
		return nil, err
	}
	return l, l.retire(filepath.Join(l.disk.path, tp.suffixedDirName(suffix)))
}
