package groupcoord

import (
	"maps"
	"slices"
	"time"
)

// ConsumerState of a consumer group: it follows from epochs and members.
type ConsumerState int8

// States, as Kafka names them.
const (
	ConsumerEmpty       ConsumerState = iota // no members; it may still have offsets
	ConsumerAssigning                        // the group has changed since partitions were last assigned
	ConsumerReconciling                      // members are on the way to the assignment
	ConsumerStable                           // every member has what it should have
	ConsumerDead                             // there is no such group
)

//nolint:gochecknoglobals // a table
var consumerStateNames = [...]string{"Empty", "Assigning", "Reconciling", "Stable", "Dead"}

// String is the state's name on the wire.
func (s ConsumerState) String() string { return consumerStateNames[s] }

// memberState says how far a member is on its way to its target; the numbers are those of its record.
type memberState int8

const (
	memberStable     memberState = 0
	memberUnrevoked  memberState = 1 // it has to give partitions up, and has not said that it did
	memberUnreleased memberState = 2 // partitions of its target are still with others
)

//nolint:gochecknoglobals // a table
var memberStateNames = [...]string{"STABLE", "UNREVOKED_PARTITIONS", "UNRELEASED_PARTITIONS"}

func (s memberState) String() string { return memberStateNames[s] }

// Member epochs that are none.
const (
	epochJoining    int32 = 0
	epochLeaves     int32 = -1
	epochLeftStatic int32 = -2 // of a static member that will be back
)

// consumerMember is a member of a consumer group. It is replaced whole when it changes.
type consumerMember struct {
	id                   string
	instance, rack       *string
	clientID, clientHost string
	topics               []string // subscribed by name, ascending
	regex                *string  // subscribed by pattern; "" is none
	rebalanceTimeoutMs   int32
	assignor             *string
	classic              *classicMemberValue // of a member that speaks the classic protocol

	epoch, previousEpoch int32
	state                memberState
	assigned             holding // what it may use
	revoking             holding // what it was told to give up and may still use

	timers *memberTimers // shared by all versions of the member
}

// memberTimers are a member's deadlines: soft state.
type memberTimers struct {
	session        deadline
	rebalance      deadline // for what it has to give up
	rebalanceEpoch int32    // the member epoch at which that deadline was set
	join, sync     deadline // of a member that speaks the classic protocol
}

func newConsumerMember(id string) *consumerMember {
	none := ""
	return &consumerMember{id: id, rebalanceTimeoutMs: -1, regex: &none, previousEpoch: -1, timers: &memberTimers{}}
}

