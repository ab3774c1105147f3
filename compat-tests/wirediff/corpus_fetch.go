package wirediff

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func fetchScenario(s *script) {
	t := s.topic("t", 2)
	s.append(t, newBatch("a", "b", "c"), newBatch("d").with(func(b *batch) { b.attributes = codecGzip }), newBatch("e", "f"))
	s.each("from 0", 4, 18, func(v int16) kmsg.Request { return s.fetch(v, t, 0) })
	s.each("middle of a batch", 4, 18, func(v int16) kmsg.Request { return s.fetch(v, t, 1) })
	s.each("last batch", 4, 18, func(v int16) kmsg.Request { return s.fetch(v, t, 5) })
	s.each("at the end", 4, 18, func(v int16) kmsg.Request { return s.fetch(v, t, 6) })
	s.each("beyond the end", 4, 18, func(v int16) kmsg.Request { return s.fetch(v, t, 7) })
	s.each("negative offset", 4, 18, func(v int16) kmsg.Request { return s.fetch(v, t, -1) })
	s.each("read committed", 4, 18, func(v int16) kmsg.Request {
		req := s.fetch(v, t, 0)
		req.IsolationLevel = 1
		return req
	})
	s.each("isolation level 7", 4, 5, func(v int16) kmsg.Request {
		req := s.fetch(v, t, 3)
		req.IsolationLevel = 7
		return req
	})
	s.each("empty partition and unknown partition", 4, 18, func(v int16) kmsg.Request {
		req := s.fetch(v, t, 0)
		req.Topics = []kmsg.FetchRequestTopic{s.fetchTopic(v, t, fetchPartition(1, 0), fetchPartition(9, 0), fetchPartition(-1, 0))}
		return req
	})
	for _, name := range []string{s.t("none"), "a b", ""} {
		s.each(fmt.Sprintf("topic %q", name), 4, 12, func(v int16) kmsg.Request { return s.fetch(v, name, 0) })
	}
	s.each("unknown id", 13, 18, func(v int16) kmsg.Request { return s.fetchID(v, t, unknownID) })
	s.each("zero id", 13, 18, func(v int16) kmsg.Request { return s.fetchID(v, t, [16]byte{}) })
	s.each("no topics", 4, 18, func(v int16) kmsg.Request {
		req := s.fetch(v, t, 0)
		req.Topics = nil
		return req
	})
	for _, epoch := range []int32{0, 5, -2} {
		s.each(fmt.Sprintf("current leader epoch %d", epoch), 9, 18, func(v int16) kmsg.Request {
			req := s.fetch(v, t, 3)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
			return req
		})
	}
	for _, epoch := range []int32{0, 3} {
		s.each(fmt.Sprintf("last fetched epoch %d", epoch), 12, 18, func(v int16) kmsg.Request {
			req := s.fetch(v, t, 3)
			req.Topics[0].Partitions[0].LastFetchedEpoch = epoch
			return req
		})
	}
	s.send("last fetched epoch beyond the end v12", 12, func() kmsg.Request {
		req := s.fetch(12, t, 50)
		req.Topics[0].Partitions[0].LastFetchedEpoch = 0
		return req
	}())
	s.each("partition twice", 4, 18, func(v int16) kmsg.Request {
		req := s.fetch(v, t, 3)
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, fetchPartition(0, 4))
		return req
	})
	s.send("cluster id of another v12", 12, func() kmsg.Request {
		req := s.fetch(12, t, 3)
		req.ClusterID = kmsg.StringPtr("nothere")
		return req
	}())
	s.send("rack v11", 11, func() kmsg.Request {
		req := s.fetch(11, t, 3)
		req.Rack = "r1"
		return req
	}())
	s.fetchAsReplica(t)
}

func (s *script) fetchID(version int16, topic string, id [16]byte) *kmsg.FetchRequest {
	req := s.fetch(version, topic, 0)
	req.Topics[0].TopicID = id
	return req
}

// fetchAsReplica asks as followers that are none, and as the special consumers of old.
func (s *script) fetchAsReplica(t string) {
	for _, id := range []int32{-2, -3, 1, 9} {
		s.each(fmt.Sprintf("as replica %d", id), 4, 18, func(v int16) kmsg.Request {
			req := s.fetch(v, t, 3)
			if req.ReplicaID = id; v >= 15 {
				req.ReplicaState.ID = id
			}
			return req
		})
	}
}

