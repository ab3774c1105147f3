package protocol

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// FetchResponse is a kmsg.FetchResponse whose records are elsewhere: Sources has one entry for each
// partition, in the order of the response; nil, and one that is missing at the end, is empty. The
// RecordBatches fields are ignored.
type FetchResponse struct {
	*kmsg.FetchResponse
	Sources []RecordSource
}

// Part is a piece of an encoded response: bytes, or a source to be sent.
type Part struct {
	Bytes  []byte
	Source RecordSource
}

const (
	fetchFlexible   = 12 // first version with tag sections
	fetchEndpoints  = 16 // first version with node endpoints (kmsg: Brokers)
	fetchRowReserve = 96 // bytes for one partition without aborted transactions
)

// AppendParts encodes the body (no header) as pieces; size is the sum of their lengths. Every non-nil
// source becomes a part, empty or not, and whoever sends the parts releases it. If the last of the given
// parts is bytes, the body is appended to them in their capacity: so one buffer holds the frame's size,
// the header and all that is not records. Versions 4 to 18; the encoding is kmsg's, except that node
// endpoints are left out before version 16 and records are never null, as in Kafka.
func (r *FetchResponse) AppendParts(parts []Part) (out []Part, size int) {
	e := fetchEncoder{version: r.Version, parts: parts, sources: r.Sources}
	if n := len(parts); n > 0 && parts[n-1].Source == nil {
		e.dst = parts[n-1].Bytes
		e.parts = parts[:n-1]
	}
	before := len(e.dst)
	e.dst = slices.Grow(e.dst, reserve(r.FetchResponse))
	e.response(r.FetchResponse)
	e.flush()
	return e.parts, e.size - before
}

// AppendTo encodes the body in one piece, with what it reads from the sources, and releases them. A
// partition whose records cannot be read answers KAFKA_STORAGE_ERROR without records. It is for tests and
// broker-internal calls; what goes to a client goes by AppendParts.
func (r *FetchResponse) AppendTo(dst []byte) []byte {
	next := 0
	for t := range r.Topics {
		for p := range r.Topics[t].Partitions {
			if next < len(r.Sources) && r.Sources[next] != nil {
				source := r.Sources[next]
				b, err := source.AppendTo(nil)
				source.Release()
				if err != nil {
					r.Topics[t].Partitions[p].ErrorCode = kerr.KafkaStorageError.Code
					b = nil
				}
				r.Sources[next] = loaded(b)
			}
			next++
		}
	}
	parts, _ := r.AppendParts(nil)
	for _, p := range parts {
		if p.Source != nil {
			dst, _ = p.Source.AppendTo(dst)
			continue
		}
		dst = append(dst, p.Bytes...)
	}
	return dst
}

// loaded is a source that is in memory.
type loaded []byte

func (l loaded) Size() int                           { return len(l) }
func (l loaded) AppendTo(dst []byte) ([]byte, error) { return append(dst, l...), nil }
func (l loaded) FileRange() (uintptr, int64, bool)   { return 0, 0, false }
func (l loaded) Release()                            {}

// fetchEncoder appends to dst; what is before start belongs to parts that are done.
type fetchEncoder struct {
	version int16
	dst     []byte
	start   int
	size    int // of all parts that are done
	parts   []Part
	sources []RecordSource // of the partitions that are still to come
}

func (e *fetchEncoder) flexible() bool { return e.version >= fetchFlexible }

func (e *fetchEncoder) int16(v int16)     { e.dst = binary.BigEndian.AppendUint16(e.dst, uint16(v)) }
func (e *fetchEncoder) int32(v int32)     { e.dst = binary.BigEndian.AppendUint32(e.dst, uint32(v)) }
func (e *fetchEncoder) int64(v int64)     { e.dst = binary.BigEndian.AppendUint64(e.dst, uint64(v)) }
func (e *fetchEncoder) uvarint(v int)     { e.dst = binary.AppendUvarint(e.dst, uint64(v)) }
func (e *fetchEncoder) tag(number, n int) { e.uvarint(number); e.uvarint(n) }

// length is that of an array or of records; -1 is null.
func (e *fetchEncoder) length(n int) {
	if e.flexible() {
		e.uvarint(n + 1)
		return
	}
	e.int32(int32(n))
}

func (e *fetchEncoder) text(s string) {
	if e.flexible() {
		e.uvarint(len(s) + 1)
	} else {
		e.int16(int16(len(s)))
	}
	e.dst = append(e.dst, s...)
}

// unknownTags appends a tag section, or the end of one, of tags that are not ours.
func (e *fetchEncoder) unknownTags(t *kmsg.Tags) {
	if t.Len() > 0 {
		e.dst = t.AppendEach(e.dst)
	}
}

func (e *fetchEncoder) tags(t *kmsg.Tags) {
	if e.flexible() {
		e.uvarint(t.Len())
		e.unknownTags(t)
	}
}

// flush makes a part of what was appended since the last one.
func (e *fetchEncoder) flush() {
	if n := len(e.dst); n > e.start {
		e.parts = append(e.parts, Part{Bytes: e.dst[e.start:n:n]})
		e.size += n - e.start
		e.start = n
	}
}

