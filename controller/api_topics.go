package controller

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreateTopics answers per topic as replication.md section 5 says; validateOnly is honoured.
func (c *Controller) CreateTopics(ctx context.Context, req *kmsg.CreateTopicsRequest) (*kmsg.CreateTopicsResponse, error) {
	panic("being built")
}

// DeleteTopics answers when the names can be used again.
func (c *Controller) DeleteTopics(ctx context.Context, req *kmsg.DeleteTopicsRequest) (*kmsg.DeleteTopicsResponse, error) {
	panic("being built")
}

// CreatePartitions grows topics.
func (c *Controller) CreatePartitions(ctx context.Context, req *kmsg.CreatePartitionsRequest) (*kmsg.CreatePartitionsResponse, error) {
	panic("being built")
}

// IncrementalAlterConfigs changes topic and broker configs.
func (c *Controller) IncrementalAlterConfigs(ctx context.Context, req *kmsg.IncrementalAlterConfigsRequest) (*kmsg.IncrementalAlterConfigsResponse, error) {
	panic("being built")
}

// AlterConfigs replaces a resource's dynamic configs.
func (c *Controller) AlterConfigs(ctx context.Context, req *kmsg.AlterConfigsRequest) (*kmsg.AlterConfigsResponse, error) {
	panic("being built")
}
