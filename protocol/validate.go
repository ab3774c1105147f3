package protocol

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// ValidateOptions are the topic's rules.
type ValidateOptions struct {
	Topic                   string
	Partition               int32 // for messages
	ProduceVersion          int16
	MaxMessageBytes         int32
	Compacted               bool // a key is required
	LogAppendTime           bool // message.timestamp.type
	BeforeMaxMs, AfterMaxMs int64
	CompressionType         string // "producer" keeps what came
	CompressionLevel        int32  // of CompressionType's codec; 0 is its default
	MaxDecompressedBytes    int32  // of one record (max.decompressed.message.bytes); 0 is no limit
	NowMs                   int64
	Internal                bool // control batches and sequences are the coordinator's business
}

// Validate checks one partition's records of a produce request in Kafka's order (log-format.md, section
// 6) and returns the bytes to append: records itself, changed in place where needed, or a rebuilt batch.
// Base offset and leader epoch are left to the log.
//
// Every record is walked, compressed ones too: only so is a batch refused whose body does not decompress,
// whose record count is wrong, or which breaks the topic's rules for keys and timestamps; and the max
// timestamp, which retention and lookups by time believe, is the records' own. Memory is bounded whatever
// the bytes say; with Internal, batches that this broker built are not walked.
//
// Errors: ErrInvalidRecord, ErrCorrupt, ErrTooLarge, ErrUnsupportedCodec, ErrInvalidTimestamp, wrapped in
// a text; *RecordErrors for records at fault; any other (an unknown codec) is UNKNOWN_SERVER_ERROR.
func Validate(records []byte, o ValidateOptions) (out []byte, err error) {
	if o.Internal {
		return validateInternal(records, o)
	}
	b, err := onlyBatch(records, o.ProduceVersion)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(b, o); err != nil {
		return nil, err
	}
	if err := checkHeader(b, o); err != nil {
		return nil, err
	}
	walked, err := walkRecords(b, o)
	if err != nil {
		return nil, err
	}
	maxTimestamp := walked.maxTimestamp
	if o.LogAppendTime {
		maxTimestamp = o.NowMs
	}
	target, fixed := CodecForType(o.CompressionType)
	if (!fixed || target == b.Codec()) && walked.sequential {
		b.SetMaxTimestamp(o.LogAppendTime, maxTimestamp)
		return b, nil
	}
	if !fixed {
		target, o.CompressionLevel = b.Codec(), 0
	}
	rebuilt, err := rebuild(b, target, walked.sequential, &o)
	if err != nil {
		return nil, err
	}
	rebuilt.SetMaxTimestamp(o.LogAppendTime, maxTimestamp)
	if len(rebuilt) > int(o.MaxMessageBytes) {
		return nil, fmt.Errorf("%w: %d bytes after compression as %s in append to %s, more than %d", ErrTooLarge, len(rebuilt), target, o.partition(), o.MaxMessageBytes)
	}
	return rebuilt, nil
}

// partition is Kafka's text of a TopicPartition. It is for messages: the good path never builds it.
func (o *ValidateOptions) partition() string { return fmt.Sprintf("%s-%d", o.Topic, o.Partition) }

// onlyBatch frames the record set and checks what Kafka checks before it looks at the partition
// (ProduceRequest.validateRecords): exactly one batch, of version 2, in a codec of the request's version.
// An incomplete batch after it is cut off.
func onlyBatch(records []byte, version int16) (Batch, error) {
	if len(records) < LogOverhead {
		return nil, errNoBatch(version)
	}
	if err := checkFrame(records); err != nil {
		return nil, err
	}
	size := frameSize(records)
	if len(records) <= magicAt || size > int64(len(records)) {
		return nil, errNoBatch(version)
	}
	b, rest := Batch(records[:size:size]), records[size:]
	if b.Magic() != magicV2 {
		return nil, fmt.Errorf("%w: produce requests with version %d are only allowed to contain record batches with magic version 2", ErrInvalidRecord, version)
	}
	if len(b) < BatchHeaderSize {
		return nil, fmt.Errorf("%w: record batch of %d bytes has no whole header", ErrCorrupt, len(b))
	}
	if version < 7 && b.Codec() == CodecZstd {
		return nil, fmt.Errorf("%w: produce requests with version %d are not allowed to use ZStandard compression", ErrUnsupportedCodec, version)
	}
	if len(rest) >= LogOverhead {
		if err := checkFrame(rest); err != nil {
			return nil, err
		}
		if len(rest) > magicAt && frameSize(rest) <= int64(len(rest)) {
			return nil, fmt.Errorf("%w: produce requests with version %d are only allowed to contain exactly one record batch per partition", ErrInvalidRecord, version)
		}
	}
	return b, nil
}

