package wirediff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// An Exchange is one request and what became of it.
type Exchange struct {
	Step    string `json:"step"`
	Key     int16  `json:"key"`
	Version int16  `json:"version"`
	// Outcome is "answered", "closed" (the connection, without an answer), or what was wrong with the answer.
	Outcome string `json:"outcome"`
	// Loose says that kmsg would encode the answer differently.
	Loose    bool `json:"loose,omitempty"`
	Response any  `json:"response,omitempty"`
}

// A scenario is a script that is run against one broker. Its topics begin with its name and a dot.
type scenario struct {
	name string
	run  func(*script)
}

// script is the run of a scenario.
type script struct {
	name string
	wire wire
	tree tree
	out  []Exchange
}

// fatal ends a scenario whose preparation failed.
type fatal struct{ err error }

const clientID = "wirediff"

// run plays a scenario against the broker at addr.
func run(sc scenario, addr string) (out []Exchange, err error) {
	_, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, err
	}
	s := &script{name: sc.name, wire: wire{addr: addr}}
	s.tree = tree{ids: map[[16]byte]string{}, members: map[string]int{}, port: int32(port), own: sc.name + ".", served: map[int16]bool{}}
	for _, api := range served {
		s.tree.served[api.key] = true
	}
	defer s.wire.close()
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(fatal)
			if !ok {
				panic(r)
			}
			out, err = s.out, fmt.Errorf("scenario %s: %w", sc.name, f.err)
		}
	}()
	sc.run(s)
	return s.out, nil
}

// t is the name of a topic of this scenario.
func (s *script) t(name string) string { return s.name + "." + name }

// send sends a request, notes the answer as the step, and returns it; nil when there was none.
func (s *script) send(step string, version int16, req kmsg.Request) kmsg.Response {
	return s.raw(step, req.Key(), version, s.wire.encode(req, version))
}

// raw sends bytes that stand for a request of the key and version, with the script's last correlation id.
func (s *script) raw(step string, key, version int16, bytes []byte) kmsg.Response {
	s.unused(step)
	x := Exchange{Step: step, Key: key, Version: version}
	resp, exact, err := s.exchange(key, version, bytes)
	switch {
	case err != nil:
		x.Outcome = err.Error()
	default:
		x.Outcome, x.Loose = "answered", !exact
		s.learn(resp)
		x.Response = s.tree.of(resp)
	}
	s.out = append(s.out, x)
	return resp
}

// unused: recordings are compared step by step, by name.
func (s *script) unused(step string) {
	for _, x := range s.out {
		if x.Step == step {
			panic(fatal{fmt.Errorf("two steps are called %q", step)})
		}
	}
}

func (s *script) exchange(key, version int16, bytes []byte) (kmsg.Response, bool, error) {
	if err := s.wire.write(bytes); err != nil {
		panic(fatal{err})
	}
	answer, err := s.wire.read(answerWithin)
	if err != nil {
		return nil, false, err
	}
	return decode(answer, key, version, s.wire.corr)
}

// body sends a request whose body is written out by hand.
func (s *script) body(step string, key, version int16, flexible bool, body []byte) {
	s.wire.corr++
	id := clientID
	s.raw(step, key, version, frame(append(header(key, version, s.wire.corr, &id, flexible), body...)))
}

// sendUnanswered sends a request that has no answer (acks 0) and notes whether the connection still serves.
func (s *script) sendUnanswered(step string, version int16, req kmsg.Request) {
	s.unused(step)
	x := Exchange{Step: step, Key: req.Key(), Version: version}
	if err := s.wire.write(s.wire.encode(req, version)); err != nil {
		panic(fatal{err})
	}
	_, _, err := s.exchange(apiVersions, 0, s.wire.encode(kmsg.NewPtrApiVersionsRequest(), 0))
	x.Outcome = "unanswered"
	if err != nil {
		x.Outcome = err.Error()
	}
	s.out = append(s.out, x)
}

// A pending request of a pipeline.
type pending struct {
	step    string
	version int16
	req     kmsg.Request
}

// pipeline sends requests in one write, and notes the answers, which must come in the same order.
func (s *script) pipeline(requests ...pending) {
	var bytes []byte
	first := s.wire.corr + 1
	for _, p := range requests {
		s.unused(p.step)
		bytes = append(bytes, s.wire.encode(p.req, p.version)...)
	}
	if err := s.wire.write(bytes); err != nil {
		panic(fatal{err})
	}
	for i, p := range requests {
		x := Exchange{Step: p.step, Key: p.req.Key(), Version: p.version, Outcome: "answered"}
		if s.wire.conn == nil {
			x.Outcome = errClosed.Error()
		} else if answer, err := s.wire.read(answerWithin); err != nil {
			x.Outcome = err.Error()
		} else if resp, exact, err := decode(answer, p.req.Key(), p.version, first+int32(i)); err != nil {
			x.Outcome = err.Error()
		} else {
			x.Loose, x.Response = !exact, s.tree.of(resp)
		}
		s.out = append(s.out, x)
	}
}

