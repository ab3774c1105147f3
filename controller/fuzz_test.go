package controller

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/config"
	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/metadata"
	"minikafka/protocol"
)

// FuzzOpen opens directories of any content: a controller that works, or an error; never a panic. Valid
// checksums are put over the damage, so that it reaches what lies behind them.
func FuzzOpen(f *testing.F) {
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("testdata", "kafka-4.4.0", "standalone", name))
		require.NoError(f, err)
		return data
	}
	log, snapshot, state := read("00000000000000000000.log"), read("00000000000000000000-0000000000.checkpoint"), read("quorum-state")
	f.Add(log, snapshot, state, false)
	f.Add(log, []byte{}, []byte("{}"), true)
	f.Add([]byte{}, snapshot, []byte{}, true)
	f.Fuzz(func(t *testing.T, log, snapshot, state []byte, mendCRC bool) {
		if mendCRC {
			mend(log)
			mend(snapshot)
		}
		fsys := vfs.NewMem()
		put(t, fsys, filepath.Join(logDir, "00000000000000000000.log"), log)
		if len(snapshot) > 0 {
			put(t, fsys, filepath.Join(logDir, snapshotID{}.name()+checkpointSuffix), snapshot)
		}
		if len(state) > 0 {
			put(t, fsys, filepath.Join(logDir, quorumStateName), state)
		}
		o := Options{
			FS: fsys, Clock: clock.Real(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Dir: "/data", NodeID: 1, DirectoryID: metadata.UUID{7}, Config: config.New(nil),
		}
		c, err := Open(t.Context(), o)
		if err != nil {
			return
		}
		epoch, err := c.RegisterBroker(t.Context(), metadata.Broker{ID: 1, Directories: []metadata.UUID{{7}}})
		require.NoError(t, err)
		require.NoError(t, c.Unfence(t.Context(), 1, epoch))
		require.NoError(t, c.Close())
		before := contents(c.Image())
		c, err = Open(t.Context(), o)
		require.NoError(t, err, "what was opened once opens again")
		require.Equal(t, before, contents(c.Image()))
		require.NoError(t, c.Close())
	})
}

// mend puts the right checksum on every batch whose frame is right.
func mend(data []byte) {
	for {
		batch, rest, err := protocol.NextBatch(data)
		if err != nil {
			return
		}
		batch.SetCRC()
		data = rest
	}
}
