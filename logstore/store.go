package logstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"minikafka/internal/clock"
	"minikafka/internal/vfs"
)

// Options say what a store stands on.
type Options struct {
	FS                     vfs.FS
	Clock                  clock.Clock
	Logger                 *slog.Logger
	Dirs                   []string // log.dirs
	MetadataDir            string   // "" is Dirs[0]
	NodeID                 int32
	ClusterID              string // wanted; "" takes what the dirs say, or makes one
	DefaultConfig          Config // for logs found on disk, until SetConfig
	RecoveryThreads        int
	RetentionCheckInterval time.Duration
	// How often the checkpoint files are written; 0 is Kafka's default, Never is once.
	HighWatermarkInterval, RecoveryPointInterval, LogStartInterval time.Duration
	// OpenFiles bounds the segment files that are open at once; 0 is half of what the process may open.
	OpenFiles int
	// Cleaner says how compaction runs; the zero value is Kafka's defaults.
	Cleaner CleanerConfig
	// Lazy leaves the logs on disk unloaded until Log or LoadAll asks for them.
	Lazy bool
	// OnDirFailure is called once for each directory that went offline.
	OnDirFailure func(dir string, cause error)
	// Admit looks at the metadata directory when all directories are locked and nothing in them was changed;
	// its error ends Open. nil admits everything.
	Admit func(metadataDir string) error
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MetadataDir == "" && len(o.Dirs) > 0 {
		o.MetadataDir = o.Dirs[0]
	}
	if o.RecoveryThreads <= 0 {
		o.RecoveryThreads = runtime.GOMAXPROCS(0)
	}
	if o.RetentionCheckInterval <= 0 {
		o.RetentionCheckInterval = 5 * time.Minute
	}
	o.HighWatermarkInterval = cmp.Or(o.HighWatermarkInterval, 5*time.Second)
	o.RecoveryPointInterval = cmp.Or(o.RecoveryPointInterval, time.Minute)
	o.LogStartInterval = cmp.Or(o.LogStartInterval, time.Minute)
	return o
}

// DirInfo is one log directory.
type DirInfo struct {
	Path                    string
	ID                      UUID
	Offline                 bool
	TotalBytes, UsableBytes int64
}

// Store owns the log directories: lock, meta.properties, checkpoints, and every partition's log.
type Store struct {
	o             Options
	dirs          []*logDir // in the order of Options.Dirs; the metadata directory may come last
	files         *fileCache
	clusterID     string
	previousEpoch int64
	bg            *background
	cleaner       *cleaner
	logStartMoved atomic.Bool // a log start is newer than its checkpoint

	syncEach  int // as the constant; tests have another
	closeOnce sync.Once
	closeErr  error

	createMu sync.Mutex // guards creating; before cpMu
	creating map[TopicPartition]*logDir
	cpMu     sync.Mutex // held while checkpoint files are written; guards logDir.onDisk; before mu
	mu       sync.RWMutex
	logs     map[TopicPartition]*Log
	futures  map[TopicPartition]*futureLog
	unloaded map[TopicPartition]*unloadedLog // in none of them twice, and never in logs as well
}

// Open locks the directories, formats empty ones, and loads every log (recovering after a kill). A
// directory with an I/O error is offline from the start; only when all are, Open fails. With Options.Lazy
// the logs are only listed.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	if len(o.Dirs) == 0 {
		return nil, errors.New("no log directory is configured")
	}
	s := &Store{
		o: o, files: newFileCache(o.FS, o.OpenFiles), previousEpoch: -1,
		syncEach: syncEach,
		logs:     map[TopicPartition]*Log{}, unloaded: map[TopicPartition]*unloadedLog{}, futures: map[TopicPartition]*futureLog{}, creating: map[TopicPartition]*logDir{},
	}
	s.bg = newBackground(s)
	if err := s.open(ctx); err != nil {
		s.unlock()
		return nil, err
	}
	s.bg.started = true
	go s.bg.run()
	s.cleaner = newCleaner(s, o.Cleaner)
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	paths := slices.Clone(s.o.Dirs)
	if !slices.Contains(paths, s.o.MetadataDir) {
		paths = append(paths, s.o.MetadataDir)
	}
	for _, path := range paths {
		if err := s.lockDir(path); err != nil {
			return err
		}
	}
	if s.o.Admit != nil {
		if err := s.o.Admit(s.o.MetadataDir); err != nil {
			return err
		}
	}
	if err := s.identify(); err != nil {
		return err
	}
	for i, d := range s.dirs {
		if d.usable() != nil || i >= len(s.o.Dirs) {
			continue
		}
		if err := s.listDir(d); err != nil {
			return err
		}
	}
	if !s.o.Lazy {
		if err := s.LoadAll(ctx); err != nil {
			return err
		}
	}
	for _, d := range s.dirs {
		if d.usable() == nil {
			return nil
		}
	}
	return fmt.Errorf("every log directory is offline: %w", s.dirs[0].usable())
}

// lockDir takes the directory for this process before anything else in it is touched.
func (s *Store) lockDir(path string) error {
	d := &logDir{path: path, logger: s.o.Logger, onFailure: s.o.OnDirFailure, onDisk: map[string]map[TopicPartition]int64{}}
	s.dirs = append(s.dirs, d)
	if err := s.o.FS.MkdirAll(path, 0o755); err != nil {
		d.fail(err)
		return nil
	}
	lock, err := s.o.FS.Lock(filepath.Join(path, ".lock"))
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return fmt.Errorf("log directory %s is in use: %w", path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("log directory %s cannot be used: %w", path, err)
	case err != nil:
		d.fail(err)
		return nil
	}
	d.lock = lock
	return nil
}

