package controller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/metadata"
)

// Kafka's limits of one request, and of a name.
const (
	maxPartitionsPerRequest = 10_000
	maxNameLength           = 249
)

// refusal is why a topic or resource of a request is refused; an empty text is null on the wire.
type refusal struct {
	code *kerr.Error
	text string
}

func refuse(code *kerr.Error, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// message is the text for the wire.
func (r *refusal) message() *string {
	if r.text == "" {
		return nil
	}
	return &r.text
}

// createTopics decides each topic of a request, in Kafka's order of checks. The records of all of them
// are one batch.
func (m *machine) createTopics(v view, req *kmsg.CreateTopicsRequest) ([]metadata.Record, *kmsg.CreateTopicsResponse) {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	resp.Topics = []kmsg.CreateTopicsResponseTopic{}
	whole := tooManyPartitions(v, req.Topics)
	var records []metadata.Record
	for i := range req.Topics {
		answer := kmsg.NewCreateTopicsResponseTopic()
		answer.Topic, answer.Configs = req.Topics[i].Topic, []kmsg.CreateTopicsResponseTopicConfig{}
		refused := whole
		if refused == nil {
			var made []metadata.Record
			if made, refused = m.createTopic(v, &req.Topics[i], &answer); refused == nil {
				records = append(records, made...)
			}
		}
		if refused != nil {
			answer.ErrorCode, answer.ErrorMessage = refused.code.Code, refused.message()
		}
		resp.Topics = append(resp.Topics, answer)
	}
	if req.ValidateOnly {
		records = nil
	}
	return records, resp
}

func tooManyPartitions(v view, topics []kmsg.CreateTopicsRequestTopic) *refusal {
	total := int64(0)
	for i := range topics {
		switch t := &topics[i]; {
		case len(t.ReplicaAssignment) > 0:
			total += int64(len(t.ReplicaAssignment))
		case t.NumPartitions == -1:
			total += int64(config.Get(v.values, config.NumPartitions))
		case t.NumPartitions > 0:
			total += int64(t.NumPartitions)
		}
	}
	if total > maxPartitionsPerRequest {
		return refuse(kerr.PolicyViolation, "Excessively large number of partitions per request.")
	}
	return nil
}

func (m *machine) createTopic(v view, t *kmsg.CreateTopicsRequestTopic, answer *kmsg.CreateTopicsResponseTopic) ([]metadata.Record, *refusal) {
	if r := checkNewName(v.image, t.Topic); r != nil {
		return nil, r
	}
	configs, configRecords, r := newTopicConfigs(v, t)
	if r != nil {
		return nil, r
	}
	assignments, r := m.assign(v, t)
	if r != nil {
		return nil, r
	}
	id := m.newID()
	records := append([]metadata.Record{&metadata.TopicRecord{Name: t.Topic, TopicID: id}}, configRecords...)
	for p, replicas := range assignments {
		records = append(records, newPartition(v.image, id, int32(p), replicas))
	}
	answer.TopicID = id
	answer.NumPartitions, answer.ReplicationFactor = int32(len(assignments)), int16(len(assignments[0]))
	for _, e := range v.values.CreatedTopic(configs) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = e.Name, e.Value, e.ReadOnly, int8(e.Source), e.Sensitive
		answer.Configs = append(answer.Configs, c)
	}
	return records, nil
}

// checkNewName: a name that exists beats everything else that may be wrong with it.
func checkNewName(image *metadata.Image, name string) *refusal {
	if image.TopicByName(name) != nil {
		return refuse(kerr.TopicAlreadyExists, "Topic '%s' already exists.", name)
	}
	if reason := invalidName(name); reason != "" {
		return refuse(kerr.InvalidTopicException, "Topic name is invalid: %s", reason)
	}
	if other, found := image.Collision(name); found {
		return refuse(kerr.InvalidTopicException, "Topic '%s' collides with existing topic: %s", name, other)
	}
	return nil
}

// invalidName is Kafka's reason why a topic cannot have this name; empty for a good one.
func invalidName(name string) string {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}
	switch {
	case name == "":
		return "the empty string is not allowed"
	case name == "." || name == "..":
		return "'" + name + "' is not allowed"
	case len(name) > maxNameLength:
		return fmt.Sprintf("the length of '%s' is longer than the max allowed length %d", name, maxNameLength)
	case strings.ContainsFunc(name, bad):
		return "'" + name + "' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
	}
	return ""
}

