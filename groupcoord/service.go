package groupcoord

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/coordinator"
	"minikafka/metadata"
)

// Topic holds the records of groups and offsets.
const Topic = "__consumer_offsets"

// ServiceOptions say what a service stands on.
type ServiceOptions struct {
	NodeID int32
	Clock  coordinator.Clock
	Logger *slog.Logger
	Config *config.Values // of the start
	// Values are the present ones, for what is dynamic; nil: those of the start.
	Values func() *config.Values
	// OpenLog is a partition of Topic that this broker leads; nil when it cannot be used.
	OpenLog func(partition int32) coordinator.Log
	// NewMemberID makes the random part of a member id.
	NewMemberID func() string
}

// Service finds the shard of a group. It is safe for concurrent use.
type Service struct {
	o        ServiceOptions
	settings Settings
	shards   *coordinator.Shards[*shard]
	seen     atomic.Pointer[seen]
}

type shard = coordinator.Shard[*Machine]

// Call is a request that waits in a shard: see Wait.
type Call = coordinator.Call

// NewService is a service without shards; Apply brings them.
func NewService(o ServiceOptions) *Service {
	s := &Service{o: o, settings: Settings{
		MinSessionTimeout:      config.Get(o.Config, config.GroupMinSessionTimeoutMs),
		MaxSessionTimeout:      config.Get(o.Config, config.GroupMaxSessionTimeoutMs),
		InitialRebalanceDelay:  config.Get(o.Config, config.GroupInitialRebalanceDelayMs),
		MaxSize:                int(config.Get(o.Config, config.GroupMaxSize)),
		OffsetMetadataMaxBytes: int(config.Get(o.Config, config.OffsetMetadataMaxBytes)),
		OffsetsRetention:       config.Get(o.Config, config.OffsetsRetentionMinutes),
		ExpiryInterval:         config.Get(o.Config, config.OffsetsRetentionCheckIntervalMs),
		NewMemberID:            o.NewMemberID,
	}}
	empty := metadata.Empty("")
	s.seen.Store(&seen{empty, &imageTopics{empty, empty.Offset}})
	s.settings.Consumer = s.consumerSettings()
	s.shards = coordinator.NewShards(coordinator.ShardsOptions[*shard]{
		Partitions: config.Get(o.Config, config.OffsetsTopicNumPartitions),
		Start:      s.start,
	})
	return s
}

// Apply is the metadata.Subscriber: it starts shards of partitions that this broker leads now and stops
// those of others. It comes after the partitions themselves.
func (s *Service) Apply(image *metadata.Image, delta *metadata.Delta) {
	s.see(image, delta)
	var gone []string
	for _, t := range delta.DeletedTopics {
		if t.Name == Topic {
			s.shards.Lead(nil)
		} else if image.TopicByName(t.Name) == nil {
			gone = append(gone, t.Name)
		}
	}
	for _, t := range delta.Topics {
		if t.Name == Topic {
			s.shards.Lead(t.LeaderEpochs(s.o.NodeID))
		}
	}
	if len(gone) > 0 {
		for _, sh := range s.shards.All() {
			sh.Write(func(m *Machine, now time.Time, _ coordinator.Token) coordinator.Outcome {
				return m.TopicsDeleted(now, gone)
			})
		}
	}
}

func (s *Service) start(partition, _ int32) (*shard, bool) {
	log := s.o.OpenLog(partition)
	if log == nil {
		return nil, false
	}
	settings := s.settings
	settings.MaxBatchBytes = log.MaxBatchBytes
	return coordinator.Start(coordinator.Options[*Machine]{
		Log: log, NewMachine: func() *Machine { return NewMachine(settings) }, Clock: s.o.Clock,
		Logger:          s.o.Logger.With("topic", Topic, "partition", partition),
		CommitTimeout:   config.Get(s.o.Config, config.OffsetsCommitTimeoutMs),
		LoadBufferBytes: config.Get(s.o.Config, config.OffsetsLoadBufferSize),
	}), true
}

// Close stops all shards; what waits is answered with NOT_COORDINATOR.
func (s *Service) Close() { s.shards.Close() }

// PartitionFor is the partition of Topic that holds a group.
func (s *Service) PartitionFor(group string) int32 { return s.shards.PartitionFor(group) }

type step = coordinator.Step[*Machine]

