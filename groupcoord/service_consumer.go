package groupcoord

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/coordinator"
	"minikafka/metadata"
)

// seen is what the service knows of the metadata.
type seen struct {
	image  *metadata.Image // the present one: of groups' configs
	topics *imageTopics    // of the last image in which a topic changed
}

// see takes a new image in.
func (s *Service) see(image *metadata.Image, delta *metadata.Delta) {
	next := &seen{image, s.seen.Load().topics}
	if len(delta.Topics) > 0 || len(delta.DeletedTopics) > 0 {
		next.topics = &imageTopics{image, image.Offset}
	}
	s.seen.Store(next)
}

// resourceGroup is the type of a group's configs in ConfigRecord.
const resourceGroup int8 = 32

// overrides are the configs that a group has of its own.
func (s *Service) overrides(group string) map[string]string {
	return s.seen.Load().image.Configs(metadata.Resource{Type: resourceGroup, Name: group})
}

// groupVersion is the feature that consumer groups need, at 1 or above.
const groupVersion = "group.version"

// ServesConsumerGroups says whether the cluster's features and the configuration have consumer groups.
func (s *Service) ServesConsumerGroups() bool {
	return s.seen.Load().image.Features()[groupVersion] > 0 && ServesConsumerGroups(s.o.Config)
}

// CheckConsumerHeartbeat is what is wrong with a request whatever the group; nil: nothing.
func (s *Service) CheckConsumerHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse {
	return s.settings.CheckConsumerHeartbeat(req)
}

// ConsumerGroupHeartbeat is Machine.ConsumerGroupHeartbeat.
func (s *Service) ConsumerGroupHeartbeat(c Client, req *kmsg.ConsumerGroupHeartbeatRequest) *Call {
	return s.write(req.Group, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
		return m.ConsumerGroupHeartbeat(now, t, c, req, s.seen.Load().topics)
	})
}

// ConsumerDescribe is Machine.ConsumerDescribe, a part for each shard.
func (s *Service) ConsumerDescribe(groups []string) []Part {
	return s.parts(groups, func(first string, part []string) *Call {
		return s.read(first, func(m *Machine, now time.Time, t coordinator.Token) coordinator.Outcome {
			return m.ConsumerDescribe(now, t, part, s.seen.Load().topics)
		})
	})
}

// consumerSettings are those of the configuration; dynamic ones are read when they are used.
func (s *Service) consumerSettings() ConsumerSettings {
	values := s.o.Values
	if values == nil {
		values = func() *config.Values { return s.o.Config }
	}
	return ConsumerSettingsOf(values, s.overrides)
}
