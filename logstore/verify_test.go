package logstore

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// verify holds a partition directory that was closed cleanly against every rule that DumpLogSegments knows:
// batches whole, valid and ordered over all segments; index entries that point at the batch whose last
// offset they name; time index entries that are the largest timestamp so far; snapshots that parse. It
// returns the batches' bytes.
func verify(t testing.TB, fs vfs.FS, dir string) (batches []protocol.Batch) {
	t.Helper()
	entries, err := fs.ReadDir(dir)
	require.NoError(t, err)
	next := int64(-1)
	for _, e := range entries {
		base, suffix, ok := parseSegmentFileName(e.Name())
		if !ok {
			continue
		}
		path := filepath.Join(dir, e.Name())
		switch suffix {
		case logSuffix:
			data, err := fs.ReadFile(path)
			require.NoError(t, err)
			require.GreaterOrEqual(t, base, next, "%s begins inside the segment before it", path)
			next = base
			segment := verifySegment(t, path, data, &next)
			verifyIndexes(t, fs, dir, base, segment)
			batches = append(batches, segment...)
		case snapshotSuffix:
			data, err := fs.ReadFile(path)
			require.NoError(t, err)
			_, err = parseSnapshot(data)
			require.NoError(t, err, path)
		}
	}
	return batches
}

func verifySegment(t testing.TB, path string, data []byte, next *int64) (batches []protocol.Batch) {
	t.Helper()
	for len(data) > 0 {
		b, rest, err := protocol.NextBatch(data)
		require.NoError(t, err, path)
		require.True(t, b.CheckCRC(), path)
		require.GreaterOrEqual(t, b.BaseOffset(), *next, path)
		*next = b.NextOffset()
		batches = append(batches, b)
		data = rest
	}
	return batches
}

func verifyIndexes(t testing.TB, fs vfs.FS, dir string, base int64, segment []protocol.Batch) {
	t.Helper()
	byLast, byPosition, at := map[int64]protocol.Batch{}, map[int64]protocol.Batch{}, int64(0)
	for _, b := range segment {
		byLast[b.LastOffset()], byPosition[at] = b, b
		at += int64(b.Size())
	}
	offsets, err := loadOffsetIndex(fs, filepath.Join(dir, segmentFileName(base, indexSuffix)), base, 10<<20)
	require.NoError(t, err)
	for _, e := range offsets.entries {
		b := byPosition[int64(e.position)]
		require.NotNil(t, b, "segment %d: index entry %v points at no batch", base, e)
		require.Equal(t, base+int64(e.relative), b.LastOffset())
	}
	times, err := loadTimeIndex(fs, filepath.Join(dir, segmentFileName(base, timeIndexSuffix)), base, 10<<20)
	require.NoError(t, err)
	for _, e := range times.entries {
		b := byLast[base+int64(e.relative)]
		require.NotNil(t, b, "segment %d: time index entry %v names no batch", base, e)
		require.Equal(t, e.timestamp, b.MaxTimestamp())
		for _, before := range segment {
			if before.BaseOffset() < b.BaseOffset() {
				require.Less(t, before.MaxTimestamp(), e.timestamp)
			}
		}
	}
}

// testStore opens a store over fs with one directory /d.
func testStore(t testing.TB, fs vfs.FS, o Options) (*Store, error) {
	t.Helper()
	o.FS, o.Dirs, o.NodeID = fs, []string{"/d"}, 1
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	return Open(context.Background(), o)
}

// testBatch is n records with timestamps from ts on, marked with a value that tells batches apart.
func testBatch(t testing.TB, n int, ts int64, value string) []byte {
	t.Helper()
	var b protocol.Builder
	b.Reset(protocol.NoProducer())
	for i := range n {
		b.Append(ts+int64(i), []byte("key"), fmt.Appendf(nil, "%s %d", value, i), nil)
	}
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	return out
}

// readAll reads a log from its start through Read and returns the batches, each in its own memory.
func readAll(t testing.TB, l *Log) (batches []protocol.Batch) {
	t.Helper()
	require.NoError(t, l.Batches(l.LogStartOffset(), l.LogEndOffset(), func(b protocol.Batch) error {
		require.True(t, b.CheckCRC())
		batches = append(batches, append(protocol.Batch(nil), b...))
		return nil
	}))
	return batches
}
