package logstore

import (
	"errors"
	"io"
	"path/filepath"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

// This file reads a log's files for tools: nothing is opened for writing, locked or repaired.

// ErrCorruptFile says that a file is not one that Kafka or we would write.
var ErrCorruptFile = errors.New("corrupt file")

// corruptFile makes the package's own errors one that others can ask for.
func corruptFile(err error) error {
	for _, ours := range []error{errCorruptIndex, errCorruptSnapshot, errMalformedCheckpoint, errMalformedFile} {
		if errors.Is(err, ours) {
			return errors.Join(ErrCorruptFile, err)
		}
	}
	return err
}

// SegmentFile splits the name of a segment's file, "<20 digits><suffix>".
func SegmentFile(path string) (base int64, suffix string, ok bool) {
	return parseSegmentFileName(filepath.Base(path))
}

// InspectedIndexEntry is an entry of an .index: the last offset of the batch that starts at Position.
type InspectedIndexEntry struct{ Offset, Position int64 }

// InspectIndex reads an .index file. The zero tail of a preallocated one is left out.
func InspectIndex(fsys vfs.FS, path string) ([]InspectedIndexEntry, error) {
	base, _, _ := SegmentFile(path)
	x, err := loadOffsetIndex(fsys, path, base, 1<<30)
	if err != nil {
		return nil, corruptFile(err)
	}
	entries := make([]InspectedIndexEntry, 0, len(x.entries))
	for _, e := range x.entries {
		entries = append(entries, InspectedIndexEntry{base + int64(e.relative), int64(e.position)})
	}
	return entries, nil
}

// InspectedTimeEntry is an entry of a .timeindex: the largest timestamp so far, and the last offset of the
// batch that has it.
type InspectedTimeEntry struct{ Timestamp, Offset int64 }

// InspectTimeIndex reads a .timeindex file. The zero tail of a preallocated one is left out.
func InspectTimeIndex(fsys vfs.FS, path string) ([]InspectedTimeEntry, error) {
	base, _, _ := SegmentFile(path)
	x, err := loadTimeIndex(fsys, path, base, 1<<30)
	if err != nil {
		return nil, corruptFile(err)
	}
	entries := make([]InspectedTimeEntry, 0, len(x.entries))
	for _, e := range x.entries {
		entries = append(entries, InspectedTimeEntry{e.timestamp, base + int64(e.relative)})
	}
	return entries, nil
}

// InspectedAbortedTxn is an entry of a .txnindex.
type InspectedAbortedTxn struct{ ProducerID, FirstOffset, LastOffset, LastStableOffset int64 }

// InspectTxnIndex reads a .txnindex file.
func InspectTxnIndex(fsys vfs.FS, path string) ([]InspectedAbortedTxn, error) {
	base, _, _ := SegmentFile(path)
	x, err := loadAborted(fsys, path, base)
	if err != nil {
		return nil, corruptFile(err)
	}
	entries := make([]InspectedAbortedTxn, 0, len(x.entries))
	for _, e := range x.entries {
		entries = append(entries, InspectedAbortedTxn(e))
	}
	return entries, nil
}

// InspectedProducer is an entry of a producer snapshot. HasBatch is false for a producer without a batch:
// then the sequences are -1.
type InspectedProducer struct {
	ActiveProducer
	HasBatch                 bool
	FirstSequence            int32
	LastOffset               int64
	OffsetDelta              int32
	LastTimestamp, Timestamp int64
}

// InspectSnapshot reads a producer snapshot.
func InspectSnapshot(fsys vfs.FS, path string) ([]InspectedProducer, error) {
	data, err := fsys.ReadFile(path)
	if err != nil {
		return nil, err
	}
	entries, err := parseSnapshot(data)
	if err != nil {
		return nil, corruptFile(err)
	}
	producers := make([]InspectedProducer, 0, len(entries))
	for i := range entries {
		p := &entries[i]
		last := p.last()
		producers = append(producers, InspectedProducer{
			ActiveProducer: ActiveProducer{
				ProducerID: p.ProducerID, Epoch: p.Epoch, LastSequence: last.LastSequence,
				CoordinatorEpoch: p.CoordinatorEpoch, CurrentTxnStartOffset: p.TxnFirstOffset,
			},
			HasBatch: p.count > 0, FirstSequence: last.firstSequence(), LastOffset: last.LastOffset, OffsetDelta: last.OffsetDelta,
			LastTimestamp: p.LastTimestamp, Timestamp: last.Timestamp,
		})
	}
	return producers, nil
}

// CheckpointFiles are the names of the offset checkpoints, and LeaderEpochFile that of a partition's leader
// epochs.
func CheckpointFiles() []string {
	return []string{recoveryPointFile, logStartFile, highWatermarkFile, cleanerFile}
}

// LeaderEpochFile is the name of a partition's leader epochs.
const LeaderEpochFile = epochsFile

// InspectCheckpoint reads a checkpoint file whose entries have so many fields: 3 in an offset checkpoint
// (topic, partition, offset), 2 in the leader epochs (epoch, start offset).
func InspectCheckpoint(fsys vfs.FS, path string, fields int) ([][]string, error) {
	data, err := fsys.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rows, err := parseCheckpoint(data, fields)
	return rows, corruptFile(err)
}

// PartitionMetadataFile is the name of the file with a partition's topic id.
const PartitionMetadataFile = partitionMetadataFile

// InspectTopicID reads the partition.metadata of a partition's directory, as text.
func InspectTopicID(fsys vfs.FS, dir string) (string, error) {
	id, err := readPartitionMetadata(fsys, dir)
	if err != nil {
		return "", corruptFile(err)
	}
	return formatUUID(id), nil
}

// InspectedBatch is a batch of a .log or .checkpoint file. Batch is nil for a message set (magic 0 or 1).
type InspectedBatch struct {
	Position, Size         int64
	BaseOffset, LastOffset int64
	Magic                  int8
	Valid                  bool // the checksum is right
	Batch                  protocol.Batch
	Bytes                  []byte // the whole of it; valid during the call only
}

// InspectBatches calls fn with the whole batches of the file's first maxBytes bytes, whatever their
// checksums are, and returns where they end. The error is fn's or the disk's: bytes that are no batch, or
// not a whole one, only end the walk before the end of the file.
func InspectBatches(f vfs.File, from, maxBytes int64, fn func(b InspectedBatch) error) (end int64, err error) {
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	r := batchReader{f: f, position: from, end: min(size, maxBytes)}
	for {
		at := r.position
		h, b, err := r.next()
		valid := err == nil
		if errors.Is(err, errChecksum) {
			if b, err = r.bytes(h.size); err != nil {
				return at, err
			}
			r.position = h.end()
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errShort), errors.Is(err, errFrame):
			return at, nil
		case err != nil:
			return at, err
		}
		ib := InspectedBatch{
			Position: at, Size: h.size, BaseOffset: h.baseOffset, LastOffset: h.lastOffset, Magic: h.magic, Valid: valid, Bytes: b,
		}
		if h.magic == 2 {
			ib.Batch = protocol.Batch(b)
		}
		if err := fn(ib); err != nil {
			return r.position, err
		}
	}
}
