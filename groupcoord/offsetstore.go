package groupcoord

import "slices"

// topicOffsets are a group's offsets: by topic, then partition.
type topicOffsets map[string]map[int32]offset

func (t topicOffsets) put(topic string, partition int32, o offset) {
	partitions := t[topic]
	if partitions == nil {
		partitions = map[int32]offset{}
		t[topic] = partitions
	}
	partitions[partition] = o
}

func (t topicOffsets) remove(topic string, partition int32) {
	delete(t[topic], partition)
	if len(t[topic]) == 0 {
		delete(t, topic)
	}
}

// offsetStore holds the committed offsets, and those of transactions that have not ended. Only Replay
// and ReplayMarker change it.
type offsetStore struct {
	byGroup map[string]topicOffsets
	// pending by producer id, then group.
	pending map[int64]map[string]topicOffsets
	// open are the producers with pending offsets, by group.
	open map[string][]int64
}

func newOffsetStore() offsetStore {
	return offsetStore{
		byGroup: map[string]topicOffsets{}, pending: map[int64]map[string]topicOffsets{}, open: map[string][]int64{},
	}
}

func (s *offsetStore) get(group, topic string, partition int32) (offset, bool) {
	o, ok := s.byGroup[group][topic][partition]
	return o, ok
}

func (s *offsetStore) put(group, topic string, partition int32, o offset) {
	if s.byGroup[group] == nil {
		s.byGroup[group] = topicOffsets{}
	}
	s.byGroup[group].put(topic, partition, o)
}

// remove forgets an offset, a pending one too.
func (s *offsetStore) remove(group, topic string, partition int32) {
	if topics := s.byGroup[group]; topics != nil {
		topics.remove(topic, partition)
		if len(topics) == 0 {
			delete(s.byGroup, group)
		}
	}
	for _, producer := range s.open[group] {
		s.pending[producer][group].remove(topic, partition)
	}
}

func (s *offsetStore) putPending(producer int64, group, topic string, partition int32, o offset) {
	groups := s.pending[producer]
	if groups == nil {
		groups = map[string]topicOffsets{}
		s.pending[producer] = groups
	}
	if groups[group] == nil {
		groups[group] = topicOffsets{}
		s.open[group] = append(s.open[group], producer)
	}
	groups[group].put(topic, partition, o)
}

// endTransaction makes a producer's pending offsets real, or forgets them. A commit that was recorded
// later than the pending one stays.
func (s *offsetStore) endTransaction(producer int64, commit bool) {
	for group, topics := range s.pending[producer] {
		s.open[group] = slices.DeleteFunc(s.open[group], func(p int64) bool { return p == producer })
		if len(s.open[group]) == 0 {
			delete(s.open, group)
		}
		if !commit {
			continue
		}
		for topic, partitions := range topics {
			for partition, o := range partitions {
				if have, ok := s.get(group, topic, partition); !ok || o.recordedAt > have.recordedAt {
					s.put(group, topic, partition, o)
				}
			}
		}
	}
	delete(s.pending, producer)
}

// isPending says whether a transaction that has not ended commits the partition.
func (s *offsetStore) isPending(group, topic string, partition int32) bool {
	for _, producer := range s.open[group] {
		if _, ok := s.pending[producer][group][topic][partition]; ok {
			return true
		}
	}
	return false
}
