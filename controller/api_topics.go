package controller

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/metadata"
)

// The requests below are answered when their records are committed and every subscriber has applied
// them. TimeoutMillis above zero bounds the wait: then the error is ErrTimedOut, and the change
// may still be committed, as in Kafka. Handlers refuse requests without any time. A nil error always
// comes with a response; errors are *kerr.Error (wrapped), the context's, or the quorum's end.

// ask commits what decide makes of a request, and returns the response that it makes with it.
func ask[Resp any](ctx context.Context, c *Controller, timeoutMillis int32, decide func(view) ([]metadata.Record, Resp)) (Resp, error) {
	var resp, none Resp
	err := c.commit(ctx, time.Duration(timeoutMillis)*time.Millisecond, func(v view) (records []metadata.Record, _ error) {
		records, resp = decide(v)
		return records, nil
	})
	if err != nil {
		return none, err // resp may be the loop's yet
	}
	return resp, nil
}

// CreateTopics answers per topic as replication.md section 5 says; validateOnly is honoured. Topic names
// are all different: handlers see to it.
func (c *Controller) CreateTopics(ctx context.Context, req *kmsg.CreateTopicsRequest) (*kmsg.CreateTopicsResponse, error) {
	return ask(ctx, c, req.TimeoutMillis, func(v view) ([]metadata.Record, *kmsg.CreateTopicsResponse) { return c.machine.createTopics(v, req) })
}

// DeleteTopics answers when the names can be used again.
func (c *Controller) DeleteTopics(ctx context.Context, req *kmsg.DeleteTopicsRequest) (*kmsg.DeleteTopicsResponse, error) {
	return ask(ctx, c, req.TimeoutMillis, func(v view) ([]metadata.Record, *kmsg.DeleteTopicsResponse) { return c.machine.deleteTopics(v, req) })
}

// CreatePartitions grows topics, each named once.
func (c *Controller) CreatePartitions(ctx context.Context, req *kmsg.CreatePartitionsRequest) (*kmsg.CreatePartitionsResponse, error) {
	return ask(ctx, c, req.TimeoutMillis, func(v view) ([]metadata.Record, *kmsg.CreatePartitionsResponse) {
		return c.machine.createPartitions(v, req)
	})
}

// IncrementalAlterConfigs changes topic, broker, group and client-metrics configs.
func (c *Controller) IncrementalAlterConfigs(ctx context.Context, req *kmsg.IncrementalAlterConfigsRequest) (*kmsg.IncrementalAlterConfigsResponse, error) {
	return ask(ctx, c, 0, func(v view) ([]metadata.Record, *kmsg.IncrementalAlterConfigsResponse) {
		return c.machine.incrementalAlterConfigs(v, req)
	})
}

// AlterConfigs replaces a resource's dynamic configs.
func (c *Controller) AlterConfigs(ctx context.Context, req *kmsg.AlterConfigsRequest) (*kmsg.AlterConfigsResponse, error) {
	return ask(ctx, c, 0, func(v view) ([]metadata.Record, *kmsg.AlterConfigsResponse) { return c.machine.alterConfigs(v, req) })
}
