package logstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// benchLog is a log on the real disk, with retention so small that a long run fits.
func benchLog(b *testing.B) (*Store, *Log) {
	b.Helper()
	s, err := Open(b.Context(), Options{FS: vfs.OS(), Dirs: []string{b.TempDir()}, NodeID: 1})
	require.NoError(b, err)
	l, err := s.Create(TopicPartition{"bench", 0}, UUID{1}, Config{
		SegmentBytes: 256 << 20, IndexIntervalBytes: 4096, CleanupDelete: true, RetentionBytes: 512 << 20, RetentionMs: -1,
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close(1)) })
	return s, l
}

func benchBatch(b *testing.B, records, valueSize int, producer int64) []byte {
	b.Helper()
	var w protocol.Builder
	o := protocol.NoProducer()
	if producer >= 0 {
		o.ProducerID, o.ProducerEpoch, o.BaseSequence = producer, 0, 0
	}
	w.Reset(o)
	value := make([]byte, valueSize)
	for range records {
		w.Append(time.Now().UnixMilli(), nil, value, nil)
	}
	out, err := w.AppendTo(nil)
	require.NoError(b, err)
	return out
}

func benchAppend(b *testing.B, batch []byte) {
	b.Helper()
	_, l := benchLog(b)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	written := int64(0)
	for b.Loop() {
		info, err := l.Append(batch, 0, OriginClient, -1)
		if err != nil {
			b.Fatal(err)
		}
		if written += int64(len(batch)); written > 512<<20 {
			written = 0
			b.StopTimer()
			l.SetHighWatermark(info.LastOffset + 1)
			require.NoError(b, l.DeleteOldSegments())
			b.StartTimer()
		}
	}
}

func BenchmarkAppend1MB(b *testing.B)     { benchAppend(b, benchBatch(b, 1000, 1024, -1)) }
func BenchmarkAppend16KB(b *testing.B)    { benchAppend(b, benchBatch(b, 16, 1000, -1)) }
func BenchmarkAppend1record(b *testing.B) { benchAppend(b, benchBatch(b, 1, 100, -1)) }

// BenchmarkAppendFlushed is flush.messages=1, with and without preallocate.
func BenchmarkAppendFlushed(b *testing.B) {
	for _, preallocate := range []bool{false, true} {
		b.Run(fmt.Sprintf("preallocate=%t", preallocate), func(b *testing.B) {
			s, _ := benchLog(b)
			l, err := s.Create(TopicPartition{"flushed", 0}, UUID{1}, Config{
				SegmentBytes: 256 << 20, IndexIntervalBytes: 4096, RetentionBytes: -1, RetentionMs: -1, FlushMessages: 1, Preallocate: preallocate,
			})
			require.NoError(b, err)
			batch := benchBatch(b, 4, 1000, -1)
			for b.Loop() {
				if _, err := l.Append(batch, 0, OriginClient, -1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	_, l := benchLog(b)
	batch := benchBatch(b, 16, 1000, -1)
	for range 4000 {
		_, err := l.Append(batch, 0, OriginClient, -1)
		require.NoError(b, err)
	}
	end := l.LogEndOffset()
	for _, size := range []int32{4 << 20, 64 << 10, 1} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			at := int64(0)
			for b.Loop() {
				r, err := l.Read(at%end, end, size, true)
				if err != nil {
					b.Fatal(err)
				}
				r.Records.Release()
				at += 16 * 37
			}
		})
	}
}

// BenchmarkRestart opens a store of 2,000 partitions with one batch each, after a clean stop and a kill.
func BenchmarkRestart(b *testing.B) {
	for _, clean := range []bool{true, false} {
		b.Run(fmt.Sprintf("clean=%v", clean), func(b *testing.B) {
			o := Options{FS: vfs.OS(), Dirs: []string{b.TempDir()}, NodeID: 1}
			s, err := Open(b.Context(), o)
			require.NoError(b, err)
			batch := benchBatch(b, 100, 100, -1)
			began := time.Now()
			for i := range 2000 {
				l, err := s.Create(TopicPartition{"restart", int32(i)}, UUID{1}, Config{})
				require.NoError(b, err)
				_, err = l.Append(batch, 0, OriginClient, -1)
				require.NoError(b, err)
			}
			b.Logf("create and append: %v", time.Since(began))
			for b.Loop() {
				b.StopTimer()
				began := time.Now()
				if clean {
					require.NoError(b, s.Close(1))
				} else {
					s.bg.stop()
					s.unlock()
				}
				closed := time.Since(began)
				b.StartTimer()
				s, err = Open(b.Context(), o)
				b.StopTimer()
				require.NoError(b, err)
				require.Len(b, s.Logs(), 2000)
				b.ReportMetric(closed.Seconds(), "close-s")
				b.StartTimer()
			}
			require.NoError(b, s.Close(1))
		})
	}
}

// BenchmarkDurableAppend is flush.messages=1 with 64 producers on one partition: they share fdatasyncs.
func BenchmarkDurableAppend(b *testing.B) {
	_, l := benchLog(b)
	c := *l.config.Load()
	c.FlushMessages = 1
	l.SetConfig(c)
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		batch := benchBatch(b, 1, 100, -1)
		for p.Next() {
			if _, err := l.Append(batch, 0, OriginClient, -1); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkCleanStop closes a store whose 2,000 logs have each records that are not on disk.
func BenchmarkCleanStop(b *testing.B) {
	const logs = 2000
	batch := benchBatch(b, 4, 100, -1)
	for b.Loop() {
		b.StopTimer()
		s, err := Open(b.Context(), Options{FS: vfs.OS(), Dirs: []string{b.TempDir()}, NodeID: 1})
		require.NoError(b, err)
		s.bg.stop()
		for p := range int32(logs) {
			l, err := s.Create(TopicPartition{"fresh", p}, UUID{1}, Config{RetentionMs: -1, RetentionBytes: -1})
			require.NoError(b, err)
			_, err = l.Append(batch, 0, OriginClient, -1)
			require.NoError(b, err)
		}
		b.StartTimer()
		s.cleaner.stop()
		if failed := s.closeLogs(); len(failed) > 0 {
			b.Fatal(failed)
		}
		b.StopTimer()
		s.unlock()
		b.StartTimer()
	}
}

// BenchmarkIndexLookup is the offset index of a segment of 1 GiB: an entry for every 4 KiB.
func BenchmarkIndexLookup(b *testing.B) {
	const entries = 1 << 18
	x := newOffsetIndex(0, 10<<20)
	for i := range int64(entries) {
		require.NoError(b, x.append(i*10+9, i*4096))
	}
	b.ReportAllocs()
	at := int64(0)
	for b.Loop() {
		at = (at + 1_234_567) % (entries * 10)
		if _, position := x.lookup(at); position > entries*4096 {
			b.Fatal(position)
		}
	}
}
