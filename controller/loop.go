package controller

import (
	"context"
	"errors"
	"fmt"

	"minikafka/config"
	"minikafka/metadata"
)

// run is the loop, and tells of its end: everybody who waits first, then the process.
func (c *Controller) run() {
	failed := c.loop()
	close(c.ended)
	if failed && c.o.Fatal != nil {
		c.o.Fatal(c.err)
	}
}

func (c *Controller) loop() (failed bool) {
	timer := c.o.Clock.NewTimer(c.snapshotInterval())
	defer timer.Stop()
	for {
		var err error
		select {
		case t := <-c.queue:
			err = c.round(t)
		case done := <-c.written:
			err = c.snapshotWritten(done)
		case <-timer.C():
			c.takeSnapshot()
			timer.Reset(c.snapshotInterval())
		case <-c.quit:
			return c.shutDown()
		}
		if err != nil {
			return c.fail(err)
		}
		c.snapshotIfLarge()
	}
}

// shutDown serves what is queued, waits for a snapshot under way, and closes the log.
func (c *Controller) shutDown() (failed bool) {
	for {
		select {
		case t := <-c.queue:
			if err := c.round(t); err != nil {
				return c.fail(err)
			}
			continue
		default:
		}
		break
	}
	if c.writing {
		c.err = c.snapshotWritten(<-c.written)
	}
	c.err = errors.Join(c.err, c.quorum.store.log.Close())
	return false
}

// fail ends the loop: whoever waits is answered by endedError, and the process must end, because what is
// on disk is not known any more.
func (c *Controller) fail(err error) (failed bool) {
	c.err = err
	c.o.Logger.Error("the metadata quorum cannot go on", "error", err)
	if c.writing {
		<-c.written
	}
	if cerr := c.quorum.store.log.Close(); cerr != nil {
		c.o.Logger.Error("closing the metadata log", "error", cerr)
	}
	return true
}

// group is the changes of a round that will be one entry: one batch, one CRC. So what a crash tears is
// always the last batch of the log, however many changes it has.
type group struct {
	changes []*change
	records []metadata.Record
	bytes   int
	now     int64           // ms
	undo    metadata.Replay // spec before the first of them
}

// round takes the first change and whatever waits behind it, and commits them together.
func (c *Controller) round(first *change) error {
	n := 0
	for t := first; t != nil; n++ {
		if err := c.take(t); err != nil {
			return err
		}
		t = nil
		if n < maxGroupSize && c.group.bytes < maxGroupBytes {
			select {
			case t = <-c.queue:
			default:
			}
		}
	}
	return c.flush()
}

// take decides one change and adds it to the group. Like round and flush, it fails only with the quorum.
func (c *Controller) take(t *change) error {
	if t.call != nil {
		t.call()
		t.done <- nil
		return nil
	}
	records, err := c.decide(t)
	for err == nil && t.divisible && len(records) > recordsPerEntry {
		part := &change{done: make(chan error, 1)} // nobody waits for it
		if err = c.add(part, records[:recordsPerEntry]); err == nil {
			if err := c.flush(); err != nil {
				return err
			}
			err = part.failed
		}
		records = records[recordsPerEntry:]
	}
	if err == nil && c.group.bytes+encodedSize(records) > maxBatchBytes { // the batch is full
		if err := c.flush(); err != nil {
			return err
		}
	}
	if err == nil {
		err = c.add(t, records)
	}
	if err != nil {
		t.done <- err
	}
	return nil
}

func (c *Controller) decide(t *change) ([]metadata.Record, error) {
	t.deciding.Lock()
	defer t.deciding.Unlock()
	switch {
	case t.givenUp:
		return nil, context.Canceled
	case !t.deadline.IsZero() && !c.o.Clock.Now().Before(t.deadline):
		return nil, ErrTimedOut
	case !c.quorum.leading():
		return nil, errNotLeader
	}
	return t.decide(view{image: c.spec.Image(), next: c.nextOffset(), values: c.values})
}

// nextOffset is the offset of the next record that is added to the group.
func (c *Controller) nextOffset() int64 {
	return c.quorum.store.log.LogEndOffset() + int64(len(c.group.records))
}

