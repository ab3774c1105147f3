package groupcoord

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

type topicPartition struct {
	topic     UUID
	partition int32
}

// consumerClient is what a client of the consumer protocol believes and does.
type consumerClient struct {
	group    string
	instance *string
	id       string
	epoch    int32 // 0: it is to join
	topics   []string
	regex    *string
	uses     map[topicPartition]bool // what it reads
	wants    map[topicPartition]bool // what it was last told to have
	full     bool                    // its next request says everything: the last answer was lost
}

// consumerModel checks the machine against what such clients may rely on.
type consumerModel struct {
	t         *testing.T
	rand      *rand.Rand
	m         *Machine
	set       Settings
	interval  time.Duration
	now       time.Time
	ids       int
	token     coordinator.Token
	topics    map[string]int32
	view      *fakeTopics
	clients   []*consumerClient
	classics  []*classicClient
	waiting   map[coordinator.Token]*classicClient
	ending    bool                          // nobody leaves any more
	migrating bool                          // members of the consumer protocol are few, and often gone
	log       map[string]coordinator.Record // compacted
	epochs    map[string]int32              // of groups and members in this life: they only rise
	counts    map[string]int
}

func newConsumerModel(t *testing.T, seed uint64) *consumerModel {
	m := &consumerModel{
		t: t, rand: rand.New(rand.NewPCG(seed, 2)), now: time.UnixMilli(1_000_000), topics: map[string]int32{"t1": 4, "t2": 3},
		log: map[string]coordinator.Record{}, epochs: map[string]int32{}, counts: map[string]int{},
		waiting: map[coordinator.Token]*classicClient{},
	}
	m.view = newFakeTopics(1, m.topics)
	m.set = Settings{
		OffsetMetadataMaxBytes: 10, OffsetsRetention: 1000 * time.Hour, ExpiryInterval: time.Hour,
		MaxBatchBytes: func() int { return 1 << 20 },
		NewMemberID:   func() string { m.ids++; return strconv.Itoa(m.ids) },
		Consumer:      consumerTestSettings(func() time.Duration { return m.interval }),
	}
	m.set.Consumer.MaxSize, m.set.MaxSize = 6, 6
	consumers, classics := 12, 4
	if m.migrating = seed%2 == 1; m.migrating {
		consumers, classics = 4, 6
	}
	for i := range consumers {
		c := &consumerClient{group: fmt.Sprintf("g%d", i%2)}
		if i%3 == 0 {
			name := fmt.Sprintf("i%d", i)
			c.instance = &name
		}
		m.clients = append(m.clients, c)
	}
	for i := range classics {
		m.classics = append(m.classics, &classicClient{group: fmt.Sprintf("g%d", i%2)})
	}
	m.restart()
	return m
}

func (m *consumerModel) restart() {
	m.m = NewMachine(m.set)
	m.waiting = map[coordinator.Token]*classicClient{}
	for _, c := range m.classics {
		c.parked = false
	}
	for _, r := range m.log {
		require.NoError(m.t, m.m.Replay(0, -1, r))
	}
	m.apply(m.m.Loaded(m.now))
}

func (m *consumerModel) apply(o coordinator.Outcome) {
	for _, r := range o.Records {
		require.NoError(m.t, m.m.Replay(0, -1, r))
		if r.Value == nil {
			delete(m.log, string(r.Key))
			delete(m.epochs, string(r.Key))
			continue
		}
		m.log[string(r.Key)] = r
		m.checkEpoch(r)
	}
	for _, e := range o.Events {
		if e.Message == "consumer group is a classic group now" {
			m.counts["consumer to classic"]++
		}
	}
	for _, reply := range o.Replies {
		if c := m.waiting[reply.Token]; c != nil {
			delete(m.waiting, reply.Token)
			m.learnClassic(c, reply.Answer)
		}
	}
	if len(o.Records) == 0 {
		return
	}
	k, err := parseKey(o.Records[0].Key) // a step of one group; Tick and Loaded are of several
	require.NoError(m.t, err)
	for id, g := range m.m.consumers {
		if id == k.group || len(o.Replies) == 0 {
			m.checkOwners(g)
		}
	}
}

// checkEpoch: what a record says of an epoch is not less than the one before it said.
func (m *consumerModel) checkEpoch(r coordinator.Record) {
	k, err := parseKey(r.Key)
	require.NoError(m.t, err)
	g := newConsumerGroup(k.group)
	var epoch int32
	switch k.key {
	case keyConsumerGroupMetadata:
		require.NoError(m.t, g.replay(k, r.Value))
		epoch = g.epoch
	case keyConsumerGroupTargetAssignmentMetadata:
		require.NoError(m.t, g.replay(k, r.Value))
		epoch = g.assignmentEpoch
	case keyConsumerGroupCurrentMemberAssignment:
		require.NoError(m.t, g.replay(k, r.Value))
		if epoch = g.members[k.member].epoch; epoch == epochLeftStatic {
			return
		}
	default:
		return
	}
	if epoch < m.epochs[string(r.Key)] {
		m.t.Fatalf("%s: after %d", showRecord(r), m.epochs[string(r.Key)])
	}
	m.epochs[string(r.Key)] = epoch
}

