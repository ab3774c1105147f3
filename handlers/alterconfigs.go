package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/metadata"
)

// IncrementalAlterConfigs v0-v1 and AlterConfigs v0-v2. The broker checks what Kafka's broker checks
// before it forwards: resources and keys that come twice, nulls, and for BROKER resources that they
// name this broker and that the new set is one that it could run with (INVALID_REQUEST, not
// INVALID_CONFIG: KAFKA-13609). Loggers are changed here. Everything else is the controller's.

// alteration is one resource of either request.
type alteration struct {
	kind        kmsg.ConfigResourceType
	name        string
	changes     []change
	incremental bool
}

// change is one key of an alteration. A value of nil is allowed for DELETE only.
type change struct {
	op    kmsg.IncrementalAlterConfigOp
	key   string
	value *string
}

// verdict says what became of an alteration before the controller saw it.
type verdict struct {
	refused *refusal
	done    bool // nothing is left to do for the controller
}

func (h *Handlers) incrementalAlterConfigs(
	ctx context.Context, _ *Request, req *kmsg.IncrementalAlterConfigsRequest,
) (kmsg.Response, Later) {
	all := make([]alteration, 0, len(req.Resources))
	for _, r := range req.Resources {
		a := alteration{kind: r.ResourceType, name: r.ResourceName, incremental: true}
		for _, c := range r.Configs {
			a.changes = append(a.changes, change{c.Op, c.Name, c.Value})
		}
		all = append(all, a)
	}
	verdicts := h.preprocess(all, req.ValidateOnly)
	forwarded := *req
	forwarded.Resources = forward(req.Resources, verdicts)
	answers := map[metadata.Resource]kmsg.IncrementalAlterConfigsResponseResource{}
	var failed *refusal
	if len(forwarded.Resources) > 0 {
		answered, err := h.Controller.IncrementalAlterConfigs(ctx, &forwarded)
		if err != nil {
			failed = h.controllerError("IncrementalAlterConfigs", err)
		} else {
			for _, r := range answered.Resources {
				answers[metadata.Resource{Type: int8(r.ResourceType), Name: r.ResourceName}] = r
			}
		}
	}
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	for i, a := range all {
		r, ok := answers[a.resource()]
		if !ok {
			r = kmsg.NewIncrementalAlterConfigsResponseResource()
			r.ResourceType, r.ResourceName = a.kind, a.name
			r.ErrorCode, r.ErrorMessage = verdicts[i].answer(failed)
		}
		resp.Resources = append(resp.Resources, r)
	}
	return resp, nil
}

func (h *Handlers) alterConfigs(ctx context.Context, _ *Request, req *kmsg.AlterConfigsRequest) (kmsg.Response, Later) {
	all := make([]alteration, 0, len(req.Resources))
	for _, r := range req.Resources {
		a := alteration{kind: r.ResourceType, name: r.ResourceName}
		for _, c := range r.Configs {
			a.changes = append(a.changes, change{kmsg.IncrementalAlterConfigOpSet, c.Name, c.Value})
		}
		all = append(all, a)
	}
	verdicts := h.preprocess(all, req.ValidateOnly)
	forwarded := *req
	forwarded.Resources = forward(req.Resources, verdicts)
	answers := map[metadata.Resource]kmsg.AlterConfigsResponseResource{}
	var failed *refusal
	if len(forwarded.Resources) > 0 {
		answered, err := h.Controller.AlterConfigs(ctx, &forwarded)
		if err != nil {
			failed = h.controllerError("AlterConfigs", err)
		} else {
			for _, r := range answered.Resources {
				answers[metadata.Resource{Type: int8(r.ResourceType), Name: r.ResourceName}] = r
			}
		}
	}
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	for i, a := range all {
		r, ok := answers[a.resource()]
		if !ok {
			r = kmsg.NewAlterConfigsResponseResource()
			r.ResourceType, r.ResourceName = a.kind, a.name
			r.ErrorCode, r.ErrorMessage = verdicts[i].answer(failed)
		}
		resp.Resources = append(resp.Resources, r)
	}
	return resp, nil
}

func (a *alteration) resource() metadata.Resource {
	return metadata.Resource{Type: int8(a.kind), Name: a.name}
}

// answer is the code and text of a resource that the controller did not answer.
func (v verdict) answer(failed *refusal) (int16, *string) {
	switch {
	case v.refused != nil:
		return v.refused.code.Code, v.refused.message()
	case v.done:
		return 0, nil
	case failed != nil:
		return failed.code.Code, failed.message()
	}
	return kerr.UnknownServerError.Code, nil
}

// forward keeps the resources that the controller has to see.
func forward[R any](resources []R, verdicts []verdict) (kept []R) {
	for i, r := range resources {
		if verdicts[i].refused == nil && !verdicts[i].done {
			kept = append(kept, r)
		}
	}
	return kept
}

// preprocess judges each resource alone: an error of one does not hinder the others.
func (h *Handlers) preprocess(all []alteration, validateOnly bool) []verdict {
	count := map[metadata.Resource]int{}
	for _, a := range all {
		count[a.resource()]++
	}
	verdicts := make([]verdict, len(all))
	for i, a := range all {
		if count[a.resource()] > 1 {
			verdicts[i].refused = invalidRequest("Each resource must appear at most once.")
			continue
		}
		if err := h.judge(a, validateOnly, &verdicts[i]); err != nil {
			errors.As(err, &verdicts[i].refused)
		}
	}
	return verdicts
}

