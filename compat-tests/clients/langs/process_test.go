//go:build langs

package langs

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/compat-tests/brokerproc"
)

// A client is a program of ours around one client library.
type client struct {
	name    string
	command []string
	env     []string
}

// cache is where setup has put the libraries.
func cache() string {
	if dir := os.Getenv("LANGS_CACHE"); dir != "" {
		return dir
	}
	dir, err := filepath.Abs("../../.cache/langs")
	if err != nil {
		panic(err)
	}
	return dir
}

func python(name, program string) client {
	return client{name: name, command: []string{filepath.Join(cache(), "python/bin/python"), "-u", program}}
}

func jvm(name, class string) client {
	return client{name: name, command: []string{
		"java", "-Xmx200m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dkafka.log.level=error", "-Dlog4j2.configurationFile=../../kafka/log4j2.properties",
		"-cp", filepath.Join(cache(), "java/classes") + ":" + filepath.Join(cache(), "java/jars/*"), class,
	}}
}

// A process is a client that plays a role. Each line of its standard output is an event: "got P FIRST LAST" when it has
// records, "done P FIRST LAST" when the broker took their commit, "error …" when the library let the application see one.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	exited chan struct{}

	mu     sync.Mutex
	lines  []string
	stderr strings.Builder
	killed bool
}

// play starts a role; its arguments are key=value.
func (c client) play(t *testing.T, name, role string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, exited: make(chan struct{})}
	full := append(append(c.command[1:len(c.command):len(c.command)], role), args...)
	p.cmd = exec.Command(c.command[0], full...)
	p.cmd.Env = append(os.Environ(), c.env...)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, brokerproc.StartBound(p.cmd))
	var readers sync.WaitGroup
	readers.Go(func() { p.read(stdout, func(line string) { p.lines = append(p.lines, line) }) })
	readers.Go(func() { p.read(stderr, func(line string) { p.stderr.WriteString(line + "\n") }) })
	go func() {
		readers.Wait()
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s: last lines:\n%s\nstandard error:\n%s", name, strings.Join(p.lines[max(0, len(p.lines)-15):], "\n"), tail(p.stderr.String()))
		}
	})
	return p
}

func (p *process) read(from io.Reader, keep func(line string)) {
	scanner := bufio.NewScanner(from)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.mu.Lock()
		keep(scanner.Text())
		p.mu.Unlock()
	}
}

// kill is kill -9.
func (p *process) kill() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// leave asks the client to close in good order and waits for its end.
func (p *process) leave() {
	p.t.Helper()
	_, err := io.WriteString(p.stdin, "leave\n")
	require.NoError(p.t, err, "%s has ended", p.name)
	p.finish()
}

// finish waits for a good end.
func (p *process) finish() {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(within):
		p.t.Fatalf("%s does not end", p.name)
	}
	require.True(p.t, p.cmd.ProcessState.Success(), "%s: %s\n%s", p.name, p.cmd.ProcessState, tail(p.stderr.String()))
}

// said are the lines so far that begin with a word.
func (p *process) said(word string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, line := range p.lines {
		if strings.HasPrefix(line, word+" ") || line == word {
			list = append(list, line)
		}
	}
	return list
}

// spans are the records of the lines "word P FIRST LAST".
func (p *process) spans(word string, each func(partition int32, offset int64)) {
	for _, line := range p.said(word) {
		var partition int32
		var first, last int64
		_, err := fmt.Sscanf(line, word+" %d %d %d", &partition, &first, &last)
		require.NoError(p.t, err, line)
		for at := first; at <= last; at++ {
			each(partition, at)
		}
	}
}

func tail(s string) string {
	if len(s) > 4000 {
		return "…" + s[len(s)-4000:]
	}
	return s
}
