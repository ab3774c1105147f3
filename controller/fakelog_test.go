package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/logstore"
	"minikafka/protocol"
)

// fakeLog is one segment file in Kafka's format: enough of logstore.Log to test the quorum alone.
type fakeLog struct {
	file       vfs.File
	start, end int64
	size       int64
}

func openFakeLog(_ context.Context, o Options, dir string) (metadataLog, error) {
	bases, err := segmentBases(o.FS, dir)
	if err != nil {
		return nil, err
	}
	l := &fakeLog{}
	if len(bases) > 0 {
		l.start = bases[len(bases)-1]
	}
	l.end = l.start
	if l.file, err = o.FS.OpenFile(filepath.Join(dir, fmt.Sprintf("%020d.log", l.start)), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, err
	}
	if err := o.FS.SyncDir(dir); err != nil {
		return nil, err
	}
	err = l.each(func(b protocol.Batch) (bool, error) {
		l.end, l.size = b.LastOffset()+1, l.size+int64(len(b))
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if err := l.file.Truncate(l.size); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *fakeLog) each(fn func(protocol.Batch) (bool, error)) error {
	size, err := l.file.Size()
	if err != nil {
		return err
	}
	data := make([]byte, size)
	if _, err := l.file.ReadAt(data, 0); err != nil && size > 0 {
		return err
	}
	for {
		b, err := checkBatch(data)
		if err != nil {
			return nil //nolint:nilerr // the valid part ends here
		}
		if more, err := fn(b); err != nil || !more {
			return err
		}
		data = data[len(b):]
	}
}

func (l *fakeLog) Append(batches []byte, leaderEpoch int32, _ logstore.Origin, _ int64) (logstore.AppendInfo, error) {
	info := logstore.AppendInfo{FirstOffset: l.end}
	for rest := batches; len(rest) > 0; {
		b, err := checkBatch(rest)
		if err != nil {
			return info, err
		}
		b.SetBaseOffset(l.end)
		b.SetLeaderEpoch(leaderEpoch)
		l.end = b.LastOffset() + 1
		rest = rest[len(b):]
	}
	if _, err := l.file.WriteAt(batches, l.size); err != nil {
		return info, err
	}
	l.size += int64(len(batches))
	info.LastOffset = l.end - 1
	return info, nil
}

func (l *fakeLog) Batches(from, upTo int64, fn func(b protocol.Batch) error) error {
	return l.each(func(b protocol.Batch) (bool, error) {
		if b.LastOffset() < from {
			return true, nil
		}
		if b.BaseOffset() >= upTo {
			return false, nil
		}
		return true, fn(b)
	})
}

func (l *fakeLog) Flush() error           { return l.file.Sync() }
func (l *fakeLog) LogStartOffset() int64  { return l.start }
func (l *fakeLog) LogEndOffset() int64    { return l.end }
func (l *fakeLog) SetHighWatermark(int64) {}
func (l *fakeLog) IncrementLogStartOffset(offset int64) error {
	l.start = offset
	return nil
}
func (l *fakeLog) TruncateTo(int64) error { return errors.New("one voter never truncates") }
func (l *fakeLog) TruncateFullyAndStartAt(int64) error {
	return errors.New("one voter never starts anew")
}
func (l *fakeLog) Close() error { return l.file.Close() }

func stamped(batch protocol.Batch, base int64, epoch int32) []byte {
	batch.SetBaseOffset(base)
	batch.SetLeaderEpoch(epoch)
	return batch
}

// rawBatch is a batch of one record with any content.
func rawBatch(t testing.TB, base int64, key, value []byte, control bool) []byte {
	t.Helper()
	o := protocol.NoProducer()
	o.Control, o.BaseOffset, o.LeaderEpoch = control, base, 3
	var b protocol.Builder
	b.Reset(o)
	b.Append(0, key, value, nil)
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	return out
}
