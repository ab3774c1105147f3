package handlers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/metadata"
)

// DescribeConfigs v1-v4. Topics are described by any broker, BROKER and BROKER_LOGGER resources only by
// the broker that they name ("" is the default of all brokers). Keys that do not exist are left out
// without an error; an unknown resource type fails the whole request.

// refusal is an answer's error code and text, as one resource or topic of a request gets them.
type refusal struct {
	code *kerr.Error
	text string // "": the answer has none
}

func (r *refusal) Error() string { return r.code.Message + ": " + r.text }

func invalidRequest(text string) *refusal { return &refusal{kerr.InvalidRequest, text} }

func (h *Handlers) describeConfigs(
	_ context.Context, _ *Request, req *kmsg.DescribeConfigsRequest,
) (kmsg.Response, Later) {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	known := !slices.ContainsFunc(req.Resources, func(r kmsg.DescribeConfigsRequestResource) bool {
		return !isResourceType(r.ResourceType)
	})
	for _, r := range req.Resources {
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		entries, err := []config.Entry(nil), error(&refusal{kerr.InvalidRequest, kerr.InvalidRequest.Description})
		if known {
			entries, err = h.describeResource(r.ResourceType, r.ResourceName)
		}
		text := ""
		if refused := (*refusal)(nil); errors.As(err, &refused) {
			out.ErrorCode, text = refused.code.Code, refused.text
		}
		out.ErrorMessage = &text
		out.Configs = describedConfigs(entries, r.ConfigNames, req)
		resp.Resources = append(resp.Resources, out)
	}
	return resp, nil
}

func isResourceType(t kmsg.ConfigResourceType) bool {
	switch t {
	case kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger,
		kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig:
		return true
	case kmsg.ConfigResourceTypeUnknown:
	}
	return false
}

// describeResource lists a resource's configs; the error is a *refusal.
func (h *Handlers) describeResource(t kmsg.ConfigResourceType, name string) ([]config.Entry, error) {
	values, image := h.Config(), h.Image()
	set := image.Configs(metadata.Resource{Type: int8(t), Name: name})
	switch t {
	case kmsg.ConfigResourceTypeTopic:
		if err := metadata.CheckTopicName(name); err != nil {
			return nil, &refusal{kerr.InvalidTopicException, err.Error()}
		}
		if image.TopicByName(name) == nil {
			return nil, &refusal{code: kerr.UnknownTopicOrPartition}
		}
		return values.DescribeTopic(set), nil
	case kmsg.ConfigResourceTypeBroker:
		return h.describeBroker(values, name)
	case kmsg.ConfigResourceTypeBrokerLogger:
		return h.describeLoggers(name)
	case kmsg.ConfigResourceTypeClientMetrics:
		if name == "" {
			return nil, invalidRequest("Client metrics subscription name must not be empty")
		}
		return values.DescribeClientMetrics(set), nil
	case kmsg.ConfigResourceTypeGroupConfig:
		if name == "" {
			return nil, invalidRequest("Group name must not be empty")
		}
		return values.DescribeGroup(set), nil
	case kmsg.ConfigResourceTypeUnknown:
	}
	return nil, invalidRequest("Unsupported resource type: " + t.String())
}

func (h *Handlers) describeBroker(values *config.Values, name string) ([]config.Entry, error) {
	if name == "" {
		return values.DescribeDefaultBroker(), nil
	}
	id, err := brokerID(name)
	if err != nil {
		return nil, err
	}
	if id != h.NodeID {
		return nil, invalidRequest("Unexpected broker id, expected " + strconv.Itoa(int(h.NodeID)) +
			" or empty string, but received " + name)
	}
	return values.DescribeBroker(), nil
}

func brokerID(name string) (int32, error) {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return 0, invalidRequest("Broker id must be an integer, but it is: " + name)
	}
	return int32(id), nil
}

// rootLogger is the one logger that there is: all packages write to it.
const rootLogger = "root"

type logLevel struct {
	name  string
	level slog.Level
}

// logLevels are Kafka's names, the most talkative first, and slog's levels.
func logLevels() []logLevel {
	return []logLevel{
		{"TRACE", slog.LevelDebug - 4},
		{"DEBUG", slog.LevelDebug},
		{"INFO", slog.LevelInfo},
		{"WARN", slog.LevelWarn},
		{"ERROR", slog.LevelError},
		{"FATAL", slog.LevelError + 4},
	}
}

func (h *Handlers) describeLoggers(name string) ([]config.Entry, error) {
	if name == "" {
		return nil, invalidRequest("Broker id must not be empty")
	}
	id, err := brokerID(name)
	if err != nil {
		return nil, err
	}
	if id != h.NodeID {
		return nil, invalidRequest("Unexpected broker id, expected " + strconv.Itoa(int(h.NodeID)) + " but received " + name)
	}
	level, none := "OFF", ""
	for _, l := range logLevels() {
		if h.Logger.Enabled(context.Background(), l.level) {
			level = l.name
			break
		}
	}
	return []config.Entry{{Name: rootLogger, Value: &level, Source: config.BrokerLoggerSource, Doc: &none}}, nil
}

// describedConfigs are the entries whose names were asked for (none: all), never a null array.
func describedConfigs(
	entries []config.Entry, names []string, req *kmsg.DescribeConfigsRequest,
) []kmsg.DescribeConfigsResponseResourceConfig {
	configs := make([]kmsg.DescribeConfigsResponseResourceConfig, 0, len(entries))
	for _, e := range entries {
		if len(names) > 0 && !slices.Contains(names, e.Name) {
			continue
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value = e.Name, e.Value
		c.ReadOnly, c.IsSensitive = e.ReadOnly, e.Sensitive
		c.Source, c.ConfigType = kmsg.ConfigSource(e.Source), kmsg.ConfigType(e.Type)
		if req.IncludeDocumentation {
			c.Documentation = e.Doc
		}
		c.ConfigSynonyms = []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{}
		for _, s := range e.Synonyms {
			if req.IncludeSynonyms {
				c.ConfigSynonyms = append(c.ConfigSynonyms, kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{
					Name: s.Name, Value: s.Value, Source: kmsg.ConfigSource(s.Source),
				})
			}
		}
		configs = append(configs, c)
	}
	return configs
}
