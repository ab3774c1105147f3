package groupcoord

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// fakeTopics are topics whose ids spell their names.
type fakeTopics struct {
	version int64
	topics  map[string]TopicInfo
}

func namedID(name string) (id UUID) { copy(id[:], name); return id }
func topicName(id UUID) string      { return strings.TrimRight(string(id[:]), "\x00") }

func newFakeTopics(version int64, partitions map[string]int32) *fakeTopics {
	f := &fakeTopics{version: version, topics: map[string]TopicInfo{}}
	for name, n := range partitions {
		f.topics[name] = TopicInfo{Name: name, ID: namedID(name), Partitions: n}
	}
	return f
}

func (f *fakeTopics) Version() int64 { return f.version }
func (f *fakeTopics) ByName(name string) (TopicInfo, bool) {
	t, ok := f.topics[name]
	return t, ok
}
func (f *fakeTopics) ByID(id UUID) (TopicInfo, bool) { return f.ByName(topicName(id)) }
func (f *fakeTopics) All() iter.Seq[TopicInfo]       { return maps.Values(f.topics) }

func consumerTestSettings(interval func() time.Duration) ConsumerSettings {
	return ConsumerSettings{
		Assignors: []Assignor{Uniform{}, Range{}}, Resolve: MatchTopics, MaxSize: 1000,
		Migration: MigrationBidirectional, RegexRefresh: 10 * time.Minute,
		Config: func(string) ConsumerConfig {
			return ConsumerConfig{
				SessionTimeout: 45 * time.Second, HeartbeatInterval: 5 * time.Second, HeartbeatIntervalSet: true,
				AssignmentInterval: interval(),
			}
		},
	}
}

// setTopics makes the topics of a story's line: t=3 u=1.
func (s *sim) setTopics(d *datadriven.TestData) {
	partitions := map[string]int32{}
	for _, c := range d.CmdArgs {
		n, err := strconv.Atoi(c.Vals[0])
		if err != nil {
			panic(err)
		}
		partitions[c.Key] = int32(n)
	}
	s.topics = newFakeTopics(s.topics.version+1, partitions)
}

// runConsumer executes the lines of a story that are of consumer groups.
func (s *sim) runConsumer(d *datadriven.TestData, a args) (coordinator.Outcome, bool) {
	switch d.Cmd {
	case "topics":
		s.setTopics(d)
		return coordinator.Outcome{}, true
	case "beat":
		req := beatRequest(a)
		s.who[s.token] = a.str("who", req.MemberID)
		if no := s.set.CheckConsumerHeartbeat(req); no != nil {
			return coordinator.Outcome{Replies: []coordinator.Reply{{Token: s.token, Answer: no}}}, true
		}
		return s.m.ConsumerGroupHeartbeat(s.now, s.token, Client{a.str("client", "c"), "/1.2.3.4"}, req, s.topics), true
	case "consumer-describe":
		return s.m.ConsumerDescribe(s.now, s.token, []string{a.str("group", "g")}, s.topics), true
	}
	return coordinator.Outcome{}, false
}

func beatRequest(a args) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version = int16(a.num("version", 1))
	req.Group, req.MemberID, req.MemberEpoch = a.str("group", "g"), a.str("member", ""), int32(a.num("epoch", 0))
	req.InstanceID, req.RackID, req.ServerAssignor = a.ptr("instance"), a.ptr("rack"), a.ptr("assignor")
	if regex := a.str("regex", ""); regex != "" {
		regex = strings.TrimSuffix(regex, "-")
		req.SubscribedTopicRegex = &regex
	}
	if names := a.str("topics", ""); names != "" {
		req.SubscribedTopicNames = []string{}
		if names != "-" {
			req.SubscribedTopicNames = strings.Split(names, ",")
		}
	}
	req.RebalanceTimeoutMillis = -1
	if a.str("rebalance", "") != "" || req.MemberEpoch == 0 {
		req.RebalanceTimeoutMillis = int32(a.duration("rebalance", "30s").Milliseconds())
	}
	if owned := a.str("owned", ""); owned != "" || req.MemberEpoch == 0 {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		for _, tp := range strings.Split(strings.Trim(owned, "-"), ",") {
			name, partition, ok := strings.Cut(tp, ":")
			if !ok {
				continue
			}
			p, _ := strconv.Atoi(partition)
			req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: namedID(name), Partitions: []int32{int32(p)}})
		}
	}
	return req
}

