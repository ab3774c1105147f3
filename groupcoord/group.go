package groupcoord

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// State of a classic group.
type State int8

// States, as Kafka names them.
const (
	Empty               State = iota // no members; it may still have offsets
	PreparingRebalance               // members are joining
	CompletingRebalance              // the generation is made; the leader's assignment is awaited
	Stable                           // members have their assignment
	Dead                             // there is no such group
)

//nolint:gochecknoglobals // a table
var stateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}

// String is the state's name on the wire.
func (s State) String() string { return stateNames[s] }

// validFrom are the states from which each state may be entered.
//
//nolint:gochecknoglobals // a table
var validFrom = [...][]State{
	Empty:               {PreparingRebalance},
	PreparingRebalance:  {Stable, CompletingRebalance, Empty},
	CompletingRebalance: {PreparingRebalance},
	Stable:              {CompletingRebalance},
	Dead:                {Empty, PreparingRebalance, CompletingRebalance, Stable, Dead},
}

// consumerProtocolType is the protocol type of consumers: its subscriptions can be read.
const consumerProtocolType = "consumer"

// supportedProtocol is one that a member supports, with the member's metadata for it.
type supportedProtocol struct {
	name     string
	metadata []byte
}

// member of a classic group.
type member struct {
	id                               string
	instance                         *string // of a static member
	clientID, clientHost             string
	rebalanceTimeout, sessionTimeout time.Duration
	protocols                        []supportedProtocol // in order of preference
	assignment                       []byte
	join, sync                       coordinator.Token // the parked request; 0: none
	isNew                            bool              // has not completed a join phase yet
	awaitingSync                     bool              // has not sent SyncGroup in this generation
	session                          deadline
}

// metadata of a protocol; nil when the member does not support it.
func (m *member) metadata(name string) []byte {
	for _, p := range m.protocols {
		if p.name == name {
			return p.metadata
		}
	}
	return nil
}

func (m *member) matches(protocols []supportedProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b supportedProtocol) bool {
		return a.name == b.name && string(a.metadata) == string(b.metadata)
	})
}

// satisfied: a parked request keeps its member alive, except for one that has just come.
func (m *member) satisfied() bool { return !m.isNew && (m.join != 0 || m.sync != 0) }

// pendingMember was given an id and has not joined with it yet.
type pendingMember struct{ session deadline }

// group is a classic group.
type group struct {
	id              string
	state, previous State
	generation      int32
	synced          bool    // the generation has been Stable, and so is in a record
	protocolType    string  // "": none, a group of commits without members
	protocol        *string // of the generation
	leader          string  // member id; "": none
	stateTimestamp  int64   // ms; -1: not known
	members         []*member
	byID            map[string]*member
	static          map[string]string // instance id → member id
	pending         map[string]*pendingMember
	joined          int            // members with a parked JoinGroup
	supported       map[string]int // by protocol: how many members support it
	// subscribed are the topics of a consumer group's members; nil: not known.
	subscribed map[string]bool

	join           deadline
	joinDelay      time.Duration // of the initial delay that is running
	joinRemaining  time.Duration // what the initial delay may still be extended by
	initialDelay   bool          // the join timer is the initial delay
	newMemberAdded bool          // since the initial delay was last extended
	sync           deadline
}

func newGroup(id string, nowMs int64) *group {
	return &group{
		id: id, state: Empty, previous: Dead, stateTimestamp: nowMs,
		byID: map[string]*member{}, static: map[string]string{}, pending: map[string]*pendingMember{},
		supported: map[string]int{},
	}
}

func (g *group) transition(to State, nowMs int64) {
	if !slices.Contains(validFrom[to], g.state) {
		panic("group " + g.id + ": " + g.state.String() + " to " + to.String())
	}
	g.previous, g.state, g.stateTimestamp = g.state, to, nowMs
}

