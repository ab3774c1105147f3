//go:build kafka

package interop

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// files are the contents of a node's directories by path, where keep says so. The server is stopped.
func (n *node) files(keep func(path string) bool) map[string][]byte {
	n.t.Helper()
	out := map[string][]byte{}
	for _, dir := range n.logDirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !keep(path) {
				return err
			}
			data, err := os.ReadFile(path)
			out[path] = data
			return err
		})
		require.NoError(n.t, err)
	}
	return out
}

// hashes are of everything in the node's directories, with mode and time of change. Left out is the lock of whoever
// looks at the directory: Kafka removes its own when it ends.
func (n *node) hashes() map[string]string {
	n.t.Helper()
	out := map[string]string{}
	for _, dir := range n.logDirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || path == dir || e.Name() == ".lock" {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			out[path] = info.Mode().String() + info.ModTime().String()
			if e.IsDir() {
				return nil
			}
			data, err := os.ReadFile(path)
			sum := sha256.Sum256(data)
			out[path] += string(sum[:])
			return err
		})
		require.NoError(n.t, err)
	}
	return out
}

// appendOnly are the files that may only grow while nothing is deleted or compacted: segments of records and of
// metadata, and the history of leader epochs.
func appendOnly(path string) bool {
	dir := filepath.Base(filepath.Dir(path))
	if strings.HasSuffix(dir, "-delete") || strings.HasPrefix(dir, "dropped") || strings.HasPrefix(dir, "compacted") {
		return false
	}
	if dir == "__cluster_metadata-0" { // a snapshot moves the start of the log, and its epochs with it
		return strings.HasSuffix(path, ".log")
	}
	return strings.HasSuffix(path, ".log") || filepath.Base(path) == "leader-epoch-checkpoint"
}

// requireGrown: every file of before is there and begins with what it was.
func requireGrown(t *testing.T, before, after map[string][]byte) {
	t.Helper()
	require.NotEmpty(t, before)
	for path, old := range before {
		now, ok := after[path]
		require.True(t, ok, "%s is gone", path)
		if filepath.Ext(path) != ".log" {
			require.True(t, bytes.HasPrefix(epochs(now, 0), epochs(old, 1)), "%s was %q and is %q", path, old, now)
			continue
		}
		old = wholeBatches(old)
		require.True(t, bytes.HasPrefix(now, old), "%s was changed, not continued (%d bytes, then %d)", path, len(old), len(now))
	}
}

// wholeBatches leaves out a batch that is not whole at the end: a kill may come in the middle of a write, and whoever
// starts next cuts that off.
func wholeBatches(log []byte) []byte {
	const header = 12
	end := 0
	for len(log)-end >= header {
		size := header + int(binary.BigEndian.Uint32(log[end+8:]))
		if size > len(log)-end {
			break
		}
		end += size
	}
	return log[:end]
}

// epochs are the lines `epoch startOffset` but for the last ones: a leader that wrote nothing may leave one, and the
// next leader's replaces it. Two lines before them are the version and the number of entries.
func epochs(checkpoint []byte, without int) []byte {
	lines := bytes.SplitAfter(checkpoint, []byte("\n"))
	return bytes.Join(lines[min(2, len(lines)):max(2, len(lines)-1-without)], nil)
}