func errNoBatch(version int16) error {
	return fmt.Errorf("%w: produce requests with version %d must have at least one record batch per partition", ErrInvalidRecord, version)
}

// frameSize is the size that the header of a batch or an old message says; b has at least LogOverhead bytes.
func frameSize(b []byte) int64 {
	return int64(int32(binary.BigEndian.Uint32(b[lengthAt:]))) + LogOverhead
}

// checkFrame is Kafka's ByteBufferLogInputStream: ErrCorrupt for an impossible length or magic. b has at
// least LogOverhead bytes.
func checkFrame(b []byte) error {
	if size := frameSize(b) - LogOverhead; size < minLegacySize {
		return fmt.Errorf("%w: record size %d is less than the minimum record overhead (%d)", ErrCorrupt, size, minLegacySize)
	}
	if len(b) > magicAt && b[magicAt] > magicV2 {
		return fmt.Errorf("%w: invalid magic found in record: %d", ErrCorrupt, int8(b[magicAt]))
	}
	return nil
}

// checkBatch is Kafka's UnifiedLog.analyzeAndValidateRecords.
func checkBatch(b Batch, o ValidateOptions) error {
	if b.BaseOffset() != 0 {
		return fmt.Errorf("%w: the baseOffset of the record batch in the append to %s should be 0, but it is %d", ErrInvalidRecord, o.partition(), b.BaseOffset())
	}
	if len(b) > int(o.MaxMessageBytes) {
		return fmt.Errorf("%w: the record batch size in the append to %s is %d bytes which exceeds the maximum configured value of %d", ErrTooLarge, o.partition(), len(b), o.MaxMessageBytes)
	}
	if !b.CheckCRC() {
		return fmt.Errorf("%w: record is corrupt (stored crc = %d) in topic partition %s", ErrCorrupt, b.CRC(), o.partition())
	}
	if b.Codec() > CodecZstd {
		return fmt.Errorf("%w id: %d", ErrUnknownCodec, int8(b.Codec()))
	}
	return nil
}

// checkHeader is Kafka's LogValidator.validateBatch.
func checkHeader(b Batch, o ValidateOptions) error {
	span := int64(b.LastOffsetDelta()) + 1
	switch count := b.Count(); {
	case span <= 0:
		return fmt.Errorf("%w: batch has an invalid offset range: [%d, %d] in topic partition %s", ErrInvalidRecord, b.BaseOffset(), b.LastOffset(), o.partition())
	case count <= 0:
		return fmt.Errorf("%w: invalid reported count for record batch: %d in topic partition %s", ErrInvalidRecord, count, o.partition())
	case span != int64(count):
		return fmt.Errorf("%w: inconsistent batch offset range [%d, %d] and count of records %d in topic partition %s", ErrInvalidRecord, b.BaseOffset(), b.LastOffset(), count, o.partition())
	case b.IsControl():
		return fmt.Errorf("%w: clients are not allowed to write control records in topic partition %s", ErrInvalidRecord, o.partition())
	case b.HasProducerID() && b.BaseSequence() < 0:
		return fmt.Errorf("%w: invalid sequence number %d in record batch with producerId %d in topic partition %s", ErrInvalidRecord, b.BaseSequence(), b.ProducerID(), o.partition())
	}
	return nil
}

// walkResult is what the records say.
type walkResult struct {
	maxTimestamp int64 // -1 for none
	sequential   bool  // the offset deltas are 0, 1, 2, ...
}

// walkRecords checks every record (LogValidator.validateRecord). Nothing is allocated for good records.
func walkRecords(b Batch, o ValidateOptions) (walkResult, error) {
	res := walkResult{NoTimestamp, true}
	it := b.IterateWithin(o.MaxDecompressedBytes)
	defer it.Close()
	it.skim = true
	var (
		r     Record
		bad   faults
		index int32
	)
	base, logAppendTime := b.BaseTimestamp(), b.IsLogAppendTime()
	earliest, latest := o.timestampRange()
	for ; it.Next(&r); index++ {
		timestamp := base + r.TimestampDelta
		if logAppendTime {
			timestamp = b.MaxTimestamp()
		}
		switch {
		case o.Compacted && r.Key == nil:
			if bad.note(false) {
				bad.list(index, "Compacted topic cannot accept message without key in topic partition "+o.partition())
			}
		case !o.LogAppendTime && timestamp != NoTimestamp:
			if (timestamp < earliest || timestamp > latest) && bad.note(true) {
				bad.list(index, fmt.Sprintf("Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]",
					timestamp, r.OffsetDelta, o.NowMs-o.BeforeMaxMs, o.NowMs+o.AfterMaxMs))
			}
		case logAppendTime:
			if bad.note(true) {
				bad.list(index, fmt.Sprintf("Invalid timestamp type in message with offset %d. Producer should not set timestamp type to LogAppendTime.", r.OffsetDelta))
			}
		}
		res.maxTimestamp = max(res.maxTimestamp, timestamp)
		res.sequential = res.sequential && r.OffsetDelta == index
	}
	if err := it.Err(); err != nil {
		return res, fmt.Errorf("%w in topic partition %s", err, o.partition())
	}
	return res, bad.err()
}

