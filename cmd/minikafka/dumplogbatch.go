package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"minikafka/logstore"
	"minikafka/protocol"
)

const gapTitle = "Non-consecutive offsets in "

// log dumps a segment, or a snapshot of the metadata.
func (d *dumper) log(path string) error {
	d.printLogHead(path)
	f, err := d.fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	lastRecord, lastBatch := int64(-1), int64(-1)
	end, err := logstore.InspectBatches(f, 0, d.maxBytes, func(b logstore.InspectedBatch) error {
		d.printBatch(b)
		if !b.Valid {
			d.complain("%s: the batch at position %d (offset %d) has a wrong checksum\n", path, b.Position, b.BaseOffset)
		}
		if b.BaseOffset <= lastBatch {
			d.complain("%s: the batch at position %d has offset %d after %d\n", path, b.Position, b.BaseOffset, lastBatch)
		}
		lastBatch = b.LastOffset
		if !d.deep {
			return nil
		}
		if b.Batch == nil {
			d.complain("%s: the message set at position %d is of an old format: its records are not printed\n", path, b.Position)
			return nil
		}
		if err := d.records(path, b.Batch, &lastRecord); err != nil {
			d.complain("%s: the batch at position %d (offset %d): %v\n", path, b.Position, b.BaseOffset, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	if end < size && d.maxBytes == math.MaxInt32 {
		d.wrong++
		d.printf("Found %d invalid bytes at the end of %s\n", size-end, filepath.Base(path))
	}
	return nil
}

func (d *dumper) printLogHead(path string) {
	name := filepath.Base(path)
	if base, suffix, ok := logstore.SegmentFile(path); ok && suffix == ".log" {
		d.printf("Log starting offset: %d\n", base)
		return
	}
	stem, isSnapshot := strings.CutSuffix(name, ".checkpoint")
	if !isSnapshot {
		return
	}
	if stem == "bootstrap" {
		d.printf("KRaft bootstrap snapshot\n")
		return
	}
	offset, epoch, _ := strings.Cut(stem, "-")
	o, err1 := strconv.ParseInt(offset, 10, 64)
	e, err2 := strconv.ParseInt(epoch, 10, 32)
	if err1 == nil && err2 == nil {
		d.printf("Snapshot end offset: %d, epoch: %d\n", o, e)
	}
}

func (d *dumper) printBatch(b logstore.InspectedBatch) {
	timestampType, crc, largest := "NO_TIMESTAMP_TYPE", binary.BigEndian.Uint32(b.Bytes[12:]), int64(-1)
	var codec protocol.Codec
	if p := b.Batch; p != nil {
		horizon := "OptionalLong.empty"
		if ms, set := p.DeleteHorizonMs(); set {
			horizon = fmt.Sprintf("OptionalLong[%d]", ms)
		}
		d.printf("baseOffset: %d lastOffset: %d count: %d baseSequence: %d lastSequence: %d producerId: %d producerEpoch: %d "+
			"partitionLeaderEpoch: %d isTransactional: %t isControl: %t deleteHorizonMs: %s",
			p.BaseOffset(), p.LastOffset(), p.Count(), p.BaseSequence(), p.LastSequence(), p.ProducerID(), p.ProducerEpoch(),
			p.LeaderEpoch(), p.IsTransactional(), p.IsControl(), horizon)
		timestampType, codec, crc, largest = timestampTypeOf(p), p.Codec(), p.CRC(), p.MaxTimestamp()
	} else {
		d.printf("offset: %d", b.LastOffset)
		codec = protocol.Codec(b.Bytes[17] & 7)
		if b.Magic == 1 {
			timestampType, largest = "CreateTime", int64(binary.BigEndian.Uint64(b.Bytes[18:]))
		}
	}
	d.printf(" position: %d %s: %d size: %d magic: %d compresscodec: %s crc: %d isvalid: %t\n",
		b.Position, timestampType, largest, b.Size, b.Magic, codec, crc, b.Valid)
}

func timestampTypeOf(b protocol.Batch) string {
	if b.IsLogAppendTime() {
		return "LogAppendTime"
	}
	return "CreateTime"
}

// records prints a batch's records; last is the offset of the record before.
func (d *dumper) records(path string, b protocol.Batch, last *int64) error {
	it := b.Iterate()
	defer it.Close()
	var r protocol.Record
	for it.Next(&r) {
		offset := b.BaseOffset() + int64(r.OffsetDelta)
		if *last != -1 && offset != *last+1 { // compaction leaves gaps
			d.notes.add(gapTitle, path, fmt.Sprintf("%d is followed by %d", *last, offset))
			if offset <= *last {
				d.complain("%s: offset %d comes after %d\n", path, offset, *last)
			}
		}
		*last = offset
		if d.skipMeta && b.IsControl() {
			d.printf("\n")
			continue
		}
		d.printRecord(b, &r, offset)
		d.printf("\n")
	}
	return it.Err()
}

func (d *dumper) printRecord(b protocol.Batch, r *protocol.Record, offset int64) {
	prefix := "| "
	if !d.skipMeta {
		timestamp := b.BaseTimestamp() + r.TimestampDelta
		if b.IsLogAppendTime() {
			timestamp = b.MaxTimestamp()
		}
		sequence := protocol.NoSequence
		if b.BaseSequence() >= 0 {
			sequence = protocol.IncrementSequence(b.BaseSequence(), r.OffsetDelta)
		}
		headers := r.Headers(nil)
		keys := make([]string, len(headers))
		for i, h := range headers {
			keys[i] = h.Key
		}
		d.printf("| offset: %d %s: %d keySize: %d valueSize: %d sequence: %d headerKeys: [%s]",
			offset, timestampTypeOf(b), timestamp, sizeOf(r.Key), sizeOf(r.Value), sequence, strings.Join(keys, ","))
		if b.IsControl() {
			d.printControl(r)
		}
		prefix = " "
	}
	if !d.print || b.IsControl() {
		return
	}
	if d.metadata {
		d.printf("%spayload: %s", prefix, d.metadataRecord(r.Value, offset))
		return
	}
	if d.coordinator != "" {
		key, value := d.coordinatorRecord(r, offset)
		d.printf("%skey: %s", prefix, key)
		if value != "" {
			d.printf(" payload: %s", value)
		}
		return
	}
	if r.Key != nil {
		d.printf("%skey: %s", prefix, r.Key)
		prefix = " "
	}
	if r.Value != nil {
		d.printf("%spayload: %s", prefix, r.Value)
	}
}

func sizeOf(b []byte) int {
	if b == nil {
		return -1
	}
	return len(b)
}
