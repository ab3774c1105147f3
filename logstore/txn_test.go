package logstore

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

func txnBatch(t *testing.T, producer int64, seq int32) []byte {
	t.Helper()
	var b protocol.Builder
	b.Reset(protocol.BuilderOptions{ProducerID: producer, BaseSequence: seq, Transactional: true})
	b.Append(1000, nil, []byte("v"), nil)
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	return out
}

func TestAbortedTransactionsSurviveKillAndBoundTheLastStableOffset(t *testing.T) {
	mem := vfs.NewMem()
	c := Config{SegmentBytes: 300}
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, c)
	require.NoError(t, err)
	appendIt := func(b []byte) {
		t.Helper()
		info, err := l.Append(b, 0, OriginCoordinator, -1)
		require.NoError(t, err)
		l.SetHighWatermark(info.LastOffset + 1)
	}
	appendIt(txnBatch(t, 7, 0)) // 0
	appendIt(txnBatch(t, 8, 0)) // 1
	appendIt(txnBatch(t, 7, 1)) // 2
	require.EqualValues(t, 0, l.LastStableOffset())
	appendIt(protocol.AppendMarker(nil, 7, 0, protocol.Marker{Commit: false}, 1000)) // 3: abort
	require.EqualValues(t, 1, l.LastStableOffset())
	appendIt(protocol.AppendMarker(nil, 8, 0, protocol.Marker{Commit: true}, 1000)) // 4
	require.EqualValues(t, 5, l.LastStableOffset())
	appendIt(txnBatch(t, 9, 0)) // 5
	want := []AbortedTxn{{7, 0}}
	check := func() {
		t.Helper()
		list, err := l.aborted(0, upTo(5))
		require.NoError(t, err)
		require.Equal(t, want, list)
		list, err = l.aborted(4, upTo(5))
		require.NoError(t, err)
		require.Empty(t, list)
		require.EqualValues(t, 5, l.LastStableOffset())
	}
	check()
	require.Greater(t, len(l.segments()), 1)
	for _, damage := range []func(fs *vfs.Mem){
		func(*vfs.Mem) {},
		func(fs *vfs.Mem) { // every index of transactions is garbage
			entries, err := fs.ReadDir("/d/crash-0")
			require.NoError(t, err)
			for _, e := range entries {
				if _, suffix, ok := parseSegmentFileName(e.Name()); ok && suffix == txnIndexSuffix {
					put(t, fs, "/d/crash-0/"+e.Name(), []byte("garbage"))
				}
			}
		},
	} {
		fs := mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll})
		damage(fs)
		s, err = testStore(t, fs, Options{DefaultConfig: c})
		require.NoError(t, err)
		l = s.Log(crashTP)
		l.SetHighWatermark(6)
		check()
		require.NoError(t, s.Close(1))
		damage(fs)
		s, err = testStore(t, fs, Options{DefaultConfig: c})
		require.NoError(t, err)
		l = s.Log(crashTP)
		check()
		require.NoError(t, s.Close(1))
		verify(t, fs, "/d/crash-0")
	}
}

func TestTimestampLookupFindsFirstRecord(t *testing.T) {
	mem := vfs.NewMem()
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, Config{SegmentBytes: 2000, IndexIntervalBytes: 200})
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 1))
	var timestamps []int64
	for range 200 {
		n, ts := 1+r.IntN(4), r.Int64N(1000)
		_, err := l.Append(testBatch(t, n, ts, "v"), 0, OriginClient, -1)
		require.NoError(t, err)
		for i := range n {
			timestamps = append(timestamps, ts+int64(i))
		}
	}
	l.SetHighWatermark(l.LogEndOffset())
	for _, start := range []int64{0, 7, 250} {
		require.NoError(t, l.IncrementLogStartOffset(start))
		for target := int64(-1); target < 1010; target += 3 {
			want := noOffset()
			for offset := start; offset < int64(len(timestamps)); offset++ {
				if timestamps[offset] >= target {
					want = TimestampedOffset{offset, timestamps[offset], 0}
					break
				}
			}
			got, err := l.OffsetForTimestamp(target, l.LogEndOffset())
			require.NoError(t, err)
			require.Equal(t, want, got, "target %d, start %d", target, start)
		}
		most := noOffset()
		for offset := start; offset < int64(len(timestamps)); offset++ {
			if timestamps[offset] > most.Timestamp {
				most = TimestampedOffset{offset, timestamps[offset], 0}
			}
		}
		got, err := l.MaxTimestamp()
		require.NoError(t, err)
		require.Equal(t, most.Timestamp, got.Timestamp)
		require.Equal(t, most.Offset, got.Offset)
	}
	require.NoError(t, s.Close(1))
}

func TestRecordsWhoseTransactionEndedAfterItWasVerifiedAreRefused(t *testing.T) {
	s, err := testStore(t, vfs.NewMem(), Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, Config{SegmentBytes: 1 << 20})
	require.NoError(t, err)
	verify := func() AppendRules {
		since, _, err := l.VerificationPoint(7, 0)
		require.NoError(t, err)
		return AppendRules{Origin: OriginClient, Verification: Verification{Needed: true, Since: since}}
	}
	first := verify()
	late := first
	_, err = l.AppendBy(first, txnBatch(t, 7, 0), 0, -1)
	require.NoError(t, err)
	_, ongoing, err := l.VerificationPoint(7, 0)
	require.NoError(t, err)
	require.True(t, ongoing)
	_, err = l.AppendBy(late, txnBatch(t, 7, 1), 0, -1)
	require.NoError(t, err, "the transaction is still open")
	_, err = l.Append(protocol.AppendMarker(nil, 7, 0, protocol.Marker{}, 1000), 0, OriginCoordinator, -1)
	require.NoError(t, err)
	_, err = l.AppendBy(late, txnBatch(t, 7, 2), 0, -1)
	require.ErrorIs(t, err, ErrTxnState)
	require.ErrorIs(t, l.CheckProducers(late, txnBatch(t, 7, 2)), ErrTxnState)
	require.EqualValues(t, 3, l.LogEndOffset())
	_, err = l.AppendBy(verify(), txnBatch(t, 7, 2), 0, -1)
	require.NoError(t, err)
	_, _, err = l.VerificationPoint(7, -1)
	require.ErrorIs(t, err, ErrProducerEpoch)
}