func fetchLimitsScenario(s *script) {
	t := s.topic("t", 2)
	size := 0
	for i := range 4 {
		b := newBatch(strings.Repeat(fmt.Sprint(i), 100))
		size = len(b.encode())
		s.append(t, b)
	}
	s.quiet(9, s.produce(9, t, -1, newBatch("p0"), newBatch(strings.Repeat("p", 300))))
	for _, limit := range []int32{0, 1, int32(size) - 1, int32(size), int32(size) + 1, int32(2*size) + 70, -1} {
		for _, v := range []int16{4, 12, 18} {
			s.send(fmt.Sprintf("partition limit %d v%d", limit, v), v, func() kmsg.Request {
				req := s.fetch(v, t, 0)
				req.Topics[0].Partitions[0].PartitionMaxBytes = limit
				return req
			}())
			s.send(fmt.Sprintf("request limit %d v%d", limit, v), v, func() kmsg.Request {
				req := s.fetch(v, t, 0)
				req.MaxBytes = limit
				return req
			}())
		}
	}
	both := func(v int16, partition0, partition1, total int32) kmsg.Request {
		req := s.fetch(v, t, 0)
		p0, p1 := fetchPartition(0, 0), fetchPartition(1, 0)
		p0.PartitionMaxBytes, p1.PartitionMaxBytes, req.MaxBytes = partition0, partition1, total
		req.Topics = []kmsg.FetchRequestTopic{s.fetchTopic(v, t, p0, p1)}
		return req
	}
	for _, v := range []int16{4, 12, 18} {
		s.send(fmt.Sprintf("second partition past its limit v%d", v), v, both(v, 200, 10, 1<<20))
		s.send(fmt.Sprintf("both past the request's limit v%d", v), v, both(v, 1<<20, 1<<20, 10))
		s.send(fmt.Sprintf("first takes all v%d", v), v, both(v, 1<<20, 1<<20, int32(size)+20))
	}
	waits := func(v int16, offset int64, minBytes, maxWait int32) kmsg.Request {
		req := s.fetch(v, t, offset)
		req.MinBytes, req.MaxWaitMillis = minBytes, maxWait
		return req
	}
	s.each("waits and gets nothing", 4, 18, func(v int16) kmsg.Request { return waits(v, 5, 1, 30) })
	s.each("min bytes never reached", 4, 18, func(v int16) kmsg.Request { return waits(v, 4, 1<<20, 30) })
	s.send("min bytes 0 v12", 12, waits(12, 5, 0, 5000))
	s.send("negative wait v12", 12, waits(12, 5, 1, -1))
	s.send("an error does not wait v12", 12, waits(12, 99, 1, 20000))
}

func fetchSessionsScenario(s *script) {
	t := s.topic("t", 3)
	u := s.topic("u", 1)
	s.append(t, newBatch("a"))
	for v := int16(7); v <= 18; v++ {
		req := s.fetch(v, t, 0)
		req.SessionEpoch = 0
		req.Topics = []kmsg.FetchRequestTopic{s.fetchTopic(v, t, fetchPartition(0, 0), fetchPartition(1, 0), fetchPartition(2, 5))}
		resp, ok := s.send(fmt.Sprintf("open v%d", v), v, req).(*kmsg.FetchResponse)
		if !ok {
			continue
		}
		incremental := func(epoch int32, topics ...kmsg.FetchRequestTopic) *kmsg.FetchRequest {
			req := s.fetch(v, t, 0)
			req.SessionID, req.SessionEpoch, req.Topics = resp.SessionID, epoch, topics
			return req
		}
		s.send(fmt.Sprintf("unchanged v%d", v), v, incremental(1))
		s.send(fmt.Sprintf("progress v%d", v), v, incremental(2, s.fetchTopic(v, t, fetchPartition(0, 1), fetchPartition(2, 0))))
		s.send(fmt.Sprintf("quiet v%d", v), v, incremental(3))
		forget := incremental(4)
		forgotten := kmsg.FetchRequestForgottenTopic{Topic: t, Partitions: []int32{1}}
		if v >= 13 {
			forgotten.TopicID = s.id(t)
		}
		forget.ForgottenTopics = append(forget.ForgottenTopics, forgotten)
		s.send(fmt.Sprintf("forget v%d", v), v, forget)
		s.send(fmt.Sprintf("another topic v%d", v), v, incremental(5, s.fetchTopic(v, u, fetchPartition(0, 0), fetchPartition(8, 0))))
		s.send(fmt.Sprintf("an error is repeated v%d", v), v, incremental(6))
		s.send(fmt.Sprintf("wrong epoch v%d", v), v, incremental(99))
		s.send(fmt.Sprintf("unknown session v%d", v), v, func() kmsg.Request {
			req := incremental(1)
			req.SessionID = resp.SessionID + 1
			return req
		}())
		s.send(fmt.Sprintf("close v%d", v), v, incremental(-1))
		s.send(fmt.Sprintf("after the close v%d", v), v, incremental(7))
		s.send(fmt.Sprintf("epoch without session v%d", v), v, func() kmsg.Request {
			req := s.fetch(v, t, 0)
			req.SessionEpoch = 4
			return req
		}())
	}
	s.mixedSession(t)
}

// mixedSession uses topic names and topic ids in one session.
func (s *script) mixedSession(t string) {
	for _, versions := range [][2]int16{{12, 13}, {13, 12}} {
		req := s.fetch(versions[0], t, 0)
		req.SessionEpoch = 0
		resp, ok := s.send(fmt.Sprintf("open at v%d", versions[0]), versions[0], req).(*kmsg.FetchResponse)
		if !ok {
			continue
		}
		next := s.fetch(versions[1], t, 1)
		next.SessionID, next.SessionEpoch = resp.SessionID, 1
		s.send(fmt.Sprintf("go on at v%d", versions[1]), versions[1], next)
	}
}
