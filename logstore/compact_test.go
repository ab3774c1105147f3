package logstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// compactRecord is one record as it was written.
type compactRecord struct {
	offset, timestamp int64
	key, value        string // "" key: null; "" value: null
	producer          int64
	aborted           bool
}

// compactWorld is a compacted log under random load, with a model of what a reader must find.
type compactWorld struct {
	t       testing.TB
	r       *rand.Rand
	clock   *clock.Manual
	fs      *vfs.Mem
	s       *Store
	l       *Log
	records map[int64]compactRecord
	open    map[int64][]int64 // producer -> offsets of its open transaction
	seq     map[int64]int32
	cleaned map[int64]time.Time // offset -> end of the first clean that saw it
	n       int
}

var compactTP = TopicPartition{"compacted", 0}

func compactConfig() Config {
	return Config{
		SegmentBytes: 1500, SegmentIndexBytes: 4096, IndexIntervalBytes: 200, RetentionMs: -1, RetentionBytes: -1, CleanupCompact: true,
		DeleteRetentionMs: time.Hour, MinCleanableDirtyRatio: 0, MaxCompactionLagMs: 1<<63 - 1, SegmentMs: 1<<63 - 1,
		ProducerIDExpiration: 240 * time.Hour,
	}
}

func newCompactWorld(t testing.TB, seed uint64) *compactWorld {
	t.Helper()
	w := &compactWorld{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), clock: clock.NewManual(time.UnixMilli(1_700_000_000_000)), fs: vfs.NewMem(),
		records: map[int64]compactRecord{}, open: map[int64][]int64{}, seq: map[int64]int32{}, cleaned: map[int64]time.Time{},
	}
	w.start(w.fs)
	l, err := w.s.Create(compactTP, UUID{1}, compactConfig())
	require.NoError(t, err)
	w.l = l
	return w
}

func (w *compactWorld) start(fs vfs.FS) {
	w.t.Helper()
	s, err := testStore(w.t, fs, Options{DefaultConfig: compactConfig(), Clock: w.clock, Cleaner: CleanerConfig{Disabled: true}})
	require.NoError(w.t, err)
	w.s, w.l = s, s.Log(compactTP)
}

func (w *compactWorld) step() {
	w.n++
	w.clock.Advance(time.Duration(w.r.IntN(1000)) * time.Millisecond)
	producer := int64(-1)
	if w.r.IntN(3) > 0 {
		producer = 1 + w.r.Int64N(4)
	}
	if producer > 0 && len(w.open[producer]) > 0 && w.r.IntN(3) == 0 {
		w.endTxn(producer, w.r.IntN(2) == 0)
		return
	}
	w.data(producer)
}

// data appends a batch: of nobody, of an idempotent producer (odd ids), or of a transactional one.
func (w *compactWorld) data(producer int64) {
	codec := protocol.CodecNone // mostly: under the race detector compressors are not pooled, and cost milliseconds
	if w.r.IntN(12) == 0 {
		codec = protocol.Codec(w.r.IntN(5))
	}
	o := protocol.BuilderOptions{Codec: codec, ProducerID: producer, ProducerEpoch: -1, BaseSequence: -1}
	if producer > 0 {
		o.ProducerEpoch, o.BaseSequence, o.Transactional = 0, w.seq[producer], producer%2 == 0
	}
	if w.r.IntN(5) == 0 {
		o.LogAppendTimeMs = w.clock.Now().UnixMilli()
	}
	var b protocol.Builder
	b.Reset(o)
	var batch []compactRecord
	for range 1 + w.r.IntN(5) {
		r := compactRecord{
			timestamp: w.clock.Now().UnixMilli() - w.r.Int64N(500), key: fmt.Sprintf("key %d", w.r.IntN(12)), producer: producer,
		}
		var value []byte
		if w.r.IntN(4) > 0 {
			r.value = fmt.Sprintf("value %d %d", w.n, w.r.IntN(1000))
			value = []byte(r.value)
		}
		b.Append(r.timestamp, []byte(r.key), value, []protocol.RecordHeader{{Key: "h", Value: []byte(r.key)}, {Key: "null"}})
		if o.LogAppendTimeMs > 0 {
			r.timestamp = o.LogAppendTimeMs
		}
		batch = append(batch, r)
	}
	bytes, err := b.AppendTo(nil)
	require.NoError(w.t, err)
	info, err := w.l.Append(bytes, 0, OriginClient, -1)
	require.NoError(w.t, err)
	for i, r := range batch {
		r.offset = info.FirstOffset + int64(i)
		w.records[r.offset] = r
		if o.Transactional {
			w.open[producer] = append(w.open[producer], r.offset)
		}
	}
	if producer > 0 {
		w.seq[producer] += int32(len(batch))
	}
	w.l.SetHighWatermark(w.l.LogEndOffset())
}

