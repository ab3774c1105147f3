package txncoord

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"minikafka/config"
	"minikafka/coordinator"
	"minikafka/metadata"
)

// Topic holds the records of transactions.
const Topic = "__transaction_state"

// commitTimeout is how long an answer waits for its records to be committed.
const commitTimeout = 5 * time.Second

// ServiceOptions say what a service stands on.
type ServiceOptions struct {
	NodeID int32
	Clock  coordinator.Clock
	Logger *slog.Logger
	Config *config.Values // of the start: nothing here is dynamic
	// Level is the finalized transaction.version.
	Level func() int16
	// OpenLog is a partition of Topic that this broker leads; nil when it cannot be used.
	OpenLog     func(partition int32) coordinator.Log
	ProducerIDs *ProducerIDs
	Markers     MarkerWriter
}

// Service finds the shard of a transactional id. It is safe for concurrent use.
type Service struct {
	o        ServiceOptions
	settings Settings
	shards   *coordinator.Shards[*shard]
}

type shard struct {
	*coordinator.Shard[*Machine]
	epoch   int32 // the partition's leader epoch: the coordinator epoch of markers
	senders *senders
}

// Stop ends the shard, and then who writes markers for it.
func (sh *shard) Stop() {
	sh.Shard.Stop()
	sh.senders.stop()
}

// Call is a request that waits in a shard: see Wait.
type Call = coordinator.Call

// NewService is a service without shards; Apply brings them.
func NewService(o ServiceOptions) *Service {
	s := &Service{o: o, settings: Settings{
		Expiration:     config.Get(o.Config, config.TransactionalIDExpirationMs),
		ExpiryInterval: config.Get(o.Config, config.TransactionRemoveExpiredIntervalMs),
		Level:          o.Level,
		ProducerID:     o.ProducerIDs.Take,
	}}
	s.shards = coordinator.NewShards(coordinator.ShardsOptions[*shard]{
		Partitions:   config.Get(o.Config, config.TransactionStateLogNumPartitions),
		LifePerEpoch: true, // markers carry it
		Start:        s.start,
	})
	return s
}

// Apply is the metadata.Subscriber: it starts shards of partitions that this broker leads now and stops
// those of others. It comes after the partitions themselves.
func (s *Service) Apply(_ *metadata.Image, delta *metadata.Delta) {
	for _, t := range delta.DeletedTopics {
		if t.Name == Topic {
			s.shards.Lead(nil)
		}
	}
	for _, t := range delta.Topics {
		if t.Name == Topic {
			s.shards.Lead(t.LeaderEpochs(s.o.NodeID))
		}
	}
}

func (s *Service) start(partition, leaderEpoch int32) (*shard, bool) {
	log := s.o.OpenLog(partition)
	if log == nil {
		return nil, false
	}
	settings := s.settings
	settings.MaxBatchBytes = log.MaxBatchBytes
	sh := &shard{epoch: leaderEpoch}
	logger := s.o.Logger.With("topic", Topic, "partition", partition)
	sh.senders = newSenders(s.o.Markers, s.o.Clock, logger, sh)
	sh.senders.started.Add(1)
	sh.Shard = coordinator.Start(coordinator.Options[*Machine]{
		Log: log, NewMachine: func() *Machine { return NewMachine(settings) }, Clock: s.o.Clock, Logger: logger,
		CommitTimeout:   commitTimeout,
		LoadBufferBytes: config.Get(s.o.Config, config.TransactionStateLogLoadBufferSize),
		Act:             func(action any) { sh.senders.send(action.(markers)) },
	})
	sh.senders.started.Done()
	return sh, true
}

// Close stops all shards; what waits is answered with NOT_COORDINATOR.
func (s *Service) Close() { s.shards.Close() }

// PartitionFor is the partition of Topic that holds a transactional id.
func (s *Service) PartitionFor(id string) int32 { return s.shards.PartitionFor(id) }

type step = coordinator.Step[*Machine]

func (s *Service) write(id string, do step) *Call {
	if sh, ok := s.shards.For(id); ok {
		return sh.Write(do)
	}
	return coordinator.Answered(nil, coordinator.ErrNotCoordinator)
}

// CheckInit is what is wrong with a time-out whatever the id; nil: nothing.
func (s *Service) CheckInit(timeoutMs int32) *kerr.Error {
	if timeoutMs <= 0 || time.Duration(timeoutMs)*time.Millisecond > config.Get(s.o.Config, config.TransactionMaxTimeoutMs) {
		return kerr.InvalidTransactionTimeout
	}
	return nil
}

// InitProducerID is Machine.InitProducerID. It waits.
func (s *Service) InitProducerID(ctx context.Context, r Init) Identity {
	return s.identify(ctx, r.TransactionalID, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		return m.InitProducerID(now, t, r)
	})
}

// EndTxn is Machine.EndTxn. It waits.
func (s *Service) EndTxn(ctx context.Context, r End) Identity {
	return s.identify(ctx, r.TransactionalID, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		return m.EndTxn(now, t, r)
	})
}

// identify runs a step, again when there is a producer id if it turns out to need one.
func (s *Service) identify(ctx context.Context, id string, do step) Identity {
	for {
		identity, e := Wait[Identity](ctx, s.write(id, do))
		switch {
		case e != nil:
			return refuse(e)
		case !identity.needsID:
			return identity
		}
		if err := s.o.ProducerIDs.Await(ctx); err != nil {
			s.o.Logger.Warn("no producer id to give", "transactionalId", id, "error", err)
			return refuse(kerr.CoordinatorLoadInProgress)
		}
	}
}

// AddPartitions is Machine.AddPartitions; its answer is an Added.
func (s *Service) AddPartitions(r Add) *Call {
	return s.write(r.TransactionalID, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		return m.AddPartitions(now, t, r)
	})
}

// Describe is Machine.Describe of one id.
func (s *Service) Describe(id string) *Call {
	sh, ok := s.shards.For(id)
	if !ok {
		return coordinator.Answered(nil, coordinator.ErrNotCoordinator)
	}
	return sh.Read(func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		return m.Describe(now, t, []string{id})
	})
}

// List is Machine.List of every shard of this broker.
func (s *Service) List(f Filter) []*Call {
	shards := s.shards.All()
	calls := make([]*Call, 0, len(shards))
	for _, p := range slices.Sorted(maps.Keys(shards)) {
		calls = append(calls, shards[p].Read(func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
			return m.List(now, t, f)
		}))
	}
	return calls
}

// Wait is a call's answer, or the code of why there is none.
func Wait[T any](ctx context.Context, c *Call) (T, *kerr.Error) {
	return coordinator.Wait[T](ctx, c)
}
