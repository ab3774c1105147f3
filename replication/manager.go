package replication

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"minikafka/config"
	"minikafka/internal/clock"
	"minikafka/logstore"
	"minikafka/metadata"
)

// Options say what a manager stands on.
type Options struct {
	Store  *logstore.Store
	NodeID int32
	Clock  clock.Clock
	Logger *slog.Logger
	Config func() *config.Values
}

// Manager owns this broker's partitions and follows the metadata image.
type Manager struct {
	o Options

	mu     sync.RWMutex // held for map access alone
	topics map[string]*topic

	started bool // only Apply touches it

	closing   context.Context // ends what opens in the background
	end       context.CancelFunc
	openingMu sync.Mutex // nothing is added to opening once closing ended
	opening   sync.WaitGroup
}

// topic is a topic of which this broker has replicas.
type topic struct {
	id       metadata.UUID
	settings atomic.Pointer[settings]
	// partitions by partition id; nil where this broker has no replica. Replaced whole.
	partitions atomic.Pointer[[]*Partition]
}

// applyWorkers is how many partitions take their roles at once.
const applyWorkers = 8

// newLogDelay is when the logs of new partitions are made that nobody used yet. Whoever made the topic is about to
// use some of them, and should not have to share processor and disk with the making of all the others.
const newLogDelay = 100 * time.Millisecond

// NewManager makes a manager without partitions; Apply brings them.
func NewManager(o Options) *Manager {
	m := &Manager{o: o, topics: map[string]*topic{}}
	m.closing, m.end = context.WithCancel(context.Background())
	return m
}

// Partition finds a hosted partition, and loads or makes its log if that was left for later; nil when this
// broker does not host it.
func (m *Manager) Partition(name string, partition int32) *Partition {
	p := m.find(name, partition)
	if p != nil {
		m.open(p)
	}
	return p
}

// Open is Partition for who has the partition from Hosted.
func (m *Manager) Open(p *Partition) { m.open(p) }

func (m *Manager) find(name string, partition int32) *Partition {
	m.mu.RLock()
	t := m.topics[name]
	m.mu.RUnlock()
	if t == nil {
		return nil
	}
	partitions := *t.partitions.Load()
	if partition < 0 || int(partition) >= len(partitions) {
		return nil
	}
	return partitions[partition]
}

// Close stops background work; it does not close the store.
func (m *Manager) Close() {
	m.openingMu.Lock()
	m.end()
	m.openingMu.Unlock()
	m.opening.Wait()
}

// Apply is the metadata.Subscriber: it creates, leads, reconfigures and deletes partitions, and returns
// when they can be produced to and fetched from: logs are made or loaded on their first use, new ones in the
// background as well, those of the start by OpenAll. The first call also marks logs stray that the image does not
// know. Its work grows with the delta, except that a changed broker config reaches every topic.
func (m *Manager) Apply(image *metadata.Image, delta *metadata.Delta) {
	first := !m.started
	if first {
		m.started = true
		m.settleFutures(image)
		m.markStray(image)
	}
	for _, t := range delta.DeletedTopics {
		m.drop(t)
	}
	values := m.o.Config()
	m.applyTopics(image, delta, values, first)
	if !first { // else the topics have them already
		m.applyConfigs(image, delta, values)
	}
}

// markStray puts logs aside that belong to no replica of ours: a topic that was deleted while we were
// away. A log of another topic id shows when it is opened.
func (m *Manager) markStray(image *metadata.Image) {
	for _, tp := range m.o.Store.Partitions() {
		if t := image.TopicByName(tp.Topic); t == nil || !m.hosts(t, tp.Partition) {
			m.stray(tp)
		}
	}
}

func (m *Manager) stray(tp logstore.TopicPartition) {
	m.o.Logger.Warn("log belongs to no replica of this broker: marked stray", "topic", tp.Topic, "partition", tp.Partition)
	if err := m.o.Store.MarkStray(tp); err != nil {
		m.o.Logger.Error("cannot mark a log stray", "topic", tp.Topic, "partition", tp.Partition, "error", err)
	}
}

func (m *Manager) hosts(t *metadata.Topic, partition int32) bool {
	return partition >= 0 && int(partition) < len(t.Partitions) &&
		slices.Contains(t.Partitions[partition].Replicas, m.o.NodeID)
}

// drop removes a deleted topic. A topic that was made again under the same name stays.
func (m *Manager) drop(deleted *metadata.Topic) {
	m.mu.Lock()
	t := m.topics[deleted.Name]
	if t == nil || t.id != deleted.ID {
		m.mu.Unlock()
		return
	}
	delete(m.topics, deleted.Name)
	m.mu.Unlock()
	m.retireAll(t)
}

func (m *Manager) retireAll(t *topic) {
	for _, p := range *t.partitions.Load() {
		if p != nil {
			m.remove(p)
		}
	}
}

// remove ends a partition and deletes its log: the name can be used again at once.
func (m *Manager) remove(p *Partition) {
	if m.neverMade(p) {
		return
	}
	m.open(p)
	p.retire(ErrUnknownPartition)
	if p.log == nil {
		return
	}
	if err := m.o.Store.Delete(p.tp); err != nil {
		m.o.Logger.Error("cannot delete a log", "topic", p.tp.Topic, "partition", p.tp.Partition, "error", err)
	}
}

