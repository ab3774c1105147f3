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

// round takes the first change and whatever waits behind it, and commits them together.
func (c *Controller) round(first *change) error {
	bytes, n := 0, 0
	for t := first; t != nil; n++ {
		bytes += c.propose(t)
		t = nil
		if n < maxGroupSize && bytes < maxGroupBytes {
			select {
			case t = <-c.queue:
			default:
			}
		}
	}
	if err := c.quorum.advance(); err != nil {
		return err
	}
	c.answer()
	return nil
}

// propose decides one change and gives its records to raft; it returns the bytes proposed.
func (c *Controller) propose(t *change) (bytes int) {
	if t.call != nil {
		t.call()
		t.done <- nil
		return 0
	}
	t.index = c.quorum.lastIndex()
	records, err := c.decide(t)
	if err == nil && len(records) > 0 {
		bytes, err = c.proposeRecords(t, records)
	}
	if err != nil {
		t.done <- err
		return bytes
	}
	if len(records) == 0 {
		c.proposed = append(c.proposed, t) // answered with what it saw
	}
	return bytes
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
	return t.decide(view{image: c.spec.Image(), next: c.quorum.nextOffset(), values: c.values})
}

// proposeRecords gives a change's records to raft: as one entry, or, when the change may be divided, as
// several. The change itself stands for the last one.
func (c *Controller) proposeRecords(t *change, records []metadata.Record) (bytes int, err error) {
	for t.divisible && len(records) > recordsPerEntry {
		part := &change{done: make(chan error, 1)} // nobody waits for it
		n, err := c.proposeEntry(part, records[:recordsPerEntry])
		if bytes += n; err != nil {
			return bytes, err
		}
		records = records[recordsPerEntry:]
	}
	n, err := c.proposeEntry(t, records)
	return bytes + n, err
}

func (c *Controller) proposeEntry(t *change, records []metadata.Record) (bytes int, err error) {
	now, next := c.o.Clock.Now().UnixMilli(), c.quorum.nextOffset()
	batch, err := encodeRecords(records, now)
	if err != nil {
		return 0, err
	}
	if len(batch) > maxBatchBytes {
		return 0, fmt.Errorf("%w: %d records, %d bytes", errTooLarge, len(records), len(batch))
	}
	at := metadata.Position{Offset: next + int64(len(records)) - 1, Epoch: c.quorum.epoch(), Timestamp: now}
	undo := *c.spec
	if t.image, t.delta, err = c.spec.Batch(records, at); err != nil {
		return 0, fmt.Errorf("the change contradicts the image: %w", err)
	}
	if err := c.quorum.propose(batch, len(records)); err != nil {
		*c.spec = undo
		return 0, err
	}
	t.index = c.quorum.lastIndex()
	c.proposed = append(c.proposed, t)
	c.refreshValues(t.delta)
	return len(batch), nil
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
	for _, t := range c.proposed {
		if t.index >= e.index {
			if t.index == e.index && t.delta != nil {
				c.publisher.Publish(t.image, t.delta)
				return nil
			}
			break
		}
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
