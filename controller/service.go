package controller

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/metadata"
)

// Options say what a controller stands on.
type Options struct {
	FS          vfs.FS
	Clock       clock.Clock
	Logger      *slog.Logger
	Dir         string // the metadata log dir; the log is Dir/__cluster_metadata-0
	NodeID      int32
	ClusterID   string
	DirectoryID metadata.UUID // of Dir
	// LogDirectoryIDs are all log dirs of this node, for placement and registration.
	LogDirectoryIDs []metadata.UUID
	Config          *config.Values // static; dynamic broker configs are in the image
	// Fatal is called once when the quorum cannot go on (an fsync error): the process must end.
	Fatal func(error)
}

// Controller runs the quorum and answers the requests that change metadata. Answers come back only
// when the change is committed and every subscriber has applied it.
type Controller struct{}

// Open replays snapshot and log, and campaigns. It returns when the node leads its quorum (one voter)
// and the image is caught up with the log.
func Open(ctx context.Context, o Options) (*Controller, error) { panic("controller: being built") }

// Close ends the loop after what is in flight.
func (c *Controller) Close() error { panic("being built") }

// Image is the newest committed image.
func (c *Controller) Image() *metadata.Image { panic("being built") }

// Subscribe adds a subscriber and calls it at once with the present image (delta: everything).
func (c *Controller) Subscribe(name string, s metadata.Subscriber) { panic("being built") }

// RegisterBroker writes the registration (fenced), and Unfence lets it serve.
func (c *Controller) RegisterBroker(ctx context.Context, b metadata.Broker) (brokerEpoch int64, err error) {
	panic("being built")
}

// Unfence commits that the broker serves.
func (c *Controller) Unfence(ctx context.Context, id int32, brokerEpoch int64) error {
	panic("being built")
}

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

// AllocateProducerIDs hands out a block that is never handed out again.
func (c *Controller) AllocateProducerIDs(ctx context.Context, brokerID int32, brokerEpoch int64) (first int64, count int32, err error) {
	panic("being built")
}
