package controller

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/metadata"
)

// TestScenarios runs the stories in testdata/scenarios. Every command decides on the image that the ones before
// made, prints the answer and the records, and applies the records.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		s := newStory(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.out.Reset()
			s.run(t, d)
			return s.out.String()
		})
	})
}

type story struct {
	machine *machine
	image   *metadata.Image
	static  map[string]string
	out     strings.Builder
}

func newStory(t *testing.T) *story {
	n := byte(0)
	s := &story{
		machine: &machine{nodeID: 1, rand: rand.New(rand.NewPCG(1, 2)), newID: func() metadata.UUID {
			n++
			return metadata.UUID{0: 0xff, 15: n}
		}},
		image: metadata.Empty("cluster"),
	}
	s.apply(t, bootstrapTransaction(defaultFeatures(), 1))
	return s
}

func (s *story) view() view {
	return view{image: s.image, next: s.image.Offset + 1, values: brokerValues(config.New(s.static), s.image, 1)}
}

func (s *story) apply(t *testing.T, records []metadata.Record) {
	t.Helper()
	if len(records) == 0 {
		return
	}
	r := metadata.NewReplay(s.image)
	image, _, err := r.Batch(records, metadata.Position{Offset: s.image.Offset + int64(len(records)), Epoch: 1})
	require.NoError(t, err)
	s.image = image
}

func (s *story) run(t *testing.T, d *datadriven.TestData) {
	var records []metadata.Record
	var err error
	switch d.Cmd {
	case "config":
		s.static = keyValues(d, "set")
	case "register", "unfence", "shutdown", "producer-ids":
		records, err = s.broker(d)
	case "create":
		records = s.create(d)
	case "grow":
		records = s.grow(d)
	case "delete":
		records = s.delete(d)
	case "alter":
		records = s.alter(d)
	case "replace":
		records = s.replace(d)
	case "show":
		s.show(d)
	default:
		t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	if err != nil {
		fmt.Fprintln(&s.out, "error:", err)
	}
	for _, r := range records {
		fmt.Fprintln(&s.out, describe(r))
	}
	if d.HasArg("validate-only") {
		require.Empty(t, records)
	}
	s.apply(t, records)
}

func (s *story) broker(d *datadriven.TestData) ([]metadata.Record, error) {
	id := int32(number(d.CmdArgs[0].Key))
	epoch := int64(-1)
	if b := s.image.Broker(id); b != nil {
		epoch = b.Epoch
	}
	if d.HasArg("epoch") {
		epoch = int64(number(one(d, "epoch")))
	}
	switch d.Cmd {
	case "register":
		b := metadata.Broker{ID: id, Directories: []metadata.UUID{{15: 100 + byte(id)}}}
		if d.HasArg("rack") {
			rack := one(d, "rack")
			b.Rack = &rack
		}
		records, epoch := s.machine.registerBroker(s.view(), b)
		fmt.Fprintln(&s.out, "epoch", epoch)
		return records, nil
	case "unfence":
		return s.machine.unfence(s.view(), id, epoch)
	case "shutdown":
		return s.machine.shutDown(s.view(), id, epoch)
	}
	records, first, err := s.machine.allocateProducerIDs(s.view(), id, epoch)
	if err == nil {
		fmt.Fprintln(&s.out, "block from", first)
	}
	return records, err
}

// create: create NAME... [partitions=N] [factor=N] [assign=(0:1/2,1:2/1)] [config=(k=v)] [null=(k)] [validate-only]
func (s *story) create(d *datadriven.TestData) []metadata.Record {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.ValidateOnly = 7, d.HasArg("validate-only")
	for _, name := range names(d) {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, -1, -1
		if d.HasArg("partitions") {
			topic.NumPartitions = int32(number(one(d, "partitions")))
		}
		if d.HasArg("factor") {
			topic.ReplicationFactor = int16(number(one(d, "factor")))
		}
		for _, a := range list(d, "assign") {
			p, replicas, _ := strings.Cut(a, ":")
			topic.ReplicaAssignment = append(topic.ReplicaAssignment,
				kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(number(p)), Replicas: ids(replicas)})
		}
		for _, k := range slices.Sorted(maps.Keys(keyValues(d, "config"))) {
			value := keyValues(d, "config")[k]
			topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: k, Value: &value})
		}
		for _, k := range list(d, "null") {
			topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: k})
		}
		req.Topics = append(req.Topics, topic)
	}
	records, resp := s.machine.createTopics(s.view(), req)
	for _, r := range resp.Topics {
		s.answer(r.Topic, r.ErrorCode, r.ErrorMessage)
		if r.ErrorCode == 0 {
			fmt.Fprintf(&s.out, "  id %s, %d partitions, factor %d, %d configs\n", shortID(r.TopicID), r.NumPartitions, r.ReplicationFactor, len(r.Configs))
		}
	}
	return records
}

