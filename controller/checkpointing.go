package controller

import (
	"math"
	"time"

	"minikafka/config"
	"minikafka/metadata"
)

// snapshots is the loop's state about its snapshots. One is written at a time, by a goroutine of its own:
// an image never changes, so the loop goes on meanwhile.
type snapshots struct {
	newest     snapshotID
	controls   []metadata.ControlRecord // KRaftVersion and KRaftVoters, carried from snapshot to snapshot
	bytesSince int64                    // of the log since newest
	sawRecords bool                     // the log has metadata records
	writing    bool
	written    chan snapshotDone
}

type snapshotDone struct {
	id    snapshotID
	index uint64
	err   error
}

// snapshotInterval is when the next snapshot by time is due.
func (c *Controller) snapshotInterval() time.Duration {
	if d := config.Get(c.o.Config, config.MetadataLogMaxSnapshotIntervalMs); d > 0 {
		return d
	}
	return math.MaxInt64 // never
}

func (c *Controller) snapshotIfLarge() {
	if c.bytesSince >= config.Get(c.o.Config, config.MetadataLogMaxRecordBytesBetweenSnapshots) {
		c.takeSnapshot()
	}
}

// takeSnapshot starts to write one of the newest image, unless nothing is new.
func (c *Controller) takeSnapshot() {
	image := c.publisher.Image()
	end := image.Offset + 1
	index, term, ok := c.quorum.store.endAt(end)
	if c.writing || !ok || end <= c.newest.EndOffset {
		return
	}
	s := &snapshot{
		id:    snapshotID{EndOffset: end, Epoch: int32(term)},
		index: index, lastTime: image.Timestamp, controls: c.controls,
		level: image.MetadataVersion(),
	}
	c.writing, c.bytesSince = true, 0
	fsys, dir, now := c.o.FS, c.quorum.dir, c.o.Clock.Now().UnixMilli()
	go func() {
		for r := range image.Records() {
			s.records = append(s.records, r)
		}
		c.written <- snapshotDone{s.id, s.index, s.write(fsys, dir, now)}
	}()
}

// snapshotWritten drops what the snapshot made superfluous: entries, segments, older snapshots.
func (c *Controller) snapshotWritten(done snapshotDone) error {
	c.writing = false
	if done.err != nil {
		return done.err
	}
	c.newest = done.id
	c.quorum.store.compact(done.index)
	if err := c.quorum.store.log.IncrementLogStartOffset(done.id.EndOffset); err != nil {
		return err
	}
	c.o.Logger.Info("metadata snapshot written", "snapshot", done.id.name())
	return removeSnapshotsBelow(c.o.FS, c.quorum.dir, done.id)
}
