package controller

import (
	"fmt"

	"minikafka/metadata"
	"minikafka/protocol"
)

// maxReadBatchBytes bounds a batch that is read; Kafka writes at most 8 MiB.
const maxReadBatchBytes = 64 << 20

// recordOverhead is at least what a record takes besides its value: lengths, deltas, attributes.
const recordOverhead = 24

// encodeRecords makes a data batch: values as package metadata encodes them at a metadata.version, null keys. Base offset and
// leader epoch are the log's to set.
func encodeRecords(records []metadata.Record, level int16, timestamp int64) ([]byte, error) {
	var b protocol.Builder
	b.Reset(protocol.NoProducer())
	var value []byte
	for _, r := range records {
		value = metadata.AppendRecord(value[:0], r, metadata.VersionFor(r, level))
		b.Append(timestamp, nil, value, nil)
	}
	return b.AppendTo(nil)
}

// controlBatch makes a batch of control records, each in version 0.
func controlBatch(timestamp int64, records ...metadata.ControlRecord) []byte {
	encoded := make([]protocol.ControlRecord, len(records))
	for i, r := range records {
		encoded[i] = protocol.ControlRecord{Type: protocol.ControlType(r.ControlType()), Value: metadata.AppendControl(nil, r, 0)}
	}
	return protocol.AppendControl(nil, 0, 0, timestamp, encoded...)
}

// checkBatch checks size, CRC and offsets of the batch at the start of b, which may hold more.
func checkBatch(b []byte) (protocol.Batch, error) {
	batch, _, err := protocol.NextBatch(b)
	switch {
	case err != nil:
		return nil, err
	case len(batch) > maxReadBatchBytes:
		return nil, fmt.Errorf("%w: %d bytes", protocol.ErrCorrupt, len(batch))
	case !batch.CheckCRC():
		return nil, fmt.Errorf("%w: wrong CRC", protocol.ErrCorrupt)
	case batch.BaseOffset() < 0 || batch.LastOffset() < batch.BaseOffset() || batch.LeaderEpoch() < 0:
		return nil, fmt.Errorf("%w: offsets %d to %d, epoch %d", protocol.ErrCorrupt, batch.BaseOffset(), batch.LastOffset(), batch.LeaderEpoch())
	}
	return batch, nil
}

func positionOf(b protocol.Batch) metadata.Position {
	return metadata.Position{Offset: b.LastOffset(), Epoch: b.LeaderEpoch(), Timestamp: b.MaxTimestamp()}
}

// eachRecord calls fn with the records of a batch; an error is told with the record's offset.
func eachRecord(b protocol.Batch, fn func(r *protocol.Record) error) error {
	it := b.Iterate()
	defer it.Close()
	var r protocol.Record
	for it.Next(&r) {
		if err := fn(&r); err != nil {
			return fmt.Errorf("offset %d: %w", b.BaseOffset()+int64(r.OffsetDelta), err)
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
	}
	return nil
}

// recordsOf decodes a data batch; a control batch has none. An unknown type or version is an error that
// names it.
func recordsOf(b protocol.Batch) (out []metadata.Record, err error) {
	if b.IsControl() {
		return nil, nil
	}
	err = eachRecord(b, func(r *protocol.Record) error {
		rec, _, err := metadata.DecodeRecord(r.Value)
		out = append(out, rec)
		return err
	})
	return out, err
}

// controlsOf decodes a control batch.
func controlsOf(b protocol.Batch) (out []metadata.ControlRecord, err error) {
	err = eachRecord(b, func(r *protocol.Record) error {
		rec, _, err := metadata.DecodeControl(r.Key, r.Value)
		out = append(out, rec)
		return err
	})
	return out, err
}

// encodedSize is at least what records take in a batch.
func encodedSize(records []metadata.Record) (size int) {
	var value []byte
	for _, r := range records {
		value = metadata.AppendRecord(value[:0], r, metadata.WriteVersion(r.Key()))
		size += len(value) + recordOverhead
	}
	return size
}
