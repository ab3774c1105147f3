package wirediff

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func produceScenario(s *script) {
	t := s.topic("t", 3)
	for v := int16(3); v <= 13; v++ {
		s.send(fmt.Sprintf("acks 1 v%d", v), v, s.produce(v, t, 1, newBatch("a", "b")))
		s.send(fmt.Sprintf("acks -1, two partitions v%d", v), v, s.produce(v, t, -1, newBatch("c"), newBatch("d", "e", "f")))
		s.sendUnanswered(fmt.Sprintf("acks 0 v%d", v), v, s.produce(v, t, 0, newBatch("g")))
		s.send(fmt.Sprintf("no topics v%d", v), v, s.produceNothing(-1))
	}
	for codec := codecNone; codec <= codecZstd; codec++ {
		for _, v := range []int16{3, 6, 7, 13} {
			b := newBatch(strings.Repeat("compressed ", 50), "x").with(func(b *batch) { b.attributes = codec })
			s.send(fmt.Sprintf("codec %d v%d", codec, v), v, s.produce(v, t, -1, b))
		}
	}
	odd := keyed("k", "v", nil, "v", "k", nil, nil, nil, "", "").with(func(b *batch) {
		b.records[0].Headers = []kmsg.Header{{Key: "h", Value: []byte("1")}, {Key: "h", Value: nil}, {Key: "", Value: []byte{}}}
	})
	s.send("nulls, empties and headers v9", 9, s.produce(9, t, -1, newBatch("x"), newBatch("y"), odd))
	s.send("what was stored", 12, s.fetch(12, t, 0))
	req := s.fetch(12, t, 0)
	req.Topics[0].Partitions = []kmsg.FetchRequestTopicPartition{fetchPartition(2, 0)}
	s.send("what was stored in partition 2", 12, req)
}

func (s *script) produceNothing(acks int16) *kmsg.ProduceRequest {
	req := s.produce(3, "x", acks)
	req.Topics = nil
	return req
}

// wrongSets are record sets that Kafka refuses, and a few odd ones that it takes.
func wrongSets() map[string][]byte {
	two := append(newBatch("a").encode(), newBatch("b").encode()...)
	good := newBatch("abc", "def")
	change := func(f func(*batch)) []byte { return newBatch("abc", "def").with(f).encode() }
	cut := good.encode()
	return map[string][]byte{
		"null":                     nil,
		"empty":                    {},
		"one byte":                 {0},
		"garbage":                  []byte(strings.Repeat("garbage!", 20)),
		"wrong CRC":                change(func(b *batch) { b.crcBy = 1 }),
		"count too high":           change(func(b *batch) { b.count = 3 }),
		"count too low":            change(func(b *batch) { b.count = 1 }),
		"count negative":           change(func(b *batch) { b.count = -1 }),
		"count huge":               change(func(b *batch) { b.count = 0x7fffffff }),
		"last delta too high":      change(func(b *batch) { b.lastDelta = 5 }),
		"last delta negative":      change(func(b *batch) { b.lastDelta = -1 }),
		"no records":               newBatch().with(func(b *batch) { b.lastDelta = -1 }).encode(),
		"magic 1 message":          oldMessage(1, "old"),
		"magic 0 message":          oldMessage(0, "old"),
		"magic 3":                  change(func(b *batch) { b.magic = 3 }),
		"magic -1":                 change(func(b *batch) { b.magic = -1 }),
		"two batches":              two,
		"batch and half":           append(newBatch("a").encode(), newBatch("b").encode()[:40]...),
		"length past the end":      change(func(b *batch) { b.lengthBy = 10 }),
		"length short of the end":  change(func(b *batch) { b.lengthBy = -3 }),
		"length negative":          change(func(b *batch) { b.lengthBy = -100000 }),
		"length below the header":  change(func(b *batch) { b.lengthBy = -60 }),
		"cut":                      cut[:len(cut)-4],
		"cut in the header":        cut[:30],
		"control batch":            change(func(b *batch) { b.attributes = attrControl }),
		"transactional without id": change(func(b *batch) { b.attributes = attrTransactional }),
		"transactional with producer": change(func(b *batch) {
			b.attributes, b.producerID, b.epoch, b.sequence = attrTransactional, 5, 0, 0
		}),
		"codec 5":                    change(func(b *batch) { b.attributes = 5 }),
		"codec 7":                    change(func(b *batch) { b.attributes = 7 }),
		"unused attributes":          change(func(b *batch) { b.attributes = 0x80 }),
		"log append time":            change(func(b *batch) { b.attributes = attrLogAppendTime }),
		"base offset 77":             change(func(b *batch) { b.baseOffset = 77 }),
		"negative timestamp":         change(func(b *batch) { b.timestamp = -5 }),
		"timestamp far ahead":        change(func(b *batch) { b.timestamp = 5_000_000_000_000 }),
		"max timestamp wrong":        change(func(b *batch) { b.maxTime = baseTimestamp + 99999 }),
		"gzip of garbage":            change(func(b *batch) { b.attributes, b.rawRecords = codecGzip, []byte("garbage") }),
		"snappy of garbage":          change(func(b *batch) { b.attributes, b.rawRecords = codecSnappy, []byte("garbage") }),
		"lz4 of garbage":             change(func(b *batch) { b.attributes, b.rawRecords = codecLZ4, []byte("garbage") }),
		"zstd of garbage":            change(func(b *batch) { b.attributes, b.rawRecords = codecZstd, []byte("garbage") }),
		"gzip of wrong records":      change(func(b *batch) { b.attributes, b.rawRecords = codecGzip, compress(codecGzip, []byte("garbage")) }),
		"records that are garbage":   change(func(b *batch) { b.rawRecords = []byte("garbage garbage") }),
		"records longer than stated": change(func(b *batch) { b.rawRecords = append(recordBytes(b), 0, 0, 0) }),
		"record of length 0":         change(func(b *batch) { b.rawRecords = []byte{0, 0} }),
		"offset deltas wrong":        change(func(b *batch) { b.rawRecords = recordBytesAt(b, 0, 5) }),
		"offset deltas the same":     change(func(b *batch) { b.rawRecords = recordBytesAt(b, 0, 0) }),
		"sequence without producer":  change(func(b *batch) { b.sequence = 5 }),
		"negative sequence":          change(func(b *batch) { b.producerID, b.epoch, b.sequence = 123, 0, -1 }),
		"negative producer epoch":    change(func(b *batch) { b.producerID, b.epoch, b.sequence = 123, -1, 0 }),
		"record attributes":          change(func(b *batch) { b.records[0].Attributes = 7 }),
	}
}