// checkOwners: a partition is with one member at most, and members use only what is theirs.
func (m *consumerModel) checkOwners(g *consumerGroup) {
	owners, inUse := map[topicPartition]string{}, map[topicPartition]string{}
	for _, c := range g.members {
		for _, h := range [...]holding{c.assigned, c.revoking} {
			for topic, list := range h {
				for _, p := range list {
					tp := topicPartition{topic, p.partition}
					if other := owners[tp]; other != "" {
						m.t.Fatalf("%s-%d is with %s and with %s:\n%s", topicName(topic), p.partition, other, c.id, settledConsumers(g))
					}
					owners[tp] = c.id
				}
			}
		}
	}
	use := func(group, id string, epoch int32, uses map[topicPartition]bool) {
		if group != g.id || g.members[id] == nil || epoch <= 0 {
			return // who was fenced will learn of it; its commits are refused
		}
		for tp := range uses {
			if other := inUse[tp]; other != "" && other != id {
				m.t.Fatalf("%s-%d is used by %s and by %s:\n%s", topicName(tp.topic), tp.partition, other, id, settledConsumers(g))
			}
			inUse[tp] = id
		}
	}
	for _, c := range m.clients {
		use(c.group, c.id, c.epoch, c.uses)
	}
	for _, c := range m.classics {
		use(c.group, c.id, c.generation, c.uses)
	}
}

func (m *consumerModel) step() {
	c := m.clients[m.rand.IntN(len(m.clients))]
	switch n := m.rand.IntN(1000); {
	case n < 550 && !m.migrating, n < 150:
		m.beat(c, m.rand.IntN(3) > 0)
	case n < 700:
		m.stepClassic(m.classics[m.rand.IntN(len(m.classics))])
	case n < 720, m.migrating && n > 900 && n < 960:
		m.leave(c, epochLeaves)
	case n < 730 && c.instance != nil:
		m.leave(c, epochLeftStatic)
	case n < 750:
		m.subscribe(c)
		c.full = true
	case n < 752:
		c.id, c.epoch, c.uses, c.wants = "", 0, nil, nil // it was killed and starts anew
	case n < 754:
		m.restart()
	case n < 760:
		m.changeTopics()
	case n < 765:
		m.interval = time.Duration(m.rand.IntN(2)) * time.Second
	default:
		m.pass(time.Duration(m.rand.IntN(3000)) * time.Millisecond)
	}
}

func (m *consumerModel) pass(d time.Duration) {
	m.now = m.now.Add(d)
	for range 100 {
		if wake := m.m.Wake(); wake.After(m.now) {
			break
		}
		m.apply(m.m.Tick(m.now))
	}
}

func (m *consumerModel) changeTopics() {
	name := "t" + strconv.Itoa(m.rand.IntN(4))
	switch n, there := m.topics[name]; {
	case !there:
		m.topics[name] = int32(1 + m.rand.IntN(4))
	case m.rand.IntN(3) == 0:
		delete(m.topics, name)
	default:
		m.topics[name] = min(n+1, 8)
	}
	m.view = newFakeTopics(m.view.version+1, m.topics)
}

func (m *consumerModel) subscribe(c *consumerClient) {
	c.topics, c.regex = []string{}, nil
	for i := range 4 {
		if m.rand.IntN(2) == 0 {
			c.topics = append(c.topics, "t"+strconv.Itoa(i))
		}
	}
	pattern := [...]string{"", "t[12]", "t.*"}[m.rand.IntN(3)]
	c.regex = &pattern
}

// beat sends a heartbeat; acts: the client has done by now what it was told.
func (m *consumerModel) beat(c *consumerClient, acts bool) {
	if acts {
		c.act()
		if g := m.m.consumers[c.group]; g != nil && m.rand.IntN(4) == 0 {
			m.checkOwners(g)
		}
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.InstanceID, req.MemberEpoch = 1, c.group, c.instance, c.epoch
	if c.id == "" {
		c.id = m.set.NewMemberID()
	}
	if c.topics == nil {
		m.subscribe(c)
	}
	req.MemberID = c.id
	if c.epoch == 0 || c.full {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames, req.SubscribedTopicRegex = 5000, c.topics, c.regex
		c.full = false
	}
	if req.RebalanceTimeoutMillis != -1 || acts || m.rand.IntN(2) == 0 {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		for tp := range c.uses {
			req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: tp.topic, Partitions: []int32{tp.partition}})
		}
	}
	resp := m.send(req)
	if m.rand.IntN(20) == 0 {
		// The answer was lost. Of a client that went on with what an earlier answer told it, after it had
		// reported not to have it yet, the protocol cannot protect others but by refusing its commits.
		c.full, c.wants = true, nil
		return
	}
	m.learn(c, resp)
}

