package main

import (
	"bytes"
	"errors"
	"os/exec"
	"time"
)

// makeTopic is createTopic where there is a metadata: the bound has none.
func (c *contender) makeTopic(name string, partitions int32, configs ...string) error {
	if c.name == "bound" {
		return nil
	}
	return c.createTopic(name, partitions, configs...)
}

func (c *contender) dropTopic(name string) error {
	if c.name == "bound" {
		return nil
	}
	return c.deleteTopic(name)
}

// outputOf runs a command that dies with us.
func outputOf(cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := startBound(cmd); err != nil {
		return nil, err
	}
	err := cmd.Wait()
	return out.Bytes(), err
}

// freshBroker starts a broker on an empty directory for one measurement.
func freshBroker(c *contender, e *environment, f func(ready time.Duration) (values, error)) (values, usage, error) {
	own := *c
	own.cmd = nil
	busy, cpu, began := busySeconds(), ownCPU(), time.Now()
	ready, err := own.start(e.dir)
	if err != nil {
		return nil, usage{}, err
	}
	*c = own
	v, err := f(ready)
	used, cpuErr := cpuSeconds(c.pid()) // f may have started it again
	u := usage{seconds: time.Since(began).Seconds(), broker: used}
	u.foreign = max(0, (busySeconds()-busy-used-(ownCPU()-cpu))/u.seconds/e.processors)
	err = errors.Join(err, cpuErr, c.stop(), c.remove())
	return v, u, err
}

func startup(c *contender, e *environment) (values, usage, error) {
	return freshBroker(c, e, func(ready time.Duration) (values, error) {
		return values{startMs: float64(ready) / 1e6}, nil
	})
}

func idleMemory(c *contender, e *environment) (values, usage, error) {
	return freshBroker(c, e, func(time.Duration) (values, error) {
		time.Sleep(2 * time.Second)
		m, err := rss(c.pid())
		return values{memory: m}, err
	})
}

// idleConnections is what each of count connections costs that has asked one thing.
func idleConnections(count int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		return freshBroker(c, e, func(time.Duration) (values, error) {
			request, check := metadataFrame("none"), func([]byte) error { return nil }
			if err := exchangeOn(c.addr, 64, 6400, 1, request, check); err != nil { // not what the first requests cost
				return nil, err
			}
			time.Sleep(time.Second)
			before, err := rss(c.pid())
			if err != nil {
				return nil, err
			}
			for range count {
				conn, err := dialRaw(c.addr, 512)
				if err != nil {
					return nil, err
				}
				defer conn.Close()
				if err := conn.exchange(request, 1, 1, check); err != nil {
					return nil, err
				}
			}
			time.Sleep(2 * time.Second)
			after, err := rss(c.pid())
			if err != nil {
				return nil, err
			}
			const window = 10
			u, err := measure(c.pid(), func() error { time.Sleep(window * time.Second); return nil })
			return values{perConn: (after - before) * 1024 / float64(count), idleCPU: u.broker / window * 1e3}, err
		})
	}
}

// idleCPU is what a broker uses that nobody asks anything.
const idleCPU = "idle CPU ms/s"

// memoryAfter is what is resident after so many bytes were written and read.
func memoryAfter(total int64) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		return freshBroker(c, e, func(time.Duration) (values, error) {
			topic := e.topic()
			batchBytes, records, err := fill(c, topic, 1024, total)
			if err != nil {
				return nil, err
			}
			if _, _, err := fetchAll(c.addr, topic, batchBytes, records, 4*mib, total-8*mib); err != nil {
				return nil, err
			}
			m, err := rss(c.pid())
			return values{memory: m}, err
		})
	}
}

// memoryWithPartitions is what is resident with so many partitions that each have a record.
func memoryWithPartitions(count int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		return freshBroker(c, e, func(time.Duration) (values, error) {
			began := time.Now()
			topics, err := createMany(c, e, count)
			if err != nil {
				return nil, err
			}
			created := time.Since(began)
			if err := spread(c, topics, count); err != nil {
				return nil, err
			}
			m, err := rss(c.pid())
			return values{memory: m, createTime: created.Seconds(), spreadTime: time.Since(began).Seconds() - created.Seconds()}, err
		})
	}
}

// mostAtOnce partitions are created by one request: Kafka refuses 10,000 (POLICY_VIOLATION).
const mostAtOnce = 5000

// createMany makes topics of count partitions in all.
func createMany(c *contender, e *environment, count int) (topics []string, err error) {
	for ; count > 0; count -= mostAtOnce {
		topics = append(topics, e.topic())
		if err := c.createTopic(topics[len(topics)-1], int32(min(count, mostAtOnce))); err != nil {
			return nil, err
		}
	}
	return topics, nil
}

const (
	createTime = "create s"
	spreadTime = "first record in each s"
)