func showHolding(h holding) string {
	var parts []string
	for _, topic := range sortedTopics(h) {
		for _, p := range h[topic] {
			parts = append(parts, fmt.Sprintf("%s:%d@%d", topicName(topic), p.partition, p.epoch))
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func showAssignment(a Assignment) string {
	var parts []string
	for _, topic := range sortedTopics(a) {
		for _, p := range a[topic] {
			parts = append(parts, fmt.Sprintf("%s:%d", topicName(topic), p))
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func showConsumerRecord(k parsed, r coordinator.Record) string {
	g := newConsumerGroup(k.group)
	what := map[int16]string{
		keyConsumerGroupMetadata: "epoch", keyConsumerGroupMemberMetadata: "member", keyConsumerGroupPartitionMetadata: "topics",
		keyConsumerGroupTargetAssignmentMetadata: "assignment", keyConsumerGroupTargetAssignmentMember: "target",
		keyConsumerGroupCurrentMemberAssignment: "current", keyConsumerGroupRegularExpression: "regex",
	}[k.key]
	name := strings.TrimSpace(what + " " + k.member)
	if r.Value == nil {
		return name + " is no more"
	}
	if err := g.replay(k, r.Value); err != nil {
		return err.Error()
	}
	c := g.members[k.member]
	switch k.key {
	case keyConsumerGroupMetadata:
		return fmt.Sprintf("%s %d", name, g.epoch)
	case keyConsumerGroupTargetAssignmentMetadata:
		return fmt.Sprintf("%s %d", name, g.assignmentEpoch)
	case keyConsumerGroupTargetAssignmentMember:
		return fmt.Sprintf("%s %s", name, showAssignment(g.target[k.member]))
	case keyConsumerGroupRegularExpression:
		return fmt.Sprintf("%s %v", name, g.regexes[k.member].topics)
	case keyConsumerGroupCurrentMemberAssignment:
		return fmt.Sprintf("%s epoch %d (before %d) %s has %s gives up %s", name, c.epoch, c.previousEpoch, c.state,
			showHolding(c.assigned), showHolding(c.revoking))
	}
	text := fmt.Sprintf("%s subscribes %v", name, c.topics)
	if c.pattern() != "" {
		text += " and " + c.pattern()
	}
	if c.instance != nil {
		text += " instance " + *c.instance
	}
	if c.classic != nil {
		text += " classic"
	}
	return text
}

func showConsumerAnswer(a any) (string, bool) {
	switch r := a.(type) {
	case *kmsg.ConsumerGroupHeartbeatResponse:
		if r.ErrorCode != 0 {
			return fmt.Sprintf("%s: %s", codeName(r.ErrorCode), text(r.ErrorMessage)), true
		}
		s := fmt.Sprintf("epoch %d", r.MemberEpoch)
		if r.Assignment != nil {
			has := Assignment{}
			for _, t := range r.Assignment.Topics {
				has[t.TopicID] = t.Partitions
			}
			s += " " + showAssignment(has)
		}
		if r.HeartbeatIntervalMillis != 5000 && r.HeartbeatIntervalMillis != 0 {
			s += fmt.Sprintf(" next in %d ms", r.HeartbeatIntervalMillis)
		}
		return s, true
	case []kmsg.ConsumerGroupDescribeResponseGroup:
		var b strings.Builder
		for _, g := range r {
			if g.ErrorCode != 0 {
				fmt.Fprintf(&b, "%s: %s", codeName(g.ErrorCode), text(g.ErrorMessage))
				continue
			}
			fmt.Fprintf(&b, "%s epoch %d assignment %d %s", g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName)
			for _, m := range g.Members {
				fmt.Fprintf(&b, "\n  %s epoch %d type %d subscribes %v has %v should have %v", m.MemberID, m.MemberEpoch, m.MemberType,
					m.SubscribedTopics, showDescribed(m.Assignment), showDescribed(m.TargetAssignment))
			}
		}
		return b.String(), true
	}
	return "", false
}

func showDescribed(a kmsg.Assignment) string {
	has := Assignment{}
	for _, t := range a.TopicPartitions {
		has[t.TopicID] = t.Partitions
	}
	return showAssignment(has)
}

// settledConsumers is what the records say of a consumer group.
func settledConsumers(g *consumerGroup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s epoch %d hash %d assignment %d at %d %s settled %d classic %d %v %v %v %v %v\n", g.id, g.epoch, g.hash,
		g.assignmentEpoch, g.assignedAt, g.state(), g.settled, g.classic, g.static, g.byName, g.byRegex, g.byAssignor, g.supported)
	for _, id := range g.memberIDs() {
		c := g.members[id]
		fmt.Fprintf(&b, "%s %s %s %s %v %q %d %s %v | %d %d %s %s %s | %s\n", c.id, text(c.instance), text(c.rack), c.clientID, c.topics,
			c.pattern(), c.rebalanceTimeoutMs, text(c.assignor), c.classic, c.epoch, c.previousEpoch, c.state,
			showHolding(c.assigned), showHolding(c.revoking), showAssignment(g.target[id]))
	}
	for _, pattern := range slices.Sorted(maps.Keys(g.regexes)) {
		fmt.Fprintf(&b, "%s %v\n", pattern, g.regexes[pattern])
	}
	for _, topic := range sortedTopics(g.owners) {
		for _, p := range slices.Sorted(maps.Keys(g.owners[topic])) {
			fmt.Fprintf(&b, "%s-%d of %s\n", topicName(topic), p, g.owners[topic][p])
		}
	}
	return b.String()
}
