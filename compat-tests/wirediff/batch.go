package wirediff

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// baseTimestamp is the timestamp of the first record of a batch that does not say otherwise, in ms: 2023-11-14.
const baseTimestamp = 1_700_000_000_000

// codecs by their number in a batch's attributes.
const (
	codecNone int16 = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

const (
	attrLogAppendTime = 1 << 3
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
	batchHeaderSize   = 61
)

// batch is a v2 record batch before it is encoded. The zero values of the fields after records mean "as it should be".
type batch struct {
	records    []kmsg.Record
	attributes int16
	timestamp  int64 // of the first record
	producerID int64
	epoch      int16
	sequence   int32
	baseOffset int64
	magic      int8
	count      int32 // stated number of records
	lastDelta  int32 // stated last offset delta
	lengthBy   int32 // added to the stated length
	crcBy      uint32
	maxTime    int64
	rawRecords []byte // instead of the encoded (and compressed) records
}

// newBatch is a batch of records with these values and no keys, without a producer id.
func newBatch(values ...string) *batch {
	b := &batch{timestamp: baseTimestamp, producerID: -1, epoch: -1, sequence: -1, magic: 2}
	for _, v := range values {
		b.records = append(b.records, kmsg.Record{Value: []byte(v)})
	}
	return b
}

// keyed is a batch of records with keys: key, value, key, value …; a nil is a null.
func keyed(pairs ...any) *batch {
	b := newBatch()
	for i := 0; i < len(pairs); i += 2 {
		var r kmsg.Record
		if k, ok := pairs[i].(string); ok {
			r.Key = []byte(k)
		}
		if v, ok := pairs[i+1].(string); ok {
			r.Value = []byte(v)
		}
		b.records = append(b.records, r)
	}
	return b
}

func (b *batch) with(change func(*batch)) *batch {
	change(b)
	return b
}

// encode returns the bytes of the batch. Record i has offset delta i and timestamp delta 10*i ms unless it has its own.
func (b *batch) encode() []byte {
	var body []byte
	last := b.timestamp
	for i, r := range b.records {
		r.OffsetDelta = int32(i)
		if r.TimestampDelta64 == 0 {
			r.TimestampDelta64 = int64(10 * i)
		}
		last = max(last, b.timestamp+r.TimestampDelta64)
		r.Length = 0
		n := len(r.AppendTo(nil)) - 1 // a length of 0 takes one byte
		r.Length = int32(n)
		body = r.AppendTo(body)
	}
	body = compress(b.attributes&7, body)
	if b.rawRecords != nil {
		body = b.rawRecords
	}
	count, lastDelta, maxTime := int32(len(b.records)), int32(len(b.records)-1), last
	if b.count != 0 {
		count = b.count
	}
	if b.lastDelta != 0 {
		lastDelta = b.lastDelta
	}
	if b.maxTime != 0 {
		maxTime = b.maxTime
	}
	out := binary.BigEndian.AppendUint64(nil, uint64(b.baseOffset))
	out = binary.BigEndian.AppendUint32(out, uint32(int32(batchHeaderSize-12+len(body))+b.lengthBy))
	out = binary.BigEndian.AppendUint32(out, uint32(0xffffffff)) // partition leader epoch -1
	out = append(out, byte(b.magic), 0, 0, 0, 0)
	out = binary.BigEndian.AppendUint16(out, uint16(b.attributes))
	out = binary.BigEndian.AppendUint32(out, uint32(lastDelta))
	out = binary.BigEndian.AppendUint64(out, uint64(b.timestamp))
	out = binary.BigEndian.AppendUint64(out, uint64(maxTime))
	out = binary.BigEndian.AppendUint64(out, uint64(b.producerID))
	out = binary.BigEndian.AppendUint16(out, uint16(b.epoch))
	out = binary.BigEndian.AppendUint32(out, uint32(b.sequence))
	out = binary.BigEndian.AppendUint32(out, uint32(count))
	out = append(out, body...)
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli))+b.crcBy)
	return out
}

// oldMessage is a message set of one record in the format of magic 0 or 1.
func oldMessage(magic byte, value string) []byte {
	body := []byte{magic, 0}
	if magic == 1 {
		body = binary.BigEndian.AppendUint64(body, baseTimestamp)
	}
	body = binary.BigEndian.AppendUint32(body, 0xffffffff) // null key
	body = binary.BigEndian.AppendUint32(body, uint32(len(value)))
	body = append(body, value...)
	out := make([]byte, 8, 64)
	out = binary.BigEndian.AppendUint32(out, uint32(4+len(body)))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(body))
	return append(out, body...)
}

