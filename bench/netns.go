package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideEnv is set for the process that runs in the namespace.
const insideEnv = "MINIKAFKA_BENCH_INSIDE"

// enterNamespace runs this program again in a network namespace that ends with it, and ends as it does.
// Without root the namespace comes with a user namespace, in which we are root.
func enterNamespace() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err = startBound(cmd)
	if err != nil {
		return fmt.Errorf("starting in a network namespace: %w", err)
	}
	err = cmd.Wait()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		os.Exit(max(1, ended.ExitCode()))
	}
	return err
}

const congestionControl = "reno"

// prepareNamespace brings the loopback device up and sets one congestion control for all: the kernel's
// default may be BBR, which makes loopback several times slower.
func prepareNamespace() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bringing lo up: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(congestionControl), 0o600); err != nil {
		return fmt.Errorf("setting the congestion control: %w", err)
	}
	// 5,000 connections from one address to one port, and the last run's are in TIME_WAIT.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("10000 65000"), 0o600); err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: 200_000, Max: 200_000}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil { // without root: what there is
		_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
		limit.Cur = limit.Max
		return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	return nil
}
