package txncheck

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"minikafka/compat-tests/brokerproc"
)

// Broker is the one under test.
type Broker interface {
	Addr() string
	Run() error  // returns when it answers
	Kill() error // kill -9
	Stop() error // SIGTERM
	// Running says whether it did not end by itself.
	Running() bool
}

// ours is a minikafka.
type ours struct{ *brokerproc.Broker }

// Ours prepares a minikafka in dir that clients reach at advertised.
func Ours(dir, advertised string) (Broker, error) {
	b, err := brokerproc.New(dir, append(properties(), "advertised.listeners=PLAINTEXT://"+advertised)...)
	return ours{b}, err
}

func (o ours) Addr() string { return o.Broker.Addr }

// properties are those of either broker: small segments, quick groups, and a cleaner that has work.
func properties() []string {
	return []string{
		"log.segment.bytes=1048576", "group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=1000",
		"group.consumer.min.session.timeout.ms=1000", "group.consumer.session.timeout.ms=3000",
		"group.consumer.min.heartbeat.interval.ms=100", "group.consumer.heartbeat.interval.ms=300",
		"transaction.state.log.segment.bytes=1048576", "offsets.topic.segment.bytes=1048576",
		"log.cleaner.backoff.ms=1000", "log.cleaner.min.cleanable.ratio=0.1",
		"offsets.topic.num.partitions=5", "transaction.state.log.num.partitions=5", "auto.create.topics.enable=false",
	}
}

// kafka is an Apache Kafka, run by the script.
type kafka struct {
	port            int
	dir, advertised string
}

// Kafka prepares an Apache Kafka in dir, on a port and the next.
func Kafka(dir string, port int, advertised string) Broker { return kafka{port, dir, advertised} }

func (k kafka) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(k.port)) }

func (k kafka) script(args ...string) error {
	_, file, _, _ := runtime.Caller(0)
	cmd := exec.Command(filepath.Join(filepath.Dir(file), "..", "apache-kafka"), args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apache-kafka %v: %w", args, err)
	}
	return nil
}

func (k kafka) Run() error {
	args := append([]string{"start", strconv.Itoa(k.port), k.dir}, properties()...)
	return k.script(append(args, fmt.Sprintf("advertised.listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", k.advertised, k.port+1))...)
}

func (k kafka) Kill() error { return k.script("kill", k.dir) }
func (k kafka) Stop() error { return k.script("stop", k.dir) }

func (k kafka) Running() bool {
	pid, err := os.ReadFile(filepath.Join(k.dir, "pid"))
	if err != nil {
		return false
	}
	_, err = os.Stat("/proc/" + string(pid[:len(pid)-1]))
	return err == nil
}