// each sends the request of a step at every version from lo to hi.
func (s *script) each(step string, lo, hi int16, request func(v int16) kmsg.Request) {
	for v := lo; v <= hi; v++ {
		s.send(fmt.Sprintf("%s v%d", step, v), v, request(v))
	}
}

// quiet sends a request of the preparation: it must be answered, and is not noted.
func (s *script) quiet(version int16, req kmsg.Request) kmsg.Response {
	resp, _, err := s.exchange(req.Key(), version, s.wire.encode(req, version))
	if err != nil {
		panic(fatal{fmt.Errorf("%T v%d: %w", req, version, err)})
	}
	s.learn(resp)
	return resp
}

// learn remembers the names of topic ids.
func (s *script) learn(resp kmsg.Response) {
	var zero [16]byte
	note := func(id [16]byte, name *string) {
		if id != zero && name != nil && *name != "" {
			s.tree.ids[id] = *name
		}
	}
	switch r := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		for _, t := range r.Topics {
			note(t.TopicID, &t.Topic)
		}
	case *kmsg.MetadataResponse:
		for _, t := range r.Topics {
			if t.ErrorCode == 0 {
				note(t.TopicID, t.Topic)
			}
		}
	case *kmsg.JoinGroupResponse:
		s.tree.text("MemberID", r.MemberID)
	case *kmsg.DescribeTopicPartitionsResponse:
		for _, t := range r.Topics {
			note(t.TopicID, t.Topic)
		}
	}
}

// topic creates a topic with configs ("key", "value", …), waits until it serves, and returns its name.
func (s *script) topic(name string, partitions int32, configs ...string) string {
	name = s.t(name)
	resp := s.quiet(7, createTopics(createTopic(name, partitions, configs...))).(*kmsg.CreateTopicsResponse)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		panic(fatal{fmt.Errorf("CreateTopics %s: error %d", name, code)})
	}
	s.awaitTopic(name, partitions)
	return name
}

// awaitTopic waits until every partition of the topic has a leader that answers, and learns its id.
func (s *script) awaitTopic(name string, partitions int32) {
	s.await("topic "+name, func() bool {
		meta := s.quiet(12, metadata(name)).(*kmsg.MetadataResponse)
		if meta.Topics[0].ErrorCode != 0 || len(meta.Topics[0].Partitions) != int(partitions) {
			return false
		}
		req := listOffsets(name, -1)
		for p := range partitions - 1 {
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, listPartition(p+1, -1))
		}
		for _, p := range s.quiet(5, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				return false
			}
		}
		return true
	})
}

// awaitGone waits until the name can be used again.
func (s *script) awaitGone(name string) {
	s.await("end of topic "+name, func() bool {
		return s.quiet(12, metadata(name)).(*kmsg.MetadataResponse).Topics[0].ErrorCode == 3
	})
}

// awaitConfig waits until the broker shows the value of a topic's config.
func (s *script) awaitConfig(topic, key, value string) {
	s.await("config "+key+"="+value+" of "+topic, func() bool {
		resp := s.quiet(4, describeConfigs(false, false, topicResource(topic, key))).(*kmsg.DescribeConfigsResponse)
		for _, c := range resp.Resources[0].Configs {
			if c.Name == key && c.Value != nil && *c.Value == value {
				return true
			}
		}
		return false
	})
}

// awaitProducerIDs waits until the broker has its first block of producer ids.
func (s *script) awaitProducerIDs() {
	s.await("producer ids", func() bool {
		return s.quiet(4, kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse).ErrorCode == 0
	})
}

func (s *script) await(what string, done func() bool) {
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			panic(fatal{errors.New("waited 20 s for " + what)})
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// id is the topic id of a topic that the script has made.
func (s *script) id(topic string) [16]byte {
	for id, name := range s.tree.ids {
		if name == topic {
			return id
		}
	}
	panic(fatal{fmt.Errorf("no id is known for topic %s", topic)})
}

// append writes batches to partition 0, one request each, and fails the scenario if one is refused.
func (s *script) append(topic string, batches ...*batch) {
	for _, b := range batches {
		resp := s.quiet(9, s.produce(9, topic, -1, b)).(*kmsg.ProduceResponse)
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
			panic(fatal{fmt.Errorf("append to %s: error %d", topic, code)})
		}
	}
}

// produce is a request of batches, the first to partition 0, the next to partition 1 …
func (s *script) produce(version int16, topic string, acks int16, batches ...*batch) *kmsg.ProduceRequest {
	sets := make([][]byte, 0, len(batches))
	for _, b := range batches {
		sets = append(sets, b.encode())
	}
	return s.produceRaw(version, topic, acks, sets...)
}

// produceRaw is a request of record sets, the first to partition 0, the next to partition 1 …
func (s *script) produceRaw(version int16, topic string, acks int16, sets ...[]byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 10_000
	t := kmsg.NewProduceRequestTopic()
	if t.Topic = topic; version >= 13 {
		t.TopicID = s.id(topic)
	}
	for i, set := range sets {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(i), set
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// uint16s appends numbers, big endian, for bodies written by hand.
func uint16s(dst []byte, numbers ...int) []byte {
	for _, n := range numbers {
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	}
	return dst
}
