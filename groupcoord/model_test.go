package groupcoord

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// modelOperations is how many random operations TestModel does.
const modelOperations = 1_000_000

// modelClient is what one client believes of its membership.
type modelClient struct {
	group    string
	instance *string
	id       string
	gen      int32
	leader   bool
	members  []string
	parked   coordinator.Token
	version  int16
}

// model checks a machine against what clients may rely on.
type model struct {
	t       *testing.T
	rand    *rand.Rand
	m       *Machine
	set     Settings
	now     time.Time
	ids     int
	token   coordinator.Token
	waiting map[coordinator.Token]*modelClient
	clients []*modelClient
	log     map[string]coordinator.Record // compacted
	offset  int64

	generation map[string]int32            // of each group in this life: only rises
	completed  map[string]map[int32]int    // which completion of a number is the present one
	completion int                         // counts completions of join phases
	accepted   map[string]map[int32]int    // the completion of each number that has accepted a commit
	highest    map[string]int32            // generation that accepted a commit
	committed  map[string]map[string]int64 // by group, then topic
	counts     map[string]int
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: time.UnixMilli(1_000_000), waiting: map[coordinator.Token]*modelClient{},
		log: map[string]coordinator.Record{}, completed: map[string]map[int32]int{}, accepted: map[string]map[int32]int{},
		highest: map[string]int32{}, committed: map[string]map[string]int64{}, counts: map[string]int{},
	}
	m.set = Settings{
		MaxSize: 4, OffsetMetadataMaxBytes: 10, OffsetsRetention: 1000 * time.Hour, ExpiryInterval: time.Hour,
		InitialRebalanceDelay: 2 * time.Second, MaxBatchBytes: func() int { return 1 << 20 },
		NewMemberID: func() string { m.ids++; return strconv.Itoa(m.ids) },
	}
	for i := range 15 {
		c := &modelClient{group: fmt.Sprintf("g%d", i%3), gen: -1, version: int16(m.rand.IntN(10))}
		if i%5 == 0 {
			name := fmt.Sprintf("i%d", i)
			c.instance = &name
		}
		m.clients = append(m.clients, c)
	}
	m.restart()
	return m
}

func (m *model) restart() {
	m.m = NewMachine(m.set)
	for _, r := range m.log {
		require.NoError(m.t, m.m.Replay(0, -1, r))
	}
	for _, c := range m.waiting {
		c.parked = 0
	}
	m.waiting = map[coordinator.Token]*modelClient{}
	m.generation = map[string]int32{}
	m.apply(m.m.Loaded(m.now))
}

func (m *model) apply(o coordinator.Outcome) {
	for _, r := range o.Records {
		require.NoError(m.t, m.m.Replay(m.offset, -1, r))
		m.offset++
		if r.Value == nil {
			delete(m.log, string(r.Key))
			if k, _ := parseKey(r.Key); k.key == keyGroupMetadata {
				delete(m.generation, k.group)
				delete(m.completed, k.group)
				delete(m.accepted, k.group)
				delete(m.highest, k.group)
			}
			continue
		}
		m.log[string(r.Key)] = r
	}
	for id, g := range m.m.groups {
		if g.generation < m.generation[id] {
			m.t.Fatalf("generation of %s fell from %d to %d", id, m.generation[id], g.generation)
		}
		if g.generation > m.generation[id] && g.state == CompletingRebalance {
			m.completion++
			if m.completed[id] == nil {
				m.completed[id] = map[int32]int{}
			}
			m.completed[id][g.generation] = m.completion
		}
		m.generation[id] = g.generation
		if g.joined > len(g.members) || len(g.byID) != len(g.members) || g.state == Stable && g.byID[g.leader] == nil {
			m.t.Fatalf("%s: %s", id, settledOrNot(g))
		}
	}
	for _, r := range o.Replies {
		c := m.waiting[r.Token]
		if c == nil {
			m.t.Fatalf("token %d is answered twice or was never given", r.Token)
		}
		delete(m.waiting, r.Token)
		m.learn(c, r)
	}
}

