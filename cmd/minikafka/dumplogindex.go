package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"minikafka/internal/vfs"
	"minikafka/logstore"
	"minikafka/protocol"
)

// Headings of what is wrong with an index, as Kafka prints them.
const (
	mismatchTitle     = "Mismatches in :"
	timeMismatchTitle = "Found timestamp mismatch in :"
	timeOrderTitle    = "Found out of order timestamp in :"
	notFoundTitle     = "The following indexed offsets are not found in the log: "
)

// siblingLog opens the .log of an index.
func (d *dumper) siblingLog(path string) (vfs.File, error) {
	return d.fs.OpenFile(strings.TrimSuffix(path, path[strings.LastIndexByte(path, '.'):])+".log", os.O_RDONLY, 0)
}

// index dumps an .index: each entry names the last offset of the batch at its position.
func (d *dumper) index(path string) error {
	entries, err := logstore.InspectIndex(d.fs, path)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		d.printf("%s is empty.\n", path)
		return nil
	}
	if d.sanity {
		d.printf("%s passed sanity check.\n", path)
		return nil
	}
	f, err := d.siblingLog(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	for _, e := range entries {
		found := int64(-1)
		_, err := logstore.InspectBatches(f, e.Position, e.Position+d.maxBatch, func(b logstore.InspectedBatch) error {
			found = b.LastOffset
			return errEnough
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		if found != e.Offset {
			d.wrong++
			d.notes.add(mismatchTitle, path, fmt.Sprintf("Index offset: %d, log offset: %d", e.Offset, found))
		}
		if !d.verify {
			d.printf("offset: %d position: %d\n", e.Offset, e.Position)
		}
	}
	return nil
}

var errEnough = errors.New("enough")

// timeIndex dumps a .timeindex: each entry names a batch by its last offset, and the largest timestamp of
// the batch's records; timestamps rise.
func (d *dumper) timeIndex(path string) error {
	entries, err := logstore.InspectTimeIndex(d.fs, path)
	if err != nil {
		return err
	}
	if d.sanity {
		d.printf("%s passed sanity check.\n", path)
		return nil
	}
	offsets, err := logstore.InspectIndex(d.fs, strings.TrimSuffix(path, ".timeindex")+".index")
	if err != nil {
		return err
	}
	f, err := d.siblingLog(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	previous := int64(-1)
	for _, e := range entries {
		position := int64(0)
		for _, o := range offsets {
			if o.Offset > e.Offset {
				break
			}
			position = o.Position
		}
		if err := d.timeEntry(f, path, position, e, previous); err != nil {
			return err
		}
		if !d.verify {
			d.printf("timestamp: %d offset: %d\n", e.Timestamp, e.Offset)
		}
		previous = e.Timestamp
	}
	return nil
}

func (d *dumper) timeEntry(f vfs.File, path string, position int64, e logstore.InspectedTimeEntry, previous int64) error {
	last, timestamp, emptied := int64(-1), int64(-1), false
	_, err := logstore.InspectBatches(f, position, math.MaxInt64, func(b logstore.InspectedBatch) error {
		if b.LastOffset < e.Offset {
			return nil
		}
		last = b.LastOffset
		if b.Batch != nil {
			emptied = b.Batch.Count() == 0 && b.Batch.MaxTimestamp() == e.Timestamp
			var err error
			if timestamp, err = largestTimestamp(b.Batch); err != nil {
				return err
			}
		}
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	switch {
	case last != e.Offset:
		d.wrong++
		d.notes.add(notFoundTitle, path, fmt.Sprintf("Indexed offset: %d, found log offset: %d", e.Offset, last))
		return nil
	case timestamp != e.Timestamp:
		if !emptied { // Kafka's cleaner indexes the timestamp that a batch had before it was emptied
			d.wrong++
		}
		d.notes.add(timeMismatchTitle, path, fmt.Sprintf("Index timestamp: %d, log timestamp: %d", e.Timestamp, timestamp))
	}
	if previous >= e.Timestamp {
		d.wrong++
		d.notes.add(timeOrderTitle, path, fmt.Sprintf("Index timestamp: %d, Previously indexed timestamp: %d", e.Timestamp, previous))
	}
	return nil
}

// largestTimestamp is that of the records, -1 without any.
func largestTimestamp(b protocol.Batch) (int64, error) {
	if b.IsLogAppendTime() && b.Count() > 0 {
		return b.MaxTimestamp(), nil
	}
	most := protocol.NoTimestamp
	it := b.Iterate()
	defer it.Close()
	var r protocol.Record
	for it.Next(&r) {
		most = max(most, b.BaseTimestamp()+r.TimestampDelta)
	}
	return most, it.Err()
}

func (d *dumper) txnIndex(path string) error {
	entries, err := logstore.InspectTxnIndex(d.fs, path)
	for _, e := range entries {
		d.printf("version: 0 producerId: %d firstOffset: %d lastOffset: %d lastStableOffset: %d\n",
			e.ProducerID, e.FirstOffset, e.LastOffset, e.LastStableOffset)
	}
	return err
}

func (d *dumper) snapshot(path string) error {
	producers, err := logstore.InspectSnapshot(d.fs, path)
	for _, p := range producers {
		txn := "OptionalLong.empty"
		if p.CurrentTxnStartOffset >= 0 {
			txn = fmt.Sprintf("OptionalLong[%d]", p.CurrentTxnStartOffset)
		}
		d.printf("producerId: %d producerEpoch: %d coordinatorEpoch: %d currentTxnFirstOffset: %s lastTimestamp: %d",
			p.ProducerID, p.Epoch, p.CoordinatorEpoch, txn, p.LastTimestamp)
		if p.HasBatch {
			d.printf(" firstSequence: %d lastSequence: %d lastOffset: %d offsetDelta: %d timestamp: %d",
				p.FirstSequence, p.LastSequence, p.LastOffset, p.OffsetDelta, p.Timestamp)
		}
		d.printf("\n")
	}
	return err
}
