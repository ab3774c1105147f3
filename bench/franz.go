package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

// franzProduce sends count records of size bytes with franz-go as it comes: idempotent, acks=all.
func franzProduce(size, count int, opts ...kgo.Opt) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if err := c.createTopic(topic, 1); err != nil {
			return nil, usage{}, err
		}
		var u usage
		err := withClient(c, func(cl *kgo.Client) (err error) {
			u, err = measure(c.pid(), func() error { return produceAll(cl, size, count) })
			return err
		}, append(opts, kgo.DefaultProduceTopic(topic))...)
		if err != nil {
			return nil, u, err
		}
		v := perByte(u, int64(size)*int64(count))
		v[recordRate] = float64(count) / u.seconds / 1e3
		return v, u, c.deleteTopic(topic)
	}
}

func withClient(c *contender, f func(*kgo.Client) error, opts ...kgo.Opt) error {
	opts = append([]kgo.Opt{kgo.SeedBrokers(c.addr), kgo.ProducerBatchCompression(kgo.NoCompression())}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	return f(cl)
}

func produceAll(cl *kgo.Client, size, count int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	value := payload(size)
	var failed atomic.Pointer[error]
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	for range count {
		cl.Produce(ctx, &kgo.Record{Value: value}, done)
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// franzConsume reads count records of size bytes from the beginning.
func franzConsume(size, count int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if _, _, err := fill(c, topic, size, int64(count)*int64(size+12)); err != nil {
			return nil, usage{}, err
		}
		var u usage
		err := withClient(c, func(cl *kgo.Client) (err error) {
			u, err = measure(c.pid(), func() error { return consume(cl, count) })
			return err
		}, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return nil, u, err
		}
		v := perByte(u, int64(size)*int64(count))
		v[recordRate] = float64(count) / u.seconds / 1e3
		return v, u, c.dropTopic(topic)
	}
}

func consume(cl *kgo.Client, count int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for n := 0; n < count; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("after %d of %d records: %w", n, count, err)
		}
		n += fetches.NumRecords()
	}
	return nil
}

// endToEnd produces rate records a second, each by itself, and takes the time from when a record was due to
// when the consumer has it: a late send counts against the broker that made it late.
func endToEnd(rate int, duration time.Duration) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if err := c.createTopic(topic, 1); err != nil {
			return nil, usage{}, err
		}
		const warm = time.Second
		count := int(float64(rate) * (duration + warm).Seconds())
		late := make([]float64, 0, count)
		var u usage
		err := withClient(c, func(consumer *kgo.Client) error {
			return withClient(c, func(producer *kgo.Client) error {
				received := make(chan error, 1)
				began := time.Now().Add(50 * time.Millisecond)
				go func() { received <- latencies(consumer, began, count, &late) }()
				sendAtRate(producer, began, rate, int(float64(rate)*warm.Seconds()), 0)
				var err error
				u, err = measure(c.pid(), func() error {
					sendAtRate(producer, began, rate, count, int(float64(rate)*warm.Seconds()))
					return <-received
				})
				return err
			}, kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
		}, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return nil, u, err
		}
		late = late[int(float64(rate)*warm.Seconds()):]
		slices.Sort(late)
		at := func(q float64) float64 { return late[min(len(late)-1, int(q*float64(len(late))))] }
		v := values{p50: at(0.5), p99: at(0.99), p999: at(0.999), perRecord: u.broker / float64(len(late)) * 1e6}
		return v, u, c.deleteTopic(topic)
	}
}

// sendAtRate sends the records from first to count when they are due. It sleeps in the kernel on a thread of
// its own: an idle Go program's timers are up to a millisecond late, which would be most of what is measured.
func sendAtRate(cl *kgo.Client, began time.Time, rate, count, first int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for i := first; i < count; i++ {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		for wait := time.Until(due); wait > 0; wait = time.Until(due) { // a signal ends a sleep
			ts := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&ts, nil)
		}
		value := make([]byte, 1024)
		binary.BigEndian.PutUint64(value, uint64(due.Sub(began)))
		cl.Produce(context.Background(), &kgo.Record{Value: value}, nil)
	}
}

// latencies receives count records and appends how late each was, in milliseconds.
func latencies(cl *kgo.Client, began time.Time, count int, late *[]float64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for len(*late) < count {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("after %d of %d records: %w", len(*late), count, err)
		}
		now := time.Since(began)
		fetches.EachRecord(func(r *kgo.Record) {
			due := time.Duration(binary.BigEndian.Uint64(r.Value))
			*late = append(*late, float64(now-due)/1e6)
		})
	}
	return nil
}

// perfProduce is Kafka's own kafka-producer-perf-test: the figure that the world knows.
func perfProduce(size, count int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if err := c.createTopic(topic, 1); err != nil {
			return nil, usage{}, err
		}
		u, err := measure(c.pid(), func() error {
			return e.tool("org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", strconv.Itoa(count),
				"--record-size", strconv.Itoa(size), "--throughput", "-1", "--bootstrap-server", c.addr)
		})
		if err != nil {
			return nil, u, err
		}
		v := perByte(u, int64(size)*int64(count))
		v[recordRate] = float64(count) / u.seconds / 1e3
		return v, u, c.deleteTopic(topic)
	}
}

// perfConsume is kafka-consumer-perf-test.
func perfConsume(size, count int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if _, _, err := fill(c, topic, size, int64(count)*int64(size+12)); err != nil {
			return nil, usage{}, err
		}
		u, err := measure(c.pid(), func() error {
			return e.tool("org.apache.kafka.tools.ConsumerPerformance", "--topic", topic, "--num-records", strconv.Itoa(count),
				"--group", topic, "--bootstrap-server", c.addr)
		})
		if err != nil {
			return nil, u, err
		}
		v := perByte(u, int64(size)*int64(count))
		v[recordRate] = float64(count) / u.seconds / 1e3
		return v, u, c.deleteTopic(topic)
	}
}

// tool runs one of Kafka's tools to its end.
func (e *environment) tool(class string, args ...string) error {
	java := []string{"-Xmx512m", "-XX:+UseG1GC", "-Dlog4j2.configurationFile=" + filepath.Join(e.root, "compat-tests", "kafka", "log4j2.properties"),
		"-cp", filepath.Join(e.cache, "tools-4.3.1", "*"), class}
	cmd := exec.Command("java", append(java, args...)...)
	out, err := outputOf(cmd)
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", class, err, out)
	}
	return nil
}
