package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// rdkafkaClient is where the client on librdkafka is built.
func rdkafkaClient(o options) string { return filepath.Join(o.dir, "rdkafka-client") }

// buildRdkafka builds the client where there is a compiler and librdkafka, which is installed when it can be.
// Without it its cells are left out, and the run says so.
func buildRdkafka(o options) {
	build := func() error {
		source := filepath.Join(o.root, "bench", "rdkafka", "client.c")
		out, err := exec.Command("cc", "-O2", "-Wall", "-o", rdkafkaClient(o), source, "-lrdkafka").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
	_ = os.Remove(rdkafkaClient(o))
	err := os.MkdirAll(o.dir, 0o755)
	if err == nil {
		err = build()
	}
	if err != nil {
		if exec.Command("apt-get", "install", "-y", "-q", "gcc", "libc6-dev", "librdkafka-dev").Run() == nil {
			err = build()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: the cells of librdkafka are left out:", err)
	}
}

func (e *environment) hasRdkafka() bool {
	_, err := os.Stat(rdkafkaClient(e.options))
	return err == nil
}

func (e *environment) rdkafka(c *contender, what, topic string, count, size int) error {
	out, err := outputOf(exec.Command(rdkafkaClient(e.options), what, c.addr, topic, strconv.Itoa(count), strconv.Itoa(size)))
	if err != nil {
		return fmt.Errorf("librdkafka %s: %w\n%s", what, err, out)
	}
	return nil
}

// rdkafkaProduce is librdkafka, idempotent with acks=all.
func rdkafkaProduce(size, count int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if err := c.createTopic(topic, 1); err != nil {
			return nil, usage{}, err
		}
		u, err := measure(c.pid(), func() error { return e.rdkafka(c, "produce", topic, count, size) })
		if err != nil {
			return nil, u, err
		}
		v := perByte(u, int64(size)*int64(count))
		v[recordRate] = float64(count) / u.seconds / 1e3
		return v, u, c.deleteTopic(topic)
	}
}

func rdkafkaConsume(size, count int) func(*contender, *environment) (values, usage, error) {
	return func(c *contender, e *environment) (values, usage, error) {
		topic := e.topic()
		if _, _, err := fill(c, topic, size, int64(count)*int64(size+12)); err != nil {
			return nil, usage{}, err
		}
		u, err := measure(c.pid(), func() error { return e.rdkafka(c, "consume", topic, count, size) })
		if err != nil {
			return nil, u, err
		}
		v := perByte(u, int64(size)*int64(count))
		v[recordRate] = float64(count) / u.seconds / 1e3
		return v, u, c.deleteTopic(topic)
	}
}