// judge checks one resource; the error is a *refusal.
func (h *Handlers) judge(a alteration, validateOnly bool, v *verdict) error {
	seen := map[string]bool{}
	var nulls []string
	for _, c := range a.changes {
		seen[c.key] = true
		if c.value == nil && c.op != kmsg.IncrementalAlterConfigOpDelete {
			nulls = append(nulls, c.key)
		}
	}
	if len(seen) != len(a.changes) {
		return invalidRequest("Error due to duplicate config keys")
	}
	if len(nulls) > 0 {
		return invalidRequest("Null value not supported for : " + strings.Join(nulls, ", "))
	}
	switch {
	case a.kind == kmsg.ConfigResourceTypeTopic && a.name != "":
		if err := metadata.CheckTopicName(a.name); err != nil {
			return &refusal{kerr.InvalidTopicException, err.Error()}
		}
	case a.kind == kmsg.ConfigResourceTypeBroker:
		return h.judgeBroker(a)
	case a.kind == kmsg.ConfigResourceTypeBrokerLogger && a.incremental:
		v.done = true
		return h.alterLoggers(a, validateOnly)
	case a.kind == kmsg.ConfigResourceTypeBrokerLogger, !isResourceType(a.kind):
		return invalidRequest(fmt.Sprintf("Unknown resource type %d", a.kind))
	}
	return nil
}

func (h *Handlers) judgeBroker(a alteration) error {
	if a.name != "" {
		id, err := strconv.ParseInt(a.name, 10, 32)
		if err != nil {
			return invalidRequest("Node id must be an integer, but it is: " + a.name)
		}
		if int32(id) != h.NodeID {
			return invalidRequest(fmt.Sprintf("Unexpected broker id, expected %d, but received %s", h.NodeID, a.name))
		}
	}
	props := map[string]string{}
	if a.incremental {
		maps.Copy(props, h.Image().Configs(a.resource()))
	}
	for _, c := range a.changes {
		if err := applyBrokerChange(props, c); err != nil {
			return err
		}
	}
	if err := h.Config().ValidateBroker(props, a.name == ""); err != nil {
		return invalidRequest(err.Error())
	}
	return nil
}

// applyBrokerChange makes one change on a broker's dynamic configs.
func applyBrokerChange(props map[string]string, c change) error {
	value := ""
	if c.value != nil {
		value = *c.value
	}
	row := config.Lookup(config.BrokerScope, c.key)
	isList := row != nil && row.Type == config.List
	present := func() []string {
		text, ok := props[c.key]
		if !ok {
			text, _ = row.Default()
		}
		return splitList(text)
	}
	switch c.op {
	case kmsg.IncrementalAlterConfigOpSet:
		props[c.key] = value
	case kmsg.IncrementalAlterConfigOpDelete:
		delete(props, c.key)
	case kmsg.IncrementalAlterConfigOpAppend:
		if !isList {
			return &refusal{kerr.InvalidConfig, "Config value append is not allowed for config key: " + c.key}
		}
		list := present()
		for _, e := range splitList(value) {
			if !slices.Contains(list, e) {
				list = append(list, e)
			}
		}
		props[c.key] = strings.Join(list, ",")
	case kmsg.IncrementalAlterConfigOpSubtract:
		if !isList {
			return &refusal{kerr.InvalidConfig, "Config value subtract is not allowed for config key: " + c.key}
		}
		gone := splitList(value)
		props[c.key] = strings.Join(slices.DeleteFunc(present(), func(e string) bool { return slices.Contains(gone, e) }), ",")
	default:
		return invalidRequest(fmt.Sprintf("Unknown operations type %d", c.op))
	}
	return nil
}

func splitList(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// alterLoggers sets the level of the root logger: there is no other.
func (h *Handlers) alterLoggers(a alteration, validateOnly bool) error {
	id, err := strconv.ParseInt(a.name, 10, 32)
	if err != nil {
		return invalidRequest("Node id must be an integer, but it is: " + a.name)
	}
	if int32(id) != h.NodeID {
		return invalidRequest(fmt.Sprintf("Unexpected node id. Expected %d, but received %s", h.NodeID, a.name))
	}
	level := slog.LevelInfo
	for _, c := range a.changes {
		if level, err = judgeLogger(c); err != nil {
			return err
		}
	}
	if !validateOnly && len(a.changes) > 0 {
		h.LogLevel.Set(level)
	}
	return nil
}

func judgeLogger(c change) (slog.Level, error) {
	switch c.op {
	case kmsg.IncrementalAlterConfigOpSet:
		if c.key != rootLogger {
			return 0, &refusal{kerr.InvalidConfig, "Logger " + c.key + " does not exist!"}
		}
		for _, l := range logLevels() {
			if l.name == *c.value {
				return l.level, nil
			}
		}
		return 0, &refusal{kerr.InvalidConfig, "Cannot set the log level of " + c.key + " to " + *c.value +
			" as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"}
	case kmsg.IncrementalAlterConfigOpDelete:
		if c.key != rootLogger {
			return 0, &refusal{kerr.InvalidConfig, "Logger " + c.key + " does not exist!"}
		}
		return 0, invalidRequest("Removing the log level of the " + rootLogger + " logger is not allowed")
	case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
		return 0, invalidRequest(c.op.String() + " operation is not allowed for the BROKER_LOGGER resource")
	}
	return 0, invalidRequest("Unknown operation type " + strconv.Itoa(int(c.op)) + " is not allowed for the BROKER_LOGGER resource")
}
