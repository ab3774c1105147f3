package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"minikafka/broker"
	"minikafka/config"
)

// stopTimeout is how long a clean stop may take.
const stopTimeout = 30 * time.Second

// featuresEnv has the levels of --feature, with spaces between, where no flag can be given.
const featuresEnv = "MINIKAFKA_FEATURES"

// serverFlags are the flags of everything that runs a broker.
type serverFlags struct {
	config    string
	overrides []string
	features  []string
	dataDir   string
	logFormat string
	logLevel  string
	adminHTTP string
}

func (s *serverFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.config, "config", "", "a server.properties file")
	f.StringArrayVar(&s.overrides, "override", nil, "a property, name=value; stronger than file and environment")
	f.StringArrayVar(&s.features, "feature", strings.Fields(os.Getenv(featuresEnv)),
		"a feature's level, name=level, for a new cluster, as kafka-storage format has it; also "+featuresEnv)
	f.StringVar(&s.dataDir, "data-dir", "minikafka-data", "where the data are kept when log.dirs is not set")
	f.StringVar(&s.logFormat, "log-format", "text", "text or json")
	f.StringVar(&s.adminHTTP, "admin-http", "", "host:port, on loopback, of an HTTP listener with Go's profiles (/debug/pprof/); empty for none")
	f.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
}

// run serves until a signal. dev: tell a newcomer what to do next.
func (s *serverFlags) run(ctx context.Context, out io.Writer, dev bool) error {
	level := new(slog.LevelVar)
	log, err := s.logger(level)
	if err != nil {
		return err
	}
	values, err := s.load(log)
	if err != nil {
		return err
	}
	features, err := s.featureLevels()
	if err != nil {
		return err
	}
	limitMemory(log)
	b, err := broker.New(broker.Options{
		Config: values, ClusterID: os.Getenv("CLUSTER_ID"), Features: features, Logger: log, LogLevel: level, Announce: out,
		AdminHTTP: s.adminHTTP,
		Fatal:     func(error) { os.Exit(1) }, // it is logged; a flush or an answer now could be a lie
	})
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if err := b.Start(ctx); err != nil {
		return err
	}
	log.Info("serving", "cluster", b.ClusterID(), "endpoints", addresses(b), "version", version)
	if dev {
		greet(out, b, config.Get(values, config.LogDirs))
	}
	log.Info("stopping", "signal", (<-signals).String())
	go func() {
		log.Warn("stopping at once", "signal", (<-signals).String())
		os.Exit(1)
	}()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	log.Info("stopped")
	return nil
}

func (s *serverFlags) featureLevels() (map[string]int16, error) {
	levels := map[string]int16{}
	for _, f := range s.features {
		name, text, found := strings.Cut(f, "=")
		level, err := strconv.ParseInt(text, 10, 16)
		if !found || err != nil {
			return nil, fmt.Errorf("--feature: %q is not name=level", f)
		}
		levels[name] = int16(level)
	}
	return levels, nil
}

func (s *serverFlags) logger(level *slog.LevelVar) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	level.Set(l)
	o := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	}
	return nil, fmt.Errorf("--log-format: %q is neither text nor json", s.logFormat)
}

func (s *serverFlags) load(log *slog.Logger) (*config.Values, error) {
	sources := config.Sources{Defaults: config.Dev(s.dataDir), Environ: os.Environ(), Overrides: s.overrides}
	if s.config != "" {
		file, err := os.ReadFile(s.config)
		if err != nil {
			return nil, err
		}
		sources.File = file
	}
	values, warnings, err := config.Load(sources)
	if err != nil {
		return nil, err
	}
	for _, name := range warnings.Unknown {
		log.Warn("unknown configuration, ignored", "name", name)
	}
	for _, name := range warnings.NoEffect {
		log.Warn("configuration has no effect here", "name", name)
	}
	return values, nil
}

func addresses(b *broker.Broker) []string {
	var list []string
	for _, e := range b.Endpoints() {
		list = append(list, e.Listener+"://"+e.Address())
	}
	return list
}

func greet(out io.Writer, b *broker.Broker, dirs []string) {
	addr := "localhost:9092"
	if e := b.Endpoints(); len(e) > 0 {
		addr = e[0].Address()
	}
	_, _ = fmt.Fprintf(out, `
Mini Kafka serves on %[1]s, data in %[2]s. Try in another terminal:

  echo hello | kcat -b %[1]s -t greetings -P
  kcat -b %[1]s -t greetings -C -o beginning -e

Ctrl-C stops it.
`, addr, strings.Join(dirs, ", "))
}
