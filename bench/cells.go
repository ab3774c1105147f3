package main

import (
	"fmt"
	"time"
)

// values of one run, by metric.
type values map[string]float64

// Metrics. Their names are the columns of the results.
const (
	cpuPerGB    = "CPU-s/GB"   // of the broker, per 10^9 bytes of payload
	throughput  = "MB/s"       // 10^6 bytes
	recordRate  = "krec/s"     // thousands
	perRequest  = "us/request" // of the broker's CPU
	requestRate = "kreq/s"     // thousands
	p50         = "p50 ms"
	p99         = "p99 ms"
	p999        = "p999 ms"
	perRecord   = "us/record" // of the broker's CPU
	startMs     = "ms"
	memory      = "MiB"
	perConn     = "KiB/connection"
	clientCPU   = "client CPU-s/GB"
)

// higherIsBetter of the metrics; of all others lower is.
var higherIsBetter = map[string]bool{throughput: true, recordRate: true, requestRate: true}

// cell is one row of the table: a workload.
type cell struct {
	name string
	// bytes that a run writes about: so many are written and deleted before it, so that memory is warm.
	bytes int64
	// run measures one contender that is running. It leaves no topic behind.
	run func(c *contender, e *environment) (values, usage, error)
	// fresh cells start and stop their own processes, while no other runs.
	fresh bool
	long  bool // not in the short form
	pairs int  // 0: as the command says
	bound bool // the physical bound is measured with it
	kfake bool // kfake can do it
	// rdkafka cells need the client that is built from rdkafka/client.c.
	rdkafka bool
	goals   []goal
}

// goal is a target: ours at most (for rates: at least) ratio times Kafka's, and an absolute figure. Zero: none.
type goal struct {
	metric   string
	ratio    float64
	absolute float64
	ofBound  float64 // times the physical bound of the same run
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gb  = 1_000_000_000
)

// cells in the order in which they run.
func cells() []cell {
	return append(append(throughputCells(), requestCells()...), footprintCells()...)
}

func throughputCells() []cell {
	return []cell{
		{name: "raw produce, 1 MB batches", bytes: 2 * gb, bound: true, kfake: true, run: rawProduce(1000, 1024, 2*gb, 5),
			goals: []goal{{cpuPerGB, 0.5, 0.55, 1.8}, {throughput, 1.5, 1400, 0}}},
		{name: "raw produce, 16 KB batches", bytes: 6 * gb / 10, kfake: true, run: rawProduce(16, 1000, 6*gb/10, 5),
			goals: []goal{{perRequest, 0.25, 25, 0}}},
		{name: "raw fetch, 4 MB", bytes: gb, bound: true, kfake: true, run: rawFetch(4*mib, 4*gb),
			goals: []goal{{cpuPerGB, 0.5, 0.13, 1.5}, {throughput, 2, 4500, 0}}},
		{name: "franz-go produce 1 KB, acks=all, idempotent", bytes: 12 * gb / 10, kfake: true, run: franzProduce(1024, 1_200_000),
			goals: []goal{{cpuPerGB, 1 / 2.5, 0.6, 0}, {throughput, 1.8, 0, 0}}},
		{name: "franz-go produce 100 B, acks=all, idempotent", bytes: gb / 2, run: franzProduce(100, 4_000_000)},
		{name: "franz-go consume 1 KB", bytes: gb, kfake: true, run: franzConsume(1024, 1_000_000),
			goals: []goal{{cpuPerGB, 0.5, 0, 0}}},
		{name: "librdkafka produce 1 KB, acks=all, idempotent", bytes: gb, rdkafka: true, run: rdkafkaProduce(1024, 1_000_000)},
		{name: "librdkafka consume 1 KB", bytes: gb, rdkafka: true, run: rdkafkaConsume(1024, 1_000_000)},
		{name: "kafka-producer-perf-test 1 KB", bytes: gb, run: perfProduce(1024, 700_000)},
		{name: "kafka-consumer-perf-test 1 KB", bytes: gb, run: perfConsume(1024, 1_000_000)},
	}
}

func requestCells() []cell {
	durable := []string{"flush.messages=1"}
	return []cell{
		{name: "one-record produce, 1 connection", bytes: 50_000_000, run: oneRecord(1, 30_000, nil),
			goals: []goal{{perRequest, 1.0 / 3, 25, 0}}},
		{name: "one-record produce, 64 connections", bytes: 50_000_000, kfake: true, run: oneRecord(64, 128_000, nil),
			goals: []goal{{perRequest, 0.5, 12, 0}}},
		{name: "Metadata, 1 connection", run: metadataRequests(1, 30_000)},
		{name: "Metadata, 64 connections", run: metadataRequests(64, 128_000)},
		{name: "durable one-record produce, 1 connection", bytes: 50_000_000, run: oneRecord(1, 4_000, durable)},
		{name: "durable one-record produce, 64 connections", bytes: 50_000_000, run: oneRecord(64, 25_600, durable),
			goals: []goal{{requestRate, 15, 45, 0}}},
		{name: "end to end at 1,000 records/s", bytes: 50_000_000, run: endToEnd(1000, 10*time.Second),
			goals: []goal{{p50, 0.7, 0.35, 0}, {p99, 1.0 / 3, 0.8, 0}, {p999, 0.5, 4, 0}}},
	}
}