// one appends one record of a key that no tombstone was written for.
func (w *compactWorld) one(key string) {
	var b protocol.Builder
	b.Reset(protocol.NoProducer())
	ts := w.clock.Now().UnixMilli()
	b.Append(ts, []byte(key), []byte("v"), []protocol.RecordHeader{{Key: "h", Value: []byte(key)}, {Key: "null"}})
	bytes, err := b.AppendTo(nil)
	require.NoError(w.t, err)
	info, err := w.l.Append(bytes, 0, OriginClient, -1)
	require.NoError(w.t, err)
	w.records[info.FirstOffset] = compactRecord{offset: info.FirstOffset, timestamp: ts, key: key, value: "v", producer: -1}
	w.l.SetHighWatermark(w.l.LogEndOffset())
}

func (w *compactWorld) endTxn(producer int64, commit bool) {
	_, err := w.l.Append(protocol.AppendMarker(nil, producer, 0, protocol.Marker{Commit: commit}, w.clock.Now().UnixMilli()), 0, OriginCoordinator, -1)
	require.NoError(w.t, err)
	for _, offset := range w.open[producer] {
		r := w.records[offset]
		r.aborted = !commit
		w.records[offset] = r
	}
	delete(w.open, producer)
	w.l.SetHighWatermark(w.l.LogEndOffset())
}

// cleanNow runs one clean with room for the given bytes of keys, whatever the dirty ratio is.
func cleanNow(t testing.TB, s *Store, l *Log, buffer int64) (cleanable, CleanResult) {
	t.Helper()
	c, err := l.cleanableNow(s.o.Clock.Now())
	require.NoError(t, err)
	s.cleaner.config.Store(&CleanerConfig{Threads: 1, DedupeBufferSize: buffer, LoadFactor: 0.9, Disabled: true})
	result, err := s.cleaner.clean(&c)
	require.NoError(t, err)
	return c, result
}

func (w *compactWorld) clean() cleanable {
	w.t.Helper()
	c, _ := cleanNow(w.t, w.s, w.l, 1<<20)
	w.noteCleaned()
	return c
}

func (w *compactWorld) noteCleaned() {
	for offset := range w.l.cleanedTo.Load() {
		if _, seen := w.cleaned[offset]; !seen {
			w.cleaned[offset] = w.clock.Now()
		}
	}
}

