package wirediff

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// corpus lists every scenario, in the order in which they run against one broker.
func corpus() []scenario {
	return []scenario{
		{"apiversions", apiVersionsScenario},
		{"group-life", groupLifeScenario},
		{"group-two", twoMembersScenario},
		{"group-static", staticMembersScenario},
		{"group-refused", groupRefusedScenario},
		{"group-offsets", groupOffsetsScenario},
		{"group-admin", groupAdminScenario},
		{"find-coordinator", findCoordinatorScenario},
		{"versions", versionsScenario},
		{"framing", framingScenario},
		{"pipeline", pipelineScenario},
		{"cluster", clusterScenario},
		{"metadata", metadataScenario},
		{"metadata-autocreate", autoCreateScenario},
		{"describe-partitions", describePartitionsScenario},
		{"logdirs", logDirsScenario},
		{"init-producer", initProducerScenario},
		{"txn-life", txnLifeScenario},
		{"txn-refused", txnRefusedScenario},
		{"txn-offsets", txnOffsetsScenario},
		{"txn-admin", txnAdminScenario},
		{"txn-fence", txnFenceScenario},
		{"txn-aborted", abortedScenario},
		{"txn-deleted", txnDeletedScenario},
		{"create", createScenario},
		{"create-wrong", createWrongScenario},
		{"create-configs", createConfigsScenario},
		{"delete", deleteScenario},
		{"partitions", partitionsScenario},
		{"configs", describeConfigsScenario},
		{"incremental", incrementalScenario},
		{"alter", alterScenario},
		{"broker-configs", brokerConfigsScenario},
		{"produce", produceScenario},
		{"produce-wrong", produceWrongScenario},
		{"produce-rules", produceRulesScenario},
		{"idempotent", idempotentScenario},
		{"fetch", fetchScenario},
		{"fetch-limits", fetchLimitsScenario},
		{"fetch-sessions", fetchSessionsScenario},
		{"listoffsets", listOffsetsScenario},
		{"epochs", epochsScenario},
		{"delete-records", deleteRecordsScenario},
		{"consumer-refused", consumerRefusedScenario},
		{"consumer-life", consumerLifeScenario},
		{"consumer-static", consumerStaticScenario},
		{"consumer-assignors", consumerAssignorsScenario},
		{"consumer-regex", consumerRegexScenario},
		{"consumer-topics", consumerTopicsScenario},
		{"consumer-timeout", consumerTimeoutScenario},
		{"consumer-offsets", consumerOffsetsScenario},
		{"consumer-admin", consumerAdminScenario},
		{"consumer-configs", consumerConfigsScenario},
		{"upgrade", upgradeScenario},
		{"downgrade", downgradeScenario},
		{"convert", convertScenario},
	}
}

func apiVersionsRequest(name, version string) *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = name, version
	return req
}

func apiVersionsScenario(s *script) {
	s.each("usual", 0, 5, func(int16) kmsg.Request { return apiVersionsRequest("wirediff", "1.0") })
	for _, bad := range [][2]string{{"", "1.0"}, {"wirediff", ""}, {"a b", "1.0"}, {"-x", "1"}, {"x-", "1"}, {"wirediff", "1.0+7"}, {"a.b-c", "1_0"}, {"a", "1"}} {
		s.send(fmt.Sprintf("software %q %q v3", bad[0], bad[1]), 3, apiVersionsRequest(bad[0], bad[1]))
	}
	s.send("bad name v4", 4, apiVersionsRequest("", ""))
	s.send("bad name v5", 5, apiVersionsRequest("", ""))
	cluster := *s.quiet(12, metadata()).(*kmsg.MetadataResponse).ClusterID
	for _, id := range []struct {
		what    string
		cluster string
		node    int32
	}{{"right", cluster, 1}, {"wrong cluster", "nothere", 1}, {"wrong node", cluster, 7}, {"cluster only", cluster, -1}, {"node only", "", 1}, {"wrong both", "nothere", 9}} {
		req := apiVersionsRequest("wirediff", "1.0")
		if req.NodeID = id.node; id.cluster != "" {
			req.ClusterID = &id.cluster
		}
		s.send("identity "+id.what+" v5", 5, req)
	}
	// A version that the broker does not know is answered in the layout of version 0, whatever its body holds.
	for _, v := range []int16{6, 99, 32767, -1} {
		s.wire.corr++
		id := clientID
		bytes := frame(append(header(apiVersions, v, s.wire.corr, &id, true), 0xff, 0xff, 0xff))
		s.tooNew(fmt.Sprintf("too new v%d", v), v, bytes)
	}
	s.body("tag bomb v3", apiVersions, 3, true, []byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	s.body("unknown tags v3", apiVersions, 3, true, []byte{2, 'a', 2, '1', 2, 5, 2, 'h', 'i', 9, 0})
	s.body("truncated v3", apiVersions, 3, true, []byte{9, 'a'})
	s.body("null name v3", apiVersions, 3, true, []byte{0, 2, '1', 0})
	s.body("trailing bytes v0", apiVersions, 0, false, []byte{1, 2, 3, 4})
	s.body("trailing bytes v3", apiVersions, 3, true, []byte{2, 'a', 2, '1', 0, 1, 2, 3, 4})
}

// tooNew notes an ApiVersions answer that has the layout of version 0 under the version that was asked.
func (s *script) tooNew(step string, version int16, bytes []byte) {
	s.raw(step, apiVersions, 0, bytes)
	s.out[len(s.out)-1].Version = version
}

// versionsScenario sends each key just outside of its range: all but ApiVersions is closed.
func versionsScenario(s *script) {
	for _, a := range served {
		if a.key == apiVersions {
			continue
		}
		for _, v := range []int16{a.min - 1, a.max + 1, -1, 99} {
			if v < -1 || (v == -1 && a.min == 0) {
				continue
			}
			s.body(fmt.Sprintf("key %d v%d", a.key, v), a.key, v, v > a.max, []byte{0, 0, 0, 0, 0, 0, 0, 0})
		}
	}
	for v := int16(0); v <= 2; v++ { // advertised for librdkafka, closed nevertheless
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = 1, 1000
		s.send(fmt.Sprintf("Produce v%d", v), v, req)
	}
	s.send("InitProducerId v6", 6, kmsg.NewPtrInitProducerIDRequest()) // known to Kafka, but not stable
}

// samples is a well-formed request of every API.
func samples() []kmsg.Request {
	return []kmsg.Request{
		apiVersionsRequest("wirediff", "1.0"), metadata("framing.none"), kmsg.NewPtrDescribeClusterRequest(),
		createTopics(createTopic("framing.x*x", 1)), deleteTopics("framing.none"), createPartitions(grow("framing.none", 2)),
		describeConfigs(true, true, topicResource("framing.none", "retention.ms")),
		incremental(kmsg.ConfigResourceTypeTopic, "framing.none", op(opSet, "retention.ms", "1")),
		alterConfigs(kmsg.ConfigResourceTypeTopic, "framing.none", "retention.ms", "1"),
		listOffsets("framing.none", -1), epochs("framing.none", -1, 0), deleteRecords("framing.none", 0),
		kmsg.NewPtrInitProducerIDRequest(),
		&kmsg.DescribeTopicPartitionsRequest{Topics: []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "framing.none"}}, ResponsePartitionLimit: 5},
		&kmsg.DescribeLogDirsRequest{Topics: []kmsg.DescribeLogDirsRequestTopic{{Topic: "framing.none", Partitions: []int32{0}}}},
	}
}

func framingScenario(s *script) {
	for _, key := range []int16{4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82, 95, 999, 32767, -1} {
		s.body(fmt.Sprintf("key %d", key), key, 0, false, []byte{0, 0, 0, 0})
	}
	for _, n := range []uint32{0x7fffffff, 0xffffffff, 0x80000000, 104857601} {
		s.raw(fmt.Sprintf("frame of %d bytes", int32(n)), apiVersions, 0, append(binary.BigEndian.AppendUint32(nil, n), 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff))
	}
	s.raw("empty frame", apiVersions, 0, []byte{0, 0, 0, 0})
	s.raw("frame of 4 bytes", apiVersions, 0, frame([]byte{0, 18, 0, 0}))
	s.raw("header without client id", apiVersions, 0, frame([]byte{0, 18, 0, 0, 0, 0, 0, 1}))
	s.raw("client id past the end", apiVersions, 0, frame([]byte{0, 18, 0, 0, 0, 0, 0, 1, 0, 50, 'x'}))
	s.wire.corr = 1
	s.raw("client id of length -2", apiVersions, 0, frame([]byte{0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xfe, 'x'}))
	s.raw("HTTP", apiVersions, 0, []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	s.wire.corr++
	s.raw("null client id", apiVersions, 0, frame(header(apiVersions, 0, s.wire.corr, nil, false)))
	s.wire.corr++
	id := strings.Repeat("c", 3000)
	s.raw("long client id", apiVersions, 0, frame(header(apiVersions, 0, s.wire.corr, &id, false)))
	s.wire.corr++
	tagged := header(apiVersions, 3, s.wire.corr, kmsg.StringPtr("x"), true)
	tagged = append(tagged[:len(tagged)-1], 1, 7, 3, 'a', 'b', 'c', 2, 'a', 2, '1', 0)
	s.raw("header with an unknown tag", apiVersions, 3, frame(tagged))
	s.awaitProducerIDs()
	for _, req := range samples() {
		max := apiOf(req.Key()).max
		whole := s.wire.encode(req, max)
		s.raw(fmt.Sprintf("key %d v%d with trailing bytes", req.Key(), max), req.Key(), max, frame(append(whole[4:], 1, 2, 3)))
		for _, cut := range []int{1, 3} {
			whole = s.wire.encode(req, max)
			if len(whole)-cut < 4+8+2+len(clientID)+1 {
				continue
			}
			s.raw(fmt.Sprintf("key %d v%d less %d bytes", req.Key(), max, cut), req.Key(), max, frame(whole[4:len(whole)-cut]))
		}
	}
	nullArrays(s)
}

// pipelineScenario has several requests of one connection in flight: slow ones do not let quick ones overtake.
func pipelineScenario(s *script) {
	t := s.topic("t", 1)
	waiting := s.fetch(12, t, 2)
	waiting.MaxWaitMillis, waiting.MinBytes = 100, 1<<20
	s.pipeline(
		pending{"1 produce", 9, s.produce(9, t, -1, newBatch("a"))},
		pending{"2 produce, acks 1", 9, s.produce(9, t, 1, newBatch("b"))},
		pending{"3 fetch that waits", 12, waiting},
		pending{"4 metadata", 12, metadata(t)},
		pending{"5 produce", 9, s.produce(9, t, -1, newBatch("c"))},
		pending{"6 fetch", 12, s.fetch(12, t, 0)},
		pending{"7 create", 7, createTopics(createTopic(t, 1))},
		pending{"8 versions", 3, apiVersionsRequest("wirediff", "1")},
	)
	old := metadata(t)
	s.pipeline(
		pending{"before a wrong frame", 9, s.produce(9, t, -1, newBatch("d"))},
		pending{"wrong frame", 99, old},
		pending{"after a wrong frame", 9, s.produce(9, t, -1, newBatch("e"))},
	)
	s.send("what was stored", 12, s.fetch(12, t, 0))
}

// nullArrays sends a null where Kafka's schema has an array that must be there.
func nullArrays(s *script) {
	s.body("null topics Metadata v0", 3, 0, false, []byte{0xff, 0xff, 0xff, 0xff})
	s.body("null topics CreateTopics v2", 19, 2, false, []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0x10, 0, 0})
	s.body("null topics CreateTopics v7", 19, 7, true, []byte{0, 0, 0, 0x10, 0, 0, 0})
	s.body("null topics DeleteTopics v6", 20, 6, true, []byte{0, 0, 0, 0x10, 0, 0})
	s.body("null topics ListOffsets v1", 2, 1, false, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	s.body("null topics Produce v3", 0, 3, false, []byte{0xff, 0xff, 0, 1, 0, 0, 0x10, 0, 0xff, 0xff, 0xff, 0xff})
	s.body("null resources DescribeConfigs v1", 32, 1, false, []byte{0xff, 0xff, 0xff, 0xff, 0})
	s.body("null name CreateTopics v2", 19, 2, false, append([]byte{0, 0, 0, 1}, uint16s(nil, -1, 0, 1, 1, 0, 0, 0, 0, 0, 1000, 0)...))
	s.body("negative count Metadata v1", 3, 1, false, []byte{0xff, 0xff, 0xff, 0xfe})
	s.body("huge count Metadata v1", 3, 1, false, []byte{0x7f, 0xff, 0xff, 0xff})
	s.body("huge count Fetch v4", 1, 4, false, append(make([]byte, 17), 0x7f, 0xff, 0xff, 0xff))
	s.body("huge count CreateTopics v7", 19, 7, true, []byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	s.body("bad UTF-8 name Metadata v1", 3, 1, false, []byte{0, 0, 0, 1, 0, 3, 'a', 0xff, 0xfe})
	s.body("negative string Metadata v1", 3, 1, false, []byte{0, 0, 0, 1, 0xff, 0xf0})
	s.body("null string Metadata v1", 3, 1, false, []byte{0, 0, 0, 1, 0xff, 0xff})
}

func apiOf(key int16) api {
	for _, a := range served {
		if a.key == key {
			return a
		}
	}
	panic(fatal{fmt.Errorf("key %d is not served", key)})
}

func clusterScenario(s *script) {
	s.each("usual", 0, 2, func(int16) kmsg.Request { return kmsg.NewPtrDescribeClusterRequest() })
	s.each("operations", 0, 2, func(int16) kmsg.Request {
		return &kmsg.DescribeClusterRequest{IncludeClusterAuthorizedOperations: true, EndpointType: 1}
	})
	for _, endpoint := range []int8{2, 0, 3, -1} {
		s.each(fmt.Sprintf("endpoint type %d", endpoint), 1, 2, func(int16) kmsg.Request {
			return &kmsg.DescribeClusterRequest{EndpointType: endpoint}
		})
	}
	s.send("fenced brokers v2", 2, &kmsg.DescribeClusterRequest{EndpointType: 1, IncludeFencedBrokers: true})
}

func metadataScenario(s *script) {
	one, three := s.topic("one", 1), s.topic("three", 3)
	s.each("topics", 0, 13, func(int16) kmsg.Request { return metadata(one, three) })
	s.each("all", 0, 13, func(v int16) kmsg.Request {
		req := metadata()
		if v > 0 {
			req.Topics = nil
		}
		return req
	})
	s.each("none", 1, 13, func(int16) kmsg.Request { return metadata() })
	s.each("unknown and wrong names", 4, 13, func(int16) kmsg.Request {
		return metadata(one, s.t("none"), "a b", "", ".", "..", strings.Repeat("x", 250), strings.Repeat("x", 249), "ü")
	})
	s.each("twice", 1, 13, func(int16) kmsg.Request { return metadata(one, one) })
	s.each("operations", 8, 13, func(int16) kmsg.Request {
		req := metadata(one, s.t("none"))
		req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = true, true
		return req
	})
	byID := func(ids ...[16]byte) *kmsg.MetadataRequest {
		req := metadata()
		for _, id := range ids {
			req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{TopicID: id})
		}
		return req
	}
	s.each("by id", 10, 13, func(int16) kmsg.Request { return byID(s.id(three)) })
	s.each("by id twice and unknown", 10, 13, func(int16) kmsg.Request { return byID(s.id(three), s.id(three), unknownID) })
	s.each("by id and name", 10, 13, func(int16) kmsg.Request {
		req := byID(s.id(one))
		req.Topics = append(req.Topics, metadata(three).Topics...)
		return req
	})
	s.each("id with its name", 10, 13, func(int16) kmsg.Request {
		req := metadata(one)
		req.Topics[0].TopicID = s.id(one)
		return req
	})
	s.each("id with another name", 10, 13, func(int16) kmsg.Request {
		req := metadata(three)
		req.Topics[0].TopicID = s.id(one)
		return req
	})
	s.each("null name and zero id", 10, 13, func(int16) kmsg.Request { return byID([16]byte{}) })
}

// autoCreateScenario: Kafka answers 3 and creates afterwards; what comes of it is noted by a later request.
func autoCreateScenario(s *script) {
	s.each("first", 0, 13, func(v int16) kmsg.Request {
		req := metadata(s.t(fmt.Sprintf("auto%d", v)))
		req.AllowAutoTopicCreation = v >= 4
		return req
	})
	for v := range int16(14) {
		s.awaitTopic(s.t(fmt.Sprintf("auto%d", v)), 1)
	}
	s.send("then", 13, metadata(s.t("auto0"), s.t("auto13")))
	wrong := metadata("a b", "", "..", strings.Repeat("x", 250))
	wrong.AllowAutoTopicCreation = true
	s.send("wrong names v9", 9, wrong)
	collides := metadata(strings.ReplaceAll(s.t("auto1"), ".", "_"))
	collides.AllowAutoTopicCreation = true
	s.send("name that collides v9", 9, collides)
}

func describePartitionsScenario(s *script) {
	one, four := s.topic("one", 1), s.topic("four", 4)
	request := func(limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, names ...string) *kmsg.DescribeTopicPartitionsRequest {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = limit, cursor
		for _, n := range names {
			req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: n})
		}
		return req
	}
	at := func(topic string, partition int32) *kmsg.DescribeTopicPartitionsRequestCursor {
		return &kmsg.DescribeTopicPartitionsRequestCursor{Topic: topic, Partition: partition}
	}
	s.send("two topics", 0, request(2000, nil, one, four))
	s.send("unknown and wrong names", 0, request(2000, nil, one, s.t("none"), "a b", ""))
	s.send("twice", 0, request(2000, nil, one, one))
	s.send("all", 0, request(2000, nil))
	s.send("limit 2", 0, request(2, nil, four, one))
	s.send("limit 1", 0, request(1, nil, four, one))
	s.send("limit 0", 0, request(0, nil, four, one))
	s.send("limit -1", 0, request(-1, nil, four, one))
	s.send("cursor in the middle", 0, request(2000, at(four, 2), four, one))
	s.send("cursor with limit", 0, request(1, at(four, 2), four, one))
	s.send("cursor past the partitions", 0, request(2000, at(four, 9), four, one))
	s.send("cursor at an unlisted topic", 0, request(2000, at(s.t("gone"), 1), four, one))
	s.send("cursor at partition -1", 0, request(2000, at(four, -1), four, one))
	s.send("cursor behind all", 0, request(2000, at("zzz", 0), four, one))
}

func logDirsScenario(s *script) {
	two := s.topic("two", 2)
	s.append(two, newBatch("a", "b"))
	ask := func(topic string, partitions ...int32) kmsg.DescribeLogDirsRequestTopic {
		return kmsg.DescribeLogDirsRequestTopic{Topic: topic, Partitions: partitions}
	}
	s.each("all", 1, 5, func(int16) kmsg.Request { return &kmsg.DescribeLogDirsRequest{} })
	s.each("none", 1, 5, func(int16) kmsg.Request {
		return &kmsg.DescribeLogDirsRequest{Topics: []kmsg.DescribeLogDirsRequestTopic{}}
	})
	s.each("some", 1, 5, func(int16) kmsg.Request {
		return &kmsg.DescribeLogDirsRequest{Topics: []kmsg.DescribeLogDirsRequestTopic{ask(two, 0), ask(s.t("none"), 0)}}
	})
	s.each("unknown partition", 1, 5, func(int16) kmsg.Request {
		return &kmsg.DescribeLogDirsRequest{Topics: []kmsg.DescribeLogDirsRequestTopic{ask(two, 7, -1)}}
	})
	s.send("no partitions v5", 5, &kmsg.DescribeLogDirsRequest{Topics: []kmsg.DescribeLogDirsRequestTopic{ask(two)}})
}

func initProducerScenario(s *script) {
	request := func(id *string, timeout int32, pid int64, epoch int16) *kmsg.InitProducerIDRequest {
		return &kmsg.InitProducerIDRequest{TransactionalID: id, TransactionTimeoutMillis: timeout, ProducerID: pid, ProducerEpoch: epoch}
	}
	s.awaitProducerIDs()
	s.each("idempotent", 0, 5, func(int16) kmsg.Request { return request(nil, 60000, -1, -1) })
	s.each("no timeout", 0, 5, func(int16) kmsg.Request { return request(nil, -1, -1, -1) })
	s.each("zero timeout", 0, 5, func(int16) kmsg.Request { return request(nil, 0, -1, -1) })
	s.each("empty transactional id", 0, 5, func(int16) kmsg.Request { return request(kmsg.StringPtr(""), 60000, -1, -1) })
	s.each("with id and epoch", 3, 5, func(int16) kmsg.Request { return request(nil, 60000, 4000, 3) })
	s.each("id without epoch", 3, 5, func(int16) kmsg.Request { return request(nil, 60000, 4000, -1) })
	s.each("epoch without id", 3, 5, func(int16) kmsg.Request { return request(nil, 60000, -1, 3) })
	s.each("negative id", 3, 5, func(int16) kmsg.Request { return request(nil, 60000, -2, -2) })
}
