package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"minikafka/config"
	"minikafka/controller"
	"minikafka/groupcoord"
	"minikafka/handlers"
	"minikafka/logstore"
	"minikafka/metadata"
	"minikafka/protocol"
	"minikafka/replication"
	"minikafka/txncoord"
)

const (
	// defaultRequestMemory bounds large requests in work where neither queued.max.request.bytes nor
	// GOMEMLIMIT says anything; with GOMEMLIMIT it is a quarter of that.
	defaultRequestMemory = 256 << 20
	// drainTime is what answers in work have at a stop whose context has no earlier end.
	drainTime = 5 * time.Second
)

// Times that a peer has. Those that Kafka has a configuration for come from there.
const (
	firstByteTimeout = 30 * time.Second
	frameTimeout     = 30 * time.Second
	writeTimeout     = 30 * time.Second
)

// Broker is one node: broker and controller in one process.
type Broker struct {
	o      Options
	nodeID int32
	values atomic.Pointer[config.Values] // with dynamic broker configs applied

	store        *logstore.Store
	storeOpened  chan struct{}          // closed when store is there, or will not be
	inspected    *controller.Inspection // what the metadata log held before anything was written
	controller   *controller.Controller
	partitions   *replication.Manager
	groups       *groupcoord.Service
	transactions *txncoord.Service
	srv          *server
	listeners    []*listener
	endpoints    []metadata.Endpoint
	admin        *adminHTTP
	epoch        int64 // of this life's registration

	fatalOnce sync.Once
	stopOnce  sync.Once
	stopErr   error
}

// New makes a broker that does nothing before Start.
func New(o Options) (*Broker, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	b := &Broker{o: o, nodeID: config.Get(o.Config, config.NodeID), epoch: -1, storeOpened: make(chan struct{})}
	b.values.Store(o.Config)
	return b, nil
}

// Start opens the logs, brings the metadata up to date, takes over the partitions and opens the
// listeners, in this order. It returns when requests are answered. After an error nothing is left open.
func (b *Broker) Start(ctx context.Context) error {
	err := b.start(ctx)
	if err != nil {
		_ = b.Stop(ctx)
	}
	return err
}

func (b *Broker) start(ctx context.Context) error {
	b.srv = b.newServer()
	if err := b.listen(); err != nil { // ports that are taken show before anything is written
		return err
	}
	if b.o.AdminHTTP != "" {
		var err error
		if b.admin, err = openAdminHTTP(b.o.AdminHTTP); err != nil {
			return err
		}
	}
	if err := b.openStore(ctx); err != nil {
		return err
	}
	if err := b.openController(ctx); err != nil {
		return err
	}
	b.partitions = replication.NewManager(replication.Options{
		Store: b.store, NodeID: b.nodeID, Clock: b.o.Clock, Logger: b.o.Logger, Config: b.values.Load,
	})
	b.controller.Subscribe("config", b.applyConfig)
	b.controller.Subscribe("partitions", b.partitions.Apply)
	b.groups = b.newGroups()
	b.controller.Subscribe("groups", b.groups.Apply)
	ids := txncoord.NewProducerIDs(func(ctx context.Context) (int64, int32, error) {
		return b.controller.AllocateProducerIDs(ctx, b.nodeID, b.epoch)
	})
	b.transactions = b.newTransactions(ids)
	b.controller.Subscribe("transactions", b.transactions.Apply)
	if err := b.register(ctx); err != nil {
		return err
	}
	h := &handlers.Handlers{
		NodeID: b.nodeID, ClusterID: b.store.ClusterID(), APIs: handlers.Table,
		Logger: b.o.Logger, LogLevel: b.o.LogLevel, Clock: b.o.Clock,
		Config: b.values.Load, Image: b.controller.Image,
		Partitions: b.partitions, Store: b.store, Controller: b.controller, Groups: b.groups,
		Transactions: b.transactions, Markers: &markerWriter{b}, ProducerIDs: ids,
	}
	b.srv.lookup, b.srv.serve = handlers.Lookup, h.Serve
	for _, l := range b.listeners {
		l.start()
	}
	b.announce()
	b.partitions.OpenAll()
	return nil
}