// recordBytes are the encoded records of a batch.
func recordBytes(b *batch) []byte { return recordBytesAt(b, 0, 1) }

// recordBytesAt are the encoded records of a batch of two with these offset deltas.
func recordBytesAt(b *batch, deltas ...int32) []byte {
	var out []byte
	for i, r := range b.records {
		r.OffsetDelta = deltas[i]
		r.Length = 0
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		out = r.AppendTo(out)
	}
	return out
}

// produceWrongScenario: each wrong set goes to a topic of its own that keeps what it is sent, and to one whose
// compression.type makes the broker look into every batch.
func produceWrongScenario(s *script) {
	keep, look := s.topic("keep", 2), s.topic("look", 2, "compression.type", "gzip")
	// Kafka fails inside on these when it compresses anew: their offsets must not shift those of the others.
	apart := map[string]string{"negative producer epoch": "", "negative timestamp": "", "unused attributes": ""}
	for _, name := range sortedKeys(apart) {
		apart[name] = s.topic("look-"+strings.ReplaceAll(name, " ", "-"), 1, "compression.type", "gzip")
	}
	for _, name := range sortedKeys(wrongSets()) {
		set := wrongSets()[name]
		for _, v := range []int16{3, 7, 8, 13} {
			if set == nil && v != 13 { // Kafka never answers this one
				continue
			}
			s.send(fmt.Sprintf("%s v%d", name, v), v, s.produceRaw(v, keep, -1, set))
		}
		if set == nil {
			continue
		}
		target := look
		if t, ok := apart[name]; ok {
			target = t
		}
		s.send(name+", looked into v9", 9, s.produceRaw(9, target, 1, set))
	}
	s.send("good beside bad v9", 9, s.produceRaw(9, keep, -1, newBatch("good").encode(), wrongSets()["wrong CRC"]))
	s.send("acks 0 of a wrong batch v9", 9, s.produceRaw(9, keep, 0, wrongSets()["wrong CRC"]))
	s.send("ends at", 4, listOffsets(keep, -1))
	s.send("what was stored", 12, s.fetch(12, keep, 0))
	s.send("what was stored, looked into", 12, s.fetch(12, look, 0))
}

