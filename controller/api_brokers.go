package controller

import (
	"context"

	"minikafka/metadata"
)

// RegisterBroker writes the registration (fenced), and Unfence lets it serve. The partitions that the
// broker led in an earlier life are without leader until then.
func (c *Controller) RegisterBroker(ctx context.Context, b metadata.Broker) (brokerEpoch int64, err error) {
	err = c.commitDivided(ctx, func(v view) (records []metadata.Record, _ error) {
		records, brokerEpoch = c.machine.registerBroker(v, b)
		return records, nil
	})
	if err != nil {
		return 0, err
	}
	return brokerEpoch, nil
}

// Unfence commits that the broker serves, and elects it where it was waited for.
func (c *Controller) Unfence(ctx context.Context, id int32, brokerEpoch int64) error {
	return c.commitDivided(ctx, func(v view) ([]metadata.Record, error) { return c.machine.unfence(v, id, brokerEpoch) })
}

// ControlledShutdown commits that the broker is about to stop: it leads nothing any more.
func (c *Controller) ControlledShutdown(ctx context.Context, id int32, brokerEpoch int64) error {
	return c.commitDivided(ctx, func(v view) ([]metadata.Record, error) { return c.machine.shutDown(v, id, brokerEpoch) })
}

// AllocateProducerIDs hands out a block that is never handed out again.
func (c *Controller) AllocateProducerIDs(ctx context.Context, brokerID int32, brokerEpoch int64) (first int64, count int32, err error) {
	err = c.commit(ctx, 0, func(v view) (records []metadata.Record, err error) {
		records, first, err = c.machine.allocateProducerIDs(v, brokerID, brokerEpoch)
		return records, err
	})
	if err != nil {
		return 0, 0, err
	}
	return first, producerIDBlock, nil
}