// committed reads the log as a read_committed consumer does, below upTo.
func (w *compactWorld) committed(l *Log, upTo int64) (found []compactRecord) {
	aborted, err := l.aborted(0, func() (int64, error) { return upTo, nil })
	require.NoError(w.t, err)
	slices.SortFunc(aborted, func(a, b AbortedTxn) int { return int(a.FirstOffset - b.FirstOffset) })
	dropping := map[int64]bool{}
	for _, b := range readAll(w.t, l) {
		if b.BaseOffset() >= upTo {
			break
		}
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			dropping[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		if b.IsControl() {
			if m, ok, err := protocol.MarkerOf(b); err == nil && ok && !m.Commit {
				delete(dropping, b.ProducerID())
			}
			continue
		}
		if b.IsTransactional() && dropping[b.ProducerID()] {
			continue
		}
		found = append(found, recordsOf(w.t, b)...)
	}
	return found
}

func recordsOf(t testing.TB, b protocol.Batch) (found []compactRecord) {
	t.Helper()
	it := b.Iterate()
	defer it.Close()
	var r protocol.Record
	for it.Next(&r) {
		headers := r.Headers(nil)
		require.Len(t, headers, 2)
		require.Equal(t, string(r.Key), string(headers[0].Value))
		ts := b.BaseTimestamp() + r.TimestampDelta
		if b.IsLogAppendTime() {
			ts = b.MaxTimestamp()
		}
		require.True(t, r.Value == nil || len(r.Value) > 0)
		found = append(found, compactRecord{
			offset: b.BaseOffset() + int64(r.OffsetDelta), timestamp: ts, key: string(r.Key), value: string(r.Value), producer: b.ProducerID(),
		})
	}
	require.NoError(t, it.Err())
	return found
}

// check holds the log against the model: what is there is what was written; each key has its last value
// (or tombstone, until its horizon); no aborted record is below the first offset that was cleaned to.
func (w *compactWorld) check(l *Log) {
	t := w.t
	t.Helper()
	upTo := l.LastStableOffset()
	last := map[string]compactRecord{}
	for offset := range upTo {
		if r, ok := w.records[offset]; ok && !r.aborted {
			last[r.key] = r
		}
	}
	seen := map[string]compactRecord{}
	for _, r := range w.committed(l, upTo) {
		if r.offset >= upTo {
			break
		}
		want := w.records[r.offset]
		require.False(t, want.aborted, "aborted record at %d", r.offset)
		require.Equal(t, want, r)
		seen[r.key] = r
	}
	for key, want := range last {
		got, ok := seen[key]
		if want.value == "" && !ok {
			at, cleaned := w.cleaned[want.offset]
			require.True(t, cleaned && !w.clock.Now().Before(at.Add(time.Hour)), "tombstone of %s at %d went before its horizon", key, want.offset)
			continue
		}
		require.True(t, ok, "%s is lost: %+v", key, want)
		require.Equal(t, want, got, "%s has an old value", key)
	}
	require.LessOrEqual(t, len(seen), len(last))
}

// checkCleaned: below the cleaned offset no key is there twice and nothing aborted is left.
func (w *compactWorld) checkCleaned(l *Log) {
	to := l.cleanedTo.Load()
	keys := map[string]int64{}
	for _, b := range readAll(w.t, l) {
		if b.IsControl() {
			continue
		}
		for _, r := range recordsOf(w.t, b) {
			if r.offset >= to {
				continue
			}
			other, twice := keys[r.key]
			require.False(w.t, twice, "%s is at %d and %d, both below %d", r.key, other, r.offset, to)
			require.False(w.t, w.records[r.offset].aborted, "aborted record at %d", r.offset)
			keys[r.key] = r.offset
		}
	}
}

func TestCompactionKeepsTheLastValueOfEachKey(t *testing.T) {
	for seed := range uint64(12) {
		w := newCompactWorld(t, seed)
		var before, after int64
		for range 6 {
			for range 60 {
				w.step()
			}
			end := w.l.LogEndOffset()
			size := w.l.SizeBytes()
			c := w.clean()
			before, after = before+size, after+w.l.SizeBytes()
			require.Equal(t, c.firstUncleable, max(w.l.cleanedTo.Load(), 0))
			require.Equal(t, end, w.l.LogEndOffset())
			w.check(w.l)
			w.checkCleaned(w.l)
			w.clock.Advance(time.Duration(w.r.IntN(40)) * time.Minute)
		}
		require.Less(t, after, before*3/4, "seed %d", seed)
		require.NoError(t, w.s.Close(1))
		verify(t, w.fs, "/d/compacted-0")
		w.start(w.fs)
		w.check(w.l)
		w.checkCleaned(w.l)
		require.NoError(t, w.s.Close(1))
	}
}

// TestCompactionKeepsWhatProducersNeed rebuilds the producer state from the batches alone.
func TestCompactionKeepsWhatProducersNeed(t *testing.T) {
	for seed := range uint64(10) {
		w := newCompactWorld(t, seed)
		for range 4 {
			for range 50 {
				w.step()
			}
			w.clean()
			w.clock.Advance(time.Hour)
		}
		for producer := range w.open {
			w.endTxn(producer, false)
		}
		want := timeless(w.l.ActiveProducers())
		require.NoError(t, w.s.Close(1))
		entries, err := w.fs.ReadDir("/d/compacted-0")
		require.NoError(t, err)
		for _, e := range entries {
			if _, suffix, ok := parseSegmentFileName(e.Name()); ok && suffix == snapshotSuffix {
				require.NoError(t, w.fs.Remove("/d/compacted-0/"+e.Name()))
			}
		}
		w.start(w.fs.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll}))
		require.Equal(t, want, timeless(w.l.ActiveProducers()), "seed %d", seed)
		require.NoError(t, w.s.Close(1))
	}
}

// timeless leaves the timestamps out: a batch that lost its latest record has an earlier one, in Kafka too.
func timeless(producers []ActiveProducer) []ActiveProducer {
	for i := range producers {
		producers[i].LastTimestamp = 0
	}
	return producers
}

