package protocol

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

func clientOptions() ValidateOptions {
	return ValidateOptions{
		Topic: "T", ProduceVersion: 8, MaxMessageBytes: 1 << 20, BeforeMaxMs: math.MaxInt64, AfterMaxMs: 3_600_000,
		CompressionType: "producer", NowMs: 1_000_000,
	}
}

func TestHeaderRulesInKafkasOrder(t *testing.T) {
	put32 := func(at int, v uint32) func(Batch) {
		return func(b Batch) { binary.BigEndian.PutUint32(b[at:], v); b.SetCRC() }
	}
	all := func(fs ...func(Batch)) func(Batch) {
		return func(b Batch) {
			for _, f := range fs {
				f(b)
			}
		}
	}
	badCRC := func(b Batch) { b[len(b)-1] ^= 1 }
	control := func(b Batch) { b[attributesAt+1] |= attrControl; b.SetCRC() }
	for _, c := range []struct {
		name   string
		change func(Batch)
		want   error
	}{
		{"magic 1", func(b Batch) { b[magicAt] = 1 }, ErrInvalidRecord},
		{"magic 3", func(b Batch) { b[magicAt] = 3 }, ErrCorrupt},
		{"length 13", func(b Batch) { copy(b[lengthAt:], []byte{0, 0, 0, 13}) }, ErrCorrupt},
		{"length past the end", func(b Batch) { b[lengthAt] = 1 }, ErrInvalidRecord},
		{"base offset before checksum", all(badCRC, func(b Batch) { b.SetBaseOffset(1) }), ErrInvalidRecord},
		{"checksum before control", all(control, badCRC), ErrCorrupt},
		{"control", control, ErrInvalidRecord},
		{"negative last offset delta", put32(lastOffsetDeltaAt, math.MaxUint32), ErrInvalidRecord},
		{"count 0", all(put32(lastOffsetDeltaAt, 0), put32(countAt, 0)), ErrInvalidRecord},
		{"count and delta differ", put32(countAt, 3), ErrInvalidRecord},
		{"more records announced", all(put32(lastOffsetDeltaAt, 2), put32(countAt, 3)), ErrInvalidRecord},
		{"fewer records announced", all(put32(lastOffsetDeltaAt, 0), put32(countAt, 1)), ErrInvalidRecord},
		{"producer without sequence", func(b Batch) { binary.BigEndian.PutUint64(b[producerIDAt:], 5); b.SetCRC() }, ErrInvalidRecord},
		{"unknown codec", func(b Batch) { b[attributesAt+1] |= 5; b.SetCRC() }, ErrUnknownCodec},
		{"body that is not gzip", func(b Batch) { b[attributesAt+1] |= 1; b.SetCRC() }, ErrUndecodable},
		{"body that is not snappy", func(b Batch) { b[attributesAt+1] |= 2; b.SetCRC() }, ErrUndecodable},
		{"body that is not lz4", func(b Batch) { b[attributesAt+1] |= 3; b.SetCRC() }, ErrUndecodable},
		{"body that is not zstd", func(b Batch) { b[attributesAt+1] |= 4; b.SetCRC() }, ErrUndecodable},
	} {
		b := buildBatch(t, NoProducer(), "a", "b")
		c.change(b)
		_, err := Validate(b, clientOptions())
		require.ErrorIs(t, err, c.want, c.name)
		var perRecord *RecordErrors
		require.NotErrorAs(t, err, &perRecord, c.name)
	}
}

func TestRecordSetRules(t *testing.T) {
	one := buildBatch(t, NoProducer(), "a")
	for _, records := range [][]byte{nil, {}, one[:11], one[:40]} {
		_, err := Validate(records, clientOptions())
		require.ErrorIs(t, err, ErrInvalidRecord)
	}
	_, err := Validate(append(bytes.Clone(one), one...), clientOptions())
	require.ErrorIs(t, err, ErrInvalidRecord, "two batches")
	out, err := Validate(append(bytes.Clone(one), one[:50]...), clientOptions())
	require.NoError(t, err)
	require.Len(t, out, len(one), "half a batch at the end is cut off")

	o := clientOptions()
	o.MaxMessageBytes = int32(len(one)) - 1
	_, err = Validate(bytes.Clone(one), o)
	require.ErrorIs(t, err, ErrTooLarge)

	zo := NoProducer()
	zo.Codec = CodecZstd
	o = clientOptions()
	o.ProduceVersion = 6
	_, err = Validate(buildBatch(t, zo, "a"), o)
	require.ErrorIs(t, err, ErrUnsupportedCodec)
}