func footprintCells() []cell {
	return []cell{
		{name: "exec to first Metadata", fresh: true, run: startup, goals: []goal{{startMs, 1.0 / 40, 50, 0}}},
		{name: "resident when idle", fresh: true, run: idleMemory, goals: []goal{{memory, 1.0 / 15, 25, 0}}},
		{name: "5,000 idle connections", fresh: true, pairs: 1, run: idleConnections(5000), goals: []goal{{perConn, 0, 12, 0}}},
		{name: "resident after 10 GB written and read", fresh: true, pairs: 1, bytes: gb, run: memoryAfter(10 * gb),
			goals: []goal{{memory, 1.0 / 18, 64, 0}}},
		{name: "resident with 10,000 partitions", fresh: true, pairs: 1, run: memoryWithPartitions(10_000),
			goals: []goal{{memory, 1.0 / 5, 150, 0}}},
	}
}

// rawProduce sends batches of count records of size bytes, total bytes in all, with window requests in flight.
func rawProduce(count, size int, total int64, window int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if err := c.makeTopic(topic, 1); err != nil {
			return nil, usage{}, err
		}
		batch := recordBatch(count, size)
		n := int(total / int64(len(batch)))
		request := produceFrame(topic, batch)
		u, err := measure(c.pid(), func() error {
			return exchangeOn(c.addr, 1, n, window, request, func(a []byte) error { return produceError(a, topic) })
		})
		if err != nil {
			return nil, u, err
		}
		v := perByte(u, int64(n)*int64(len(batch)))
		v[perRequest], v[requestRate] = u.broker/float64(n)*1e6, float64(n)/u.seconds/1e3
		return v, u, c.dropTopic(topic)
	}
}

// perByte are the metrics of a transfer of so many bytes.
func perByte(u usage, bytes int64) values {
	size := float64(bytes) / gb
	return values{cpuPerGB: u.broker / size, throughput: size * 1000 / u.seconds, clientCPU: u.client / size}
}

// fill writes total bytes in 64 KiB batches to a new topic and returns the size of one, and its records.
func fill(c *contender, topic string, size int, total int64) (batchBytes, records int, err error) {
	if err := c.makeTopic(topic, 1); err != nil {
		return 0, 0, err
	}
	records = max(1, 64*kib/(size+10))
	batch := recordBatch(records, size)
	n := int(total/int64(len(batch))) + 1
	err = exchangeOn(c.addr, 1, n, 5, produceFrame(topic, batch), func(a []byte) error { return produceError(a, topic) })
	return len(batch), records, err
}

// rawFetch reads 1 GB again and again.
func rawFetch(most int32, total int64) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		batchBytes, records, err := fill(c, topic, 1024, gb)
		if err != nil {
			return nil, usage{}, err
		}
		var n int
		var read int64
		u, err := measure(c.pid(), func() error {
			for read < total {
				requests, bytes, err := fetchAll(c.addr, topic, batchBytes, records, most, gb-2*int64(most))
				if err != nil {
					return err
				}
				n, read = n+requests, read+bytes
			}
			return nil
		})
		if err != nil {
			return nil, u, err
		}
		v := perByte(u, read)
		v[perRequest] = u.broker / float64(n) * 1e6
		return v, u, c.dropTopic(topic)
	}
}

// oneRecord produces batches of one record of 100 bytes, in lockstep on each connection.
func oneRecord(connections, count int, configs []string) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if err := c.makeTopic(topic, 1, configs...); err != nil {
			return nil, usage{}, err
		}
		request := produceFrame(topic, recordBatch(1, 100))
		check := func(a []byte) error { return produceError(a, topic) }
		if err := exchangeOn(c.addr, connections, count/20, 1, request, check); err != nil { // the topic's first appends
			return nil, usage{}, err
		}
		v, u, err := perRequestOf(c, connections, count, request, check)
		if err != nil {
			return nil, u, err
		}
		return v, u, c.dropTopic(topic)
	}
}

func metadataRequests(connections, count int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if err := c.makeTopic(topic, 1); err != nil {
			return nil, usage{}, err
		}
		v, u, err := perRequestOf(c, connections, count, metadataFrame(topic), func(a []byte) error {
			if len(a) < 30 {
				return fmt.Errorf("metadata answer of %d bytes", len(a))
			}
			return nil
		})
		if err != nil {
			return nil, u, err
		}
		return v, u, c.dropTopic(topic)
	}
}

func perRequestOf(c *contender, connections, count int, request []byte, check func([]byte) error) (values, usage, error) {
	u, err := measure(c.pid(), func() error { return exchangeOn(c.addr, connections, count, 1, request, check) })
	if err != nil {
		return nil, u, err
	}
	count = count / connections * connections
	return values{perRequest: u.broker / float64(count) * 1e6, requestRate: float64(count) / u.seconds / 1e3}, u, nil
}