func TestProducerOfVersionTwoWithoutStateBeginsAtSequenceZero(t *testing.T) {
	s, err := testStore(t, vfs.NewMem(), Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, Config{SegmentBytes: 1 << 20})
	require.NoError(t, err)
	rules := AppendRules{Origin: OriginClient, TransactionV2: true}
	_, err = l.AppendBy(rules, txnBatch(t, 7, 1), 0, -1)
	require.ErrorIs(t, err, ErrOutOfOrderSeq)
	_, err = l.AppendBy(rules, txnBatch(t, 7, 0), 0, -1)
	require.NoError(t, err)
	marker := protocol.AppendMarker(nil, 7, 0, protocol.Marker{Commit: true}, 1000)
	_, err = l.AppendBy(AppendRules{Origin: OriginCoordinator, MarkerVersion: 2}, marker, 0, -1)
	require.ErrorIs(t, err, ErrProducerEpoch, "a marker of version 2 has a newer epoch than the data")
	marker = protocol.AppendMarker(nil, 7, 1, protocol.Marker{Commit: true}, 1000)
	_, err = l.AppendBy(AppendRules{Origin: OriginCoordinator, MarkerVersion: 2}, marker, 0, -1)
	require.NoError(t, err)
	_, err = l.AppendBy(rules, txnBatch(t, 7, 1), 0, -1)
	require.ErrorIs(t, err, ErrProducerEpoch)
}

func upTo(offset int64) func() (int64, error) { return func() (int64, error) { return offset, nil } }

// As Kafka does it: what is aborted before the first index entry behind what was read, or before the next
// segment, and not more; whether the index is in memory or in a file.
func TestReaderIsToldOfAbortedTransactionsUpToTheNextIndexEntry(t *testing.T) {
	mem := vfs.NewMem()
	c := Config{SegmentBytes: 3000, IndexIntervalBytes: 300}
	s, err := testStore(t, mem, Options{})
	require.NoError(t, err)
	l, err := s.Create(crashTP, UUID{1}, c)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(2, 2))
	var aborted []abortedEntry
	open := map[int64]int64{} // first offset by producer
	next := map[int64]int32{}
	for range 400 {
		producer := int64(r.IntN(5))
		first, isOpen := open[producer]
		b := txnBatch(t, producer, next[producer])
		ends := isOpen && r.IntN(3) == 0
		if ends {
			b = protocol.AppendMarker(nil, producer, 0, protocol.Marker{Commit: r.IntN(3) == 0}, 1000)
		}
		info, err := l.Append(b, 0, OriginCoordinator, -1)
		require.NoError(t, err)
		switch marker, _, _ := protocol.MarkerOf(b); {
		case !ends && !isOpen:
			open[producer] = info.LastOffset
			next[producer]++
		case !ends:
			next[producer]++
		default:
			delete(open, producer)
			if !marker.Commit {
				aborted = append(aborted, abortedEntry{ProducerID: producer, FirstOffset: first, LastOffset: info.LastOffset})
			}
		}
	}
	l.SetHighWatermark(l.LogEndOffset())
	require.Greater(t, len(l.segments()), 5)
	check := func(l *Log) {
		t.Helper()
		segments, told := l.segments(), 0
		for from := range l.LogEndOffset() {
			read, err := l.Read(from, l.LogEndOffset(), 200+int32(from%7)*200, true)
			require.NoError(t, err)
			// The bound by hand: from the index file, the segments and the log end.
			i := segments.floor(from)
			bound := l.LogEndOffset()
			if i+1 < len(segments) {
				bound = segments[i+1].base
			}
			require.NoError(t, segments[i].writeIndexesIfLive())
			index, err := loadOffsetIndex(mem, segments[i].filePath(indexSuffix), segments[i].base, 1<<20)
			require.NoError(t, err)
			end := read.Records.position + int64(read.Records.size)
			for i, e := range index.entries {
				if int64(e.position) > end || int64(e.position) == end && i > 0 {
					bound = min(bound, index.base+int64(e.relative))
				}
			}
			var want []AbortedTxn
			for _, e := range aborted {
				if e.LastOffset >= from && e.FirstOffset < bound {
					want = append(want, AbortedTxn{e.ProducerID, e.FirstOffset})
				}
			}
			list, err := l.AbortedTxns(from, read)
			require.NoError(t, err)
			require.ElementsMatch(t, want, list, "from %d", from)
			told += len(list)
			read.Records.Release()
		}
		require.Greater(t, told, len(aborted))
	}
	check(l)
	require.NoError(t, s.Close(1))
	s, err = testStore(t, mem, Options{DefaultConfig: c})
	require.NoError(t, err)
	check(s.Log(crashTP))
	require.NoError(t, s.Close(1))
}

func (s *segment) writeIndexesIfLive() error {
	if s.offsets == nil {
		return nil
	}
	return s.writeIndexes(false)
}