// placement is one replica of ours whose metadata changed.
type placement struct {
	partition *Partition // nil: a new one
	atStart   bool       // it is in the image that the broker starts with
	tp        logstore.TopicPartition
	state     *metadata.Partition
	topic     *topic
	slot      **Partition
}

func (m *Manager) applyTopics(image *metadata.Image, delta *metadata.Delta, values *config.Values, first bool) {
	var work []placement
	changed := make(map[string]*topic, len(delta.Topics))
	lists := make(map[*topic][]*Partition, len(delta.Topics))
	for _, t := range delta.Topics {
		hosted := m.host(image, t, values)
		if hosted == nil {
			continue
		}
		changed[t.Name] = hosted
		list := make([]*Partition, len(t.Partitions))
		copy(list, *hosted.partitions.Load())
		lists[hosted] = list
		for i := range t.Partitions {
			work = m.place(work, hosted, t, int32(i), &list[i])
		}
	}
	for i := range work {
		work[i].atStart = first
	}
	m.run(work, term{
		nodeID: m.o.NodeID, lagMax: config.Get(values, config.ReplicaLagTimeMaxMs),
		eligible: func(id int32) bool { b := image.Broker(id); return b != nil && b.Active() },
	})
	for t, list := range lists {
		t.partitions.Store(&list)
	}
	m.mu.Lock()
	for name, t := range changed {
		m.topics[name] = t
	}
	m.mu.Unlock()
	if !first {
		m.openNew(newOnes(work))
	}
}

func newOnes(work []placement) []*Partition {
	var list []*Partition
	for _, w := range work {
		if w.partition == nil {
			list = append(list, *w.slot)
		}
	}
	return list
}

// host finds or makes the entry of a topic; nil when we have no replica of it. An entry of another id
// under the same name goes: its deletion was not told, or is told in the same delta.
func (m *Manager) host(image *metadata.Image, t *metadata.Topic, values *config.Values) *topic {
	m.mu.RLock()
	hosted := m.topics[t.Name]
	m.mu.RUnlock()
	if hosted != nil && hosted.id == t.ID {
		return hosted
	}
	if hosted != nil {
		m.drop(&metadata.Topic{ID: hosted.id, Name: t.Name})
	}
	if !slices.ContainsFunc(t.Partitions, func(p metadata.Partition) bool { return slices.Contains(p.Replicas, m.o.NodeID) }) {
		return nil
	}
	hosted = &topic{id: t.ID}
	overrides := image.Configs(metadata.Resource{Type: metadata.ResourceTopic, Name: t.Name})
	hosted.settings.Store(newSettings(t.Name, values.Topic(overrides)))
	hosted.partitions.Store(&[]*Partition{})
	return hosted
}

// place adds what is to do for one partition.
func (m *Manager) place(work []placement, hosted *topic, t *metadata.Topic, id int32, slot **Partition) []placement {
	state, present := &t.Partitions[id], *slot
	if !m.hosts(t, id) {
		if present != nil {
			m.remove(present)
			*slot = nil
		}
		return work
	}
	if present != nil && present.unopened.Load() == nil {
		if r := present.role.Load(); r.partitionEpoch == state.PartitionEpoch && r.leaderEpoch == state.LeaderEpoch {
			return work
		}
	}
	return append(work, placement{
		partition: present, tp: logstore.TopicPartition{Topic: t.Name, Partition: id},
		state: state, topic: hosted, slot: slot,
	})
}

// run does the work, several partitions at a time, and returns when all are usable.
func (m *Manager) run(work []placement, c term) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(applyWorkers, len(work)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(work); i = next.Add(1) - 1 {
				m.takePlace(&work[i], c)
			}
		})
	}
	workers.Wait()
}

// applyConfigs gives changed configs to the topics that they concern.
func (m *Manager) applyConfigs(image *metadata.Image, delta *metadata.Delta, values *config.Values) {
	own := metadata.Resource{Type: metadata.ResourceBroker, Name: strconv.Itoa(int(m.o.NodeID))}
	_, forUs := delta.Configs[own]
	_, forAll := delta.Configs[metadata.Resource{Type: metadata.ResourceBroker}]
	m.mu.RLock()
	concerned := make(map[string]*topic)
	for r := range delta.Configs {
		if t := m.topics[r.Name]; r.Type == metadata.ResourceTopic && t != nil {
			concerned[r.Name] = t
		}
	}
	if forUs || forAll {
		for name, t := range m.topics {
			concerned[name] = t
		}
	}
	m.mu.RUnlock()
	for name, t := range concerned {
		overrides := image.Configs(metadata.Resource{Type: metadata.ResourceTopic, Name: name})
		s := newSettings(name, values.Topic(overrides))
		t.settings.Store(s)
		for _, p := range *t.partitions.Load() {
			if p != nil && !p.waitsForUse() {
				p.reconfigure(s)
			}
		}
	}
}
