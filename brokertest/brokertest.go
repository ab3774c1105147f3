// Package brokertest runs a whole broker inside a Go test: on a free port of the loopback interface,
// with its data in a directory of the test, stopped when the test ends.
//
//	b := brokertest.Start(t)
//	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
package brokertest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"minikafka/broker"
	"minikafka/config"
)

const stopTimeout = 10 * time.Second

// Broker is a running broker.
type Broker struct {
	*broker.Broker
	Addr string // host:port of its first listener
	Dir  string // its data
}

// Start runs a fresh broker with the given properties ("name=value") over those of a broker for
// development. It returns when the broker answers.
func Start(t testing.TB, properties ...string) *Broker {
	t.Helper()
	return StartIn(t, t.TempDir(), properties...)
}

// StartIn is Start with the data in dir, which may hold those of an earlier broker.
func StartIn(t testing.TB, dir string, properties ...string) *Broker {
	t.Helper()
	defaults := config.Dev(dir)
	defaults["listeners"] = "PLAINTEXT://127.0.0.1:0"
	delete(defaults, "advertised.listeners")
	values, _, err := config.Load(config.Sources{Defaults: defaults, Overrides: properties})
	if err != nil {
		t.Fatalf("brokertest: %v", err)
	}
	b, err := broker.New(broker.Options{
		Config: values,
		Logger: slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatalf("brokertest: %v", err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatalf("brokertest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			t.Errorf("brokertest: stop: %v", err)
		}
	})
	return &Broker{Broker: b, Addr: b.Endpoints()[0].Address(), Dir: dir}
}

// logWriter shows the broker's warnings with the test's output.
type logWriter struct{ t testing.TB }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Helper()
	w.t.Log(string(p))
	return len(p), nil
}
