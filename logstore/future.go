package logstore

import (
	"path/filepath"
)

// futureLog is a copy of a partition that a move between log directories had begun (Kafka's AlterReplicaLogDirs):
// <topic>-<partition>.<32 hex>-future. It is never served. Kafka goes on with the copy when it is back, or takes it
// for the partition's log when the metadata log says that the partition belongs into its directory.
type futureLog struct {
	disk *logDir
	path string
	checkpointed
}

// Futures are the copies that were found at start, with the ids of their directories.
func (s *Store) Futures() map[TopicPartition]UUID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids := make(map[TopicPartition]UUID, len(s.futures))
	for tp, f := range s.futures {
		ids[tp] = f.disk.id
	}
	return ids
}

// PromoteFuture makes the copy the log of its partition, which has none.
func (s *Store) PromoteFuture(tp TopicPartition) error {
	f := s.takeFuture(tp)
	if f == nil {
		return nil
	}
	if err := s.moveFuture(f, tp.dirName()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unloaded[tp] = &unloadedLog{disk: f.disk, checkpointed: f.checkpointed}
	return nil
}

// PutFutureAside renames the copy as a stray: its partition goes on without it.
func (s *Store) PutFutureAside(tp TopicPartition) error {
	f := s.takeFuture(tp)
	if f == nil {
		return nil
	}
	return s.moveFuture(f, tp.suffixedDirName(strayDirSuffix))
}

// deleteFuture removes the copy of a partition that is deleted.
func (s *Store) deleteFuture(tp TopicPartition) error {
	f := s.takeFuture(tp)
	if f == nil {
		return nil
	}
	name := tp.suffixedDirName(deleteDirSuffix)
	if err := s.moveFuture(f, name); err != nil {
		return err
	}
	path := filepath.Join(f.disk.path, name)
	s.bg.after(0, path, func() error { return s.o.FS.RemoveAll(path) })
	return nil
}

func (s *Store) takeFuture(tp TopicPartition) *futureLog {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.futures[tp]
	delete(s.futures, tp)
	return f
}

func (s *Store) moveFuture(f *futureLog, name string) error {
	if err := f.disk.usable(); err != nil {
		return err
	}
	err := s.o.FS.Rename(f.path, filepath.Join(f.disk.path, name))
	if err == nil {
		err = s.o.FS.SyncDir(f.disk.path)
	}
	if err != nil {
		f.disk.fail(err)
		return f.disk.usable()
	}
	return nil
}