func produceRulesScenario(s *script) {
	t := s.topic("t", 1)
	for _, acks := range []int16{5, 2, -2} {
		s.each(fmt.Sprintf("acks %d", acks), 3, 13, func(v int16) kmsg.Request { return s.produce(v, t, acks, newBatch("a")) })
	}
	for _, name := range []string{s.t("none"), "a b", ""} {
		s.each(fmt.Sprintf("topic %q", name), 3, 12, func(v int16) kmsg.Request { return s.produce(v, name, -1, newBatch("a")) })
	}
	byID := func(id [16]byte, acks int16) *kmsg.ProduceRequest {
		req := s.produce(13, t, acks, newBatch("a"))
		req.Topics[0].TopicID = id
		return req
	}
	s.send("unknown id v13", 13, byID(unknownID, -1))
	s.send("zero id v13", 13, byID([16]byte{}, -1))
	s.send("acks 0 to an unknown id v13", 13, byID(unknownID, 0))
	s.send("acks 0 to an unknown topic v9", 9, s.produce(9, s.t("none"), 0, newBatch("a")))
	s.send("acks 7 to an unknown topic v9", 9, s.produce(9, s.t("none"), 7, newBatch("a")))
	s.each("unknown partition", 3, 13, func(v int16) kmsg.Request { return s.produce(v, t, -1, newBatch("a"), newBatch("b")) })
	s.each("partition -1", 3, 13, func(v int16) kmsg.Request {
		req := s.produce(v, t, -1, newBatch("a"))
		req.Topics[0].Partitions[0].Partition = -1
		return req
	})
	s.send("topic and partition twice v9", 9, func() kmsg.Request {
		req := s.produce(9, t, -1, newBatch("a"))
		req.Topics = append(req.Topics, s.produce(9, t, -1, newBatch("b")).Topics...)
		return req
	}())
	s.send("no partitions v9", 9, s.produce(9, t, -1))
	s.send("timeout 0 v9", 9, func() kmsg.Request {
		req := s.produce(9, t, -1, newBatch("a"))
		req.TimeoutMillis = 0
		return req
	}())
	s.send("transactional id without transaction v9", 9, func() kmsg.Request {
		req := s.produce(9, t, -1, newBatch("a"))
		req.TransactionID = kmsg.StringPtr("tx")
		return req
	}())
	compacted := s.topic("compacted", 1, "cleanup.policy", "compact")
	s.each("null key, compacted", 3, 13, func(v int16) kmsg.Request { return s.produce(v, compacted, -1, keyed("k", "1", nil, "2", nil, "3")) })
	s.send("null value, compacted v9", 9, s.produce(9, compacted, -1, keyed("k", nil)))
	s.send("empty key, compacted v9", 9, s.produce(9, compacted, -1, keyed("", "1")))
	s.send("null key, compacted, gzip v9", 9, s.produce(9, compacted, -1, keyed(nil, "2").with(func(b *batch) { b.attributes = codecGzip })))
	small := s.topic("small", 1, "max.message.bytes", "200")
	s.each("too large", 3, 13, func(v int16) kmsg.Request { return s.produce(v, small, -1, newBatch(strings.Repeat("x", 150))) })
	s.send("as large as allowed v9", 9, s.produce(9, small, -1, newBatch(strings.Repeat("x", 130))))
	for n := 118; n <= 136; n += 2 {
		b := newBatch(strings.Repeat("y", n))
		s.send(fmt.Sprintf("batch of %d bytes of 200 v9", len(b.encode())), 9, s.produce(9, small, -1, b))
	}
	minISR := s.topic("minisr", 1, "min.insync.replicas", "2")
	s.each("too few replicas, acks -1", 3, 13, func(v int16) kmsg.Request { return s.produce(v, minISR, -1, newBatch("a")) })
	s.send("too few replicas, acks 1 v9", 9, s.produce(9, minISR, 1, newBatch("a")))
	s.producedTimes()
	s.producedCodecs()
}

