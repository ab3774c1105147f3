package handlers

import (
	"context"
	"log/slog"

	"minikafka/config"
	"minikafka/controller"
	"minikafka/groupcoord"
	"minikafka/internal/clock"
	"minikafka/logstore"
	"minikafka/metadata"
	"minikafka/replication"
	"minikafka/txncoord"
)

// Handlers is what all handlers share.
type Handlers struct {
	NodeID       int32
	ClusterID    string
	APIs         []API // Table: what ApiVersions shows (a handler that named Table would be part of its own initialisation)
	Logger       *slog.Logger
	LogLevel     *slog.LevelVar // of Logger: BROKER_LOGGER's "root" is changed here
	Clock        clock.Clock
	Config       func() *config.Values // with dynamic broker configs applied
	Image        func() *metadata.Image
	Partitions   *replication.Manager
	Store        *logstore.Store
	Controller   *controller.Controller
	Groups       *groupcoord.Service
	Transactions *txncoord.Service
	// Markers writes transaction markers on this broker's partitions.
	Markers txncoord.MarkerWriter
	// ProducerIDs hands out ids for InitProducerId.
	ProducerIDs interface {
		Next(ctx context.Context) (int64, error)
	}

	fetchSessions fetchSessions
}