func (s *Service) write(group string, do step) *Call {
	if sh, ok := s.shards.For(group); ok {
		return sh.Write(do)
	}
	return coordinator.Answered(nil, coordinator.ErrNotCoordinator)
}

func (s *Service) read(group string, do step) *Call {
	if sh, ok := s.shards.For(group); ok {
		return sh.Read(do)
	}
	return coordinator.Answered(nil, coordinator.ErrNotCoordinator)
}

// CheckJoin is what is wrong with a JoinGroup whatever the group; nil: nothing.
func (s *Service) CheckJoin(req *kmsg.JoinGroupRequest) *kerr.Error { return s.settings.CheckJoin(req) }

// JoinGroup is Machine.JoinGroup. The request's bytes are copied.
func (s *Service) JoinGroup(c Client, req *kmsg.JoinGroupRequest) *Call {
	for i := range req.Protocols {
		req.Protocols[i].Metadata = slices.Clone(req.Protocols[i].Metadata)
	}
	return s.write(req.Group, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		m.See(s.seen.Load().topics)
		return m.JoinGroup(now, t, c, req)
	})
}

// SyncGroup is Machine.SyncGroup. The request's bytes are copied.
func (s *Service) SyncGroup(req *kmsg.SyncGroupRequest) *Call {
	for i := range req.GroupAssignment {
		req.GroupAssignment[i].MemberAssignment = slices.Clone(req.GroupAssignment[i].MemberAssignment)
	}
	return s.write(req.Group, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		m.See(s.seen.Load().topics)
		return m.SyncGroup(now, t, req)
	})
}

// Heartbeat is Machine.Heartbeat.
func (s *Service) Heartbeat(req *kmsg.HeartbeatRequest) *Call {
	return s.read(req.Group, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		return m.Heartbeat(now, t, req)
	})
}

// LeaveGroup is Machine.LeaveGroup.
func (s *Service) LeaveGroup(req *kmsg.LeaveGroupRequest) *Call {
	return s.write(req.Group, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		m.See(s.seen.Load().topics)
		return m.LeaveGroup(now, t, req)
	})
}

// OffsetCommit is Machine.OffsetCommit.
func (s *Service) OffsetCommit(req *kmsg.OffsetCommitRequest) *Call {
	return s.write(req.Group, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		return m.OffsetCommit(now, t, req)
	})
}

// OffsetFetch is Machine.OffsetFetch.
func (s *Service) OffsetFetch(f Fetch) *Call {
	return s.read(f.Group, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		return m.OffsetFetch(now, t, f)
	})
}

// OffsetDelete is Machine.OffsetDelete.
func (s *Service) OffsetDelete(req *kmsg.OffsetDeleteRequest) *Call {
	return s.write(req.Group, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		return m.OffsetDelete(now, t, req)
	})
}

// List is Machine.List of every shard of this broker.
func (s *Service) List(states, types []string) []*Call {
	shards := s.shards.All()
	calls := make([]*Call, 0, len(shards))
	for _, p := range slices.Sorted(maps.Keys(shards)) {
		calls = append(calls, shards[p].Read(func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
			return m.List(now, t, states, types)
		}))
	}
	return calls
}

// Part is the part of a request that goes to one shard.
type Part struct {
	Groups []string
	Call   *Call
}

// Describe is Machine.Describe, a part for each shard.
func (s *Service) Describe(groups []string, version int16) []Part {
	return s.parts(groups, func(first string, part []string) *Call {
		return s.read(first, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
			return m.Describe(now, t, part, version)
		})
	})
}

// Delete is Machine.Delete, a part for each shard.
func (s *Service) Delete(groups []string) []Part {
	return s.parts(groups, func(first string, part []string) *Call {
		return s.write(first, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
			return m.Delete(now, t, part)
		})
	})
}

func (s *Service) parts(groups []string, post func(first string, part []string) *Call) []Part {
	byPartition := map[int32][]string{}
	for _, g := range groups {
		p := s.PartitionFor(g)
		byPartition[p] = append(byPartition[p], g)
	}
	parts := make([]Part, 0, len(byPartition))
	for _, p := range slices.Sorted(maps.Keys(byPartition)) {
		part := byPartition[p]
		parts = append(parts, Part{part, post(part[0], part)})
	}
	return parts
}

// Wait is a call's answer, or the code of why there is none.
func Wait[T any](ctx context.Context, c *Call) (T, *kerr.Error) {
	return coordinator.Wait[T](ctx, c)
}
