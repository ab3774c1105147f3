//go:build kcat

package groups

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/compat-tests/brokerproc"
)

// TestKcat is librdkafka: each member is a process, and prints what it has read.
func TestKcat(t *testing.T) {
	story(t, brokerproc.Bootstrap(t), false, func(t *testing.T, addr, topic, group, name string, l *ledger) member {
		cmd := exec.Command("kcat", "-b", addr, "-G", group, "-u", "-q", "-f", "%p %o\\n", "-X", "auto.offset.reset=earliest",
			"-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=200", "-X", "auto.commit.interval.ms=100",
			"-X", "client.id="+name, topic)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start(), "kcat is needed: apt-get install kcat")
		done := make(chan struct{})
		go func() {
			defer close(done)
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				p, o, _ := strings.Cut(lines.Text(), " ")
				partition, err1 := strconv.Atoi(p)
				offset, err2 := strconv.ParseInt(o, 10, 64)
				if err1 != nil || err2 != nil {
					panic(fmt.Sprintf("kcat printed %q", lines.Text()))
				}
				l.processed(name, int32(partition), offset)
			}
			_ = cmd.Wait()
		}()
		end := func(kill bool) func() {
			return func() {
				if kill {
					_ = cmd.Process.Kill()
				} else {
					_ = cmd.Process.Signal(os.Interrupt)
				}
				<-done
			}
		}
		t.Cleanup(end(true))
		return member{leave: end(false), kill: end(true)}
	})
}
