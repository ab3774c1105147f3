//go:build kafka

package interop

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/compat-tests/brokerproc"
)

// A server is one of the two.
type server string

const (
	ours  server = "minikafka"
	kafka server = "Apache Kafka"
)

// A form is how the one voter of the quorum is made known.
type form string

const (
	static  form = "static"  // controller.quorum.voters, kraft.version 0
	dynamic form = "dynamic" // format --standalone, kraft.version 1
)

const (
	clusterID   = "AAAAAAAAQACEAAAAAAAAAA"
	toolJars    = "tools-4.3.1"
	readyWithin = 90 * time.Second
	endsWithin  = 40 * time.Second
)

// kafkaVersion is of the jars in KAFKA_CACHE/broker-<version>. The tests run with 4.4.0; others are for looking at by
// hand what docs/interop.md says of them.
var kafkaVersion = cmp.Or(os.Getenv("INTEROP_KAFKA_VERSION"), "4.4.0")

var kafkaJars = "broker-" + kafkaVersion

// firstPort begins the fifty ports of the servers; INTEROP_PORTS is another one for a second run beside the first.
var firstPort = sync.OnceValue(func() int {
	port, err := strconv.Atoi(cmp.Or(os.Getenv("INTEROP_PORTS"), "21500"))
	if err != nil {
		panic(err)
	}
	return port
})

var nextPort atomic.Int32

// node is one data directory with its server.properties, and at most one server that runs on it.
type node struct {
	t       *testing.T
	addr    string
	dir     string
	logDirs []string
	form    form
	running server
	cmd     *exec.Cmd
	exited  chan struct{}
}

// newNode writes the configuration for dirs log directories. Nothing is formatted.
func newNode(t *testing.T, f form, dirs int, properties ...string) *node {
	t.Helper()
	require.NoError(t, fetched())
	n := &node{t: t, dir: t.TempDir(), form: f}
	for i := range dirs {
		n.logDirs = append(n.logDirs, filepath.Join(n.dir, "data"+strconv.Itoa(i)))
	}
	port := freePorts(t)
	n.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	controller := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1))
	quorum := "controller.quorum.bootstrap.servers=" + controller
	if f == static {
		quorum = "controller.quorum.voters=1@" + controller
	}
	lines := append([]string{
		"process.roles=broker,controller", "node.id=1", quorum,
		"listeners=PLAINTEXT://" + n.addr + ",CONTROLLER://" + controller,
		"advertised.listeners=PLAINTEXT://" + n.addr + ",CONTROLLER://" + controller,
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"controller.listener.names=CONTROLLER",
		"log.dirs=" + strings.Join(n.logDirs, ","),
		"num.partitions=2", "offsets.topic.num.partitions=2", "transaction.state.log.num.partitions=2",
		"offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1", "share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1", "group.initial.rebalance.delay.ms=0",
	}, properties...)
	require.NoError(t, os.WriteFile(n.properties(), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("end of the servers' log:\n%s", n.logTail())
		}
	})
	return n
}

// separateMetadata sets metadata.log.dir. It counts as one more log directory, without partitions.
func (n *node) separateMetadata() {
	n.t.Helper()
	meta := filepath.Join(n.dir, "meta")
	f, err := os.OpenFile(n.properties(), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(n.t, err)
	_, err = fmt.Fprintln(f, "metadata.log.dir="+meta)
	require.NoError(n.t, err)
	require.NoError(n.t, f.Close())
	n.logDirs = append(n.logDirs, meta)
}

// freePorts finds two adjacent ports.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 25 {
		port := firstPort() + int(nextPort.Add(2))%50
		if free(port) && free(port+1) {
			return port
		}
	}
	t.Fatalf("no two free ports in the fifty from %d on", firstPort())
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}

func (n *node) properties() string { return filepath.Join(n.dir, "server.properties") }

// format is `kafka-storage format`, as the form wants it.
func (n *node) format() {
	n.t.Helper()
	args := []string{"format", "-t", clusterID, "-c", n.properties()}
	if n.form == dynamic {
		args = append(args, "--standalone")
	}
	out, err := kafkaJava(kafkaJars, "256m", "kafka.tools.StorageTool", args...).CombinedOutput()
	require.NoError(n.t, err, "%s", out)
}

// start runs a server on the directory and returns when it answers.
func (n *node) start(s server) {
	n.t.Helper()
	require.NoError(n.t, n.tryStart(s))
}

func (n *node) tryStart(s server) error {
	log, err := os.OpenFile(filepath.Join(n.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	fmt.Fprintf(log, "=== %s\n", s)
	cmd := kafkaJava(kafkaJars, "512m", "kafka.Kafka", n.properties())
	if s == ours {
		binary, err := brokerproc.Binary()
		if err != nil {
			return err
		}
		cmd = exec.Command(binary, "server", "--config", n.properties())
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := brokerproc.StartBound(cmd); err != nil {
		return err
	}
	exited := make(chan struct{})
	n.cmd, n.exited, n.running = cmd, exited, s
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	for deadline := time.Now().Add(readyWithin); ; {
		err := brokerproc.Ping(n.addr, time.Second)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			n.cmd = nil
			return fmt.Errorf("%s ended before it answered (%s):\n%s", s, cmd.ProcessState, n.logTail())
		case <-time.After(5 * time.Millisecond): // starts are measured, too
		}
		if time.Now().After(deadline) {
			n.kill()
			return fmt.Errorf("%s did not answer within %s: %w\n%s", s, readyWithin, err, n.logTail())
		}
	}
}

// stop is SIGTERM, and requires that the server ends by itself, without an error.
func (n *node) stop() {
	n.t.Helper()
	code := n.end(syscall.SIGTERM)
	if n.running == ours {
		require.Zero(n.t, code, "a clean stop")
	}
}

// kill is SIGKILL.
func (n *node) kill() { n.end(syscall.SIGKILL) }

func (n *node) end(signal syscall.Signal) int {
	if n.cmd == nil {
		return 0
	}
	_ = n.cmd.Process.Signal(signal)
	select {
	case <-n.exited:
	case <-time.After(endsWithin):
		_ = n.cmd.Process.Kill()
		<-n.exited
		n.t.Errorf("%s still ran %s after %s", n.running, endsWithin, signal)
	}
	code := n.cmd.ProcessState.ExitCode()
	n.cmd = nil
	return code
}

func (n *node) logTail() string {
	data, err := os.ReadFile(filepath.Join(n.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-6000):])
}

// fetched gets the jars when they are not there.
var fetched = sync.OnceValue(func() error {
	out, err := exec.Command(filepath.Join(root(), "apache-kafka"), "fetch").CombinedOutput()
	if err != nil {
		return fmt.Errorf("apache-kafka fetch: %w\n%s", err, out)
	}
	return nil
})

// root is the folder of all compatibility tests.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

func kafkaJava(jars, heap, class string, args ...string) *exec.Cmd {
	cache := os.Getenv("KAFKA_CACHE")
	if cache == "" {
		cache = filepath.Join(root(), ".cache")
	}
	return exec.Command("java", append([]string{
		"-Xmx" + heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.configurationFile=" + filepath.Join(root(), "kafka", "log4j2.properties"),
		"-cp", filepath.Join(cache, jars, "*"), class,
	}, args...)...)
}
