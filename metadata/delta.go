package metadata

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Delta is what changed between two images.
type Delta struct {
	Topics        map[UUID]*Topic // new or changed, by id
	DeletedTopics map[UUID]*Topic // as they were
	Configs       map[Resource]struct{}
	Brokers       map[int32]struct{}
	Features      bool
}

func newDelta() *Delta {
	return &Delta{
		Topics: map[UUID]*Topic{}, DeletedTopics: map[UUID]*Topic{},
		Configs: map[Resource]struct{}{}, Brokers: map[int32]struct{}{},
	}
}

// Everything is the delta from the empty image to i.
func Everything(i *Image) *Delta {
	d := newDelta()
	for t := range i.Topics() {
		d.Topics[t.ID] = t
	}
	for r := range i.configs.all() {
		d.Configs[r] = struct{}{}
	}
	for id := range i.brokers {
		d.Brokers[id] = struct{}{}
	}
	d.Features = len(i.features) > 0
	return d
}

// Position is where in the metadata log a batch ends.
type Position struct {
	Offset    int64 // last offset of the batch
	Epoch     int32
	Timestamp int64 // ms
}

// Replay makes images out of record batches, in the order of the log. Records between a
// BeginTransactionRecord and its EndTransactionRecord take effect together at the end, also over many
// batches; an AbortTransactionRecord drops them.
type Replay struct {
	image *Image
	held  []Record // of batches whose transaction is open
	begin int      // held[begin:] are the transaction's
	open  bool
}

// NewReplay goes on from an image.
func NewReplay(from *Image) *Replay { return &Replay{image: from} }

// Image is the image after the last batch, without those of an open transaction.
func (r *Replay) Image() *Image { return r.image }

// Open says that a transaction is open: the image stays behind the log.
func (r *Replay) Open() bool { return r.open }

// Batch applies one batch. While a transaction is open the image stays as it was and the delta is nil.
// An error leaves everything as it was before the batch; it names the record.
func (r *Replay) Batch(records []Record, at Position) (*Image, *Delta, error) {
	next, err := r.group(records)
	if err != nil {
		return nil, nil, fmt.Errorf("batch that ends at offset %d: %w", at.Offset, err)
	}
	if next.open {
		*r = next
		return r.image, nil, nil
	}
	image, delta, err := Apply(r.image, next.held, at)
	if err != nil {
		return nil, nil, err
	}
	*r = Replay{image: image}
	return image, delta, nil
}

// group adds records to what is held, resolving the transaction records.
func (r *Replay) group(records []Record) (Replay, error) {
	if !r.open && !slices.ContainsFunc(records, isTransactionRecord) {
		return Replay{image: r.image, held: records}, nil
	}
	next := *r
	next.held = slices.Clone(r.held)
	for _, rec := range records {
		if isTransactionRecord(rec) && next.open == (rec.Key() == KeyBeginTransaction) {
			return next, fmt.Errorf("%T with a transaction open: %v", rec, next.open)
		}
		switch rec.(type) {
		case *BeginTransactionRecord:
			next.open, next.begin = true, len(next.held)
		case *EndTransactionRecord:
			next.open = false
		case *AbortTransactionRecord:
			next.held, next.open = next.held[:next.begin], false
		default:
			next.held = append(next.held, rec)
		}
	}
	return next, nil
}

func isTransactionRecord(r Record) bool {
	switch r.(type) {
	case *BeginTransactionRecord, *EndTransactionRecord, *AbortTransactionRecord:
		return true
	}
	return false
}

// Apply makes the next image. It is pure: from is not changed.
func Apply(from *Image, records []Record, at Position) (*Image, *Delta, error) {
	next := *from
	b := builder{
		next: &next, delta: newDelta(),
		byName: edit(from.byName), byID: edit(from.byID), byFolded: edit(from.byFolded),
		configs: edit(from.configs), kept: edit(from.kept),
	}
	for i, rec := range records {
		if err := b.apply(rec); err != nil {
			return nil, nil, fmt.Errorf("record %d (%T) of the batch that ends at offset %d: %w", i, rec, at.Offset, err)
		}
	}
	next.Offset, next.Epoch, next.Timestamp = at.Offset, at.Epoch, at.Timestamp
	next.byName, next.byID, next.byFolded = b.byName.done(), b.byID.done(), b.byFolded.done()
	next.configs, next.kept = b.configs.done(), b.kept.done()
	return &next, b.delta, nil
}