func (m *consumerModel) send(req *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse {
	if no := m.set.CheckConsumerHeartbeat(req); no != nil {
		m.t.Fatal(*no.ErrorMessage)
	}
	m.token++
	classic := m.m.groups[req.Group]
	o := m.m.ConsumerGroupHeartbeat(m.now, m.token, Client{ID: "c"}, req, m.view)
	m.apply(o)
	i := slices.IndexFunc(o.Replies, func(r coordinator.Reply) bool { return r.Token == m.token })
	require.GreaterOrEqual(m.t, i, 0)
	resp := o.Replies[i].Answer.(*kmsg.ConsumerGroupHeartbeatResponse)
	m.counts[codeName(resp.ErrorCode)]++
	if classic != nil && len(classic.members) > 0 && m.m.consumers[req.Group] != nil {
		m.counts["classic to consumer"]++
	}
	if resp.ErrorCode != 0 {
		require.Empty(m.t, o.Records, "a refused request changes nothing")
	}
	return resp
}

// act gives up what the client should no longer have, and takes what it should have.
func (c *consumerClient) act() {
	if c.wants == nil {
		return
	}
	c.uses = map[topicPartition]bool{}
	for tp := range c.wants {
		c.uses[tp] = true
	}
}

func (m *consumerModel) learn(c *consumerClient, resp *kmsg.ConsumerGroupHeartbeatResponse) {
	switch codeName(resp.ErrorCode) {
	case "ok":
		c.epoch = resp.MemberEpoch
	case "UNRELEASED_INSTANCE_ID", "GROUP_MAX_SIZE_REACHED":
		return
	case "FENCED_INSTANCE_ID":
		c.id, c.epoch, c.uses, c.wants = "", 0, nil, nil
		return
	default:
		c.epoch, c.uses, c.wants = 0, nil, nil
		return
	}
	if resp.Assignment == nil {
		return
	}
	c.wants = map[topicPartition]bool{}
	for _, t := range resp.Assignment.Topics {
		for _, p := range t.Partitions {
			c.wants[topicPartition{t.TopicID, p}] = true
		}
	}
}

func (m *consumerModel) leave(c *consumerClient, epoch int32) {
	if c.id == "" {
		return
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = 1, c.group, c.id, epoch, c.instance
	c.uses, c.wants, c.epoch = nil, nil, 0
	m.send(req)
	c.id = ""
}

// finish lets everyone heartbeat until nothing changes: then all is assigned, once.
func (m *consumerModel) finish() {
	m.interval, m.ending = 0, true
	for range 30 {
		m.pass(100 * time.Millisecond)
		for _, c := range m.clients {
			m.beat(c, true)
		}
		for range 4 {
			for _, c := range m.classics {
				m.stepClassic(c)
			}
		}
	}
	m.pass(44 * time.Second) // members that nobody speaks for any more have gone
	for range 30 {
		m.pass(2 * time.Second)
		for _, c := range m.clients {
			m.beat(c, true)
		}
		for range 4 {
			for _, c := range m.classics {
				m.stepClassic(c)
			}
		}
	}
	for _, g := range m.m.consumers {
		require.Equal(m.t, ConsumerStable, g.state(), settledConsumers(g))
		held := map[topicPartition]bool{}
		for _, c := range g.members {
			for topic, list := range c.assigned {
				for _, p := range list {
					held[topicPartition{topic, p.partition}] = true
				}
			}
		}
		for name := range g.topicNames() {
			for p := range m.topics[name] {
				require.True(m.t, held[topicPartition{namedID(name), p}], "%s-%d is with nobody:\n%s", name, p, settledConsumers(g))
			}
		}
	}
}

// TestConsumerModel does random operations: a partition is never with two members, nor used by two, epochs
// only rise, whichever protocol members speak and groups have; a refused request changes nothing, memory is the replay of the log, and when everyone keeps
// quiet the groups become stable with every partition at somebody.
func TestConsumerModel(t *testing.T) {
	const seeds = 20
	counts := map[string]int{}
	for seed := range uint64(seeds) {
		m := newConsumerModel(t, seed)
		for i := range consumerOperations / seeds {
			m.step()
			if i%5000 == 0 {
				s := &sim{m: m.m, now: m.now, set: m.set}
				for _, r := range m.log {
					s.log = append(s.log, r)
				}
				requireReplayed(t, s)
			}
		}
		m.finish()
		for name, n := range m.counts {
			counts[name] += n
		}
	}
	t.Log(counts)
	for _, name := range []string{
		"classic to consumer", "consumer to classic", "classic assigned by the machine", "classic assigned by its leader",
		"ok", "UNKNOWN_MEMBER_ID", "FENCED_MEMBER_EPOCH", "UNRELEASED_INSTANCE_ID", "GROUP_MAX_SIZE_REACHED", "FENCED_INSTANCE_ID",
	} {
		require.NotZero(t, counts[name], "the walk never met %q", name)
	}
}
