package logstore

import (
	"io/fs"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
)

func TestOffsetIndexFindsTheLargestEntryNotAbove(t *testing.T) {
	x := newOffsetIndex(100, 80)
	offset, position := x.lookup(150)
	require.Equal(t, []int64{100, 0}, []int64{offset, position}, "empty: scan from the start")
	for _, e := range [][2]int64{{104, 4096}, {110, 9000}, {120, 15000}} {
		require.NoError(t, x.append(e[0], e[1]))
	}
	for target, want := range map[int64][2]int64{100: {100, 0}, 103: {100, 0}, 104: {104, 4096}, 119: {110, 9000}, 120: {120, 15000}, 9999: {120, 15000}} {
		offset, position = x.lookup(target)
		require.Equal(t, want, [2]int64{offset, position}, target)
	}
	bound, ok := x.upperBound(9000)
	require.True(t, ok)
	require.Equal(t, int64(110), bound)
	_, ok = x.upperBound(15001)
	require.False(t, ok)
	bound, _ = x.upperBound(4096)
	require.Equal(t, int64(110), bound, "as in Kafka, the first entry is passed over when it is equal")
	x.truncateTo(110)
	require.Equal(t, int64(104), x.lastOffset())
	x.truncateTo(0)
	require.Equal(t, int64(100), x.lastOffset())
}

func TestOffsetIndexRefusesWhatDoesNotFit(t *testing.T) {
	x := newOffsetIndex(100, 23) // two entries
	require.NoError(t, x.append(101, 1))
	require.Error(t, x.append(101, 2), "not increasing")
	require.Error(t, x.append(99, 2), "below the base")
	require.Error(t, x.append(101+math.MaxInt32, 2), "more than 31 bits")
	require.False(t, x.isFull())
	require.NoError(t, x.append(100+math.MaxInt32, 2))
	require.True(t, x.isFull())
}