func (g *group) add(m *member) {
	if m.instance != nil {
		g.static[*m.instance] = m.id
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members = append(g.members, m)
	g.byID[m.id] = m
	g.count(m, 1)
	if m.join != 0 {
		g.joined++
	}
	delete(g.pending, m.id)
}

// count adds a member's protocols to those that the group supports, or takes them away.
func (g *group) count(m *member, n int) {
	for _, p := range m.protocols {
		g.supported[p.name] += n
		if g.supported[p.name] == 0 {
			delete(g.supported, p.name)
		}
	}
}

// park sets a member's parked JoinGroup; 0: none.
func (g *group) park(m *member, join coordinator.Token) {
	if m.join != 0 {
		g.joined--
	}
	if m.join = join; join != 0 {
		g.joined++
	}
}

// remove forgets a member or a pending one. The next leader is the first that joined.
func (g *group) remove(id string) {
	if m := g.byID[id]; m != nil {
		g.park(m, 0)
		g.count(m, -1)
		delete(g.byID, id)
		g.members = slices.DeleteFunc(g.members, func(other *member) bool { return other == m })
		if m.instance != nil {
			delete(g.static, *m.instance)
		}
	}
	if g.leader == id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
	delete(g.pending, id)
}

func (g *group) allJoined() bool { return g.joined == len(g.members) && len(g.pending) == 0 }

// electJoined makes sure that the leader is a member that joined; false: there is none.
func (g *group) electJoined() bool {
	leader := g.byID[g.leader]
	if leader == nil {
		return false
	}
	if leader.join != 0 {
		return true
	}
	for _, m := range g.members {
		if m.join != 0 {
			g.leader = m.id
			return true
		}
	}
	return false
}

func (g *group) rebalanceTimeout() (longest time.Duration) {
	for _, m := range g.members {
		longest = max(longest, m.rebalanceTimeout)
	}
	return longest
}

// supports says whether a member with these protocols can be in the group.
func (g *group) supports(protocolType string, protocols []supportedProtocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	if g.protocolType == "" || g.protocolType != protocolType {
		return false
	}
	return slices.ContainsFunc(protocols, func(p supportedProtocol) bool { return g.supportedByAll(p.name) })
}

func (g *group) supportedByAll(name string) bool { return g.supported[name] == len(g.members) }

// selectProtocol: each member votes for the first of its protocols that all support. With equal votes
// the one that was voted for first wins.
func (g *group) selectProtocol() string {
	votes, order := map[string]int{}, []string{}
	for _, m := range g.members {
		i := slices.IndexFunc(m.protocols, func(p supportedProtocol) bool { return g.supportedByAll(p.name) })
		if i < 0 {
			continue
		}
		name := m.protocols[i].name
		if votes[name]++; votes[name] == 1 {
			order = append(order, name)
		}
	}
	best := ""
	for _, name := range order {
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// nextGeneration ends the join phase.
func (g *group) nextGeneration(nowMs int64) {
	g.generation++
	g.synced = false
	if len(g.members) > 0 {
		name := g.selectProtocol()
		g.protocol = &name
		g.transition(CompletingRebalance, nowMs)
	} else {
		g.protocol = nil
		g.transition(Empty, nowMs)
	}
	g.subscribed = g.computeSubscribed()
	for _, m := range g.members {
		m.awaitingSync = false
	}
}

// computeSubscribed reads the members' subscriptions; nil when that cannot be done.
func (g *group) computeSubscribed() map[string]bool {
	if g.protocolType != consumerProtocolType {
		return nil
	}
	topics := map[string]bool{}
	if len(g.members) == 0 {
		return topics
	}
	if g.protocol == nil {
		return nil
	}
	for _, m := range g.members {
		if !subscription(m.metadata(*g.protocol), topics) {
			return nil
		}
	}
	return topics
}

// subscription adds the topics of a ConsumerProtocolSubscription, any version: they come first in all.
func subscription(b []byte, topics map[string]bool) bool {
	const versionSize, countSize, lengthSize = 2, 4, 2
	if len(b) < versionSize+countSize || int16(binary.BigEndian.Uint16(b)) < 0 {
		return false
	}
	n := int32(binary.BigEndian.Uint32(b[versionSize:]))
	b = b[versionSize+countSize:]
	for ; n > 0; n-- {
		if len(b) < lengthSize {
			return false
		}
		size := int(int16(binary.BigEndian.Uint16(b)))
		if size < 0 || len(b) < lengthSize+size {
			return false
		}
		topics[string(b[lengthSize:lengthSize+size])] = true
		b = b[lengthSize+size:]
	}
	return n == 0
}

// subscribes says whether offsets of a topic are in use; where subscriptions cannot be read, any may be.
func (g *group) subscribes(topic string) bool {
	if g.subscribed == nil {
		return g.protocolType == consumerProtocolType
	}
	return g.subscribed[topic]
}

// record is the group as it is now; without a protocol type it is that of a new group.
func (g *group) record() coordinator.Record {
	v := kmsg.GroupMetadataValue{
		Version: groupMetadataVersion, ProtocolType: g.protocolType, Generation: g.generation,
		Protocol: g.protocol, CurrentStateTimestamp: g.stateTimestamp,
	}
	if g.leader != "" {
		v.Leader = &g.leader
	}
	for _, m := range g.members {
		v.Members = append(v.Members, kmsg.GroupMetadataValueMember{
			MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceTimeoutMillis: int32(m.rebalanceTimeout.Milliseconds()),
			SessionTimeoutMillis:   int32(m.sessionTimeout.Milliseconds()),
			Subscription:           m.metadata(*g.protocol), Assignment: m.assignment,
		})
	}
	return coordinator.Record{Key: groupKey(g.id), Value: v.AppendTo(nil)}
}

// newGroupRecord is the record of a group that was made just now: none of its members is in it.
func newGroupRecord(g *group) coordinator.Record {
	v := kmsg.GroupMetadataValue{Version: groupMetadataVersion, CurrentStateTimestamp: g.stateTimestamp}
	return coordinator.Record{Key: groupKey(g.id), Value: v.AppendTo(nil)}
}

// loadGroup is a group as its last record left it.
func loadGroup(id string, v *kmsg.GroupMetadataValue) *group {
	g := newGroup(id, v.CurrentStateTimestamp)
	g.generation, g.protocolType, g.protocol = v.Generation, v.ProtocolType, v.Protocol
	for i := range v.Members {
		r := &v.Members[i]
		rebalance := r.RebalanceTimeoutMillis
		if v.Version < 1 || rebalance == -1 {
			rebalance = r.SessionTimeoutMillis
		}
		m := &member{
			id: r.MemberID, instance: r.InstanceID, clientID: r.ClientID, clientHost: r.ClientHost,
			rebalanceTimeout: millis(rebalance), sessionTimeout: millis(r.SessionTimeoutMillis), assignment: r.Assignment,
		}
		if v.Protocol != nil {
			m.protocols = []supportedProtocol{{*v.Protocol, r.Subscription}}
		}
		g.add(m)
	}
	g.leader = ""
	if v.Leader != nil {
		g.leader = *v.Leader
	}
	if len(g.members) > 0 {
		g.state, g.synced = Stable, true
	}
	g.subscribed = g.computeSubscribed()
	return g
}

func millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }
