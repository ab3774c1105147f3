package wirediff

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// timed is a batch of records at these times after baseTimestamp, in ms.
func timed(deltas ...int64) *batch {
	b := newBatch()
	for _, d := range deltas {
		b.records = append(b.records, kmsg.Record{Value: []byte("v")})
		b.timestamp = baseTimestamp + deltas[0]
		b.records[len(b.records)-1].TimestampDelta64 = d - deltas[0]
	}
	return b
}

func listOffsetsScenario(s *script) {
	t, empty := s.topic("t", 2), s.topic("empty", 1)
	s.append(t, timed(0, 100, 200), timed(300, 250, 400), timed(350), timed(1000, 900))
	for _, special := range []int64{-1, -2, -3, -4, -5, -6, -7, -100} {
		s.each(fmt.Sprintf("timestamp %d", special), 1, 11, func(int16) kmsg.Request { return listOffsets(t, special) })
		s.each(fmt.Sprintf("timestamp %d of an empty topic", special), 1, 11, func(int16) kmsg.Request { return listOffsets(empty, special) })
	}
	for _, at := range []int64{0, 1, 200, 201, 260, 300, 320, 350, 399, 400, 401, 900, 950, 1000, 1001, -1_700_000_000_000} {
		for _, v := range []int16{1, 5, 11} {
			s.send(fmt.Sprintf("by time +%d v%d", at, v), v, listOffsets(t, baseTimestamp+at))
		}
	}
	s.each("by time in an empty topic", 1, 11, func(int16) kmsg.Request { return listOffsets(empty, baseTimestamp) })
	s.each("by time", 1, 11, func(int16) kmsg.Request { return listOffsets(t, baseTimestamp+320) })
	for _, name := range []string{s.t("none"), "a b", ""} {
		s.each(fmt.Sprintf("topic %q", name), 1, 11, func(int16) kmsg.Request { return listOffsets(name, -1) })
	}
	s.each("unknown partition", 1, 11, func(int16) kmsg.Request {
		req := listOffsets(t, -1)
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, listPartition(9, -1), listPartition(-1, -1), listPartition(1, -2))
		return req
	})
	s.each("partition twice", 1, 11, func(int16) kmsg.Request {
		req := listOffsets(t, -1)
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, listPartition(0, -2), listPartition(1, -1))
		return req
	})
	s.each("read committed", 2, 11, func(int16) kmsg.Request {
		req := listOffsets(t, -1)
		req.IsolationLevel = 1
		return req
	})
	for _, epoch := range []int32{0, 7, -2} {
		s.each(fmt.Sprintf("current leader epoch %d", epoch), 4, 11, func(int16) kmsg.Request {
			req := listOffsets(t, -1)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
			return req
		})
	}
	for _, replica := range []int32{-2, -3, 1, 9} {
		s.each(fmt.Sprintf("as replica %d", replica), 1, 11, func(int16) kmsg.Request {
			req := listOffsets(t, -1)
			req.ReplicaID = replica
			return req
		})
	}
	s.send("no topics v7", 7, kmsg.NewPtrListOffsetsRequest())
	s.send("isolation level 9 v7", 7, func() kmsg.Request {
		req := listOffsets(t, -1)
		req.IsolationLevel = 9
		return req
	}())
	s.send("timeout 0 v11", 11, func() kmsg.Request {
		req := listOffsets(t, -1)
		req.TimeoutMillis = 0
		return req
	}())
	appended := s.topic("appendtime", 1, "message.timestamp.type", "LogAppendTime")
	s.append(appended, timed(0, 100))
	s.send("highest timestamp with append time v7", 7, listOffsets(appended, -3))
	s.send("by old time with append time v7", 7, listOffsets(appended, baseTimestamp))
	zipped := s.topic("zipped", 1)
	s.append(zipped, timed(0, 100, 200).with(func(b *batch) { b.attributes = codecLZ4 }), timed(300, 250, 400).with(func(b *batch) { b.attributes = codecZstd }))
	s.send("by time in a compressed batch v7", 7, listOffsets(zipped, baseTimestamp+310))
	s.send("highest timestamp in a compressed batch v7", 7, listOffsets(zipped, -3))
}

func epochsScenario(s *script) {
	t, empty := s.topic("t", 1), s.topic("empty", 1)
	s.append(t, newBatch("a", "b"), newBatch("c"))
	for _, epoch := range []int32{0, 1, 5, -1, -2} {
		s.each(fmt.Sprintf("epoch %d", epoch), 2, 4, func(int16) kmsg.Request { return epochs(t, -1, epoch) })
		s.each(fmt.Sprintf("epoch %d of an empty topic", epoch), 2, 4, func(int16) kmsg.Request { return epochs(empty, -1, epoch) })
	}
	for _, current := range []int32{0, 3, -2} {
		s.each(fmt.Sprintf("current leader epoch %d", current), 2, 4, func(int16) kmsg.Request { return epochs(t, current, 0) })
	}
	for _, name := range []string{s.t("none"), "a b"} {
		s.each(fmt.Sprintf("topic %q", name), 2, 4, func(int16) kmsg.Request { return epochs(name, -1, 0) })
	}
	s.each("unknown partition", 2, 4, func(int16) kmsg.Request {
		req := epochs(t, -1, 0)
		req.Topics[0].Partitions[0].Partition = 5
		return req
	})
	s.each("as replica 1", 3, 4, func(int16) kmsg.Request {
		req := epochs(t, -1, 0)
		req.ReplicaID = 1
		return req
	})
	s.send("no topics v4", 4, kmsg.NewPtrOffsetForLeaderEpochRequest())
}

func deleteRecordsScenario(s *script) {
	fill := func(name string) string {
		t := s.topic(name, 1)
		s.append(t, newBatch("a", "b", "c"), newBatch("d", "e"))
		return t
	}
	for v := range int16(3) {
		t := fill(fmt.Sprintf("t%d", v))
		step := func(what string, offset int64) {
			s.send(fmt.Sprintf("%s v%d", what, v), v, deleteRecords(t, offset))
		}
		step("to 0", 0)
		step("into a batch", 2)
		s.send(fmt.Sprintf("then starts at, v%d", v), 5, listOffsets(t, -2))
		s.send(fmt.Sprintf("then a fetch below, v%d", v), 11, s.fetch(11, t, 0))
		s.send(fmt.Sprintf("then a fetch, v%d", v), 11, s.fetch(11, t, 2))
		step("back below", 1)
		step("above the high mark", 6)
		step("to -2", -2)
		step("to all", -1)
		s.send(fmt.Sprintf("then it is empty, v%d", v), 5, listOffsets(t, -2))
		step("all again", -1)
		s.append(t, newBatch("f"))
		s.send(fmt.Sprintf("then it goes on, v%d", v), 11, s.fetch(11, t, 5))
	}
	s.each("unknown topic", 0, 2, func(int16) kmsg.Request { return deleteRecords(s.t("none"), 0) })
	s.each("wrong topic", 0, 2, func(int16) kmsg.Request { return deleteRecords("a b", 0) })
	t := fill("u")
	s.each("unknown partition", 0, 2, func(int16) kmsg.Request {
		req := deleteRecords(t, 0)
		req.Topics[0].Partitions[0].Partition = 4
		return req
	})
	s.each("partition twice", 0, 2, func(int16) kmsg.Request {
		req := deleteRecords(t, 1)
		req.Topics = append(req.Topics, deleteRecords(t, 2).Topics...)
		return req
	})
	s.send("timeout 0 v2", 2, func() kmsg.Request {
		req := deleteRecords(t, 3)
		req.TimeoutMillis = 0
		return req
	}())
	s.send("no topics v2", 2, &kmsg.DeleteRecordsRequest{TimeoutMillis: adminTimeout})
	compacted := s.topic("compacted", 1, "cleanup.policy", "compact")
	s.append(compacted, keyed("k", "v"))
	s.each("compacted", 0, 2, func(int16) kmsg.Request { return deleteRecords(compacted, 1) })
}
