package logstore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"minikafka/internal/vfs"
)

// A producer snapshot (<offset>.snapshot, the state of all batches below offset), big-endian:
//
//	0 version i16 = 1 · 2 crc u32 (CRC-32C of everything from byte 6) · 6 count i32 · count entries of
//	46 bytes: 0 producerId i64 · 8 epoch i16 · 10 lastSequence i32 · 14 lastOffset i64 · 22 offsetDelta i32
//	· 26 timestamp i64 · 34 coordinatorEpoch i32 · 38 currentTxnFirstOffset i64
//
// Of a producer's recent batches Kafka stores the last one (lastOffset -1: none), and so takes a retry of those
// before it for a gap after a restart: the client goes on under a new epoch and writes them twice. We append those
// before it, where there are any. Kafka ignores what follows the entries, but for the checksum:
//
//	for each entry: count i8, 0 to 4 · count batches, the oldest first, of 24 bytes: 0 lastSequence i32 ·
//	4 lastOffset i64 · 12 offsetDelta i32 · 16 timestamp i64
const (
	snapshotHeaderSize = 10
	snapshotEntrySize  = 46
	snapshotBatchSize  = 24
	snapshotVersion    = 1
)

// errCorruptSnapshot: delete the file and use the one before it.
var errCorruptSnapshot = errors.New("corrupt producer snapshot")

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // a constant table

// snapshot encodes the state, ordered by producer id.
func (s *producerState) snapshot() []byte {
	b := make([]byte, snapshotHeaderSize, snapshotHeaderSize+len(s.byID)*snapshotEntrySize)
	binary.BigEndian.PutUint16(b, snapshotVersion)
	binary.BigEndian.PutUint32(b[6:], uint32(len(s.byID)))
	ids := slices.Sorted(maps.Keys(s.byID))
	older := false
	for _, id := range ids {
		p := s.byID[id]
		last := p.last()
		b = binary.BigEndian.AppendUint64(b, uint64(p.ProducerID))
		b = binary.BigEndian.AppendUint16(b, uint16(p.Epoch))
		b = binary.BigEndian.AppendUint32(b, uint32(last.LastSequence))
		b = binary.BigEndian.AppendUint64(b, uint64(last.LastOffset))
		b = binary.BigEndian.AppendUint32(b, uint32(last.OffsetDelta))
		b = binary.BigEndian.AppendUint64(b, uint64(p.LastTimestamp))
		b = binary.BigEndian.AppendUint32(b, uint32(p.CoordinatorEpoch))
		b = binary.BigEndian.AppendUint64(b, uint64(p.TxnFirstOffset))
		older = older || p.count > 1
	}
	if older {
		for _, id := range ids {
			b = s.byID[id].appendOlder(b)
		}
	}
	binary.BigEndian.PutUint32(b[2:], crc32.Checksum(b[6:], castagnoli))
	return b
}

// appendOlder encodes the recent batches but the last.
func (p *producerEntry) appendOlder(b []byte) []byte {
	older := p.batches[:max(p.count-1, 0)]
	b = append(b, byte(len(older)))
	for _, o := range older {
		b = binary.BigEndian.AppendUint32(b, uint32(o.LastSequence))
		b = binary.BigEndian.AppendUint64(b, uint64(o.LastOffset))
		b = binary.BigEndian.AppendUint32(b, uint32(o.OffsetDelta))
		b = binary.BigEndian.AppendUint64(b, uint64(o.Timestamp))
	}
	return b
}