func TestTombstonesAndMarkersVanishAfterTheHorizon(t *testing.T) {
	w := newCompactWorld(t, 1)
	for range 200 {
		w.step()
	}
	for producer := range w.open {
		w.endTxn(producer, producer == 2)
	}
	upTo := w.l.LogEndOffset()
	dirty := 0
	more := func() { // a new segment of other keys: without something dirty nothing is cleaned
		for base := w.l.segments().active().base; w.l.segments().active().base == base; dirty++ {
			w.one(fmt.Sprintf("dirt %d", dirty))
		}
	}
	count := func() (tombstones, markers int) {
		for _, b := range readAll(t, w.l) {
			if b.BaseOffset() >= upTo {
				break
			}
			if b.IsControl() {
				markers += int(b.Count())
				continue
			}
			for _, r := range recordsOf(t, b) {
				if r.value == "" {
					tombstones++
				}
			}
		}
		return tombstones, markers
	}
	// Two passes: the first removes the data of transactions, the second finds them empty and dates them.
	more()
	w.clean()
	w.check(w.l)
	tombstones, markers := count()
	require.NotZero(t, tombstones)
	require.NotZero(t, markers)
	more()
	w.clean()
	w.clock.Advance(59 * time.Minute)
	more()
	w.clean()
	w.check(w.l)
	stillTombstones, stillMarkers := count()
	require.Equal(t, tombstones, stillTombstones)
	require.Equal(t, markers, stillMarkers)
	w.clock.Advance(2 * time.Minute)
	more()
	w.clean()
	w.check(w.l)
	tombstones, left := count()
	require.Zero(t, tombstones)
	require.Less(t, left, markers) // those stay that end a transaction with a record that is still the last of its key
}

// TestSmallMapCleansInSeveralPasses gives each pass room for few keys.
func TestSmallMapCleansInSeveralPasses(t *testing.T) {
	w := newCompactWorld(t, 3)
	for i := 0; i < 6000; {
		var b protocol.Builder // a batch of ten: the map fills in the middle of one
		b.Reset(protocol.NoProducer())
		for range 10 {
			b.Append(1000, fmt.Appendf(nil, "unique %d", i%5500), fmt.Appendf(nil, "v%d", i), nil)
			i++
		}
		bytes, err := b.AppendTo(nil)
		require.NoError(t, err)
		_, err = w.l.Append(bytes, 0, OriginClient, -1)
		require.NoError(t, err)
	}
	w.l.SetHighWatermark(w.l.LogEndOffset())
	passes := 0
	for at := int64(-2); at != w.l.cleanedTo.Load(); passes++ {
		at = w.l.cleanedTo.Load()
		_, result := cleanNow(t, w.s, w.l, 1)
		require.LessOrEqual(t, result.Keys, mapShards*leastShard)
	}
	require.Greater(t, passes, 2)
	last := map[string]string{}
	for _, b := range readAll(t, w.l) {
		it := b.Iterate()
		var r protocol.Record
		for it.Next(&r) {
			last[string(r.Key)] = string(r.Value)
		}
		it.Close()
	}
	require.Len(t, last, 5500)
	require.Equal(t, "v5999", last["unique 499"])
	require.Equal(t, "v500", last["unique 500"])
	require.NoError(t, w.s.Close(1))
}

func testBatchOfKey(t testing.TB, key, value string) []byte {
	t.Helper()
	var b protocol.Builder
	b.Reset(protocol.NoProducer())
	b.Append(1000, []byte(key), []byte(value), nil)
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	return out
}

// TestCrashDuringCompactionLeavesAValidLog clones the disk at every write, sync, rename and removal of a
// clean, reopens each clone, and finds each key's last value.
func TestCrashDuringCompactionLeavesAValidLog(t *testing.T) {
	crashes := 0
	for seed := range uint64(2) {
		w := newCompactWorld(t, seed)
		busy, armed := false, false
		rule := func(op vfs.Op, name string, _ int) error {
			if busy || !armed || op == vfs.OpRead {
				return nil
			}
			busy = true
			defer func() { busy = false }()
			crashes++
			for _, kept := range []vfs.Unsynced{vfs.KeepAll, vfs.KeepNone, vfs.KeepRandom} {
				clone := w.fs.CrashClone(vfs.CrashOptions{Unsynced: kept, Seed: seed*1000 + uint64(crashes)})
				w.reopenClone(clone, fmt.Sprintf("seed %d before %s %s, %v", seed, op, name, kept))
			}
			return nil
		}
		require.NoError(t, w.s.Close(1))
		w.start(vfs.Faulty(w.fs, rule))
		w.s.bg.stop()
		for range 3 {
			for range 25 {
				w.step()
			}
			require.NoError(t, w.l.Flush())
			armed = true
			w.clean()
			armed = false
			w.clock.Advance(61 * time.Minute)
		}
		w.check(w.l)
	}
	require.Greater(t, crashes, 100)
}

