package replication

import (
	"slices"

	"minikafka/logstore"
	"minikafka/metadata"
)

// settleFutures decides, before anything is appended, about the copies that a move between log directories left
// when Kafka stopped. Kafka takes a copy for the log where the metadata log places the partition in the copy's
// directory; where we go on with the old log, which has all that the copy has, that would lose what we append: the
// copy goes aside. A copy that the metadata log does not know of is only behind: Kafka goes on with it.
func (m *Manager) settleFutures(image *metadata.Image) {
	futures := m.o.Store.Futures()
	if len(futures) == 0 {
		return
	}
	present := map[logstore.TopicPartition]bool{}
	for _, tp := range m.o.Store.Partitions() {
		present[tp] = true
	}
	for tp, dir := range futures {
		settle, what := m.o.Store.PutFutureAside, "put aside as stray"
		switch assigned := m.placedIn(image, tp, dir); {
		case !m.hostsIn(image, tp), assigned && present[tp]:
		case assigned:
			settle, what = m.o.Store.PromoteFuture, "it is the partition's log now"
		default:
			m.o.Logger.Info("a move between log directories is not finished: left for Apache Kafka", "topic", tp.Topic, "partition", tp.Partition)
			continue
		}
		if err := settle(tp); err != nil {
			m.o.Logger.Error("cannot settle a copy of a log", "topic", tp.Topic, "partition", tp.Partition, "error", err)
			continue
		}
		m.o.Logger.Warn("a move between log directories is over", "topic", tp.Topic, "partition", tp.Partition, "copy", what)
	}
}

func (m *Manager) hostsIn(image *metadata.Image, tp logstore.TopicPartition) bool {
	t := image.TopicByName(tp.Topic)
	return t != nil && m.hosts(t, tp.Partition)
}

// placedIn says that the metadata log has our replica in the directory.
func (m *Manager) placedIn(image *metadata.Image, tp logstore.TopicPartition, dir logstore.UUID) bool {
	if !m.hostsIn(image, tp) {
		return false
	}
	p := image.TopicByName(tp.Topic).Partitions[tp.Partition]
	i := slices.Index(p.Replicas, m.o.NodeID)
	return i < len(p.Directories) && p.Directories[i] == metadata.UUID(dir)
}