func (s *script) producedTimes() {
	appendTime := s.topic("appendtime", 1, "message.timestamp.type", "LogAppendTime")
	s.each("log append time", 3, 13, func(v int16) kmsg.Request { return s.produce(v, appendTime, -1, newBatch("a", "b")) })
	s.send("what was stored with append time", 12, s.fetch(12, appendTime, 20))
	bounded := s.topic("bounded", 1, "message.timestamp.before.max.ms", "1000", "message.timestamp.after.max.ms", "1000")
	s.each("too old", 3, 13, func(v int16) kmsg.Request { return s.produce(v, bounded, -1, newBatch("a", "b")) })
	ahead := func(b *batch) { b.timestamp = 4_000_000_000_000 }
	s.send("too new v9", 9, s.produce(9, bounded, -1, newBatch("a", "b").with(ahead)))
	t := s.topic("unbounded", 1)
	s.send("too new for the default v9", 9, s.produce(9, t, -1, newBatch("a").with(ahead)))
	s.send("no timestamp v9", 9, s.produce(9, t, -1, newBatch("a").with(func(b *batch) { b.timestamp = -1 })))
}

func (s *script) producedCodecs() {
	for _, kind := range []string{"uncompressed", "gzip", "snappy", "lz4", "zstd"} {
		t := s.topic("to-"+kind, 1, "compression.type", kind)
		for codec := codecNone; codec <= codecZstd; codec++ {
			b := keyed("k", strings.Repeat("text ", 30), nil, "v").with(func(b *batch) { b.attributes = codec })
			s.send(fmt.Sprintf("codec %d to %s v9", codec, kind), 9, s.produce(9, t, -1, b))
		}
		s.send("what was stored as "+kind, 12, s.fetch(12, t, 0))
	}
}

func idempotentScenario(s *script) {
	t := s.topic("t", 2)
	pid := s.quiet(4, kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse).ProducerID
	batchAt := func(epoch int16, seq int32, values ...string) *batch {
		return newBatch(values...).with(func(b *batch) { b.producerID, b.epoch, b.sequence = pid, epoch, seq })
	}
	step := func(name string, b *batch) { s.send(name+" v9", 9, s.produce(9, t, -1, b)) }
	step("first", batchAt(0, 0, "a", "b"))
	step("next", batchAt(0, 2, "c"))
	step("duplicate of the last", batchAt(0, 2, "c"))
	step("duplicate of the first", batchAt(0, 0, "a", "b"))
	step("gap", batchAt(0, 5, "x"))
	step("part of an old batch", batchAt(0, 1, "b"))
	for i := range int32(6) {
		step(fmt.Sprintf("more %d", i), batchAt(0, 3+i, "m"))
	}
	step("duplicate of the fifth last", batchAt(0, 4, "m"))
	step("duplicate of the sixth last", batchAt(0, 3, "m"))
	step("duplicate of the first, forgotten", batchAt(0, 0, "a", "b"))
	step("new epoch, wrong sequence", batchAt(1, 9, "x"))
	step("new epoch", batchAt(1, 0, "n"))
	step("old epoch", batchAt(0, 9, "x"))
	step("epoch jumps", batchAt(7, 0, "x"))
	other := func(b *batch) *batch { b.producerID = 1_000_000_000; return b }
	step("unknown producer, sequence 0", other(batchAt(0, 0, "u")))
	s.send("unknown producer, sequence 5 in a new partition v9", 9, func() kmsg.Request {
		req := s.produce(9, t, -1, other(batchAt(0, 5, "u")))
		req.Topics[0].Partitions[0].Partition = 1
		return req
	}())
	step("near the wrap", batchAt(7, 1, "x"))
	wrap := s.topic("wrap", 1)
	for _, seq := range []int32{2147483645, 2147483647, 1, 0} {
		values := []string{"a", "b"}
		s.send(fmt.Sprintf("sequence %d of two v9", seq), 9, s.produce(9, wrap, -1, batchAt(0, seq, values...)))
	}
	for v := int16(3); v <= 13; v++ {
		s.send(fmt.Sprintf("gap at v%d", v), v, s.produce(v, t, -1, batchAt(7, 500, "x")))
		s.send(fmt.Sprintf("old epoch at v%d", v), v, s.produce(v, t, -1, batchAt(2, 2, "x")))
		s.send(fmt.Sprintf("duplicate at v%d", v), v, s.produce(v, t, -1, batchAt(7, 1, "x")))
	}
	s.send("ends at", 4, listOffsets(t, -1))
	s.send("what was stored", 12, s.fetch(12, t, 0))
}
