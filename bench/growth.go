package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// growthCells are the long form: how a figure grows with the number of something.
func growthCells() []cell {
	var list []cell
	for _, n := range []int{1, 100, 1000, 10_000} {
		list = append(list, cell{name: fmt.Sprintf("partitions: %d", n), long: true, fresh: true, pairs: 2, run: partitionGrowth(n)})
	}
	for _, n := range []int{1, 100, 1000, 5000} {
		list = append(list, cell{name: fmt.Sprintf("connections: %d, Metadata", n), long: true, run: metadataRequests(n, max(30_000, 20*n))})
	}
	for _, n := range []int{1, 10, 50} {
		list = append(list, cell{name: fmt.Sprintf("consumers of one partition: %d", n), long: true, bytes: gb / 2, run: fanOut(n)})
	}
	for _, n := range []int{10, 100, 1024, 10_000, 100_000} {
		count := min(3_000_000, gb/n)
		list = append(list, cell{name: fmt.Sprintf("record size: %d B", n), long: true, bytes: int64(n * count), run: franzProduce(n, count)})
	}
	for _, codec := range []string{"gzip", "snappy", "lz4", "zstd"} {
		list = append(list, cell{name: "compression: " + codec + ", 1 KB", long: true, bytes: gb / 2, run: franzProduce(1024, 400_000, compression(codec))})
	}
	for _, n := range []int{1, 100, 1000} {
		list = append(list, cell{name: fmt.Sprintf("groups: %d, commits of 4 partitions on 32 connections", n), long: true, run: commits(n, 20_000)})
	}
	return list
}

func compression(name string) kgo.Opt {
	codecs := map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	return kgo.ProducerBatchCompression(codecs[name])
}

const (
	restartMs = "clean restart ms"
	killedMs  = "restart after kill -9 ms"
)

// partitionGrowth makes a topic of so many partitions, writes a record into each, and starts the broker
// again, after a clean stop and after a kill. The time is until all of the topic can be listed.
func partitionGrowth(count int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		return freshBroker(c, e, func(time.Duration) (values, error) {
			v, began := values{}, time.Now()
			topics, err := createMany(c, e, count)
			if err != nil {
				return nil, err
			}
			v[createTime] = time.Since(began).Seconds()
			began = time.Now()
			if err := spread(c, topics, count); err != nil {
				return nil, err
			}
			v[spreadTime] = time.Since(began).Seconds()
			if v[memory], err = rss(c.pid()); err != nil {
				return nil, err
			}
			for _, end := range []struct {
				metric string
				stop   func() error
			}{{restartMs, c.stop}, {killedMs, c.kill}} {
				if err := end.stop(); err != nil {
					return nil, err
				}
				began := time.Now()
				if _, err := c.launch(ports[c.name]); err != nil {
					return nil, err
				}
				if err := c.awaitTopic(topics[len(topics)-1]); err != nil {
					return nil, err
				}
				v[end.metric] = float64(time.Since(began)) / 1e6
			}
			return v, nil
		})
	}
}

// fanOut has so many consumers read the same 100 MB.
func fanOut(consumers int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		const total = gb / 10
		topic := e.topic()
		batchBytes, records, err := fill(c, topic, 1024, total)
		if err != nil {
			return nil, usage{}, err
		}
		u, err := measure(c.pid(), func() error {
			errs := make([]error, consumers)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { _, _, errs[i] = fetchAll(c.addr, topic, batchBytes, records, mib, total-2*mib) })
			}
			wg.Wait()
			return errors.Join(errs...)
		})
		if err != nil {
			return nil, u, err
		}
		return perByte(u, int64(consumers)*(total-2*mib)), u, c.dropTopic(topic)
	}
}

// commits sends OffsetCommit requests of four partitions, for so many groups in turn.
func commits(groups, count int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if err := c.createTopic(topic, 4); err != nil {
			return nil, usage{}, err
		}
		const connections = 32
		requests := make([][]byte, groups)
		for i := range requests {
			group := fmt.Sprintf("%s-%d", topic, i)
			if err := awaitCoordinator(c, group); err != nil {
				return nil, usage{}, err
			}
			requests[i] = commitFrame(group, topic)
		}
		u, err := measure(c.pid(), func() error {
			errs := make([]error, connections)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { errs[i] = commitOn(c.addr, requests, i, count/connections, topic) })
			}
			wg.Wait()
			return errors.Join(errs...)
		})
		if err != nil {
			return nil, u, err
		}
		done := float64(count / connections * connections)
		return values{perRequest: u.broker / done * 1e6, requestRate: done / u.seconds / 1e3}, u, c.deleteTopic(topic)
	}
}

func commitOn(addr string, requests [][]byte, first, count int, topic string) error {
	conn, err := dialRaw(addr, 4096)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := range count {
		err := conn.exchange(requests[(first+i)%len(requests)], 1, 1, func(a []byte) error {
			at := 4 + 4 + 4 + 2 + len(topic) + 4 + 4
			if len(a) < at+2 || binary.BigEndian.Uint16(a[at:]) != 0 {
				return fmt.Errorf("commit refused: %x", a)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// commitFrame commits four partitions for a group without members; version 7 is the last with fixed-width fields.
func commitFrame(group, topic string) []byte {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	for i := range int32(4) {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = i, 7, new(string)
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return frame(req, 7)
}

// awaitCoordinator asks for a group's offsets until it is answered: the first question of a broker makes the
// topic that holds them, and Kafka refuses meanwhile.
func awaitCoordinator(c *contender, group string) error {
	return withClient(c, func(cl *kgo.Client) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		for {
			req := kmsg.NewPtrOffsetFetchRequest()
			req.Group = group
			resp, err := req.RequestWith(ctx, cl)
			if err == nil && resp.ErrorCode == 0 {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("coordinator of %s: %w", group, cmp.Or(err, ctx.Err()))
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}