// builder is one Apply under way. Whatever is in delta is a copy that only this builder has, so it is
// changed in place; everything else is shared with published images.
type builder struct {
	next         *Image
	delta        *Delta
	byName       *pmapEdit[string, *Topic]
	byID         *pmapEdit[UUID, *Topic]
	byFolded     *pmapEdit[string, string]
	configs      *pmapEdit[Resource, map[string]string]
	kept         *pmapEdit[keptKey, Record]
	ownsFeatures bool
	ownsBrokers  bool
}

// topic is the topic, as a copy that may be changed.
func (b *builder) topic(id UUID) (*Topic, error) {
	if t := b.delta.Topics[id]; t != nil {
		return t, nil
	}
	old, ok := b.byID.get(id)
	if !ok {
		return nil, fmt.Errorf("there is no topic with id %s", id)
	}
	t := &Topic{ID: old.ID, Name: old.Name, Partitions: slices.Clone(old.Partitions)}
	b.putTopic(t)
	return t, nil
}

func (b *builder) putTopic(t *Topic) {
	b.delta.Topics[t.ID] = t
	b.byID.set(t.ID, t)
	b.byName.set(t.Name, t)
}

func (b *builder) addTopic(r *TopicRecord) error {
	id := r.TopicID
	if old, ok := b.byName.get(r.Name); ok && old.ID != id {
		return fmt.Errorf("topic %s exists with id %s", r.Name, old.ID)
	}
	b.putTopic(&Topic{ID: id, Name: r.Name})
	if folded := foldName(r.Name); strings.Contains(folded, "_") {
		b.byFolded.set(folded, r.Name)
	}
	return nil
}

func (b *builder) removeTopic(r *RemoveTopicRecord) error {
	id := r.TopicID
	t, ok := b.byID.get(id)
	if !ok {
		return fmt.Errorf("there is no topic with id %s", id)
	}
	if old, ok := b.next.byID.get(id); ok {
		b.delta.DeletedTopics[id] = old
	}
	delete(b.delta.Topics, id)
	b.byID.remove(id)
	b.byName.remove(t.Name)
	if holder, _ := b.byFolded.get(foldName(t.Name)); holder == t.Name {
		b.byFolded.remove(foldName(t.Name))
	}
	res := Resource{ResourceTopic, t.Name}
	if _, ok := b.configs.get(res); ok {
		b.configs.remove(res)
		b.delta.Configs[res] = struct{}{}
	}
	return nil
}

// foldName is the name as metrics see it: topics that differ in '.' and '_' only would collide.
func foldName(name string) string { return strings.ReplaceAll(name, ".", "_") }

func (b *builder) setConfig(r *ConfigRecord) {
	res := Resource{r.ResourceType, r.ResourceName}
	old, _ := b.configs.get(res)
	c := old
	if _, owned := b.delta.Configs[res]; !owned || old == nil {
		c = make(map[string]string, len(old)+1)
		maps.Copy(c, old)
	}
	b.delta.Configs[res] = struct{}{}
	if r.Value == nil {
		delete(c, r.Name)
	} else {
		c[r.Name] = *r.Value
	}
	if len(c) == 0 {
		b.configs.remove(res)
		return
	}
	b.configs.set(res, c)
}

func (b *builder) setFeature(name string, level int16) {
	if !b.ownsFeatures {
		f := make(map[string]int16, len(b.next.features)+1)
		maps.Copy(f, b.next.features)
		b.next.features, b.ownsFeatures = f, true
	}
	b.delta.Features = true
	if level == 0 {
		delete(b.next.features, name)
		return
	}
	b.next.features[name] = level
}

// setBroker stores or, with nil, removes a broker.
func (b *builder) setBroker(id int32, broker *Broker) {
	if !b.ownsBrokers {
		m := make(map[int32]*Broker, len(b.next.brokers)+1)
		maps.Copy(m, b.next.brokers)
		b.next.brokers, b.ownsBrokers = m, true
	}
	b.delta.Brokers[id] = struct{}{}
	if broker == nil {
		delete(b.next.brokers, id)
		return
	}
	b.next.brokers[id] = broker
}
