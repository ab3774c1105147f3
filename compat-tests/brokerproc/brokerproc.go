// Package brokerproc starts a built minikafka as a process of its own, kills and restarts it, and looks at it from
// the outside: its log, its memory. Tests that only need some broker call Bootstrap: it is the one that
// MINIKAFKA_TEST_BOOTSTRAP names (Apache Kafka, to validate the tests themselves) or a fresh minikafka.
package brokerproc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BootstrapEnv names the environment variable with the host:port of a running broker to test instead of ours.
const BootstrapEnv = "MINIKAFKA_TEST_BOOTSTRAP"

// BinaryEnv names the environment variable with the path of a built minikafka; without it the tests build one.
const BinaryEnv = "MINIKAFKA_TEST_BINARY"

// readyWithin is generous: a test may have little of a busy machine, and a killed broker much to load.
const readyWithin = time.Minute

// Broker is one minikafka: a data directory and, unless stopped, a process.
type Broker struct {
	Addr string // host:port
	Dir  string // holds server.properties, the data directory and broker.log

	binary string
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process of cmd has ended
	log    *os.File
}

var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(BinaryEnv); path != "" {
		return path, nil
	}
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	dir, err := os.MkdirTemp("", "minikafka-bin")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "minikafka")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/minikafka")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/minikafka: %w\n%s", err, out)
	}
	return path, nil
})

// Bootstrap returns the host:port of a broker to test.
func Bootstrap(t testing.TB) string {
	t.Helper()
	if addr := os.Getenv(BootstrapEnv); addr != "" {
		return addr
	}
	return Start(t).Addr
}

// Start runs a fresh broker with the given server properties ("key=value") and returns when it answers.
// The process ends with the test.
func Start(t testing.TB, properties ...string) *Broker {
	t.Helper()
	b, err := New(t.TempDir(), properties...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.Kill()
		if t.Failed() {
			t.Logf("end of the broker's log:\n%s", tail(b.Log(), 4000))
		}
	})
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	return b
}

// New prepares a broker in dir without starting it.
func New(dir string, properties ...string) (*Broker, error) {
	binary, err := build()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	b := &Broker{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Dir: dir, binary: binary}
	lines := append([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"listeners=PLAINTEXT://" + b.Addr,
		"advertised.listeners=PLAINTEXT://" + b.Addr,
		"log.dirs=" + filepath.Join(dir, "data"),
	}, properties...)
	return b, os.WriteFile(filepath.Join(dir, "server.properties"), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// freePort finds a port below the kernel's ephemeral range, so that no outgoing connection takes it while the
// broker is down between a kill and a restart.
func freePort() (int, error) {
	for range 200 {
		port := 24300 + rand.IntN(100)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port in 24300-24399")
}

// Pid is that of the running process.
func (b *Broker) Pid() int { return b.cmd.Process.Pid }

// Run starts the process and returns when it answers an ApiVersions request.
func (b *Broker) Run() error { return b.RunUnder() }

// RunUnder is Run with a command before the broker's own, which must exec it ("nice", "-n", "5").
func (b *Broker) RunUnder(wrapper ...string) error {
	log, err := os.OpenFile(filepath.Join(b.Dir, "broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	b.log = log
	args := append(slices.Clone(wrapper), b.binary, "server", "--config", filepath.Join(b.Dir, "server.properties"))
	b.cmd = exec.Command(args[0], args[1:]...)
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := startOnLockedThread(b.cmd); err != nil {
		return err
	}
	exited := make(chan struct{})
	b.exited = exited
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(exited)
	}(b.cmd)
	deadline := time.Now().Add(readyWithin)
	for {
		err := Ping(b.Addr, time.Second)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("minikafka ended before it answered:\n%s", tail(b.Log(), 4000))
		case <-time.After(3 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = b.Kill()
			return fmt.Errorf("minikafka did not answer within %s: %w\n%s", readyWithin, err, tail(b.Log(), 4000))
		}
	}
}

// starter runs on one thread for ever: Pdeathsig is sent when the *thread* that forked ends.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func startOnLockedThread(cmd *exec.Cmd) error {
	done := make(chan error)
	starter() <- func() { done <- cmd.Start() }
	return <-done
}

// Kill sends SIGKILL and waits for the end of the process.
func (b *Broker) Kill() error { return b.end(syscall.SIGKILL) }

// Stop sends SIGTERM and waits for the end of the process.
func (b *Broker) Stop() error { return b.end(syscall.SIGTERM) }

func (b *Broker) end(signal syscall.Signal) error {
	if b.cmd == nil {
		return nil
	}
	_ = b.cmd.Process.Signal(signal)
	select {
	case <-b.exited:
	case <-time.After(30 * time.Second):
		_ = b.cmd.Process.Kill()
		<-b.exited
		return fmt.Errorf("minikafka still ran 30 s after %s", signal)
	}
	b.cmd = nil
	return b.log.Close()
}

// Running says whether the process lives.
func (b *Broker) Running() bool {
	if b.cmd == nil {
		return false
	}
	select {
	case <-b.exited:
		return false
	default:
		return true
	}
}

// Log returns all that the broker wrote, over its restarts.
func (b *Broker) Log() string {
	data, err := os.ReadFile(filepath.Join(b.Dir, "broker.log"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// RSS returns the resident memory of the process and its peak, in bytes, from /proc.
func (b *Broker) RSS() (now, peak int64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			now = n << 10
		case "VmHWM:":
			peak = n << 10
		}
	}
	return now, peak, nil
}

// Ping sends ApiVersions v0 and reads the answer.
func Ping(addr string, within time.Duration) error {
	conn, err := net.DialTimeout("tcp", addr, within)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff}); err != nil {
		return err
	}
	var head [10]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	if id, code := binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint16(head[8:]); id != 7 || code != 0 {
		return fmt.Errorf("ApiVersions answered with correlation id %d, error %d", id, code)
	}
	return nil
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// PID is the process id of a running broker.
func (b *Broker) PID() int { return b.cmd.Process.Pid }
