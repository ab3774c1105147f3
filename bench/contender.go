package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// contender is a broker that is measured: a name, how to start it, and its process.
type contender struct {
	name    string
	prepare func(dir, properties string) error // makes a fresh data directory usable; may be nil
	command func(dir, properties string, port int) *exec.Cmd

	dir  string
	addr string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  *os.File
}

// properties are the same for all. Files of deleted topics go soon, so that a run does not pay for the one
// before it; all else is Kafka's default.
const properties = `process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.segment.delete.delay.ms=1000
log.retention.check.interval.ms=300000
`

// ports in a namespace that is ours alone; the next one is a controller's.
var ports = map[string]int{"minikafka": 9092, "kafka": 9192, "kfake": 9292, "bound": 9392}

func newContender(name string, o options) (*contender, error) {
	c := &contender{name: name}
	switch name {
	case "minikafka":
		c.command = func(_, file string, _ int) *exec.Cmd {
			args := []string{"server", "--config", file}
			if o.profile != "" {
				args = append(args, "--admin-http", adminAddress)
			}
			return exec.Command(o.binary, args...)
		}
	case "kafka":
		c.prepare = func(dir, file string) error {
			out, err := kafkaJava(o, "kafka.tools.StorageTool", "format", "--standalone", "-t", "AAAAAAAAQACEAAAAAAAAAA", "-c", file).CombinedOutput()
			if err != nil {
				return fmt.Errorf("formatting %s: %w\n%s", dir, err, out)
			}
			return nil
		}
		c.command = func(_, file string, _ int) *exec.Cmd { return kafkaJava(o, "kafka.Kafka", file) }
	case "kfake", "bound":
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		c.command = func(dir, _ string, port int) *exec.Cmd {
			return exec.Command(self, name, strconv.Itoa(port), filepath.Join(dir, "data"))
		}
	default:
		return nil, fmt.Errorf("no contender %q: minikafka, kafka or kfake", name)
	}
	return c, nil
}

// kafkaJava runs a class of the broker's jars with the flags of Kafka's own start script and its default heap.
func kafkaJava(o options, class string, args ...string) *exec.Cmd {
	java := []string{
		"-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
		"-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + filepath.Join(o.root, "compat-tests", "kafka", "log4j2.properties"),
		"-cp", filepath.Join(o.cache, "broker-4.4.0", "*"), class,
	}
	return exec.Command("java", append(java, args...)...)
}

// fetchKafka gets the jars while there is a network.
func fetchKafka(o options) error {
	if !strings.Contains(strings.Join(o.contenders, ","), "kafka") {
		return nil
	}
	cmd := exec.Command(filepath.Join(o.root, "compat-tests", "apache-kafka"), "fetch")
	cmd.Env = append(os.Environ(), "KAFKA_CACHE="+o.cache)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// create makes an empty data directory below parent.
func (c *contender) create(parent string) (port int, err error) {
	c.dir = filepath.Join(parent, c.name)
	if err := os.RemoveAll(c.dir); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Join(c.dir, "data"), 0o755); err != nil {
		return 0, err
	}
	port = ports[c.name]
	c.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	text := fmt.Sprintf(properties, port, port+1, filepath.Join(c.dir, "data"))
	if err := os.WriteFile(c.properties(), []byte(text), 0o600); err != nil {
		return 0, err
	}
	if c.prepare != nil {
		return port, c.prepare(c.dir, c.properties())
	}
	return port, nil
}

func (c *contender) properties() string { return filepath.Join(c.dir, "server.properties") }

// start makes a fresh broker below parent and returns when it answers Metadata, and how long that took
// from exec on.
func (c *contender) start(parent string) (time.Duration, error) {
	port, err := c.create(parent)
	if err != nil {
		return 0, err
	}
	return c.launch(port)
}