func (e *fetchEncoder) response(r *kmsg.FetchResponse) {
	e.int32(r.ThrottleMillis)
	if e.version >= 7 {
		e.int16(r.ErrorCode)
		e.int32(r.SessionID)
	}
	e.length(len(r.Topics))
	for i := range r.Topics {
		t := &r.Topics[i]
		if e.version >= 13 {
			e.dst = append(e.dst, t.TopicID[:]...)
		} else {
			e.text(t.Topic)
		}
		e.length(len(t.Partitions))
		for j := range t.Partitions {
			e.partition(&t.Partitions[j])
		}
		e.tags(&t.UnknownTags)
	}
	if e.flexible() {
		e.responseTags(r)
	}
}

func (e *fetchEncoder) responseTags(r *kmsg.FetchResponse) {
	if len(r.Brokers) == 0 || e.version < fetchEndpoints {
		e.tags(&r.UnknownTags)
		return
	}
	e.uvarint(1 + r.UnknownTags.Len())
	endpoints := fetchEncoder{version: e.version}
	endpoints.length(len(r.Brokers))
	for i := range r.Brokers {
		b := &r.Brokers[i]
		endpoints.int32(b.NodeID)
		endpoints.text(b.Host)
		endpoints.int32(b.Port)
		if b.Rack == nil {
			endpoints.uvarint(0)
		} else {
			endpoints.text(*b.Rack)
		}
		endpoints.tags(&b.UnknownTags)
	}
	e.tag(0, len(endpoints.dst))
	e.dst = append(e.dst, endpoints.dst...)
	e.unknownTags(&r.UnknownTags)
}

func (e *fetchEncoder) partition(p *kmsg.FetchResponseTopicPartition) {
	e.int32(p.Partition)
	e.int16(p.ErrorCode)
	e.int64(p.HighWatermark)
	e.int64(p.LastStableOffset)
	if e.version >= 5 {
		e.int64(p.LogStartOffset)
	}
	if p.AbortedTransactions == nil {
		e.length(-1)
	} else {
		e.length(len(p.AbortedTransactions))
	}
	for i := range p.AbortedTransactions {
		a := &p.AbortedTransactions[i]
		e.int64(a.ProducerID)
		e.int64(a.FirstOffset)
		e.tags(&a.UnknownTags)
	}
	if e.version >= 11 {
		e.int32(p.PreferredReadReplica)
	}
	e.records()
	if e.flexible() {
		e.partitionTags(p)
	}
}

// records appends the length of the next source and makes it a part.
func (e *fetchEncoder) records() {
	var source RecordSource
	if len(e.sources) > 0 {
		source, e.sources = e.sources[0], e.sources[1:]
	}
	if source == nil {
		e.length(0)
		return
	}
	e.length(source.Size())
	e.flush()
	e.parts = append(e.parts, Part{Source: source})
	e.size += source.Size()
}

// partitionTags appends those of the three tags that are not at their default, as Kafka does.
func (e *fetchEncoder) partitionTags(p *kmsg.FetchResponseTopicPartition) {
	d, l, s := &p.DivergingEpoch, &p.CurrentLeader, &p.SnapshotID
	diverging := d.Epoch != -1 || d.EndOffset != -1 || d.UnknownTags.Len() > 0
	leader := l.LeaderID != -1 || l.LeaderEpoch != -1 || l.UnknownTags.Len() > 0
	snapshot := s.EndOffset != -1 || s.Epoch != -1 || s.UnknownTags.Len() > 0
	n := p.UnknownTags.Len()
	for _, present := range [...]bool{diverging, leader, snapshot} {
		if present {
			n++
		}
	}
	e.uvarint(n)
	if diverging {
		e.tag(0, 12+tagsSize(&d.UnknownTags))
		e.int32(d.Epoch)
		e.int64(d.EndOffset)
		e.tags(&d.UnknownTags)
	}
	if leader {
		e.tag(1, 8+tagsSize(&l.UnknownTags))
		e.int32(l.LeaderID)
		e.int32(l.LeaderEpoch)
		e.tags(&l.UnknownTags)
	}
	if snapshot {
		e.tag(2, 12+tagsSize(&s.UnknownTags))
		e.int64(s.EndOffset)
		e.int32(s.Epoch)
		e.tags(&s.UnknownTags)
	}
	e.unknownTags(&p.UnknownTags)
}

// tagsSize is the size of a section of tags that are not ours: one byte, but for tests.
func tagsSize(t *kmsg.Tags) int {
	if t.Len() == 0 {
		return 1
	}
	return len(binary.AppendUvarint(nil, uint64(t.Len()))) + len(t.AppendEach(nil))
}

// reserve is about how many bytes the body takes without the records, so that the buffer grows once.
func reserve(r *kmsg.FetchResponse) int {
	n := 32 + 64*len(r.Brokers)
	for i := range r.Topics {
		t := &r.Topics[i]
		n += 24 + len(t.Topic) + fetchRowReserve*len(t.Partitions)
		for j := range t.Partitions {
			n += 17 * len(t.Partitions[j].AbortedTransactions)
		}
	}
	return n
}