// add puts a change into the group, with its records applied to spec; without records it is answered
// with those before it. An error is the change's own.
func (c *Controller) add(t *change, records []metadata.Record) error {
	g := &c.group
	if len(g.changes) == 0 {
		g.undo, g.now = *c.spec, c.o.Clock.Now().UnixMilli()
	}
	size := encodedSize(records)
	if size > maxBatchBytes {
		return fmt.Errorf("%w: %d records, %d bytes", errTooLarge, len(records), size)
	}
	if len(records) > 0 {
		at := metadata.Position{Offset: c.nextOffset() + int64(len(records)) - 1, Epoch: c.quorum.epoch(), Timestamp: g.now}
		var err error
		if t.image, t.delta, err = c.spec.Batch(records, at); err != nil {
			return fmt.Errorf("the change contradicts the image: %w", err)
		}
		c.refreshValues(t.delta)
	}
	g.changes, g.records, g.bytes = append(g.changes, t), append(g.records, records...), g.bytes+size
	return nil
}

// flush commits the group: one entry, one write, one fdatasync; then it is published and answered.
func (c *Controller) flush() error {
	g := c.group
	c.group = group{}
	index := c.quorum.lastIndex()
	if len(g.records) > 0 {
		batch, err := encodeRecords(g.records, c.spec.Image().MetadataVersion(), g.now)
		if err == nil {
			err = c.quorum.propose(batch)
		}
		if err != nil {
			c.refuse(g, err)
			return nil
		}
		index++
	}
	for _, t := range g.changes {
		t.index = index
	}
	c.proposed = append(c.proposed, g.changes...)
	if err := c.quorum.advance(); err != nil {
		return err
	}
	c.answer()
	return nil
}

// refuse takes a group back that raft did not take.
func (c *Controller) refuse(g group, err error) {
	*c.spec = g.undo
	c.values = brokerValues(c.o.Config, c.spec.Image(), c.o.NodeID)
	for _, t := range g.changes {
		t.failed = err
		t.done <- err
	}
}

// refreshValues follows the dynamic broker configs.
func (c *Controller) refreshValues(delta *metadata.Delta) {
	for r := range delta.Configs {
		if r.Type == metadata.ResourceBroker {
			c.values = brokerValues(c.o.Config, c.spec.Image(), c.o.NodeID)
			return
		}
	}
}

func brokerValues(static *config.Values, image *metadata.Image, node int32) *config.Values {
	return static.WithDynamic(
		image.Configs(metadata.Resource{Type: metadata.ResourceBroker, Name: fmt.Sprint(node)}),
		image.Configs(metadata.Resource{Type: metadata.ResourceBroker}))
}

// applyCommitted publishes what a committed entry makes. Entries of this leader were applied when they
// were proposed; others (those found at start) are decoded.
func (c *Controller) applyCommitted(e committed) error {
	c.bytesSince += int64(len(e.data))
	mine := false
	for _, t := range c.proposed {
		if t.index == e.index && t.delta != nil {
			c.publisher.Publish(t.image, t.delta)
			mine = true
		}
	}
	if mine {
		return nil
	}
	return c.replayCommitted(e)
}

func (c *Controller) replayCommitted(e committed) error {
	if e.data == nil {
		e.at.Timestamp = c.spec.Image().Timestamp
		image, _, err := c.spec.Batch(nil, e.at)
		if err != nil {
			return err
		}
		c.publisher.Publish(image, nil)
		return nil
	}
	batch, err := checkBatch(e.data)
	if err != nil {
		return err
	}
	records, err := recordsOf(batch)
	if err != nil {
		return err
	}
	e.at.Timestamp = batch.MaxTimestamp()
	image, delta, err := c.spec.Batch(records, e.at)
	if err != nil {
		return fmt.Errorf("the metadata log cannot be replayed: %w", err)
	}
	c.sawRecords = true
	if delta != nil {
		c.refreshValues(delta)
	}
	c.publisher.Publish(image, delta)
	return nil
}

// answer lets those changes go whose entry, or all that they saw, is committed.
func (c *Controller) answer() {
	applied := c.quorum.appliedIndex
	n := 0
	for ; n < len(c.proposed) && c.proposed[n].index <= applied; n++ {
		c.proposed[n].done <- nil
	}
	c.proposed = append(c.proposed[:0], c.proposed[n:]...)
}