func equalString(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// sameMetadata says whether the record of the member's metadata would be the same.
func (c *consumerMember) sameMetadata(other *consumerMember) bool {
	return equalString(c.instance, other.instance) && equalString(c.rack, other.rack) &&
		c.clientID == other.clientID && c.clientHost == other.clientHost && slices.Equal(c.topics, other.topics) &&
		equalString(c.regex, other.regex) && c.rebalanceTimeoutMs == other.rebalanceTimeoutMs &&
		equalString(c.assignor, other.assignor) && c.classic.equal(other.classic)
}

// sameCurrent says whether the record of what the member has would be the same.
func (c *consumerMember) sameCurrent(other *consumerMember) bool {
	return c.epoch == other.epoch && c.previousEpoch == other.previousEpoch && c.state == other.state &&
		c.assigned.equal(other.assigned) && c.revoking.equal(other.revoking)
}

func (v *classicMemberValue) equal(other *classicMemberValue) bool {
	if v == nil || other == nil {
		return v == other
	}
	return v.SessionTimeoutMs == other.SessionTimeoutMs &&
		slices.EqualFunc(v.SupportedProtocols, other.SupportedProtocols, func(a, b classicProtocolValue) bool {
			return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
		})
}

// settledAt says whether the member has everything of an assignment.
func (c *consumerMember) settledAt(epoch int32) bool {
	return c.state == memberStable && c.epoch == epoch
}

// pattern is the member's pattern; "" is none.
func (c *consumerMember) pattern() string {
	if c.regex == nil {
		return ""
	}
	return *c.regex
}

// resolvedRegex are the topics that a pattern matched.
type resolvedRegex struct {
	topics             []string // ascending
	version, timestamp int64    // of the Topics that were looked through, and when, in ms
}

// consumerGroup is a group of KIP-848. Hard state changes by the methods of changes alone (put, remove
// and those beside them), each of which is one record.
type consumerGroup struct {
	id              string
	epoch           int32
	hash            int64 // of the subscribed topics
	assignmentEpoch int32
	assignedAt      int64 // ms; 0: partitions were never assigned
	members         map[string]*consumerMember
	target          map[string]Assignment // by member
	regexes         map[string]resolvedRegex

	// What follows from the above.
	static     map[string]string // instance id → member id
	owners     map[UUID]map[int32]string
	byName     map[string]int // how many members subscribe a topic by name
	byRegex    map[string]int // how many members have a pattern
	byAssignor map[string]int
	classic    int            // members that speak the classic protocol
	supported  map[string]int // classic protocols, by how many of those members
	settled    int            // members that have everything of the assignment

	// Soft.
	checkedVersion int64     // of the Topics under which the hash is true; -1: not known
	regexVersion   int64     // of the Topics under which the patterns were resolved
	regexAt        int64     // when, in ms
	movedAt        time.Time // when it last took a step towards an assignment
}

func newConsumerGroup(id string) *consumerGroup {
	return &consumerGroup{
		id: id, epoch: 1, members: map[string]*consumerMember{}, target: map[string]Assignment{}, regexes: map[string]resolvedRegex{},
		static: map[string]string{}, owners: map[UUID]map[int32]string{}, byName: map[string]int{},
		byRegex: map[string]int{}, byAssignor: map[string]int{}, supported: map[string]int{},
		checkedVersion: -1, regexVersion: -1,
	}
}

func (g *consumerGroup) state() ConsumerState {
	switch {
	case len(g.members) == 0:
		return ConsumerEmpty
	case g.epoch > g.assignmentEpoch:
		return ConsumerAssigning
	case g.settled < len(g.members):
		return ConsumerReconciling
	}
	return ConsumerStable
}

// put replaces a member, or adds it.
func (g *consumerGroup) put(c *consumerMember) {
	if old := g.members[c.id]; old != nil {
		g.account(old, -1)
		g.disown(old)
	}
	g.members[c.id] = c
	g.account(c, 1)
	g.own(c.id, c.assigned)
	g.own(c.id, c.revoking)
	if c.instance != nil {
		g.static[*c.instance] = c.id
	}
}

// remove forgets a member; its target is removed on its own.
func (g *consumerGroup) remove(id string) {
	c := g.members[id]
	if c == nil {
		return
	}
	g.account(c, -1)
	g.disown(c)
	delete(g.members, id)
}

// account counts a member in what follows from the members, or out of it.
func (g *consumerGroup) account(c *consumerMember, n int) {
	for _, topic := range c.topics {
		count(g.byName, topic, n)
	}
	if c.pattern() != "" {
		count(g.byRegex, c.pattern(), n)
	}
	if c.assignor != nil {
		count(g.byAssignor, *c.assignor, n)
	}
	if c.classic != nil {
		g.classic += n
		for _, p := range c.classic.SupportedProtocols {
			count(g.supported, p.Name, n)
		}
	}
	if c.settledAt(g.assignmentEpoch) {
		g.settled += n
	}
	if n < 0 && c.instance != nil && g.static[*c.instance] == c.id {
		delete(g.static, *c.instance)
	}
}

func count(m map[string]int, key string, n int) {
	if m[key] += n; m[key] == 0 {
		delete(m, key)
	}
}

func (g *consumerGroup) own(id string, h holding) {
	for topic, partitions := range h {
		if g.owners[topic] == nil {
			g.owners[topic] = make(map[int32]string, len(partitions))
		}
		for _, p := range partitions {
			g.owners[topic][p.partition] = id
		}
	}
}

func (g *consumerGroup) disown(c *consumerMember) {
	for _, h := range [...]holding{c.assigned, c.revoking} {
		for topic, partitions := range h {
			for _, p := range partitions {
				if g.owners[topic][p.partition] == c.id {
					delete(g.owners[topic], p.partition)
				}
			}
			if len(g.owners[topic]) == 0 {
				delete(g.owners, topic)
			}
		}
	}
}

// setAssignmentEpoch says that the targets are those of an epoch.
func (g *consumerGroup) setAssignmentEpoch(epoch int32, atMs int64) {
	g.assignmentEpoch, g.assignedAt = epoch, atMs
	g.settled = 0
	for _, c := range g.members {
		if c.settledAt(epoch) {
			g.settled++
		}
	}
}

// memberIDs are the members in one order.
func (g *consumerGroup) memberIDs() []string { return slices.Sorted(maps.Keys(g.members)) }

// topicNames are the topics that the group subscribes, by name or pattern.
func (g *consumerGroup) topicNames() map[string]bool {
	names := make(map[string]bool, len(g.byName))
	for name := range g.byName {
		names[name] = true
	}
	for _, r := range g.regexes {
		for _, name := range r.topics {
			names[name] = true
		}
	}
	return names
}

// subscribes says whether a member subscribes a topic.
func (g *consumerGroup) subscribes(topic string) bool {
	if g.byName[topic] > 0 {
		return true
	}
	for _, r := range g.regexes {
		if _, ok := slices.BinarySearch(r.topics, topic); ok {
			return true
		}
	}
	return false
}
