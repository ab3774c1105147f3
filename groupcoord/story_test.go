package groupcoord

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// sim runs a machine as a shard would: it replays the records of each outcome and keeps them.
type sim struct {
	m     *Machine
	now   time.Time
	log   []coordinator.Record
	token coordinator.Token
	who   map[coordinator.Token]string
	ids   int
	set   Settings

	topics             *fakeTopics
	assignmentInterval time.Duration
}

func newSim() *sim {
	s := &sim{topics: newFakeTopics(1, nil), now: time.UnixMilli(1_000_000).UTC(), who: map[coordinator.Token]string{}}
	s.set = Settings{
		MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: 30 * time.Minute, MaxSize: 1000,
		OffsetMetadataMaxBytes: 10, OffsetsRetention: time.Hour, ExpiryInterval: 10 * time.Minute,
		MaxBatchBytes: func() int { return 1 << 20 },
		NewMemberID:   func() string { s.ids++; return strconv.Itoa(s.ids) },
		Consumer:      consumerTestSettings(func() time.Duration { return s.assignmentInterval }),
	}
	s.restart()
	return s
}

// restart loads a new machine from the log.
func (s *sim) restart() coordinator.Outcome {
	s.m = NewMachine(s.set)
	for i, r := range s.log {
		if err := s.m.Replay(int64(i), -1, r); err != nil {
			panic(err)
		}
	}
	return s.m.Loaded(s.now)
}

// keep replays an outcome's records.
func (s *sim) keep(o coordinator.Outcome) {
	for _, r := range o.Records {
		if err := s.m.Replay(int64(len(s.log)), -1, r); err != nil {
			panic(err)
		}
		s.log = append(s.log, r)
	}
}

// pass lets time pass, stopping wherever the machine wants to be woken.
func (s *sim) pass(d time.Duration, each func(coordinator.Outcome)) {
	end := s.now.Add(d)
	for {
		wake := s.m.Wake()
		if wake.IsZero() || wake.After(end) {
			break
		}
		if wake.After(s.now) {
			s.now = wake
		}
		o := s.m.Tick(s.now)
		s.keep(o)
		each(o)
	}
	s.now = end
}

func (s *sim) show(o coordinator.Outcome) string {
	var b strings.Builder
	for _, e := range o.Events {
		fmt.Fprintf(&b, "event: %s", e.Message)
		for i := 6; i+1 < len(e.Args); i += 2 {
			fmt.Fprintf(&b, " %v=%v", e.Args[i], e.Args[i+1])
		}
		b.WriteString("\n")
	}
	for _, r := range o.Records {
		fmt.Fprintf(&b, "record: %s\n", showRecord(r))
	}
	for _, r := range o.Replies {
		fmt.Fprintf(&b, "%s: %s\n", s.who[r.Token], showAnswer(r.Answer))
	}
	return b.String()
}