func settledOrNot(g *group) string {
	return fmt.Sprintf("%s generation %d leader %q members %d by id %d joined %d", g.state, g.generation, g.leader, len(g.members), len(g.byID), g.joined)
}

// learn is what a client does with an answer.
func (m *model) learn(c *modelClient, r coordinator.Reply) {
	if c.parked == r.Token {
		c.parked = 0
	}
	switch a := r.Answer.(type) {
	case *kmsg.JoinGroupResponse:
		m.counts["join "+codeName(a.ErrorCode)]++
		switch codeName(a.ErrorCode) {
		case "ok":
			c.id, c.gen, c.leader, c.members = a.MemberID, a.Generation, a.LeaderID == a.MemberID, nil
			for _, other := range a.Members {
				c.members = append(c.members, other.MemberID)
			}
		case "MEMBER_ID_REQUIRED":
			c.id = a.MemberID
		case "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID", "GROUP_MAX_SIZE_REACHED":
			c.id, c.gen = "", -1
		}
	case *kmsg.SyncGroupResponse:
		m.counts["sync "+codeName(a.ErrorCode)]++
	case *kmsg.HeartbeatResponse:
		m.counts["heartbeat "+codeName(a.ErrorCode)]++
	}
}

func (m *model) next(c *modelClient, park bool) coordinator.Token {
	m.token++
	m.waiting[m.token] = c
	if park {
		c.parked = m.token
	}
	return m.token
}

// step is one random operation of a random client.
func (m *model) step() {
	c := m.clients[m.rand.IntN(len(m.clients))]
	switch n := m.rand.IntN(1000); {
	case n < 250:
		m.join(c)
	case n < 500:
		m.sync(c)
	case n < 650:
		req := &kmsg.HeartbeatRequest{Group: c.group, MemberID: c.id, InstanceID: c.instance, Generation: c.gen}
		m.apply(m.m.Heartbeat(m.now, m.next(c, false), req))
	case n < 850:
		m.commit(c)
	case n < 870:
		req := &kmsg.LeaveGroupRequest{Group: c.group, Members: []kmsg.LeaveGroupRequestMember{{MemberID: c.id, InstanceID: c.instance}}}
		m.apply(m.m.LeaveGroup(m.now, m.next(c, false), req))
		c.id, c.gen = "", -1
	case n < 880:
		c.id = "" // it was restarted
	case n < 881:
		m.restart()
	case n < 882:
		m.fetch(c.group)
	case n < 883 && m.rand.IntN(20) == 0:
		m.apply(m.m.Delete(m.now, m.next(c, false), []string{c.group}))
		if m.m.groups[c.group] == nil {
			delete(m.committed, c.group)
		}
	default:
		m.now = m.now.Add(time.Duration(m.rand.IntN(900)) * time.Millisecond)
		for range 100 {
			if wake := m.m.Wake(); wake.After(m.now) {
				break
			}
			m.apply(m.m.Tick(m.now))
		}
	}
}

func (m *model) join(c *modelClient) {
	if c.parked != 0 && m.rand.IntN(10) > 0 {
		return // it waits for an answer
	}
	req := &kmsg.JoinGroupRequest{
		Version: c.version, Group: c.group, MemberID: c.id, ProtocolType: "consumer",
		SessionTimeoutMillis: 6000, RebalanceTimeoutMillis: 5000,
		Protocols: []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{byte(m.rand.IntN(20) / 19)}}},
	}
	if c.instance != nil {
		req.InstanceID = c.instance
	}
	m.apply(m.m.JoinGroup(m.now, m.next(c, true), Client{ID: "c"}, req))
}

func (m *model) sync(c *modelClient) {
	if c.id == "" || c.parked != 0 && m.rand.IntN(10) > 0 {
		return
	}
	req := &kmsg.SyncGroupRequest{Version: 3, Group: c.group, MemberID: c.id, InstanceID: c.instance, Generation: c.gen}
	if c.leader {
		for _, id := range c.members {
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: []byte(id)})
		}
	}
	m.apply(m.m.SyncGroup(m.now, m.next(c, true), req))
}