func (s *story) grow(d *datadriven.TestData) []metadata.Record {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.ValidateOnly = 3, d.HasArg("validate-only")
	for _, name := range names(d) {
		topic := kmsg.CreatePartitionsRequestTopic{Topic: name, Count: int32(number(one(d, "to")))}
		for _, a := range list(d, "assign") {
			topic.Assignment = append(topic.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: ids(a)})
		}
		req.Topics = append(req.Topics, topic)
	}
	records, resp := s.machine.createPartitions(s.view(), req)
	for _, r := range resp.Topics {
		s.answer(r.Topic, r.ErrorCode, r.ErrorMessage)
	}
	return records
}

func (s *story) delete(d *datadriven.TestData) []metadata.Record {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 6
	for _, name := range names(d) {
		req.Topics = append(req.Topics, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	}
	for _, id := range list(d, "ids") {
		req.Topics = append(req.Topics, kmsg.DeleteTopicsRequestTopic{TopicID: metadata.UUID{0: 0xff, 15: byte(number(id))}})
	}
	records, resp := s.machine.deleteTopics(s.view(), req)
	for _, r := range resp.Topics {
		name := "(no name)"
		if r.Topic != nil {
			name = *r.Topic
		}
		s.answer(name+" "+shortID(r.TopicID), r.ErrorCode, r.ErrorMessage)
	}
	return records
}

// alter: alter topic|broker|group|metrics NAME [set=(k=v)] [delete=(k)] [append=(k=v)] [subtract=(k=v)]
func (s *story) alter(d *datadriven.TestData) []metadata.Record {
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = resource(d)
	for _, op := range []kmsg.IncrementalAlterConfigOp{
		kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete,
		kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract,
	} {
		values := keyValues(d, strings.ToLower(op.String()))
		for _, k := range slices.Sorted(maps.Keys(values)) {
			value := strings.ReplaceAll(values[k], "/", ",")
			r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: k, Op: op, Value: &value})
		}
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = d.HasArg("validate-only")
	req.Resources = append(req.Resources, r)
	records, resp := s.machine.incrementalAlterConfigs(s.view(), req)
	s.answer(d.CmdArgs[0].Key, resp.Resources[0].ErrorCode, resp.Resources[0].ErrorMessage)
	return records
}

func (s *story) replace(d *datadriven.TestData) []metadata.Record {
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = resource(d)
	values := keyValues(d, "set")
	for _, k := range slices.Sorted(maps.Keys(values)) {
		value := values[k]
		r.Configs = append(r.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: k, Value: &value})
	}
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Resources = append(req.Resources, r)
	records, resp := s.machine.alterConfigs(s.view(), req)
	s.answer(d.CmdArgs[0].Key, resp.Resources[0].ErrorCode, resp.Resources[0].ErrorMessage)
	return records
}

func resource(d *datadriven.TestData) (kmsg.ConfigResourceType, string) {
	name := ""
	if len(d.CmdArgs) > 1 && len(d.CmdArgs[1].Vals) == 0 && d.CmdArgs[1].Key != "validate-only" {
		name = d.CmdArgs[1].Key
	}
	return map[string]kmsg.ConfigResourceType{
		"topic": kmsg.ConfigResourceTypeTopic, "broker": kmsg.ConfigResourceTypeBroker, "group": 32, "metrics": 16, "logger": 8,
	}[d.CmdArgs[0].Key], name
}

