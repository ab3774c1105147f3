//go:build kafka

package benchgroups

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/compat-tests/brokerproc"
)

// broker is one of the two, running.
type broker struct {
	name, addr string
	pid        int
}

// quick lets a group rebalance at once.
const quick = "group.initial.rebalance.delay.ms=0"

func startOurs(t *testing.T, properties ...string) *broker {
	b := brokerproc.Start(t, append([]string{quick}, properties...)...)
	return &broker{"minikafka", b.Addr, b.Pid()}
}

// startKafka starts Apache Kafka as it is run: with its second compiler and a gigabyte.
func startKafka(t *testing.T) *broker {
	_, file, _, _ := runtime.Caller(0)
	script, dir := filepath.Join(filepath.Dir(file), "..", "apache-kafka"), t.TempDir()
	port := os.Getenv("BENCH_KAFKA_PORT")
	if port == "" {
		port = "21096"
	}
	start := exec.Command(script, "start", port, dir, quick)
	start.Env = append(os.Environ(), "KAFKA_TIER=4", "KAFKA_HEAP=1g")
	out, err := start.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Cleanup(func() { _ = exec.Command(script, "kill", dir).Run() })
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	return &broker{"Apache Kafka", "127.0.0.1:" + port, pid}
}

// cpu is the CPU time of the process so far.
func (b *broker) cpu(t testing.TB) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.pid))
	require.NoError(t, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	require.NoError(t, err1)
	require.NoError(t, err2)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is the resident memory in MiB.
func (b *broker) memory(t testing.TB) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kib, err := strconv.Atoi(f[1])
			require.NoError(t, err)
			return kib >> 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// topic makes a topic and returns its id once a consumer group sees all of it.
func (b *broker) topic(t testing.TB, name string, partitions int32) [16]byte {
	c, err := dial(b.addr)
	require.NoError(t, err)
	defer c.Close()
	create := kmsg.NewPtrCreateTopicsRequest()
	create.TimeoutMillis = 30_000
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: partitions, ReplicationFactor: 1}}
	resp, err := c.do(create, 7)
	require.NoError(t, err)
	made := resp.(*kmsg.CreateTopicsResponse).Topics[0]
	require.Zero(t, made.ErrorCode, "CreateTopics %s", name)
	b.awaitCoordinators(t, c)
	return made.TopicID
}

// awaitCoordinators waits until every group can be served.
func (b *broker) awaitCoordinators(t testing.TB, c *conn) {
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{"any"}
	require.Eventually(t, func() bool {
		resp, err := c.do(find, 4)
		if err != nil || resp.(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode != 0 {
			return false
		}
		resp, err = c.do(kmsg.NewPtrListGroupsRequest(), 4)
		return err == nil && resp.(*kmsg.ListGroupsResponse).ErrorCode == 0
	}, time.Minute, 50*time.Millisecond)
}