// newTopicConfigs checks the configs of a new topic and makes their records.
func newTopicConfigs(v view, t *kmsg.CreateTopicsRequestTopic) (configs map[string]string, records []metadata.Record, r *refusal) {
	configs = make(map[string]string, len(t.Configs))
	var null []string
	for _, c := range t.Configs {
		if c.Value == nil {
			null = append(null, c.Name)
			continue
		}
		configs[c.Name] = *c.Value
	}
	if len(null) > 0 {
		return nil, nil, refuse(kerr.InvalidConfig, "Null value not supported for topic configs: %s", strings.Join(null, ","))
	}
	return configs, configChanges(metadata.Resource{Type: metadata.ResourceTopic, Name: t.Topic}, nil, configs), checkTopicConfigs(v, configs)
}

// assign is the replicas of each new partition: those that were asked for, or placed.
func (m *machine) assign(v view, t *kmsg.CreateTopicsRequestTopic) ([][]int32, *refusal) {
	switch {
	case len(t.ReplicaAssignment) > 0 && t.ReplicationFactor != -1:
		return nil, refuse(kerr.InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
	case len(t.ReplicaAssignment) > 0 && t.NumPartitions != -1:
		return nil, refuse(kerr.InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
	case len(t.ReplicaAssignment) > 0:
		return manualAssignment(v.image, t.ReplicaAssignment)
	case t.ReplicationFactor < -1 || t.ReplicationFactor == 0:
		return nil, refuse(kerr.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	case t.NumPartitions < -1 || t.NumPartitions == 0:
		return nil, refuse(kerr.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	}
	partitions, replicas := t.NumPartitions, t.ReplicationFactor
	if partitions == -1 {
		partitions = config.Get(v.values, config.NumPartitions)
	}
	if replicas == -1 {
		replicas = int16(config.Get(v.values, config.DefaultReplicationFactor))
	}
	return m.placed(v.image, int(partitions), int(replicas))
}

// placed places new partitions, and says why it cannot.
func (m *machine) placed(image *metadata.Image, partitions, replicas int) ([][]int32, *refusal) {
	assignments, problem := place(image, m.rand, partitions, replicas)
	if problem == "" && slices.ContainsFunc(assignments, func(replicas []int32) bool { return len(activeOf(image, replicas)) == 0 }) {
		problem = "All brokers are currently fenced or in controlled shutdown."
	}
	if problem != "" {
		return nil, refuse(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): %s", replicas, problem)
	}
	return assignments, nil
}

func manualAssignment(image *metadata.Image, wanted []kmsg.CreateTopicsRequestTopicReplicaAssignment) ([][]int32, *refusal) {
	byPartition := map[int32][]int32{}
	factor := -1
	for _, a := range wanted {
		if _, twice := byPartition[a.Partition]; twice {
			return nil, refuse(kerr.InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", a.Partition)
		}
		if r := checkAssignment(image, a.Partition, a.Replicas, factor); r != nil {
			return nil, r
		}
		factor = len(a.Replicas)
		byPartition[a.Partition] = a.Replicas
	}
	out := make([][]int32, len(byPartition))
	for i := range out {
		replicas, ok := byPartition[int32(i)]
		if !ok {
			return nil, refuse(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
		out[i] = replicas
	}
	return out, nil
}

// checkAssignment checks the replicas that were asked for one partition; factor -1: any number.
func checkAssignment(image *metadata.Image, partition int32, replicas []int32, factor int) *refusal {
	if len(replicas) == 0 {
		return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(replicas))
	for i, id := range sorted {
		if image.Broker(id) == nil {
			return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if i > 0 && sorted[i-1] == id {
			return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	if factor >= 0 && len(replicas) != factor {
		return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), "+
			"but this is not consistent with previous partitions, which have %d replica(s).", len(replicas), factor)
	}
	if len(activeOf(image, replicas)) == 0 {
		return refuse(kerr.InvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition %d "+
			"are fenced or in controlled shutdown.", partition)
	}
	return nil
}

func activeOf(image *metadata.Image, replicas []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(replicas), func(id int32) bool { return !isActive(image, id) })
}

// newPartition is led by the first active replica; the active ones are its ISR. Each replica lies in its
// broker's directory if that has one, else its broker chooses (Kafka's UNASSIGNED).
func newPartition(image *metadata.Image, topic metadata.UUID, id int32, replicas []int32) *metadata.PartitionRecord {
	isr := activeOf(image, replicas)
	dirs := make([]metadata.UUID, len(replicas))
	for i, r := range replicas {
		dirs[i] = unassignedDirectory
		if b := image.Broker(r); b != nil && len(b.Directories) == 1 {
			dirs[i] = b.Directories[0]
		}
	}
	return &metadata.PartitionRecord{
		PartitionID: id, TopicID: topic, Replicas: replicas, ISR: isr, RemovingReplicas: []int32{}, AddingReplicas: []int32{},
		Leader: isr[0], Directories: dirs,
	}
}

// unassignedDirectory is Kafka's DirectoryId.UNASSIGNED.
var unassignedDirectory = metadata.UUID{15: 1} //nolint:gochecknoglobals // a constant
