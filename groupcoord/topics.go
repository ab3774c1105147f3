package groupcoord

import (
	"iter"

	"minikafka/metadata"
)

// imageTopics are the Topics of a metadata image.
type imageTopics struct {
	image   *metadata.Image
	version int64
}

func topicInfo(t *metadata.Topic) (TopicInfo, bool) {
	if t == nil {
		return TopicInfo{}, false
	}
	return TopicInfo{Name: t.Name, ID: t.ID, Partitions: int32(len(t.Partitions))}, true
}

// Version is the offset of the image in which a topic last changed.
func (i *imageTopics) Version() int64 { return i.version }

// ByName is Topics.ByName.
func (i *imageTopics) ByName(name string) (TopicInfo, bool) {
	return topicInfo(i.image.TopicByName(name))
}

// ByID is Topics.ByID.
func (i *imageTopics) ByID(id UUID) (TopicInfo, bool) { return topicInfo(i.image.TopicByID(id)) }

// All is Topics.All.
func (i *imageTopics) All() iter.Seq[TopicInfo] {
	return func(yield func(TopicInfo) bool) {
		for t := range i.image.Topics() {
			if info, _ := topicInfo(t); !yield(info) {
				return
			}
		}
	}
}