func (c *contender) launch(port int) (time.Duration, error) {
	var err error
	if c.log, err = os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return 0, err
	}
	c.cmd = c.command(c.dir, c.properties(), port)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	began := time.Now()
	if err := startBound(c.cmd); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	c.done = done
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(done)
	}(c.cmd)
	for time.Since(began) < time.Minute {
		if c.name == "bound" {
			if conn, err := net.Dial("tcp", c.addr); err == nil {
				return time.Since(began), conn.Close()
			}
		} else if exchangeOn(c.addr, 1, 1, 1, metadataFrame("none"), func([]byte) error { return nil }) == nil {
			return time.Since(began), nil
		}
		select {
		case <-done:
			return 0, fmt.Errorf("%s ended before it answered, see %s", c.name, c.log.Name())
		case <-time.After(time.Millisecond):
		}
	}
	return 0, errors.Join(fmt.Errorf("%s did not answer within a minute, see %s", c.name, c.log.Name()), c.stop())
}

// pid is that of the running process, -1 for none.
func (c *contender) pid() int {
	if c.cmd == nil {
		return -1
	}
	return c.cmd.Process.Pid
}

// stop ends the process, cleanly if it will.
func (c *contender) stop() error {
	if c.cmd == nil {
		return nil
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(60 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
	c.cmd = nil
	return c.log.Close()
}

// kill ends it with SIGKILL.
func (c *contender) kill() error {
	_ = c.cmd.Process.Kill()
	<-c.done
	c.cmd = nil
	return c.log.Close()
}

// remove deletes the data of a stopped broker.
func (c *contender) remove() error { return os.RemoveAll(c.dir) }

// ask sends one request through a client of its own.
func (c *contender) ask(req kmsg.Request) (kmsg.Response, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return cl.Request(ctx, req)
}

// createTopic makes a topic and returns when it can be used.
func (c *contender) createTopic(name string, partitions int32, configs ...string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 120_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	t.Configs = []kmsg.CreateTopicsRequestTopicConfig{} // null makes Kafka's own tools fail
	for _, kv := range configs {
		key, value, _ := strings.Cut(kv, "=")
		conf := kmsg.NewCreateTopicsRequestTopicConfig()
		conf.Name, conf.Value = key, &value
		t.Configs = append(t.Configs, conf)
	}
	req.Topics = append(req.Topics, t)
	resp, err := c.ask(req)
	if err != nil {
		return fmt.Errorf("creating topic %s: %w", name, err)
	}
	for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics { //nolint:errcheck,forcetypeassert // the answer to that request
		if t.ErrorCode != 0 {
			return fmt.Errorf("creating topic %s: error code %d", name, t.ErrorCode)
		}
	}
	return c.awaitTopic(name)
}

// awaitTopic produces to a topic of Kafka's only when its leader knows it: creation is acknowledged before.
func (c *contender) awaitTopic(name string) error {
	request := fetchFrame(name, 0, 1)
	binary.BigEndian.PutUint32(request[14+len("bench")+4:], 0) // no wait for records
	at := 4 + 4 + 2 + 4 + 4 + 2 + len(name) + 4 + 4
	for range 3000 {
		err := exchangeOn(c.addr, 1, 1, 1, request, func(answer []byte) error {
			if len(answer) < at+2 || answer[at] != 0 || answer[at+1] != 0 {
				return errors.New("not there yet")
			}
			return nil
		})
		if err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("topic %s cannot be used 30 s after its creation", name)
}

// deleteTopic removes a topic and waits until its files are gone.
func (c *contender) deleteTopic(name string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 120_000
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = &name
	req.Topics = append(req.Topics, t)
	req.TopicNames = []string{name}
	if _, err := c.ask(req); err != nil {
		return fmt.Errorf("deleting topic %s: %w", name, err)
	}
	for range 1500 { // brokers rename the directories first
		left, err := filepath.Glob(filepath.Join(c.dir, "data", name+`[.\-]*`))
		if err != nil || len(left) == 0 {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}