// timestampRange saturates, where Kafka's own message wraps.
func (o *ValidateOptions) timestampRange() (earliest, latest int64) {
	earliest, latest = math.MinInt64, math.MaxInt64
	if o.BeforeMaxMs < math.MaxInt64+min(o.NowMs, 0) {
		earliest = o.NowMs - o.BeforeMaxMs
	}
	if o.AfterMaxMs < math.MaxInt64-max(o.NowMs, 0) {
		latest = o.NowMs + o.AfterMaxMs
	}
	return earliest, latest
}

// faults collects the records that are refused.
type faults struct {
	records   []RecordError
	count     int
	timestamp bool
}

// note counts a record and says whether it is to be listed: no message is built for the others.
func (f *faults) note(timestamp bool) bool {
	f.count++
	f.timestamp = f.timestamp || timestamp
	return len(f.records) < maxRecordErrors
}

func (f *faults) list(index int32, message string) {
	f.records = append(f.records, RecordError{index, message})
}

func (f *faults) err() error {
	switch {
	case f.count == 0:
		return nil
	case f.timestamp:
		return &RecordErrors{ErrInvalidTimestamp, "One or more records have been rejected due to invalid timestamp", f.records}
	}
	shown := make([]string, 0, 3)
	for _, r := range f.records[:min(3, len(f.records))] {
		shown = append(shown, fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", r.Index, r.Message))
	}
	return &RecordErrors{ErrInvalidRecord, fmt.Sprintf("One or more records have been rejected due to %d record errors in total, and only showing the first three errors at most: [%s]",
		f.count, strings.Join(shown, ", ")), f.records}
}

// rebuild makes the batch anew in another codec, or with the offset deltas that it should have had.
func rebuild(b Batch, target Codec, sequential bool, o *ValidateOptions) (Batch, error) {
	plain := make([]byte, 0, 2*len(b))
	it := b.IterateWithin(o.MaxDecompressedBytes)
	defer it.Close()
	var (
		r       Record
		index   int32
		headers []RecordHeader
	)
	for ; it.Next(&r); index++ {
		delta := r.OffsetDelta
		if !sequential {
			delta = index
		}
		headers = r.Headers(headers[:0])
		plain = appendRecord(plain, r.TimestampDelta, delta, r.Key, r.Value, headers)
	}
	if err := it.Err(); err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, BatchHeaderSize+len(plain)), b[:BatchHeaderSize]...)
	out, err := AppendCompressed(out, target, o.CompressionLevel, plain)
	if err != nil {
		return nil, err
	}
	if len(out) > math.MaxInt32 {
		return nil, ErrTooLarge
	}
	binary.BigEndian.PutUint32(out[lengthAt:], uint32(len(out)-LogOverhead))
	out[attributesAt], out[attributesAt+1] = 0, out[attributesAt+1]&^attrCodecMask|byte(target)
	Batch(out).SetCRC()
	return out, nil
}

// validateInternal is for batches that this broker built: framing, size and checksum, any number of them.
func validateInternal(records []byte, o ValidateOptions) ([]byte, error) {
	for rest := records; ; {
		b, after, err := NextBatch(rest)
		if err != nil {
			return nil, err
		}
		if len(b) > int(o.MaxMessageBytes) {
			return nil, fmt.Errorf("%w: %d bytes in append to %s, more than %d", ErrTooLarge, len(b), o.partition(), o.MaxMessageBytes)
		}
		if !b.CheckCRC() {
			return nil, fmt.Errorf("%w: stored crc = %d in topic partition %s", ErrCorrupt, b.CRC(), o.partition())
		}
		if o.LogAppendTime {
			b.SetMaxTimestamp(true, o.NowMs)
		}
		if rest = after; len(rest) == 0 {
			return records, nil
		}
	}
}