// newServer is what the connections of all listeners share.
func (b *Broker) newServer() *server {
	return &server{
		frameLimit: func(key int16) int {
			v := b.values.Load()
			return int(min(config.Get(v, config.SocketRequestMaxBytes), protocol.MaxFrameBytes(key, config.Get(v, config.MaxMessageBytes))))
		},
		limits: limits{
			firstByte: firstByteTimeout, frame: frameTimeout, write: writeTimeout,
			idle: config.Get(b.o.Config, config.ConnectionsMaxIdleMs),
		},
		budget: &budget{limit: requestMemory(b.o.Config)},
		log:    b.o.Logger,
	}
}

func requestMemory(v *config.Values) int {
	if n := config.Get(v, config.QueuedMaxRequestBytes); n > 0 {
		return int(n)
	}
	if limit := debug.SetMemoryLimit(-1); limit < 1<<50 {
		return int(limit / 4)
	}
	return defaultRequestMemory
}

// listen binds every listener of brokers and clients; none accepts yet.
func (b *Broker) listen() error {
	configured, err := config.Listeners(b.o.Config)
	if err != nil {
		return err
	}
	limit := func(k config.Key[int32]) func() int {
		return func() int { return int(config.Get(b.values.Load(), k)) }
	}
	_, most := descriptorShares()
	maxConnections := limit(config.MaxConnections)
	g := newGate(func() int { return min(most, maxConnections()) }, limit(config.MaxConnectionsPerIP))
	for _, l := range configured {
		if l.Protocol != config.Plaintext {
			return fmt.Errorf("listener %s: security protocol %s is not served yet", l.Name, l.Protocol)
		}
		ln, err := b.o.Listen("tcp", net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))))
		if err != nil {
			return fmt.Errorf("listener %s: %w", l.Name, err)
		}
		b.listeners = append(b.listeners, newListener(l.Name, ln, b.srv, g))
		if !l.Advertised {
			continue
		}
		port := l.AdvertisedPort
		if tcp, ok := ln.Addr().(*net.TCPAddr); ok && port == 0 {
			port = int32(tcp.Port)
		}
		b.endpoints = append(b.endpoints, metadata.Endpoint{
			Name: l.Name, Host: l.AdvertisedHost, Port: uint16(port), SecurityProtocol: int16(l.Protocol),
		})
	}
	return nil
}

func (b *Broker) fatal(err error) {
	b.fatalOnce.Do(func() {
		b.o.Logger.Error("the broker cannot go on", "error", err)
		if b.o.Fatal != nil {
			b.o.Fatal(err)
			return
		}
		go func() { _ = b.Stop(context.Background()) }()
	})
}

// controllerOptions are what is known before the store is open.
func (b *Broker) controllerOptions(dir string) controller.Options {
	return controller.Options{
		FS: b.o.FS, Clock: b.o.Clock, Logger: b.o.Logger, Dir: dir, NodeID: b.nodeID, Config: b.o.Config,
		Features: b.o.Features, Fatal: b.fatal,
	}
}

func (b *Broker) openController(ctx context.Context) (err error) {
	o := b.controllerOptions(b.store.MetadataDir())
	o.ClusterID, o.Inspected = b.store.ClusterID(), b.inspected
	for _, d := range b.store.Dirs() {
		o.LogDirectoryIDs = append(o.LogDirectoryIDs, d.ID)
		if d.Path == o.Dir {
			o.DirectoryID = d.ID
		}
	}
	b.inspected = nil
	b.controller, err = controller.Open(ctx, o)
	return err
}