func showRecord(r coordinator.Record) string {
	k, err := parseKey(r.Key)
	if err != nil {
		return err.Error()
	}
	if isConsumerKey(k.key) {
		return showConsumerRecord(k, r)
	}
	if k.key == keyGroupMetadata {
		if r.Value == nil {
			return "group " + k.group + " is no more"
		}
		v, err := parseGroup(r.Value)
		if err != nil {
			return err.Error()
		}
		var members []string
		for _, m := range v.Members {
			members = append(members, fmt.Sprintf("%s=%q", m.MemberID, m.Assignment))
		}
		return fmt.Sprintf("group %s generation %d type %q protocol %s leader %s [%s]", k.group, v.Generation,
			v.ProtocolType, text(v.Protocol), text(v.Leader), strings.Join(members, " "))
	}
	if r.Value == nil {
		return fmt.Sprintf("offset %s %s-%d is no more", k.group, k.topic, k.partition)
	}
	o, err := parseOffset(r.Value)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("offset %s %s-%d at %d %q v%d", k.group, k.topic, k.partition, o.offset, o.metadata, r.Value[1])
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func codeName(code int16) string {
	if code == 0 {
		return "ok"
	}
	return kerr.TypedErrorForCode(code).Message
}

func showAnswer(a any) string {
	switch r := a.(type) {
	case *kmsg.JoinGroupResponse:
		if r.ErrorCode != 0 {
			return fmt.Sprintf("%s member %q", codeName(r.ErrorCode), r.MemberID)
		}
		var members []string
		for _, m := range r.Members {
			members = append(members, m.MemberID)
		}
		skip := ""
		if r.SkipAssignment {
			skip = " skip assignment"
		}
		return fmt.Sprintf("joined as %s generation %d leader %s protocol %s %v%s", r.MemberID, r.Generation, r.LeaderID, text(r.Protocol), members, skip)
	case *kmsg.SyncGroupResponse:
		if r.ErrorCode != 0 {
			return codeName(r.ErrorCode)
		}
		return fmt.Sprintf("assigned %q", r.MemberAssignment)
	case *kmsg.HeartbeatResponse:
		return codeName(r.ErrorCode)
	case *kmsg.LeaveGroupResponse:
		var parts []string
		for _, m := range r.Members {
			parts = append(parts, codeName(m.ErrorCode))
		}
		return strings.Join(parts, ", ")
	case *kmsg.OffsetCommitResponse:
		var parts []string
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				parts = append(parts, codeName(p.ErrorCode))
			}
		}
		return strings.Join(parts, ", ")
	case *kmsg.OffsetFetchResponseGroup:
		if r.ErrorCode != 0 {
			return codeName(r.ErrorCode)
		}
		var parts []string
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				parts = append(parts, fmt.Sprintf("%s-%d %d %q %s", t.Topic, p.Partition, p.Offset, *p.Metadata, codeName(p.ErrorCode)))
			}
		}
		slices.Sort(parts)
		return strings.Join(parts, ", ")
	}
	return showAdmin(a)
}

func showAdmin(a any) string {
	if text, ok := showConsumerAnswer(a); ok {
		return text
	}
	switch r := a.(type) {
	case *kmsg.OffsetDeleteResponse:
		parts := []string{codeName(r.ErrorCode)}
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				parts = append(parts, fmt.Sprintf("%s-%d %s", t.Topic, p.Partition, codeName(p.ErrorCode)))
			}
		}
		return strings.Join(parts, ", ")
	case []kmsg.ListGroupsResponseGroup:
		var parts []string
		for _, g := range r {
			parts = append(parts, fmt.Sprintf("%s %q %s", g.Group, g.ProtocolType, g.GroupState))
		}
		slices.Sort(parts)
		return strings.Join(parts, ", ")
	case []kmsg.DescribeGroupsResponseGroup:
		var parts []string
		for _, g := range r {
			var members []string
			for _, m := range g.Members {
				members = append(members, fmt.Sprintf("%s %s@%s %q %q", m.MemberID, m.ClientID, m.ClientHost, m.ProtocolMetadata, m.MemberAssignment))
			}
			parts = append(parts, fmt.Sprintf("%s %s %s %q %q [%s]", codeName(g.ErrorCode), g.Group, g.State, g.ProtocolType, g.Protocol, strings.Join(members, "; ")))
		}
		return strings.Join(parts, ", ")
	case []kmsg.DeleteGroupsResponseGroup:
		var parts []string
		for _, g := range r {
			parts = append(parts, g.Group+" "+codeName(g.ErrorCode))
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprintf("%T", a)
}

// args of a story's line: name=value, with defaults.
type args struct{ d *datadriven.TestData }

func (a args) str(name, def string) string {
	for _, c := range a.d.CmdArgs {
		if c.Key == name {
			return strings.Join(c.Vals, ",")
		}
	}
	return def
}

func (a args) ptr(name string) *string {
	if s := a.str(name, ""); s != "" {
		return &s
	}
	return nil
}

func (a args) num(name string, def int) int {
	n, err := strconv.Atoi(a.str(name, strconv.Itoa(def)))
	if err != nil {
		panic(err)
	}
	return n
}

