package controller

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/metadata"
)

// Config resource types beside those of package metadata.
const (
	resourceClientMetrics int8 = 16
	resourceGroup         int8 = 32
)

// maxConfigValueBytes is Kafka's limit of one value.
const maxConfigValueBytes = 32767

// incrementalAlterConfigs changes resources, each alone: one that is refused does not hinder the others.
// What a broker checks before it forwards (twice, null, BROKER values) is handlers'.
func (m *machine) incrementalAlterConfigs(v view, req *kmsg.IncrementalAlterConfigsRequest) ([]metadata.Record, *kmsg.IncrementalAlterConfigsResponse) {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	var records []metadata.Record
	for i := range req.Resources {
		r := &req.Resources[i]
		resource := metadata.Resource{Type: int8(r.ResourceType), Name: r.ResourceName}
		answer := kmsg.NewIncrementalAlterConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = r.ResourceType, r.ResourceName
		next, touched, refused := incremented(v, resource, r.Configs)
		if refused == nil {
			var made []metadata.Record
			made, refused = alterResource(v, resource, next, touched)
			records = append(records, made...)
		}
		if refused != nil {
			answer.ErrorCode, answer.ErrorMessage = refused.code.Code, refused.message()
		}
		resp.Resources = append(resp.Resources, answer)
	}
	if req.ValidateOnly {
		records = nil
	}
	return records, resp
}

// alterConfigs replaces the whole set of each resource's dynamic configs.
func (m *machine) alterConfigs(v view, req *kmsg.AlterConfigsRequest) ([]metadata.Record, *kmsg.AlterConfigsResponse) {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	var records []metadata.Record
	for i := range req.Resources {
		r := &req.Resources[i]
		resource := metadata.Resource{Type: int8(r.ResourceType), Name: r.ResourceName}
		next, touched := map[string]string{}, []string{}
		for _, c := range r.Configs {
			if c.Value != nil {
				next[c.Name] = *c.Value
				touched = append(touched, c.Name)
			}
		}
		if old, ok := v.image.Configs(resource)[configMinISR]; ok && isClusterDefault(resource) && elr(v.image) && next[configMinISR] == "" {
			next[configMinISR] = old // with ELR the cluster has one, always
		}
		answer := kmsg.NewAlterConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = r.ResourceType, r.ResourceName
		made, refused := alterResource(v, resource, next, touched)
		if refused != nil {
			answer.ErrorCode, answer.ErrorMessage = refused.code.Code, refused.message()
		}
		records = append(records, made...)
		resp.Resources = append(resp.Resources, answer)
	}
	if req.ValidateOnly {
		records = nil
	}
	return records, resp
}

func isClusterDefault(r metadata.Resource) bool {
	return r.Type == metadata.ResourceBroker && r.Name == ""
}

// incremented is the set that the operations make of the present one, and the names they touch.
func incremented(v view, resource metadata.Resource, ops []kmsg.IncrementalAlterConfigsRequestResourceConfig) (
	next map[string]string, touched []string, refused *refusal,
) {
	next = map[string]string{}
	maps.Copy(next, v.image.Configs(resource))
	for _, op := range ops {
		value := ""
		if op.Value != nil {
			value = *op.Value
		}
		touched = append(touched, op.Name)
		switch op.Op {
		case kmsg.IncrementalAlterConfigOpSet:
			next[op.Name] = value
		case kmsg.IncrementalAlterConfigOpDelete:
			delete(next, op.Name)
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			row := config.Lookup(scopeOf(resource.Type), op.Name)
			if row == nil || row.Type != config.List {
				return nil, nil, refuse(kerr.InvalidConfig, "Can't %s to key %s because its type is not LIST.", op.Op, op.Name)
			}
			present, ok := next[op.Name]
			if !ok {
				present, _ = row.Default()
			}
			next[op.Name] = changedList(present, value, op.Op)
		default:
			return nil, nil, refuse(kerr.InvalidRequest, "Unknown operations type %d", op.Op)
		}
	}
	return next, touched, nil
}

func changedList(present, value string, op kmsg.IncrementalAlterConfigOp) string {
	split := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(s, ",")
	}
	list := split(present)
	for _, e := range split(value) {
		at := slices.Index(list, e)
		switch {
		case op == kmsg.IncrementalAlterConfigOpAppend && at < 0:
			list = append(list, e)
		case op == kmsg.IncrementalAlterConfigOpSubtract && at >= 0:
			list = slices.Delete(list, at, at+1)
		}
	}
	return strings.Join(list, ",")
}

func scopeOf(resourceType int8) config.Scope {
	switch resourceType {
	case metadata.ResourceTopic:
		return config.TopicScope
	case resourceGroup:
		return config.GroupScope
	case resourceClientMetrics:
		return config.ClientMetricsScope
	}
	return config.BrokerScope
}