// show: the partitions of all topics, and the brokers.
func (s *story) show(*datadriven.TestData) {
	for t := range sortedTopics(s.image) {
		for i, p := range t.Partitions {
			fmt.Fprintf(&s.out, "%s-%d leader=%d epoch=%d/%d replicas=%v isr=%v elr=%v\n",
				t.Name, i, p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.Replicas, p.ISR, p.ELR)
		}
	}
}

func (s *story) answer(what string, code int16, message *string) {
	if code == 0 {
		fmt.Fprintf(&s.out, "%s: ok\n", what)
		return
	}
	text := "null"
	if message != nil {
		text = *message
	}
	fmt.Fprintf(&s.out, "%s: %s %q\n", what, kerr.TypedErrorForCode(code).Message, text)
}

// describe is a record in one line.
func describe(rec metadata.Record) string {
	switch r := rec.(type) {
	case *metadata.TopicRecord:
		return fmt.Sprintf("+ topic %s %s", r.Name, shortID(r.TopicID))
	case *metadata.RemoveTopicRecord:
		return "- topic " + shortID(r.TopicID)
	case *metadata.PartitionRecord:
		return fmt.Sprintf("+ partition %s-%d replicas=%v isr=%v leader=%d epochs=%d,%d",
			shortID(r.TopicID), r.PartitionID, r.Replicas, r.ISR, r.Leader, r.LeaderEpoch, r.PartitionEpoch)
	case *metadata.PartitionChangeRecord:
		return "~ partition " + shortID(r.TopicID) + "-" + fmt.Sprint(r.PartitionID) + changes(r)
	case *metadata.ConfigRecord:
		if r.Value == nil {
			return fmt.Sprintf("- config %d/%s %s", r.ResourceType, r.ResourceName, r.Name)
		}
		return fmt.Sprintf("+ config %d/%s %s=%s", r.ResourceType, r.ResourceName, r.Name, *r.Value)
	case *metadata.RegisterBrokerRecord:
		return fmt.Sprintf("+ broker %d epoch=%d fenced=%v", r.BrokerID, r.BrokerEpoch, r.Fenced)
	case *metadata.BrokerRegistrationChangeRecord:
		return fmt.Sprintf("~ broker %d epoch=%d fenced=%d shutdown=%d", r.BrokerID, r.BrokerEpoch, r.Fenced, r.InControlledShutdown)
	case *metadata.ProducerIdsRecord:
		return fmt.Sprintf("+ producer ids of broker %d up to %d", r.BrokerID, r.NextProducerID)
	case *metadata.ClearElrRecord:
		return "- eligible replicas of " + strconv.Quote(r.TopicName)
	}
	return fmt.Sprintf("%T %+v", rec, rec)
}

func changes(r *metadata.PartitionChangeRecord) string {
	var b strings.Builder
	for _, f := range []struct {
		name string
		list []int32
	}{{"isr", r.ISR}, {"elr", r.EligibleLeaderReplicas}, {"last-known-elr", r.LastKnownELR}} {
		if f.list != nil {
			fmt.Fprintf(&b, " %s=%v", f.name, f.list)
		}
	}
	if r.Leader != nil {
		fmt.Fprintf(&b, " leader=%d", *r.Leader)
	}
	return b.String()
}

func shortID(id metadata.UUID) string { return fmt.Sprintf("#%d", id[15]) }

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func names(d *datadriven.TestData) (out []string) {
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 && a.Key != "validate-only" {
			out = append(out, a.Key)
		}
		if a.Key == "name" {
			out = append(out, a.Vals...)
		}
	}
	return out
}

func one(d *datadriven.TestData, key string) string { return list(d, key)[0] }

func list(d *datadriven.TestData, key string) []string {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			return a.Vals
		}
	}
	return nil
}

// keyValues reads key=(a=b, c=d); the value may be missing.
func keyValues(d *datadriven.TestData, key string) map[string]string {
	out := map[string]string{}
	for _, kv := range list(d, key) {
		k, v, _ := strings.Cut(kv, "=")
		out[k] = v
	}
	return out
}

func ids(s string) (out []int32) {
	for _, id := range strings.FieldsFunc(s, func(r rune) bool { return r == '/' }) {
		out = append(out, int32(number(id)))
	}
	return out
}