func (a args) duration(name, def string) time.Duration {
	d, err := time.ParseDuration(a.str(name, def))
	if err != nil {
		panic(err)
	}
	return d
}

// run executes one line of a story.
func (s *sim) run(d *datadriven.TestData) string {
	a := args{d}
	s.token++
	s.who[s.token] = a.str("who", d.Cmd)
	var o coordinator.Outcome
	s.m.See(s.topics)
	switch d.Cmd {
	case "settings":
		s.set.InitialRebalanceDelay = a.duration("delay", "0s")
		s.set.MaxSize = a.num("max", 1000)
		s.set.Consumer.MaxSize = a.num("max", 1000)
		s.assignmentInterval = a.duration("interval", "0s")
		batch := a.num("batch", 1<<20)
		s.set.MaxBatchBytes = func() int { return batch }
		o = s.restart()
	case "restart":
		o = s.restart()
	case "pass":
		var b strings.Builder
		began := s.now
		s.pass(a.duration("time", "1s"), func(o coordinator.Outcome) {
			if text := s.show(o); text != "" {
				fmt.Fprintf(&b, "after %v:\n%s", s.now.Sub(began), text)
			}
		})
		return b.String()
	case "join":
		o = s.m.JoinGroup(s.now, s.token, Client{a.str("client", "c"), "/1.2.3.4"}, joinRequest(a))
	case "sync":
		req := kmsg.NewPtrSyncGroupRequest()
		req.Version, req.Group, req.Generation = 5, a.str("group", "g"), int32(a.num("generation", 1))
		req.MemberID, req.InstanceID, req.Protocol = a.str("member", ""), a.ptr("instance"), a.ptr("protocol")
		for _, part := range strings.Fields(strings.ReplaceAll(a.str("assign", ""), ",", " ")) {
			id, value, _ := strings.Cut(part, ":")
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: []byte(value)})
		}
		o = s.m.SyncGroup(s.now, s.token, req)
	case "heartbeat":
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.Generation, req.MemberID, req.InstanceID = a.str("group", "g"), int32(a.num("generation", 1)), a.str("member", ""), a.ptr("instance")
		o = s.m.Heartbeat(s.now, s.token, req)
	case "leave":
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = a.str("group", "g")
		for _, id := range strings.Split(a.str("member", ""), ",") {
			req.Members = append(req.Members, kmsg.LeaveGroupRequestMember{MemberID: id, InstanceID: a.ptr("instance")})
		}
		o = s.m.LeaveGroup(s.now, s.token, req)
	default:
		var known bool
		if o, known = s.runConsumer(d, a); !known {
			o = s.runOffsets(d, a)
		}
	}
	s.keep(o)
	return s.show(o)
}

func joinRequest(a args) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = int16(a.num("version", 9))
	req.Group, req.MemberID, req.InstanceID = a.str("group", "g"), a.str("member", ""), a.ptr("instance")
	req.SessionTimeoutMillis = int32(a.duration("session", "10s").Milliseconds())
	req.RebalanceTimeoutMillis = int32(a.duration("rebalance", "60s").Milliseconds())
	req.ProtocolType = a.str("type", "consumer")
	if names := a.str("protocols", "range"); names != "-" {
		for _, name := range strings.Split(names, ",") {
			req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: subscribe(a.str("topics", "t"))})
		}
	}
	return req
}

// subscribe is a ConsumerProtocolSubscription v0.
func subscribe(topics string) []byte {
	names := strings.Split(topics, ",")
	b := []byte{0, 0, 0, 0, 0, byte(len(names))}
	for _, name := range names {
		b = append(b, 0, byte(len(name)))
		b = append(b, name...)
	}
	return append(b, 0, 0, 0, 0)
}

