package protocol

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// A message set of magic 0 or 1, which Apache Kafka wrote before 0.11 and may still lie in a log:
//
//	0 offset i64 · 8 size i32 (what follows) · 12 crc u32 (of 16..end) · 16 magic i8 · 17 attributes i8 ·
//	[magic 1: 18 timestamp i64] · keyLength i32 (-1 null) key · valueLength i32 (-1 null) value
//
// One with a codec is a wrapper: its value is a set of such messages, compressed as one, and its offset that of
// the last of them. Inside one of magic 1 the offsets count from the first message that there was.

const legacyAttributesAt = 17

// legacyMessage is one message that is no wrapper.
type legacyMessage struct {
	offset, timestamp int64
	key, value        []byte
}

// AppendConverted appends the messages of a set as one batch, as Kafka's compaction does: offsets, timestamps, keys,
// values, codec and timestamp type stay. The set's checksum was verified. Errors: ErrInvalidRecord, ErrUndecodable,
// ErrTooLarge; ErrRecordSize for what most (max.decompressed.message.bytes) forbids.
func AppendConverted(dst, set []byte, most int32) ([]byte, error) {
	wrapper, err := parseLegacy(set)
	if err != nil {
		return dst, err
	}
	attributes := set[legacyAttributesAt]
	o := NoProducer()
	o.Codec, o.LeaderEpoch = Codec(attributes&attrCodecMask), -1
	messages := []legacyMessage{wrapper}
	if o.Codec != CodecNone {
		if messages, err = unwrap(wrapper, o.Codec, set[magicAt], most); err != nil {
			return dst, err
		}
	}
	if set[magicAt] == 1 && attributes&attrLogAppendTime != 0 {
		o.LogAppendTimeMs = wrapper.timestamp
	}
	first, last := messages[0], messages[len(messages)-1]
	if last.offset < first.offset || last.offset-first.offset > math.MaxInt32 {
		return dst, fmt.Errorf("%w: message set with offsets %d to %d", ErrInvalidRecord, first.offset, last.offset)
	}
	o.BaseOffset = first.offset
	b := Builder{o: o, maxTimestamp: NoTimestamp, baseTimestamp: first.timestamp}
	for _, m := range messages {
		if m.offset < o.BaseOffset || m.offset > last.offset {
			return dst, fmt.Errorf("%w: message with offset %d between %d and %d", ErrInvalidRecord, m.offset, first.offset, last.offset)
		}
		b.maxTimestamp = max(b.maxTimestamp, m.timestamp)
		b.records = appendRecord(b.records, m.timestamp-b.baseTimestamp, int32(m.offset-o.BaseOffset), m.key, m.value, nil)
		b.count++
	}
	start := len(dst)
	if dst, err = b.AppendTo(dst); err != nil {
		return dst, err
	}
	out := Batch(dst[start:])
	binary.BigEndian.PutUint32(out[lastOffsetDeltaAt:], uint32(last.offset-first.offset))
	out.SetCRC()
	return dst, nil
}

// parseLegacy reads one whole message.
func parseLegacy(b []byte) (m legacyMessage, err error) {
	bad := fmt.Errorf("%w: message of magic 0 or 1", ErrInvalidRecord)
	if len(b) < LogOverhead+minLegacySize || b[magicAt] > 1 {
		return m, bad
	}
	m.offset, m.timestamp = int64(binary.BigEndian.Uint64(b)), NoTimestamp
	at := legacyAttributesAt + 1
	if b[magicAt] == 1 {
		if len(b) < at+8 {
			return m, bad
		}
		m.timestamp = int64(binary.BigEndian.Uint64(b[at:]))
		at += 8
	}
	for _, field := range []*[]byte{&m.key, &m.value} {
		if len(b)-at < 4 {
			return m, bad
		}
		n := int32(binary.BigEndian.Uint32(b[at:]))
		at += 4
		if n < 0 {
			continue
		}
		if int(n) > len(b)-at {
			return m, bad
		}
		*field, at = b[at:at+int(n):at+int(n)], at+int(n)
	}
	if at != len(b) {
		return m, bad
	}
	return m, nil
}

// unwrap decompresses the messages of a wrapper and gives them their offsets.
func unwrap(wrapper legacyMessage, codec Codec, magic byte, most int32) (messages []legacyMessage, err error) {
	s, err := openStream(codec, wrapper.value, MaxDecompressedBytes)
	if err != nil {
		return nil, err
	}
	defer s.close()
	for {
		head, err := s.take(LogOverhead)
		if err == io.EOF && s.r == s.w { //nolint:errorlint // the decoder's own, and nothing is left
			break
		}
		if err != nil {
			return nil, endOfStream(err)
		}
		message := append([]byte(nil), head...)
		size := int32(binary.BigEndian.Uint32(message[lengthAt:]))
		if size < minLegacySize {
			return nil, errStructure
		}
		if most > 0 && size > most {
			return nil, fmt.Errorf("%w: %d exceeds the configured maximum record size of %d", ErrRecordSize, size, most)
		}
		body, err := s.take(int(size))
		if err != nil {
			return nil, endOfStream(err)
		}
		m, err := parseLegacy(append(message, body...))
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	if len(messages) == 0 {
		return nil, fmt.Errorf("%w: compressed message set without messages", ErrInvalidRecord)
	}
	if magic == 1 {
		base := wrapper.offset - messages[len(messages)-1].offset
		for i := range messages {
			messages[i].offset += base
		}
	}
	return messages, nil
}
