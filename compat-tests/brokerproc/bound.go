package brokerproc

import (
	"os/exec"
	"syscall"
)

// StartBound starts a process that the kernel kills when this one ends, however it ends.
func StartBound(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return startOnLockedThread(cmd)
}

// Binary is the path of the minikafka under test.
func Binary() (string, error) { return build() }