func (s *sim) runOffsets(d *datadriven.TestData, a args) coordinator.Outcome {
	group := a.str("group", "g")
	switch d.Cmd {
	case "commit":
		return s.m.OffsetCommit(s.now, s.token, commitRequest(a))
	case "fetch":
		f := Fetch{Group: group, All: a.str("topic", "") == "", MemberID: a.ptr("member"), MemberEpoch: int32(a.num("epoch", -1))}
		if !f.All {
			f.Topics = []FetchTopic{{Topic: a.str("topic", ""), TopicID: [16]byte{byte(a.num("id", 0))}, Partitions: []int32{int32(a.num("partition", 0))}}}
		}
		return s.m.OffsetFetch(s.now, s.token, f)
	case "delete-offset":
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		req.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: a.str("topic", "t"), Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: int32(a.num("partition", 0))}}}}
		return s.m.OffsetDelete(s.now, s.token, req)
	case "delete-topic":
		return s.m.TopicsDeleted(s.now, []string{a.str("topic", "t")})
	case "list":
		split := func(name string) []string {
			if v := a.str(name, ""); v != "" {
				return strings.Split(v, ",")
			}
			return nil
		}
		return s.m.List(s.now, s.token, split("states"), split("types"))
	case "describe":
		return s.m.Describe(s.now, s.token, []string{group}, int16(a.num("version", 6)))
	case "delete":
		return s.m.Delete(s.now, s.token, []string{group})
	}
	panic("unknown command " + d.Cmd)
}

func commitRequest(a args) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = int16(a.num("version", 9))
	req.Group, req.Generation, req.MemberID, req.InstanceID = a.str("group", "g"), int32(a.num("generation", -1)), a.str("member", ""), a.ptr("instance")
	req.RetentionTimeMillis = int64(a.num("retention", -1))
	metadata := a.str("metadata", "")
	req.Topics = []kmsg.OffsetCommitRequestTopic{{
		Topic: a.str("topic", "t"), TopicID: [16]byte{byte(a.num("id", 0))},
		Partitions: []kmsg.OffsetCommitRequestTopicPartition{{
			Partition: int32(a.num("partition", 0)), Offset: int64(a.num("offset", 1)), LeaderEpoch: -1, Metadata: &metadata,
		}},
	}}
	return req
}

// TestStories runs the scenarios in testdata; each file is a story that can be read.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := newSim()
		datadriven.RunTest(t, path, func(_ *testing.T, d *datadriven.TestData) string { return s.run(d) })
		requireReplayed(t, s)
	})
}

// requireReplayed: memory is the replay of the log, where the machine is settled.
func requireReplayed(t *testing.T, s *sim) {
	t.Helper()
	again := NewMachine(s.set)
	for i, r := range s.log {
		require.NoError(t, again.Replay(s.recordOffset(i), -1, r))
	}
	require.Equal(t, s.m.offsets, again.offsets)
	for id, g := range s.m.groups {
		r := again.groups[id]
		require.NotNil(t, r, "group %s is in no record", id)
		if g.state != Stable && (g.state != Empty || len(g.pending) > 0) {
			require.LessOrEqual(t, r.generation, g.generation)
			continue
		}
		require.Equal(t, settled(g), settled(r))
	}
	for id := range again.groups {
		require.Contains(t, s.m.groups, id)
	}
	for id, g := range s.m.consumers {
		r := again.consumers[id]
		require.NotNil(t, r, "consumer group %s is in no record", id)
		require.Equal(t, settledConsumers(g), settledConsumers(r))
	}
	for id := range again.consumers {
		require.Contains(t, s.m.consumers, id)
	}
}

// settled is what a record says of a group.
func settled(g *group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d %q %s %q %v\n", g.id, g.state, g.generation, g.protocolType, text(g.protocol), g.leader, g.subscribed)
	for _, m := range g.members {
		fmt.Fprintf(&b, "%s %s %v %v %q %q\n", m.id, text(m.instance), m.rebalanceTimeout, m.sessionTimeout, m.metadata(*g.protocol), m.assignment)
	}
	return b.String()
}

// recordOffset of the i-th record; a compacted log has lost them.
func (s *sim) recordOffset(i int) int64 {
	if s.who == nil {
		return 0
	}
	return int64(i)
}