// alterResource checks a resource's whole next set and makes the records that lead there. A broker's
// touched values are written even when they are the same: that makes it load key stores anew.
func alterResource(v view, resource metadata.Resource, next map[string]string, touched []string) ([]metadata.Record, *refusal) {
	if r := checkResource(resource); r != nil {
		return nil, r
	}
	present := v.image.Configs(resource)
	if r := checkMinISR(v.image, resource, present, next); r != nil {
		return nil, r
	}
	if r := checkConfigs(v, resource, next); r != nil {
		return nil, r
	}
	if r := checkExists(v, resource); r != nil { // Kafka looks at the values first
		return nil, r
	}
	records := configChanges(resource, present, next)
	if resource.Type == metadata.ResourceBroker {
		for _, name := range touched {
			if old, had := present[name]; had && next[name] == old {
				records = append(records, &metadata.ConfigRecord{ResourceType: resource.Type, ResourceName: resource.Name, Name: name, Value: &old})
			}
		}
	}
	if elr(v.image) && present[configMinISR] != next[configMinISR] {
		switch resource.Type {
		case metadata.ResourceTopic:
			records = append(records, &metadata.ClearElrRecord{TopicName: resource.Name})
		case metadata.ResourceBroker:
			records = append(records, &metadata.ClearElrRecord{})
		}
	}
	return records, nil
}

// configChanges are the records from one set to another, by name.
func configChanges(r metadata.Resource, present, next map[string]string) (records []metadata.Record) {
	names := slices.Collect(maps.Keys(next))
	for name := range present {
		if _, ok := next[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		rec := &metadata.ConfigRecord{ResourceType: r.Type, ResourceName: r.Name, Name: name}
		if value, ok := next[name]; ok {
			if old, had := present[name]; had && old == value {
				continue
			}
			rec.Value = &value
		}
		records = append(records, rec)
	}
	return records
}

// checkResource: is it one that can have configs?
func checkResource(r metadata.Resource) *refusal {
	switch r.Type {
	case metadata.ResourceTopic:
		if r.Name == "" {
			return refuse(kerr.InvalidRequest, "Default topic resources are not allowed.")
		}
	case metadata.ResourceBroker:
		if _, err := strconv.ParseInt(r.Name, 10, 32); err != nil && r.Name != "" {
			return refuse(kerr.InvalidRequest, "Invalid broker name %s", r.Name)
		}
	case resourceGroup:
		if r.Name == "" {
			return refuse(kerr.InvalidRequest, "Default group resources are not allowed.")
		}
	case resourceClientMetrics:
		if r.Name == "" {
			return refuse(kerr.InvalidRequest, "Subscription name can't be empty")
		}
	default:
		return refuse(kerr.InvalidRequest, "Unsupported resource type %d", r.Type)
	}
	return nil
}

// checkExists: is there such a topic or broker? Groups and subscriptions need not exist.
func checkExists(v view, r metadata.Resource) *refusal {
	switch r.Type {
	case metadata.ResourceTopic:
		if v.image.TopicByName(r.Name) == nil {
			return refuse(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", r.Name)
		}
	case metadata.ResourceBroker:
		id, err := strconv.ParseInt(r.Name, 10, 32)
		if err == nil && v.image.Broker(int32(id)) == nil {
			return refuse(kerr.BrokerIDNotRegistered, "No broker with id %d found.", id)
		}
	}
	return nil
}

// checkMinISR: with eligible leader replicas, min.insync.replicas is the cluster's or a topic's, and the
// cluster's cannot be taken away.
func checkMinISR(image *metadata.Image, r metadata.Resource, present, next map[string]string) *refusal {
	if r.Type != metadata.ResourceBroker || !elr(image) || present[configMinISR] == next[configMinISR] {
		return nil
	}
	if r.Name != "" {
		return refuse(kerr.InvalidConfig, "Broker-level min.insync.replicas cannot be altered while ELR is enabled.")
	}
	if next[configMinISR] == "" {
		return refuse(kerr.InvalidConfig, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")
	}
	return nil
}

// checkConfigs checks a resource's whole set.
func checkConfigs(v view, r metadata.Resource, next map[string]string) *refusal {
	for _, name := range slices.Sorted(maps.Keys(next)) {
		if len(next[name]) > maxConfigValueBytes {
			return refuse(kerr.InvalidConfig, "The configuration value cannot be added because it exceeds the maximum value size of %d bytes.", maxConfigValueBytes)
		}
	}
	var err error
	switch r.Type {
	case metadata.ResourceTopic:
		err = v.values.ValidateTopic(next)
	case resourceGroup:
		err = v.values.ValidateGroup(next)
	case resourceClientMetrics:
		err = config.ValidateClientMetrics(next)
	}
	if err == nil {
		return nil
	}
	var known *config.Error
	if errors.As(err, &known) && known.Request {
		return refuse(kerr.InvalidRequest, "%s", err)
	}
	return refuse(kerr.InvalidConfig, "%s", err)
}

// checkTopicConfigs checks the configs of a topic that is being created.
func checkTopicConfigs(v view, configs map[string]string) *refusal {
	return checkConfigs(v, metadata.Resource{Type: metadata.ResourceTopic}, configs)
}