func compress(codec int16, body []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case codecGzip:
		w = gzip.NewWriter(&out)
	case codecSnappy:
		return snappy.Encode(nil, body)
	case codecLZ4:
		w = lz4.NewWriter(&out)
	case codecZstd:
		w, _ = zstd.NewWriter(&out)
	default:
		return body
	}
	_, _ = w.Write(body)
	_ = w.Close()
	return out.Bytes()
}

func decompress(codec int16, body []byte) ([]byte, error) {
	switch codec {
	case codecNone:
		return body, nil
	case codecGzip:
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case codecSnappy:
		return decompressSnappy(body)
	case codecLZ4:
		return io.ReadAll(lz4.NewReader(bytes.NewReader(body)))
	case codecZstd:
		r, err := zstd.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	return nil, fmt.Errorf("codec %d", codec)
}

// decompressSnappy reads snappy's block format, alone or in the frames of snappy-java.
func decompressSnappy(body []byte) ([]byte, error) {
	magic := []byte("\x82SNAPPY\x00")
	if !bytes.HasPrefix(body, magic) {
		return snappy.Decode(nil, body)
	}
	var out []byte
	for body = body[16:]; len(body) >= 4; {
		n := binary.BigEndian.Uint32(body)
		if uint32(len(body)-4) < n {
			return nil, io.ErrUnexpectedEOF
		}
		block, err := snappy.Decode(nil, body[4:4+n])
		if err != nil {
			return nil, err
		}
		out, body = append(out, block...), body[4+n:]
	}
	return out, nil
}

// describeRecords lists what a record set holds: one string per batch and one per record; the bytes of a batch cut
// off at the end are counted. Records are shown decompressed, so that a batch that the broker itself compressed
// compares equal whatever encoder it has.
func describeRecords(set []byte) []any {
	out := []any{}
	for len(set) > 0 {
		if len(set) < batchHeaderSize || len(set) < 12+int(binary.BigEndian.Uint32(set[8:])) {
			return append(out, fmt.Sprintf("%d bytes of a cut batch", len(set)))
		}
		n := 12 + int(binary.BigEndian.Uint32(set[8:]))
		out = append(out, describeBatch(set[:n])...)
		set = set[n:]
	}
	return out
}

func describeBatch(raw []byte) []any {
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		return []any{"undecodable batch: " + err.Error()}
	}
	crc := "good"
	if uint32(b.CRC) != crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)) {
		crc = "WRONG"
	}
	out := []any{fmt.Sprintf("batch offset=%d epoch=%d magic=%d crc=%s attributes=%#x last=%d time=%s..%s pid=%s/%d seq=%d count=%d",
		b.FirstOffset, b.PartitionLeaderEpoch, b.Magic, crc, b.Attributes, b.LastOffsetDelta, maskTime(b.FirstTimestamp),
		maskTime(b.MaxTimestamp), maskID(b.ProducerID), b.ProducerEpoch, b.FirstSequence, b.NumRecords)}
	body, err := decompress(b.Attributes&7, b.Records)
	if err != nil {
		return append(out, "records do not decompress: "+err.Error())
	}
	for range b.NumRecords {
		length, n := binary.Varint(body)
		if n <= 0 || length < 0 || int64(len(body)-n) < length {
			return append(out, "records end early")
		}
		var r kmsg.Record
		if err := r.ReadFrom(body[:n+int(length)]); err != nil {
			return append(out, "undecodable record: "+err.Error())
		}
		body = body[n+int(length):]
		out = append(out, fmt.Sprintf("record +%d time+%d %s=%s %s", r.OffsetDelta, r.TimestampDelta64, show(r.Key), show(r.Value),
			showHeaders(r.Headers)))
	}
	return out
}

func showHeaders(headers []kmsg.Header) string {
	s := ""
	for _, h := range headers {
		s += h.Key + ":" + show(h.Value) + " "
	}
	return s
}

func show(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > 64:
		return fmt.Sprintf("%d bytes crc %08x", len(b), crc32.ChecksumIEEE(b))
	}
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			return "0x" + hex.EncodeToString(b)
		}
	}
	return fmt.Sprintf("%q", b)
}
