package groupcoord

import (
	"iter"
	"time"
)

// What the machine of consumer groups (KIP-848) is given from outside: topics, assignors, the resolver of
// patterns, and a group's configuration. All are pure: they answer the same for the same input.

// TopicInfo is a topic as groups see it.
type TopicInfo struct {
	Name       string
	ID         UUID
	Partitions int32 // they are 0 to Partitions-1
}

// Topics are the topics of one moment. They never change: who learns of a change makes new Topics.
type Topics interface {
	// Version rises with each change; what was looked up under a version is true while it is the version.
	Version() int64
	ByName(name string) (TopicInfo, bool)
	ByID(id UUID) (TopicInfo, bool)
	// All visits every topic in no order, the internal ones too.
	All() iter.Seq[TopicInfo]
}

// Assignment are partitions by topic: ascending, each at most once; no topic has an empty list. An
// Assignment that was handed over is read-only, and parts of it may be shared.
type Assignment map[UUID][]int32

// AssignMember is a member as an assignor sees it.
type AssignMember struct {
	ID         string
	InstanceID string // of a static member; "": dynamic
	Rack       string // "": not known
	// Subscribed are the topics that the member wants: all exist, ascending by id, each once. Members with
	// one subscription may share the slice.
	Subscribed []UUID
	// Target is what the member should have by the last assignment: what is to be kept where possible. It
	// may name topics and partitions that are no more, or no longer subscribed.
	Target Assignment
}

// AssignSpec is what an assignor works on.
type AssignSpec struct {
	Members []AssignMember // ascending by ID
	// Homogeneous says that all members have the same Subscribed.
	Homogeneous bool
	Topics      Topics
}

// Assignor spreads the partitions of subscribed topics over the members, the same way for the same spec:
// each partition that somebody subscribes goes to exactly one member that subscribes its topic.
type Assignor interface {
	// Name is that which members ask for, "uniform".
	Name() string
	// Assign returns the members' assignments in the order of the spec's Members. One that equals the
	// member's Target may be that map itself. A member without partitions has an empty Assignment.
	Assign(spec *AssignSpec) []Assignment
}

// ResolvePattern returns the names of the topics that a pattern (RE2) matches as a whole, ascending,
// internal ones too. The error says what is wrong with the pattern, in RE2's words: "missing closing ]".
type ResolvePattern func(pattern string, topics Topics) ([]string, error)

// ConsumerConfig is the configuration of one consumer group: the broker's, with the group's own over it.
type ConsumerConfig struct {
	SessionTimeout    time.Duration
	HeartbeatInterval time.Duration
	// HeartbeatIntervalSet says that somebody set the interval, for the broker or for the group: then it
	// is kept to exactly, otherwise it is the most that the machine chooses.
	HeartbeatIntervalSet bool
	// AssignmentInterval is the least time between two assignments of a group.
	AssignmentInterval time.Duration
}

// MigrationPolicy says which way groups may change their protocol while they have members.
type MigrationPolicy int8

// Policies, as group.consumer.migration.policy names them: bits of the two ways.
const (
	MigrationDisabled      MigrationPolicy = 0
	MigrationUpgrade       MigrationPolicy = 1
	MigrationDowngrade     MigrationPolicy = 2
	MigrationBidirectional                 = MigrationUpgrade | MigrationDowngrade
)

// ConsumerSettings are what the machine of consumer groups stands on, for all groups.
type ConsumerSettings struct {
	// Assignors are those that members may ask for; the first is taken when nobody asks.
	Assignors []Assignor
	Resolve   ResolvePattern
	// Config is the present configuration of a group.
	Config    func(group string) ConsumerConfig
	MaxSize   int // members of a group
	Migration MigrationPolicy
	// RegexRefresh is how long a resolved pattern is good although no topic has changed.
	RegexRefresh time.Duration
}