// applyConfig is a metadata.Subscriber: dynamic broker configs over the static ones.
func (b *Broker) applyConfig(image *metadata.Image, delta *metadata.Delta) {
	own := metadata.Resource{Type: metadata.ResourceBroker, Name: strconv.Itoa(int(b.nodeID))}
	all := metadata.Resource{Type: metadata.ResourceBroker}
	_, changed := delta.Configs[own]
	if _, ok := delta.Configs[all]; ok || changed {
		v := b.o.Config.WithDynamic(image.Configs(own), image.Configs(all))
		b.values.Store(v)
		b.store.SetCleanerConfig(cleanerConfig(v))
	}
}

// register makes the broker known, and lets it serve: its partitions are there by then.
func (b *Broker) register(ctx context.Context) error {
	reg := metadata.Broker{ID: b.nodeID, Endpoints: b.endpoints, Features: metadata.SupportedFeatures()}
	_, _ = rand.Read(reg.IncarnationID[:]) // never fails
	if rack := config.Get(b.o.Config, config.BrokerRack); rack != "" {
		reg.Rack = &rack
	}
	for _, d := range b.store.Dirs() {
		if !d.Offline {
			reg.Directories = append(reg.Directories, d.ID)
		}
	}
	epoch, err := b.controller.RegisterBroker(ctx, reg)
	if err != nil {
		return fmt.Errorf("registering broker %d: %w", b.nodeID, err)
	}
	b.epoch = epoch
	if err := b.controller.Unfence(ctx, b.nodeID, epoch); err != nil {
		return fmt.Errorf("unfencing broker %d: %w", b.nodeID, err)
	}
	return nil
}

// announce writes what scripts and test containers wait for, whatever the format of the log.
func (b *Broker) announce() {
	_, _ = fmt.Fprintf(b.o.Announce, `[BrokerLifecycleManager id=%[1]d] The broker has been unfenced. Transitioning from RECOVERY to RUNNING. (kafka.server.BrokerLifecycleManager)
[KafkaRaftServer nodeId=%[1]d] Kafka Server started (kafka.server.KafkaRaftServer)
[KafkaServer id=%[1]d] started (kafka.server.KafkaServer)
`, b.nodeID)
}

// Endpoint is an advertised endpoint of the broker.
type Endpoint struct {
	Listener string
	Host     string
	Port     uint16
}

// Address is host:port.
func (e Endpoint) Address() string { return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))) }

// Endpoints are where clients find the broker; valid after Start.
func (b *Broker) Endpoints() []Endpoint {
	list := make([]Endpoint, 0, len(b.endpoints))
	for _, e := range b.endpoints {
		list = append(list, Endpoint{e.Name, e.Host, e.Port})
	}
	return list
}

// ClusterID is the cluster's id; valid after Start.
func (b *Broker) ClusterID() string { return b.store.ClusterID() }

// Stop is a clean stop, Start in reverse: what is in work is answered until ctx ends (at most five
// seconds), leaderships are given up, the logs are flushed and marked clean. Calls after the first
// return the same.
func (b *Broker) Stop(ctx context.Context) error {
	b.stopOnce.Do(func() { b.stopErr = b.stop(ctx) })
	return b.stopErr
}

func (b *Broker) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	var closing sync.WaitGroup
	for _, l := range b.listeners {
		closing.Go(func() { l.close(ctx) })
	}
	closing.Wait()
	var errs []error
	if b.controller != nil {
		if b.epoch >= 0 {
			errs = append(errs, b.controller.ControlledShutdown(ctx, b.nodeID, b.epoch))
		}
		if b.transactions != nil {
			b.transactions.Close()
		}
		if b.groups != nil {
			b.groups.Close()
		}
		if b.partitions != nil {
			b.partitions.Close()
		}
		errs = append(errs, b.controller.Close())
	}
	if b.store != nil {
		errs = append(errs, b.store.Close(b.epoch))
	}
	if b.admin != nil {
		errs = append(errs, b.admin.close(ctx))
	}
	return errors.Join(errs...)
}