func (s *Store) unlock() {
	for _, d := range s.dirs {
		if d.lock != nil {
			_ = d.lock.Close()
			d.lock = nil
		}
	}
}

// identify reads meta.properties of every directory, holds them against each other and the
// configuration, and writes those that are missing.
func (s *Store) identify() error {
	props := make([]metaProperties, len(s.dirs))
	s.clusterID = s.o.ClusterID
	ids := map[UUID]string{}
	for i, d := range s.dirs {
		if d.usable() != nil {
			continue
		}
		m, err := readMetaProperties(s.o.FS, d.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := s.mayFormat(d); err != nil {
				return err
			}
			continue
		case errors.Is(err, errMalformedFile):
			return err
		case err != nil:
			d.fail(err)
			continue
		}
		if s.clusterID == "" {
			s.clusterID = m.ClusterID
		}
		if m.ClusterID != s.clusterID {
			return fmt.Errorf("log directory %s belongs to cluster %s, not %s", d.path, m.ClusterID, s.clusterID)
		}
		if m.NodeID != s.o.NodeID {
			return fmt.Errorf("log directory %s belongs to node %d, but node.id is %d", d.path, m.NodeID, s.o.NodeID)
		}
		if other, twice := ids[m.DirectoryID]; twice && m.DirectoryID != (UUID{}) {
			return fmt.Errorf("log directories %s and %s have the same directory.id: one is a copy", other, d.path)
		}
		ids[m.DirectoryID] = d.path
		props[i] = m
	}
	if s.clusterID == "" {
		id, err := newUUID(rand.Reader)
		if err != nil {
			return err
		}
		s.clusterID = formatUUID(id)
	}
	return s.format(props)
}

// mayFormat refuses a directory that holds logs of nobody knows whom.
func (s *Store) mayFormat(d *logDir) error {
	entries, err := s.o.FS.ReadDir(d.path)
	if err != nil {
		d.fail(err)
		return nil
	}
	for _, e := range entries {
		if _, _, err := parseDirName(e.Name()); err == nil && e.IsDir() {
			return fmt.Errorf("no readable %s in %s, which holds the log %s", metaPropertiesFile, d.path, e.Name())
		}
	}
	return nil
}

// format writes meta.properties where it, or the directory id in it, is missing.
func (s *Store) format(props []metaProperties) error {
	for i, d := range s.dirs {
		if d.usable() != nil {
			continue
		}
		m := props[i]
		if m.DirectoryID == (UUID{}) {
			id, err := newUUID(rand.Reader)
			if err != nil {
				return err
			}
			m = metaProperties{ClusterID: s.clusterID, NodeID: s.o.NodeID, DirectoryID: id}
			if err := m.write(s.o.FS, d.path, s.o.Clock.Now()); err != nil {
				d.fail(fmt.Errorf("writing %s: %w", metaPropertiesFile, err))
				continue
			}
			s.syncAncestors(d.path)
		}
		d.id = m.DirectoryID
	}
	return nil
}

// syncAncestors makes the names on the way to a new log directory durable. Those that we may not open are
// not ours to have made.
func (s *Store) syncAncestors(path string) {
	for parent := filepath.Dir(path); parent != path; path, parent = parent, filepath.Dir(parent) {
		if err := s.o.FS.SyncDir(parent); err != nil {
			s.o.Logger.Debug("not synced", "dir", parent, "err", err)
		}
	}
}

// ClusterID is the cluster that the directories belong to.
func (s *Store) ClusterID() string { return s.clusterID }

// MetadataDir is where the metadata log lives.
func (s *Store) MetadataDir() string { return s.o.MetadataDir }

// Dirs lists the log directories.
func (s *Store) Dirs() []DirInfo {
	infos := make([]DirInfo, 0, len(s.o.Dirs))
	for _, d := range s.dirs[:len(s.o.Dirs)] {
		info := DirInfo{Path: d.path, ID: d.id, Offline: d.usable() != nil, TotalBytes: -1, UsableBytes: -1}
		if !info.Offline {
			if total, usable, err := s.o.FS.Space(d.path); err == nil {
				info.TotalBytes, info.UsableBytes = total, usable
			}
		}
		infos = append(infos, info)
	}
	return infos
}

// PreviousBrokerEpoch is the epoch of the clean-shutdown marker, -1 after a kill.
func (s *Store) PreviousBrokerEpoch() int64 { return s.previousEpoch }

// Log finds a log, and loads it if need be; nil when there is none, or its directory failed meanwhile.
func (s *Store) Log(tp TopicPartition) *Log {
	s.mu.RLock()
	l, u := s.logs[tp], s.unloaded[tp]
	s.mu.RUnlock()
	if l != nil || u == nil {
		return l
	}
	return s.loadUnloaded(tp, u)
}

// Logs lists the logs that are loaded.
func (s *Store) Logs() []*Log {
	s.mu.RLock()
	defer s.mu.RUnlock()
	logs := make([]*Log, 0, len(s.logs))
	for _, l := range s.logs {
		logs = append(logs, l)
	}
	return logs
}
