package broker

import (
	"errors"
	"io"
	"log/slog"
	"net"

	"minikafka/config"
	"minikafka/internal/clock"
	"minikafka/internal/vfs"
)

// Options say what a broker stands on. Only Config is needed.
type Options struct {
	// Config is the node's static configuration, as config.Load returns it.
	Config *config.Values
	// ClusterID is wanted of a fresh data directory; "" takes what the directories say, or makes one.
	ClusterID string
	// Features are levels, by name, that a new cluster begins with instead of Kafka's defaults
	// (transaction.version=1). Where there is a cluster already they say nothing.
	Features map[string]int16
	FS       vfs.FS                                              // nil: the operating system's
	Clock    clock.Clock                                         // nil: real
	Logger   *slog.Logger                                        // nil: nothing is logged
	LogLevel *slog.LevelVar                                      // of Logger; nil: cannot be changed while the broker runs
	Listen   func(network, address string) (net.Listener, error) // nil: net.Listen
	// Announce gets the lines by which Kafka's users know that a broker serves; nil: none.
	Announce io.Writer
	// AdminHTTP is host:port, on loopback, of an HTTP listener with Go's profiles; "" for none.
	AdminHTTP string
	// Fatal is called, at most once, when the broker cannot go on (an fsync of the metadata log failed, no
	// log directory is left): the process must end. nil: the broker only logs it and serves no more.
	Fatal func(error)
}

func (o Options) validate() (Options, error) {
	if o.Config == nil {
		return o, errors.New("broker: Options.Config is missing")
	}
	if err := errors.Join(config.RequireAlone(o.Config), config.RequireNoAuthorizer(o.Config)); err != nil {
		return o, err
	}
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LogLevel == nil {
		o.LogLevel = new(slog.LevelVar)
	}
	if o.Listen == nil {
		o.Listen = net.Listen
	}
	if o.Announce == nil {
		o.Announce = io.Discard
	}
	return o, nil
}