func TestIndexFilesAreKafkasBytes(t *testing.T) {
	m := vfs.NewMem()
	x := newOffsetIndex(100, 80)
	require.NoError(t, x.append(104, 4096))
	require.NoError(t, x.append(110, 9000))
	require.NoError(t, x.write(m, "/o.index", true))
	data, err := m.ReadFile("/o.index")
	require.NoError(t, err)
	require.Equal(t, []byte{0, 0, 0, 4, 0, 0, 0x10, 0, 0, 0, 0, 10, 0, 0, 0x23, 0x28}, data)

	tx := newTimeIndex(100, 120)
	require.NoError(t, tx.maybeAppend(0x0102, 104, false))
	require.NoError(t, tx.write(m, "/o.timeindex", true))
	data, err = m.ReadFile("/o.timeindex")
	require.NoError(t, err)
	require.Equal(t, []byte{0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 4}, data)

	loaded, err := loadOffsetIndex(m, "/o.index", 100, 80)
	require.NoError(t, err)
	require.Equal(t, x.entries, loaded.entries)
	_, err = loadOffsetIndex(m, "/none", 100, 80)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestPreallocatedTailOfKafkaIsNotEntries(t *testing.T) {
	x, err := parseOffsetIndex(0, 80, append([]byte{0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 1, 0}, make([]byte, 32)...))
	require.NoError(t, err)
	require.Equal(t, []offsetEntry{{0, 9}, {4, 256}}, x.entries)
	tx, err := parseTimeIndex(0, 80, make([]byte, 24))
	require.NoError(t, err)
	require.Empty(t, tx.entries)
}

func TestBrokenIndexFilesAreErrors(t *testing.T) {
	for _, data := range [][]byte{
		{1}, {0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0, 10}, {0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 9},
		{0xff, 0, 0, 4, 0, 0, 0, 9}, append(make([]byte, 8), 0, 0, 0, 1, 0, 0, 0, 0),
	} {
		_, err := parseOffsetIndex(0, 80, data)
		require.ErrorIs(t, err, errCorruptIndex, "% x", data)
	}
	entry := []byte{0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 4}
	for _, data := range [][]byte{{1}, append(slices.Clone(entry), entry...), {0, 0, 0, 0, 0, 0, 1, 2, 0xff, 0, 0, 4}} {
		_, err := parseTimeIndex(0, 80, data)
		require.ErrorIs(t, err, errCorruptIndex, "% x", data)
	}
}

func TestTimeIndexSkipsWhatIsNotLaterAndKeepsASlotForTheRoll(t *testing.T) {
	x := newTimeIndex(100, 36) // three entries
	ts, offset := x.lastEntry()
	require.Equal(t, []int64{-1, 100}, []int64{ts, offset})
	require.NoError(t, x.maybeAppend(-1, 100, false), "no timestamp: no entry")
	require.NoError(t, x.maybeAppend(50, 101, false))
	require.NoError(t, x.maybeAppend(50, 102, false))
	require.NoError(t, x.maybeAppend(40, 103, false))
	require.Len(t, x.entries, 1)
	require.NoError(t, x.maybeAppend(60, 104, false))
	require.True(t, x.isFull())
	require.Error(t, x.maybeAppend(70, 105, false))
	require.NoError(t, x.maybeAppend(70, 105, true))
	require.Error(t, x.maybeAppend(80, 106, true))
	for target, want := range map[int64][2]int64{49: {-1, 100}, 50: {50, 101}, 69: {60, 104}, 99: {70, 105}} {
		ts, offset = x.lookup(target)
		require.Equal(t, want, [2]int64{ts, offset}, target)
	}
	x.truncateTo(104)
	ts, offset = x.lastEntry()
	require.Equal(t, []int64{50, 101}, []int64{ts, offset})
}

func TestSearchInAFileAgreesWithTheLoadedIndex(t *testing.T) {
	m := vfs.NewMem()
	for _, n := range []int{0, 1, 511, 512, 513, 5000} {
		x := newOffsetIndex(7, 1<<20)
		for i := range n {
			require.NoError(t, x.append(7+int64(3*i), int64(i+1)*4097))
		}
		for _, tail := range []int{0, 8000} { // a file that was not trimmed
			require.NoError(t, x.write(m, "/i", false))
			f, err := m.OpenFile("/i", 2, 0)
			require.NoError(t, err)
			require.NoError(t, f.Truncate(int64(n*offsetEntrySize+tail*offsetEntrySize)))
			for target := int64(0); target < int64(3*n+20); target += 1 + int64(n/50) {
				wantOffset, wantPosition := x.lookup(target)
				offset, position, err := lookupInFile(m, "/i", 7, target)
				require.NoError(t, err)
				require.Equal(t, []int64{wantOffset, wantPosition}, []int64{offset, position}, "%d of %d", target, n)
				for _, position := range []int64{target * 1500, target * 4097} {
					bound, ok := x.upperBound(position)
					inFile, found, err := upperBoundInFile(m, "/i", 7, position)
					require.NoError(t, err)
					require.Equal(t, ok, found)
					require.True(t, !ok || bound == inFile)
				}
			}
		}
	}
	offset, position, err := lookupInFile(m, "/missing", 7, 100)
	require.NoError(t, err)
	require.Equal(t, []int64{7, 0}, []int64{offset, position})
}

func TestAbortedIndexRoundTripsAndCollects(t *testing.T) {
	m := vfs.NewMem()
	x, err := loadAborted(m, "/s.txnindex", 0)
	require.NoError(t, err)
	require.NoError(t, x.sync())
	_, err = m.Stat("/s.txnindex")
	require.ErrorIs(t, err, fs.ErrNotExist, "no entry, no file")
	rows := []abortedEntry{{1, 0, 10, 5}, {2, 5, 20, 21}, {3, 25, 30, 31}}
	for _, e := range rows {
		require.NoError(t, x.append(e))
	}
	require.NoError(t, x.sync())
	require.Error(t, x.append(abortedEntry{4, 0, 30, 31}))
	data, err := m.ReadFile("/s.txnindex")
	require.NoError(t, err)
	require.Len(t, data, 3*34)
	require.Equal(t, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 21}, data[34:68])
	x, err = loadAborted(m, "/s.txnindex", 0)
	require.NoError(t, err)
	require.Equal(t, rows, x.entries)

	list, complete := x.collect(nil, 0, 100)
	require.Equal(t, []AbortedTxn{{1, 0}, {2, 5}, {3, 25}}, list)
	require.False(t, complete)
	list, complete = x.collect(nil, 11, 20)
	require.Equal(t, []AbortedTxn{{2, 5}}, list)
	require.True(t, complete, "nothing below 20 can be aborted later")

	require.NoError(t, x.truncateTo(20))
	x, err = loadAborted(m, "/s.txnindex", 0)
	require.NoError(t, err)
	require.Equal(t, rows[:1], x.entries)
	require.NoError(t, x.truncateTo(0))
	_, err = m.Stat("/s.txnindex")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestBrokenAbortedIndexIsAnError(t *testing.T) {
	good := abortedEntry{1, 5, 10, 11}.appendTo(nil)
	newer := slices.Clone(good)
	newer[1] = 1
	for _, data := range [][]byte{good[:33], newer, append(slices.Clone(good), good...), abortedEntry{1, 11, 10, 11}.appendTo(nil)} {
		_, err := parseAborted(0, data)
		require.ErrorIs(t, err, errCorruptIndex)
	}
	_, err := parseAborted(11, good)
	require.ErrorIs(t, err, errCorruptIndex, "marker before the segment")
}

// FuzzParsers: no file content panics, and what parses is written back as it was.
func FuzzParsers(f *testing.F) {
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0x10, 0})
	f.Add(abortedEntry{1, 5, 10, 11}.appendTo(nil))
	f.Add([]byte("0\n1\nfoo 0 12\n"))
	f.Add([]byte("0\n2\n1 0\n3 12\n"))
	f.Add([]byte("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"))
	f.Add([]byte("a\\u0041=b\\\n c\nversion=1\ncluster.id=x\nnode.id=1\n"))
	f.Add(newProducerState(0).snapshot())
	full := newProducerState(math.MaxInt64)
	for seq := range int32(7) {
		full.apply(batchOf(f, 1+int64(seq%2), 0, seq/2, false))
	}
	f.Add(full.snapshot())
	f.Fuzz(func(t *testing.T, data []byte) {
		if x, err := parseOffsetIndex(0, math.MaxInt32, data); err == nil {
			x.lookup(100)
		}
		if x, err := parseTimeIndex(0, math.MaxInt32, data); err == nil {
			x.lookup(100)
		}
		if rows, err := parseAborted(0, data); err == nil {
			var out []byte
			for _, e := range rows {
				out = e.appendTo(out)
			}
			require.Equal(t, len(data), len(out))
		}
		if e, err := parseEpochs(data); err == nil {
			again, err := parseEpochs(e.format())
			require.NoError(t, err)
			require.Equal(t, e, again)
		}
		if offsets, err := parseOffsets(data); err == nil {
			again, err := parseOffsets(formatOffsets(offsets))
			require.NoError(t, err)
			require.Equal(t, offsets, again)
		}
		s := newProducerState(math.MaxInt64)
		if err := s.restore(data, 0); err == nil {
			require.Equal(t, len(data), len(s.snapshot()))
		}
		_, _ = parseMetaProperties(string(data))
		_, _ = parsePartitionMetadata(string(data))
	})
}

// lookupInFile is offsetIndex.lookup on a file.
func lookupInFile(fsys vfs.FS, path string, base, target int64) (offset, position int64, err error) {
	last, _, err := searchOffsetFile(fsys, path, func(e offsetEntry) bool { return base+int64(e.relative) > target })
	if last == noEntry {
		return base, 0, err
	}
	return base + int64(last.relative), int64(last.position), err
}
