package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bounds that hold on a loaded machine, too; `make startup` prints the figures.
const (
	startupBound = time.Second
	idleBoundKiB = 25 << 10
)

// built is the path of the binary under test.
func built(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("MINIKAFKA_TEST_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "minikafka")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// metadataAnswered asks until the broker answers.
func metadataAnswered(t *testing.T, addr string) {
	t.Helper()
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrMetadataRequest(), 1)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		defer func() { _ = nc.Close() }()
		require.NoError(t, nc.SetDeadline(deadline))
		_, err = nc.Write(frame)
		require.NoError(t, err)
		_, err = nc.Read(make([]byte, 8))
		require.NoError(t, err)
		return
	}
	t.Fatal("no answer within 10 s")
}

func rssKiB(t *testing.T, pid int) (kib int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

func TestStartsFastAndSmallAndStopsCleanly(t *testing.T) {
	binary := built(t)
	var starts []time.Duration
	var sizes []int
	for range 7 {
		addr, dir := freePort(t), filepath.Join(t.TempDir(), "data")
		cmd := exec.Command(binary, "--data-dir", dir, "--override", "listeners=PLAINTEXT://"+addr)
		cmd.Env = append(os.Environ(), "GOCOVERDIR="+t.TempDir())
		began := time.Now()
		require.NoError(t, cmd.Start())
		metadataAnswered(t, addr)
		starts = append(starts, time.Since(began))
		time.Sleep(50 * time.Millisecond)
		sizes = append(sizes, rssKiB(t, cmd.Process.Pid))
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait(), "SIGTERM is a clean stop")
		_, err := os.Stat(filepath.Join(dir, ".kafka_cleanshutdown"))
		require.NoError(t, err)
	}
	slices.Sort(starts)
	slices.Sort(sizes)
	t.Logf("exec to first Metadata: median %v, worst %v; idle: %.1f MiB", starts[3], starts[6], float64(sizes[3])/1024)
	require.Less(t, starts[3], startupBound)
	require.Less(t, sizes[3], idleBoundKiB)
}