func (w *compactWorld) reopenClone(clone *vfs.Mem, when string) {
	s, err := testStore(w.t, clone, Options{DefaultConfig: compactConfig(), Clock: w.clock, Cleaner: CleanerConfig{Disabled: true}})
	require.NoError(w.t, err, when)
	l := s.Log(compactTP)
	require.NotNil(w.t, l, when)
	require.NoError(w.t, l.usable(), when)
	require.Equal(w.t, w.l.LogEndOffset(), l.LogEndOffset(), when)
	l.SetHighWatermark(l.LogEndOffset())
	if t, ok := w.t.(*testing.T); ok {
		if !t.Run("", func(t *testing.T) { x := *w; x.t = t; x.check(l) }) {
			t.Fatal(when)
		}
	}
	require.NoError(w.t, s.Close(1), when)
	verify(w.t, clone, "/d/compacted-0")
	entries, err := clone.ReadDir("/d/compacted-0")
	require.NoError(w.t, err)
	for _, e := range entries {
		_, suffix, _ := parseSegmentFileName(e.Name())
		require.NotContains(w.t, suffix, swapSuffix, when)
		require.NotContains(w.t, suffix, cleanedSuffix, when)
	}
}

func TestFailedWriteOfACleanTakesTheDirectoryOfflineAndLosesNothing(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync, vfs.OpRename, vfs.OpSyncDir} {
		w := newCompactWorld(t, 5)
		for range 100 {
			w.step()
		}
		require.NoError(t, w.s.Close(1))
		armed := false
		w.start(vfs.Faulty(w.fs, func(o vfs.Op, _ string, _ int) error {
			if armed && o == op {
				return errors.New("disk is broken")
			}
			return nil
		}))
		w.l.SetHighWatermark(w.l.LogEndOffset())
		c, err := w.l.cleanableNow(w.clock.Now())
		require.NoError(t, err)
		armed = true
		_, err = w.s.cleaner.clean(&c)
		require.ErrorIs(t, err, ErrStorage, op)
		require.ErrorIs(t, w.l.usable(), ErrStorage)
		armed = false
		_ = w.s.Close(1)
		w.start(w.fs.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll}))
		w.l.SetHighWatermark(w.l.LogEndOffset())
		w.check(w.l)
		require.NoError(t, w.s.Close(1))
	}
}

// FuzzCompaction cleans, moves the clock, and reopens at random.
func FuzzCompaction(f *testing.F) {
	f.Add(uint64(1), []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaacaaaaaaaaaaaaaaaaaacthactr"))
	f.Add(uint64(2), []byte("aaaabaaaabaaaabaaaabaaaabccccmcaaaabaaaabaaaabaaaabaaaabccccr"))
	f.Fuzz(func(t *testing.T, seed uint64, steps []byte) {
		w := newCompactWorld(t, seed)
		for i, step := range steps[:min(len(steps), 300)] {
			switch step % 8 {
			case 0, 1, 2, 3:
				w.step()
			case 4:
				w.clean()
				w.check(w.l)
				w.checkCleaned(w.l)
			case 5:
				w.clock.Advance(time.Duration(i) * time.Minute)
			case 6: // a small map: several passes
				cleanNow(t, w.s, w.l, 1)
				w.noteCleaned()
				w.check(w.l)
			case 7:
				if w.l.LogEndOffset() == 0 {
					continue // a log without records has no name on disk yet
				}
				require.NoError(t, w.l.Flush())
				fs := w.fs.CrashClone(vfs.CrashOptions{Unsynced: vfs.Unsynced(i % 3), Seed: seed})
				end := w.l.LogEndOffset()
				w.s.cleaner.stop()
				w.s.bg.stop()
				w.fs = fs
				w.start(fs)
				require.Equal(t, end, w.l.LogEndOffset())
				w.l.SetHighWatermark(end)
				w.check(w.l)
			}
		}
		require.NoError(t, w.s.Close(1))
		verify(t, w.fs, "/d/compacted-0")
	})
}