func TestCompactedTopicNamesTheRecordsWithoutKey(t *testing.T) {
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		bo := NoProducer()
		bo.Codec = codec
		var b Builder
		b.Reset(bo)
		b.Append(1000, []byte("k"), nil, nil)
		b.Append(1000, nil, bytes.Repeat([]byte("v"), 200_000), nil) // larger than the stream's buffer
		b.Append(1000, []byte{}, nil, nil)
		records, err := b.AppendTo(nil)
		require.NoError(t, err)
		o := clientOptions()
		o.Compacted = true
		_, err = Validate(records, o)
		var e *RecordErrors
		require.ErrorAs(t, err, &e, codec.String())
		require.ErrorIs(t, err, ErrInvalidRecord)
		require.Equal(t, []RecordError{{1, "Compacted topic cannot accept message without key in topic partition T-0"}}, e.Records)
		require.Equal(t, "One or more records have been rejected due to 1 record errors in total, and only showing the first three errors at most: "+
			"[RecordError(batchIndex=1, message='Compacted topic cannot accept message without key in topic partition T-0')]", e.Message)
	}
}

func TestRefusingAMillionRecordsIsCheap(t *testing.T) {
	o := NoProducer()
	o.Codec = CodecZstd
	var b Builder
	b.Reset(o)
	for range 1_000_000 {
		b.Append(1000, nil, nil, nil)
	}
	records, err := b.AppendTo(nil)
	require.NoError(t, err)
	rules := clientOptions()
	rules.Compacted = true
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = Validate(records, rules)
	runtime.ReadMemStats(&after)
	var e *RecordErrors
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Records, maxRecordErrors)
	require.Contains(t, e.Message, "due to 1000000 record errors in total")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
}

func TestTimestampRules(t *testing.T) {
	b := buildBatch(t, NoProducer(), "a", "b") // at 1000 and 1001
	o := clientOptions()
	o.NowMs, o.AfterMaxMs = 500, 500
	_, err := Validate(bytes.Clone(b), o)
	var e *RecordErrors
	require.ErrorAs(t, err, &e)
	require.ErrorIs(t, err, ErrInvalidTimestamp)
	require.Len(t, e.Records, 1)
	require.Equal(t, int32(1), e.Records[0].Index)
	require.True(t, strings.HasPrefix(e.Records[0].Message, "Timestamp 1001 of message with offset 1 is out of range."))

	o = clientOptions()
	o.NowMs, o.BeforeMaxMs = 2001, 1000
	_, err = Validate(bytes.Clone(b), o)
	require.ErrorIs(t, err, ErrInvalidTimestamp, "1000 is 1001 ms old")
	o.BeforeMaxMs = math.MaxInt64
	_, err = Validate(bytes.Clone(b), o)
	require.NoError(t, err)

	logAppend := bytes.Clone(b)
	Batch(logAppend).SetMaxTimestamp(true, 1001)
	o = clientOptions()
	o.LogAppendTime = true
	_, err = Validate(logAppend, o)
	require.ErrorIs(t, err, ErrInvalidTimestamp, "a producer must not claim LogAppendTime")
	out, err := Validate(bytes.Clone(b), o)
	require.NoError(t, err)
	require.True(t, Batch(out).IsLogAppendTime())
	require.Equal(t, o.NowMs, Batch(out).MaxTimestamp())
	require.True(t, Batch(out).CheckCRC())
}

func TestMaxTimestampIsTheRecordsOwn(t *testing.T) {
	b := buildBatch(t, NoProducer(), "a", "b")
	b.SetMaxTimestamp(false, 1<<50)
	out, err := Validate(b, clientOptions())
	require.NoError(t, err)
	require.Equal(t, int64(1001), Batch(out).MaxTimestamp())
	require.True(t, Batch(out).CheckCRC())
}

func TestCompressionTypeOfTheTopicRebuilds(t *testing.T) {
	for from := CodecNone; from <= CodecZstd; from++ {
		for to := CodecNone; to <= CodecZstd; to++ {
			bo := BuilderOptions{Codec: from, ProducerID: 4, ProducerEpoch: 1, BaseSequence: 10, Transactional: true}
			b := buildBatch(t, bo, "a", "b", "c")
			want := collect(t, b)
			o := clientOptions()
			o.CompressionType = to.String()
			if to == CodecNone {
				o.CompressionType = "uncompressed"
			}
			out, err := Validate(b, o)
			require.NoError(t, err)
			require.Equal(t, to, Batch(out).Codec())
			require.True(t, Batch(out).CheckCRC())
			require.Equal(t, len(out), Batch(out).Size())
			require.Equal(t, want, collect(t, out))
			require.Equal(t, int64(4), Batch(out).ProducerID())
			require.True(t, Batch(out).IsTransactional())
			require.Equal(t, from == to, &b[0] == &out[0], "the same codec stays in place")
		}
	}
}

