package groups

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/compat-tests/brokerproc"
)

// TestCommitRate measures commits of 4 partitions on 32 connections, each in a group of its own, and the broker's
// CPU for each. MINIKAFKA_TEST_PID names the process of a broker that MINIKAFKA_TEST_BOOTSTRAP names.
func TestCommitRate(t *testing.T) {
	const connections, lasts = 32, 3 * time.Second
	addr, pid := os.Getenv(brokerproc.BootstrapEnv), os.Getenv("MINIKAFKA_TEST_PID")
	if addr == "" {
		b := brokerproc.Start(t)
		addr, pid = b.Addr, strconv.Itoa(b.PID())
	}
	topic, cl := topicFor(t, addr)
	produce(t, cl, topic, partitions)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{"any"}
	require.Eventually(t, func() bool {
		resp, err := find.RequestWith(t.Context(), cl)
		return err == nil && resp.Coordinators[0].ErrorCode == 0
	}, within, 50*time.Millisecond)
	var conns [connections]net.Conn
	var frames [connections][]byte
	for i := range conns {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		conns[i], frames[i] = conn, commitFrame(fmt.Sprintf("%s-%d", topic, i), topic)
		require.Eventually(t, func() bool { // each coordinator is loaded
			answer := make([]byte, 4096)
			n, err := exchange(conn, frames[i], answer)
			return err == nil && binary.BigEndian.Uint16(answer[n-2:]) == 0
		}, within, 50*time.Millisecond)
	}
	var commits atomic.Int64
	var writers sync.WaitGroup
	began, before := time.Now(), cpuOf(t, pid)
	for i, conn := range conns {
		writers.Go(func() {
			frame, answer := frames[i], make([]byte, 4096)
			for time.Since(began) < lasts {
				if n, err := exchange(conn, frame, answer); err != nil || binary.BigEndian.Uint16(answer[n-2:]) != 0 {
					t.Errorf("commit: %v, code %d", err, binary.BigEndian.Uint16(answer[max(n-2, 0):]))
					return
				}
				commits.Add(1)
			}
		})
	}
	writers.Wait()
	took, cpu, n := time.Since(began), cpuOf(t, pid)-before, commits.Load()
	require.NotZero(t, n)
	t.Logf("%.0f commits/s, %v of CPU each", float64(n)/took.Seconds(), (cpu / time.Duration(n)).Round(100*time.Nanosecond))
}

// commitFrame is an OffsetCommit v7 of partitions 0 to 3: the last two bytes of its answer are a code.
func commitFrame(group, topic string) []byte {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 7, group, -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = topic
	for p := range int32(4) {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.Metadata = p, 1, kmsg.StringPtr("")
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	body := req.AppendTo([]byte{0, 8, 0, 7, 0, 0, 0, 1, 0xff, 0xff})
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func exchange(conn net.Conn, frame, answer []byte) (int, error) {
	if _, err := conn.Write(frame); err != nil {
		return 2, err
	}
	if _, err := io.ReadFull(conn, answer[:4]); err != nil {
		return 2, err
	}
	n := int(binary.BigEndian.Uint32(answer))
	_, err := io.ReadFull(conn, answer[:n])
	return n, err
}

// cpuOf is the CPU time of a process, of /proc/PID/stat in ticks of 10 ms.
func cpuOf(t *testing.T, pid string) time.Duration {
	t.Helper()
	if pid == "" {
		return 0
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	require.NoError(t, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	require.NoError(t, err1)
	require.NoError(t, err2)
	return time.Duration(user+system) * 10 * time.Millisecond
}
