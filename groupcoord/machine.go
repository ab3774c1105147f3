package groupcoord

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"minikafka/coordinator"
)

// Settings are what a machine reads of the configuration.
type Settings struct {
	MinSessionTimeout, MaxSessionTimeout time.Duration
	InitialRebalanceDelay                time.Duration
	MaxSize                              int
	OffsetMetadataMaxBytes               int
	OffsetsRetention, ExpiryInterval     time.Duration
	Consumer                             ConsumerSettings
	// MaxBatchBytes is the most that the records of one request may take.
	MaxBatchBytes func() int
	// NewMemberID makes the random part of a member id.
	NewMemberID func() string
}

// newMemberJoinTimeout is how long a member that has just come may wait for its first join phase to end.
const newMemberJoinTimeout = 5 * time.Minute

// Client is who sent a request.
type Client struct{ ID, Host string }

// Machine holds the groups and committed offsets of one partition of __consumer_offsets.
type Machine struct {
	settings Settings
	groups   map[string]*group // classic ones
	// consumers are the groups of KIP-848; an id is in one of the two.
	consumers map[string]*consumerGroup
	topics    Topics // as the last request saw them; nil: there was none
	offsets   offsetStore
	timers    timers
	loaded    bool

	expireAt time.Time // when offsets are next looked through
	sweep    []string  // groups that this look has yet to visit
	gone     []string  // topics that were deleted and whose offsets have yet to be

	countedAt time.Time // when the members of consumer groups were last counted
	counted   int

	// Of the step that is running.
	now time.Time
	out coordinator.Outcome
}

// NewMachine is a machine that has replayed nothing.
func NewMachine(s Settings) *Machine {
	return &Machine{settings: s, groups: map[string]*group{}, consumers: map[string]*consumerGroup{}, offsets: newOffsetStore()}
}

// step runs one decision and returns its outcome.
func (m *Machine) step(now time.Time, decide func()) coordinator.Outcome {
	m.now, m.out = now, coordinator.Outcome{}
	decide()
	return m.out
}

func (m *Machine) reply(to coordinator.Token, answer any) {
	m.out.Replies = append(m.out.Replies, coordinator.Reply{Token: to, Answer: answer})
}

func (m *Machine) record(r coordinator.Record) { m.out.Records = append(m.out.Records, r) }

func (m *Machine) event(g *group, message string, args ...any) {
	args = append([]any{"group", g.id, "generation", g.generation, "members", len(g.members)}, args...)
	m.out.Events = append(m.out.Events, coordinator.Event{Message: message, Args: args})
}

func (m *Machine) nowMs() int64 { return m.now.UnixMilli() }

// Loaded arms the timers of what was replayed. A group that is larger than is now allowed rebalances.
func (m *Machine) Loaded(now time.Time) coordinator.Outcome {
	return m.step(now, func() {
		m.loaded = true
		m.expireAt = now.Add(m.settings.ExpiryInterval)
		for _, g := range m.groups {
			for _, member := range g.members {
				m.armSession(g, member, member.sessionTimeout)
			}
			if len(g.members) > m.settings.MaxSize {
				m.prepareRebalance(g, "the group is larger than group.max.size")
			}
		}
		for _, g := range m.consumers {
			m.armConsumers(g)
		}
	})
}

// Wake is when Tick has something to do.
func (m *Machine) Wake() time.Time {
	if len(m.sweep) > 0 || len(m.gone) > 0 {
		return m.now
	}
	next := m.timers.next()
	if next.IsZero() || m.expireAt.Before(next) {
		return m.expireAt
	}
	return next
}

// Tick fires the deadlines that have passed, and goes on with expiring offsets.
func (m *Machine) Tick(now time.Time) coordinator.Outcome {
	return m.step(now, func() {
		for {
			e, ok := m.timers.pop(now)
			if !ok {
				break
			}
			m.fire(e)
		}
		if !m.expireAt.After(now) {
			m.startSweep()
		}
		m.goOnSweeping()
	})
}

// fire looks at the deadline that an entry reminds of.
func (m *Machine) fire(e timerEntry) {
	d, act := m.deadline(e)
	if d == nil || !d.armed.Equal(e.at) {
		return // of another deadline that had this place, or an entry that was made superfluous
	}
	d.armed = time.Time{}
	switch {
	case d.at.IsZero():
	case d.at.After(m.now):
		m.timers.set(d, d.at, e.kind, e.group, e.member)
	default:
		d.at = time.Time{}
		act()
	}
}

// deadline is what an entry reminds of, and what is to be done when it has passed.
func (m *Machine) deadline(e timerEntry) (*deadline, func()) {
	if c := m.consumers[e.group]; c != nil {
		return m.consumerDeadline(c, e)
	}
	g := m.groups[e.group]
	if g == nil {
		return nil, nil
	}
	d, act := g.deadline(e)
	return d, func() { act(m, g, e.member) }
}

func (g *group) deadline(e timerEntry) (*deadline, func(*Machine, *group, string)) {
	switch e.kind {
	case joinTimer:
		return &g.join, (*Machine).joinExpired
	case syncTimer:
		return &g.sync, (*Machine).syncExpired
	case rebalanceTimer: // of a consumer group
	case sessionTimer:
		if p := g.pending[e.member]; p != nil {
			return &p.session, (*Machine).sessionExpired
		}
		if member := g.byID[e.member]; member != nil {
			return &member.session, (*Machine).sessionExpired
		}
	}
	return nil, nil
}

func (m *Machine) armSession(g *group, member *member, after time.Duration) {
	m.timers.set(&member.session, m.now.Add(after), sessionTimer, g.id, member.id)
}

// Replay applies a record of the log. Records of groups that this machine wrote itself say what the group
// is already: they make a group or end it, and the rest is for the next load.
func (m *Machine) Replay(at, producerID int64, r coordinator.Record) error {
	p, err := parseKey(r.Key)
	if err != nil {
		return err
	}
	switch {
	case p.key == keyGroupMetadata:
		return m.replayGroup(p, r.Value)
	case isConsumerKey(p.key):
		return m.replayConsumer(p, r.Value)
	}
	return m.replayOffset(at, producerID, p, r.Value)
}

func (m *Machine) replayGroup(p parsed, value []byte) error {
	switch {
	case value == nil:
		delete(m.groups, p.group)
		return nil
	case m.loaded && m.groups[p.group] != nil:
		return nil
	}
	metadata, err := parseGroup(value)
	if err != nil {
		return err
	}
	delete(m.consumers, p.group)
	m.groups[p.group] = loadGroup(p.group, metadata)
	return nil
}

func (m *Machine) replayOffset(at, producerID int64, p parsed, value []byte) error {
	if value == nil {
		m.offsets.remove(p.group, p.topic, p.partition)
		return nil
	}
	o, err := parseOffset(value)
	if err != nil {
		return err
	}
	if m.groups[p.group] == nil && m.consumers[p.group] == nil {
		m.groups[p.group] = newGroup(p.group, o.committedAt) // of commits without members
	}
	o.recordedAt = at
	if producerID >= 0 {
		m.offsets.putPending(producerID, p.group, p.topic, p.partition, o)
		return nil
	}
	m.offsets.put(p.group, p.topic, p.partition, o)
	return nil
}

// ReplayMarker ends a transaction that committed offsets.
func (m *Machine) ReplayMarker(producerID int64, commit bool) {
	m.offsets.endTransaction(producerID, commit)
}

// code is the wire code of an error; nil is none.
func code(e *kerr.Error) int16 {
	if e == nil {
		return 0
	}
	return e.Code
}