func TestWrongInnerOffsetsAreRebuilt(t *testing.T) {
	b := buildBatch(t, NoProducer(), "a", "b")
	size := len(b.Body()) / 2
	b.Body()[size+3] = 2 * 5 // the second record's offset delta: 5
	b.SetCRC()
	out, err := Validate(b, clientOptions())
	require.NoError(t, err)
	require.Equal(t, []flat{{1000, 0, "k", "a", 2}, {1001, 1, "k", "b", 2}}, collect(t, out))
}

func TestRawSnappyOfOldClientsIsRead(t *testing.T) {
	plain := buildBatch(t, NoProducer(), "a", "b")
	raw := append(Batch(nil), plain[:BatchHeaderSize]...)
	raw = append(raw, snappy.Encode(nil, plain.Body())...)
	raw[attributesAt+1] |= byte(CodecSnappy)
	binary.BigEndian.PutUint32(raw[lengthAt:], uint32(len(raw)-LogOverhead))
	raw.SetCRC()
	out, err := Validate(raw, clientOptions())
	require.NoError(t, err)
	require.Equal(t, collect(t, plain), collect(t, out))
}

func TestInternalMarkersPass(t *testing.T) {
	o := clientOptions()
	o.Internal, o.Compacted = true, true
	two := AppendMarker(AppendMarker(nil, 1, 0, Marker{}, 5), 2, 0, Marker{Commit: true}, 5)
	out, err := Validate(two, o)
	require.NoError(t, err)
	require.Equal(t, two, out)
	two[100] ^= 1
	_, err = Validate(two, o)
	require.ErrorIs(t, err, ErrCorrupt)
}

// bomb is a batch of about size/32000 bytes whose only record has a value of size zeroes.
func bomb(t testing.TB, size int, options ...zstd.EOption) Batch {
	t.Helper()
	record := appendRecord(nil, 0, 0, nil, make([]byte, size), nil)
	encoder, err := zstd.NewWriter(nil, options...)
	require.NoError(t, err)
	defer func() { _ = encoder.Close() }()
	b := append(Batch(nil), buildBatch(t, NoProducer(), "a")[:BatchHeaderSize]...)
	b = encoder.EncodeAll(record, b)
	b[attributesAt+1] |= byte(CodecZstd)
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-LogOverhead))
	b.SetCRC()
	return b
}

func TestZstdBombCostsBoundedMemory(t *testing.T) {
	legal := bomb(t, 100<<20, zstd.WithWindowSize(1<<20), zstd.WithSingleSegment(false))
	tooMuch := bomb(t, MaxDecompressedBytes+1, zstd.WithWindowSize(1<<20))
	require.Less(t, len(tooMuch), 1<<20, "it is a bomb")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, err := Validate(legal, clientOptions())
	require.NoError(t, err, "a large value is legal, and is not held")
	_, err = Validate(tooMuch, clientOptions())
	require.ErrorIs(t, err, ErrTooLarge)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))
}

// compressed is a batch with one record of these bytes, as gzip.
func compressed(t testing.TB, record []byte) Batch {
	t.Helper()
	b := append(Batch(nil), buildBatch(t, NoProducer(), "a")[:BatchHeaderSize]...)
	b, err := AppendCompressed(b, CodecGzip, 0, record)
	require.NoError(t, err)
	b[attributesAt+1] |= byte(CodecGzip)
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-LogOverhead))
	b.SetCRC()
	return b
}

func TestLargeRecordsAreCheckedLikeSmallOnes(t *testing.T) {
	value := make([]byte, 2*streamBufferSize)
	good := appendRecord(nil, 0, 0, []byte("k"), value, []RecordHeader{{"h", nil}, {"", value}})
	_, err := Validate(compressed(t, good), clientOptions())
	require.NoError(t, err)
	_, err = Validate(compressed(t, append(bytes.Clone(good), 0)), clientOptions())
	require.ErrorIs(t, err, ErrInvalidRecord, "bytes after the record")
	_, err = Validate(compressed(t, good[:len(good)-1]), clientOptions())
	require.ErrorIs(t, err, ErrInvalidRecord, "record cut off")

	frame := func(fields ...any) []byte {
		body := []byte{0, 0, 0} // attributes, deltas
		for _, f := range fields {
			switch f := f.(type) {
			case int:
				body = binary.AppendVarint(body, int64(f))
			case []byte:
				body = append(body, f...)
			}
		}
		return append(binary.AppendVarint(nil, int64(len(body))), body...)
	}
	for name, record := range map[string][]byte{
		"value past the record's end": frame(-1, len(value)+1, value, 0),
		"bytes after the headers":     frame(-1, len(value), value, 0, []byte{0}),
		"negative header count":       frame(-1, len(value), value, -1),
		"too many headers":            frame(-1, len(value), value, math.MaxInt32),
		"header without key":          frame(-1, len(value), value, 1, -1, 0),
		"header past the end":         frame(-1, len(value), value, 1, 5, 0),
	} {
		_, err := Validate(compressed(t, record), clientOptions())
		require.ErrorIs(t, err, ErrInvalidRecord, name)
	}
	o := clientOptions()
	o.Compacted = true
	_, err = Validate(compressed(t, frame(-1, len(value), value, 0)), o)
	var e *RecordErrors
	require.ErrorAs(t, err, &e, "no key")
	_, err = Validate(compressed(t, frame(len(value), value, -1, 0)), o)
	require.NoError(t, err)
}

func TestZstdOfALargeWindowIsReadWithinALimit(t *testing.T) {
	b := bomb(t, 20<<20, zstd.WithWindowSize(32<<20), zstd.WithSingleSegment(true))
	_, err := Validate(b, clientOptions())
	require.NoError(t, err)
	b = bomb(t, zstdWholeBytes+1, zstd.WithWindowSize(32<<20), zstd.WithSingleSegment(true))
	_, err = Validate(b, clientOptions())
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestSnappyLengthIsCheckedBeforeUse(t *testing.T) {
	plain := buildBatch(t, NoProducer(), "a")
	b := append(Batch(nil), plain[:BatchHeaderSize]...)
	b = append(b, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3) // says that it holds 256 MiB
	b[attributesAt+1] |= byte(CodecSnappy)
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-LogOverhead))
	b.SetCRC()
	allocated := testing.Benchmark(func(tb *testing.B) {
		for range tb.N {
			_, err := Validate(bytes.Clone(b), clientOptions())
			require.ErrorIs(tb, err, ErrUndecodable)
		}
	}).AllocedBytesPerOp()
	require.Less(t, allocated, int64(1<<20))
}

// FuzzValidate: any bytes under any rule neither panic nor hang, and what is accepted is a batch that
// validates again and can be read.
func FuzzValidate(f *testing.F) {
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		o := NoProducer()
		o.Codec = codec
		f.Add([]byte(buildBatch(f, o, "a", "b")), uint8(codec))
	}
	f.Add(AppendMarker(nil, 1, 1, Marker{}, 1), uint8(64))
	f.Fuzz(func(t *testing.T, records []byte, rules uint8) {
		if len(records) >= BatchHeaderSize { // let it past the checksum
			size := min(max(frameSize(records), BatchHeaderSize), int64(len(records)))
			Batch(records[:size]).SetCRC()
		}
		o := clientOptions()
		o.Compacted, o.LogAppendTime, o.Internal = rules&8 != 0, rules&16 != 0, rules&64 != 0
		if rules&32 != 0 {
			o.CompressionType = Codec(rules & 7).String()
		}
		start := time.Now()
		out, err := Validate(records, o)
		require.Less(t, time.Since(start), 20*time.Second)
		if err != nil {
			require.Nil(t, out)
			return
		}
		b, _, err := NextBatch(out)
		require.NoError(t, err)
		require.True(t, b.CheckCRC())
		if !o.Internal {
			require.Len(t, collect(t, b), int(b.Count()))
		}
	})
}

func BenchmarkIterateSmallRecords(b *testing.B) {
	batch := buildBatch(b, NoProducer(), make([]string, 10_000)...)
	b.ReportAllocs()
	for range b.N {
		it := batch.Iterate()
		var r Record
		for it.Next(&r) {
		}
		it.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/record")
}

func BenchmarkValidate(b *testing.B) {
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		b.Run(codec.String(), func(b *testing.B) {
			o := NoProducer()
			o.Codec = codec
			values := make([]string, 16)
			for i := range values {
				values[i] = strings.Repeat("value of a record, ", 50) + time.Duration(i).String()
			}
			batch := buildBatch(b, o, values...)
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for range b.N {
				if _, err := Validate(batch, clientOptions()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIterateKilobyteRecords walks what a producer of 1 KB records sends: lengths of two bytes.
func BenchmarkIterateKilobyteRecords(b *testing.B) {
	values := make([]string, 1000)
	for i := range values {
		values[i] = strings.Repeat("x", 1024)
	}
	batch := buildBatch(b, NoProducer(), values...)
	for range b.N {
		it := batch.Iterate()
		var r Record
		for it.Next(&r) {
		}
		it.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}
