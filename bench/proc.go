package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// starter runs on one thread for ever: Pdeathsig is sent when the thread that forked ends.
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

// startBound starts a process that the kernel kills when this one ends, however it ends.
func startBound(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan error)
	starter() <- func() { done <- cmd.Start() }
	return <-done
}

// cpuSeconds is all the CPU that a process has used, of threads that ended too, exact to the nanosecond: the
// kernel's CPU clock of that process.
func cpuSeconds(pid int) (float64, error) {
	const schedClock = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return float64(ts.Nano()) / 1e9, nil
}

// ownCPU is that of this process and of children that have ended and were waited for.
func ownCPU() float64 {
	own, err := cpuSeconds(os.Getpid())
	if err != nil {
		return 0
	}
	var children syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children)
	return own + float64(children.Utime.Nano()+children.Stime.Nano())/1e9
}

// busySeconds is what all processors of the machine have worked, sampled by the kernel's tick.
func busySeconds() float64 {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(strings.SplitN(string(text), "\n", 2)[0])
	const idle, iowait, guest = 4, 5, 9 // columns after the name, from 1
	total := 0.0
	for i, f := range fields[1:] {
		if column := i + 1; column == idle || column == iowait || column >= guest {
			continue
		}
		n, _ := strconv.ParseFloat(f, 64)
		total += n
	}
	return total / 100
}

// rss is the resident memory of a process in MiB.
func rss(pid int) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmRSS of process %d", pid)
}

// awaitQuiet waits until other processes use less than a tenth of the machine. What it waits for may never
// come: then the run is marked by its own measurement.
func awaitQuiet(most time.Duration) {
	for end := time.Now().Add(most); time.Now().Before(end); {
		const window = 200 * time.Millisecond
		busy, own, began := busySeconds(), ownCPU(), time.Now()
		time.Sleep(window)
		used := busySeconds() - busy - (ownCPU() - own)
		if used < 0.1*time.Since(began).Seconds()*float64(runtime.NumCPU()) {
			return
		}
	}
}

// usage is what a measured stretch took.
type usage struct {
	seconds float64 // of wall time
	broker  float64 // CPU seconds
	client  float64
	foreign float64 // share of the machine's CPU that others used
}

// measure runs f and says what it took of whom.
func measure(pid int, f func() error) (usage, error) {
	broker, err := cpuSeconds(pid)
	if err != nil {
		return usage{}, err
	}
	own, busy, began := ownCPU(), busySeconds(), time.Now()
	if err := f(); err != nil {
		return usage{}, err
	}
	u := usage{seconds: time.Since(began).Seconds()}
	after, err := cpuSeconds(pid)
	if err != nil {
		return usage{}, err
	}
	u.broker, u.client = after-broker, ownCPU()-own
	foreign := busySeconds() - busy - u.broker - u.client
	u.foreign = max(0, foreign/u.seconds/float64(runtime.NumCPU()))
	return u, nil
}
