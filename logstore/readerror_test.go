package logstore

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// TestReadErrorTakesTheDirectoryOffline: whoever reads a segment and meets EIO, the directory goes offline, and all
// that its logs are asked for is ErrStorage; the other directory serves.
func TestReadErrorTakesTheDirectoryOffline(t *testing.T) {
	for name, read := range map[string]func(l *Log) error{
		"Read": func(l *Log) error { _, err := l.Read(3, 20, 1000, true); return err },
		"records on their way": func(l *Log) error {
			r, err := l.Read(3, 20, 1000, true)
			if err != nil {
				return err
			}
			broken(l).Store(true)
			_, err = r.Records.AppendTo(nil)
			r.Records.Release()
			require.ErrorIs(t, err, syscall.EIO)
			return l.usable()
		},
		"sendfile": func(l *Log) error {
			broken(l).Store(false)
			r, err := l.Read(3, 20, 1000, true)
			require.NoError(t, err)
			defer r.Records.Release()
			r.Records.ReadFailed(syscall.EPIPE)
			require.NoError(t, l.usable(), "the socket's error")
			r.Records.ReadFailed(syscall.EIO)
			return l.usable()
		},
		"Batches":            func(l *Log) error { return l.Batches(0, 20, func(protocol.Batch) error { return nil }) },
		"OffsetForTimestamp": func(l *Log) error { _, err := l.OffsetForTimestamp(1005, 20); return err },
		"MaxTimestamp":       func(l *Log) error { _, err := l.MaxTimestamp(); return err },
		"TruncateTo":         func(l *Log) error { return l.TruncateTo(5) },
		"compaction": func(l *Log) error {
			c, err := l.cleanableNow(time.Now())
			if err == nil {
				_, err = l.bg.store.cleaner.clean(&c)
			}
			if err != nil {
				err = l.cleanFailed(err)
			}
			return err
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			fs := &readBreaker{}
			fs.FS = vfs.Faulty(vfs.NewMem(), func(op vfs.Op, name string, _ int) error {
				if op == vfs.OpRead && fs.broken.Load() && strings.HasPrefix(name, "/d/") && strings.HasSuffix(name, logSuffix) {
					return syscall.EIO
				}
				return nil
			})
			failed := make(chan string, 2)
			s, err := Open(t.Context(), Options{
				FS: fs, Dirs: []string{"/d", "/other"}, NodeID: 1, Cleaner: CleanerConfig{Disabled: true},
				OnDirFailure: func(dir string, _ error) { failed <- dir },
			})
			require.NoError(t, err)
			logs := map[string]*Log{}
			for p := range int32(2) {
				l, err := s.Create(TopicPartition{"t", p}, UUID{1}, crashConfig())
				require.NoError(t, err)
				for i := range 15 {
					_, err := l.Append(testBatch(t, 2, int64(1000+i), "v"), 0, OriginClient, -1)
					require.NoError(t, err)
				}
				l.SetHighWatermark(30)
				logs[l.Dir()] = l
			}
			fs.broken.Store(name != "records on their way")
			require.ErrorIs(t, read(logs["/d"]), ErrStorage)
			require.Equal(t, "/d", <-failed)
			fs.broken.Store(false)
			_, err = logs["/d"].Read(0, 20, 1000, true)
			require.ErrorIs(t, err, ErrStorage, "for good")
			_, err = logs["/d"].Append(testBatch(t, 1, 1000, "v"), 0, OriginClient, -1)
			require.ErrorIs(t, err, ErrStorage)
			require.Len(t, readAll(t, logs["/other"]), 15)
			require.Error(t, s.Close(1))
		})
	}
}

// readBreaker is a file system whose reads of segments in /d fail while broken.
type readBreaker struct {
	vfs.FS
	broken atomic.Bool
}

func broken(l *Log) *atomic.Bool { return &l.fs.(*readBreaker).broken }
