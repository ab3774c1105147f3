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
// Of a producer's recent batches only the last one is stored (lastOffset -1: none).
const (
	snapshotHeaderSize = 10
	snapshotEntrySize  = 46
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
	for _, id := range slices.Sorted(maps.Keys(s.byID)) {
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
	}
	binary.BigEndian.PutUint32(b[2:], crc32.Checksum(b[6:], castagnoli))
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
	if count < 0 || count*snapshotEntrySize != int64(len(rest)) {
		return nil, fmt.Errorf("%w: %d entries in %d bytes", errCorruptSnapshot, count, len(rest))
	}
	entries := make([]producerEntry, 0, count)
	for ; len(rest) > 0; rest = rest[snapshotEntrySize:] {
		u64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(rest[at:])) }
		u32 := func(at int) int32 { return int32(binary.BigEndian.Uint32(rest[at:])) }
		p := producerEntry{
			ProducerID: u64(0), Epoch: int16(binary.BigEndian.Uint16(rest[8:])),
			LastTimestamp: u64(26), CoordinatorEpoch: u32(34), TxnFirstOffset: max(u64(38), -1), markerOffset: -1,
		}
		if last := (batchSpan{u32(10), u64(14), u32(22), u64(26)}); last.LastOffset >= 0 {
			p.add(last)
		}
		entries = append(entries, p)
	}
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b producerEntry) int { return cmp.Compare(a.ProducerID, b.ProducerID) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].ProducerID == sorted[i-1].ProducerID {
			return nil, fmt.Errorf("%w: producer %d twice", errCorruptSnapshot, sorted[i].ProducerID)
		}
	}
	return entries, nil
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
