//go:build powerloss

package killtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// disk is an ext4 file system of its own in a file, mounted through a loop device.
type disk struct {
	t          *testing.T
	image, dir string
}

func newDisk(t *testing.T, megabytes int64) *disk {
	t.Helper()
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "image"), dir: t.TempDir()}
	require.NoError(t, os.WriteFile(d.image, nil, 0o600))
	require.NoError(t, os.Truncate(d.image, megabytes<<20))
	d.run("mkfs.ext4", "-q", "-F", d.image)
	d.mount()
	t.Cleanup(func() { _ = exec.Command("umount", "-l", d.dir).Run() })
	return d
}

func (d *disk) run(name string, args ...string) {
	d.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(d.t, err, "%s %s: %s", name, strings.Join(args, " "), out)
}

func (d *disk) mount() { d.run("mount", "-o", "loop", d.image, d.dir) }

// cutPower is what a power failure leaves: from now on nothing reaches the image, not even the journal's open
// transaction.
func (d *disk) cutPower() error {
	const ext4IOCShutdown, noLogFlush = 0x8004587d, 2 // _IOR('X', 125, __u32)
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uint32(noLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ext4IOCShutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return fmt.Errorf("EXT4_IOC_SHUTDOWN of %s: %w", d.dir, errno)
	}
	return nil
}

// remount throws the page cache of the file system away and replays its journal.
func (d *disk) remount() {
	d.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		out, err := exec.Command("umount", d.dir).CombinedOutput()
		if err == nil {
			break
		}
		require.True(d.t, time.Now().Before(deadline), "umount: %s", out)
		time.Sleep(20 * time.Millisecond)
	}
	d.mount()
}