// commit checks that of each number only one completion ever accepts commits, and none below the highest.
func (m *model) commit(c *modelClient) {
	if c.gen < 0 {
		return
	}
	topic := "t" + strconv.Itoa(m.rand.IntN(3))
	value := int64(m.rand.IntN(1 << 30))
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 9, c.group, c.id, c.instance, c.gen
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: value}}}}
	from := m.next(c, false)
	o := m.m.OffsetCommit(m.now, from, req)
	m.apply(o)
	code := o.Replies[0].Answer.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	m.counts["commit "+codeName(code)]++
	if code != 0 {
		return
	}
	if c.gen < m.highest[c.group] {
		m.t.Fatalf("%s: generation %d accepts a commit after %d did", c.group, c.gen, m.highest[c.group])
	}
	m.highest[c.group] = c.gen
	if m.accepted[c.group] == nil {
		m.accepted[c.group] = map[int32]int{}
	}
	present := m.completed[c.group][c.gen]
	if first, ok := m.accepted[c.group][c.gen]; ok && first != present {
		m.t.Fatalf("%s: two generations of number %d accept commits", c.group, c.gen)
	}
	m.accepted[c.group][c.gen] = present
	if m.committed[c.group] == nil {
		m.committed[c.group] = map[string]int64{}
	}
	m.committed[c.group][topic] = value
}

// fetch checks that the last commit of each partition is what is there.
func (m *model) fetch(group string) {
	m.token++
	o := m.m.OffsetFetch(m.now, m.token, Fetch{Group: group, All: true})
	got := map[string]int64{}
	for _, topic := range o.Replies[0].Answer.(*kmsg.OffsetFetchResponseGroup).Topics {
		got[topic.Topic] = topic.Partitions[0].Offset
	}
	if len(got)+len(m.committed[group]) > 0 {
		require.Equal(m.t, m.committed[group], got)
	}
}

// TestModel does random operations: generations only rise, of each number one generation at most accepts
// commits, commits are never lost, every request is answered at most once and in the end all are, and
// memory is the replay of the log.
func TestModel(t *testing.T) {
	const seeds = 20
	counts := map[string]int{}
	for seed := range uint64(seeds) {
		m := newModel(t, seed)
		for i := range modelOperations / seeds {
			m.step()
			if i%5000 == 0 {
				requireReplayed(t, m.sim())
			}
		}
		m.finish()
		for name, n := range m.counts {
			counts[name] += n
		}
	}
	t.Log(counts)
	for _, name := range []string{
		"join ok", "join MEMBER_ID_REQUIRED", "join FENCED_INSTANCE_ID", "join UNKNOWN_MEMBER_ID", "join GROUP_MAX_SIZE_REACHED",
		"sync ok", "sync REBALANCE_IN_PROGRESS", "heartbeat ok", "commit ok", "commit ILLEGAL_GENERATION", "commit REBALANCE_IN_PROGRESS",
	} {
		require.NotZero(t, counts[name], "the walk never met %q", name)
	}
}

func (m *model) sim() *sim {
	s := &sim{m: m.m, now: m.now, set: m.set}
	for _, r := range m.log {
		s.log = append(s.log, r)
	}
	for producer := range m.m.offsets.byGroup { // offsets of records do not matter without transactions
		for _, partitions := range m.m.offsets.byGroup[producer] {
			for p, o := range partitions {
				o.recordedAt = 0
				partitions[p] = o
			}
		}
	}
	return s
}

// finish lets time pass until every session has ended: nobody waits any more.
func (m *model) finish() {
	for range 2000 {
		m.now = m.now.Add(time.Second)
		if !m.m.Wake().After(m.now) {
			m.apply(m.m.Tick(m.now))
		}
	}
	require.Empty(m.t, m.waiting)
	for _, g := range m.m.groups {
		require.Equal(m.t, Empty, g.state)
	}
}