// parseSnapshot decodes a file. errCorruptSnapshot for any other version, length, checksum, or a producer
// that is listed twice.
func parseSnapshot(data []byte) ([]producerEntry, error) {
	if len(data) < snapshotHeaderSize {
		return nil, fmt.Errorf("%w: %d bytes", errCorruptSnapshot, len(data))
	}
	if v := binary.BigEndian.Uint16(data); v != snapshotVersion {
		return nil, fmt.Errorf("%w: unknown file version %d", errCorruptSnapshot, v)
	}
	if stored, computed := binary.BigEndian.Uint32(data[2:]), crc32.Checksum(data[6:], castagnoli); stored != computed {
		return nil, fmt.Errorf("%w: stored crc %d, computed %d", errCorruptSnapshot, stored, computed)
	}
	count, rest := int64(int32(binary.BigEndian.Uint32(data[6:]))), data[snapshotHeaderSize:]
	if count < 0 || count*snapshotEntrySize > int64(len(rest)) {
		return nil, fmt.Errorf("%w: %d entries in %d bytes", errCorruptSnapshot, count, len(rest))
	}
	entries, older := make([]producerEntry, 0, count), rest[count*snapshotEntrySize:]
	for rest = rest[:count*snapshotEntrySize]; len(rest) > 0; rest = rest[snapshotEntrySize:] {
		entries = append(entries, parseSnapshotEntry(rest))
	}
	if len(older) > 0 {
		if err := parseOlder(entries, older); err != nil {
			return nil, err
		}
	}
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b producerEntry) int { return cmp.Compare(a.ProducerID, b.ProducerID) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].ProducerID == sorted[i-1].ProducerID {
			return nil, fmt.Errorf("%w: producer %d twice", errCorruptSnapshot, sorted[i].ProducerID)
		}
	}
	return entries, nil
}

func parseSnapshotEntry(b []byte) producerEntry {
	u64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
	u32 := func(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
	p := producerEntry{
		ProducerID: u64(0), Epoch: int16(binary.BigEndian.Uint16(b[8:])),
		LastTimestamp: u64(26), CoordinatorEpoch: u32(34), TxnFirstOffset: max(u64(38), -1), markerOffset: -1,
	}
	if last := (batchSpan{u32(10), u64(14), u32(22), u64(26)}); last.LastOffset >= 0 {
		p.add(last)
	}
	return p
}

// parseOlder gives the entries the batches before their last.
func parseOlder(entries []producerEntry, data []byte) error {
	some := false
	for i := range entries {
		p := &entries[i]
		if len(data) == 0 || data[0] >= recentBatches || p.count == 0 && data[0] > 0 || len(data) < 1+int(data[0])*snapshotBatchSize {
			return fmt.Errorf("%w: the older batches of producer %d", errCorruptSnapshot, p.ProducerID)
		}
		last, n := p.last(), int(data[0])
		some = some || n > 0
		p.count = 0
		for data = data[1:]; n > 0; n, data = n-1, data[snapshotBatchSize:] {
			p.add(batchSpan{
				LastSequence: int32(binary.BigEndian.Uint32(data)), LastOffset: int64(binary.BigEndian.Uint64(data[4:])),
				OffsetDelta: int32(binary.BigEndian.Uint32(data[12:])), Timestamp: int64(binary.BigEndian.Uint64(data[16:])),
			})
		}
		if last.LastOffset >= 0 {
			p.add(last)
		}
	}
	if len(data) > 0 || !some {
		return fmt.Errorf("%w: %d bytes behind the entries", errCorruptSnapshot, len(data))
	}
	return nil
}

// restore replaces the state by a snapshot's; expired producers are left out. On error nothing changes.
func (s *producerState) restore(data []byte, nowMs int64) error {
	entries, err := parseSnapshot(data)
	if err != nil {
		return err
	}
	s.reset()
	for i := range entries {
		p := &entries[i]
		if s.expired(p, nowMs) {
			continue
		}
		s.byID[p.ProducerID] = p
		if p.TxnFirstOffset >= 0 {
			s.open = insert(s.open, txnSpan{p.ProducerID, p.TxnFirstOffset, -1, false})
		}
	}
	return nil
}

// writeSnapshot stores the state at path; sync makes it durable.
func (s *producerState) writeSnapshot(fsys vfs.FS, path string, sync bool) error {
	return writeInPlace(fsys, path, s.snapshot(), sync)
}
