package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"minikafka/internal/vfs"
	"minikafka/metadata"
	"minikafka/protocol"
)

// A snapshot is the file <20-digit end offset>-<10-digit epoch>.checkpoint: a SnapshotHeader control
// batch, data batches whose offsets start at 0, a SnapshotFooter control batch. Beside ours stands a
// file of the same name with the suffix .raft: the raft index that the end offset corresponds to. Apache
// Kafka ignores that file; where it is missing, Kafka wrote the snapshot and counting starts anew.
const (
	checkpointSuffix = ".checkpoint"
	partSuffix       = ".part"
	raftIndexSuffix  = ".raft"
	// recordsPerSnapshotBatch bounds a snapshot's batches, like Kafka's.
	recordsPerSnapshotBatch = 1024
)

// snapshotID names a snapshot: everything below EndOffset, whose last entry is of Epoch.
type snapshotID struct {
	EndOffset int64
	Epoch     int32
}

func (s snapshotID) name() string { return fmt.Sprintf("%020d-%010d", s.EndOffset, s.Epoch) }

func parseSnapshotName(name, suffix string) (id snapshotID, ok bool) {
	stem, ok := strings.CutSuffix(name, suffix)
	if !ok || len(stem) != 31 || stem[20] != '-' {
		return id, false
	}
	end, err1 := strconv.ParseInt(stem[:20], 10, 64)
	epoch, err2 := strconv.ParseInt(stem[21:], 10, 32)
	return snapshotID{end, int32(epoch)}, err1 == nil && err2 == nil && end >= 0 && epoch >= 0
}

// listSnapshots finds the snapshots of a directory, oldest first.
func listSnapshots(fsys vfs.FS, dir string) ([]snapshotID, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	var out []snapshotID
	for _, e := range entries { // sorted by name, which is by offset
		if id, ok := parseSnapshotName(e.Name(), checkpointSuffix); ok {
			out = append(out, id)
		}
	}
	return out, nil
}

// snapshot is the content of a snapshot file.
type snapshot struct {
	id       snapshotID
	index    uint64                   // raft's index of the last entry in it
	lastTime int64                    // timestamp of that entry, ms
	controls []metadata.ControlRecord // KRaftVersion and KRaftVoters, in the order of the file
	records  []metadata.Record
	level    int16 // metadata.version, to write at
}

// readSnapshot reads and checks a whole snapshot file.
func readSnapshot(fsys vfs.FS, dir string, id snapshotID) (*snapshot, error) {
	s := &snapshot{id: id}
	complete, err := readCheckpoint(fsys, filepath.Join(dir, id.name()+checkpointSuffix), s)
	if err != nil {
		return nil, err
	}
	if !complete {
		return nil, fmt.Errorf("snapshot %s has no header or no footer: it was not written to its end", id.name())
	}
	s.index, err = readRaftIndex(fsys, dir, id)
	return s, err
}

// readCheckpoint reads a file of batches: a snapshot, or the bootstrap.checkpoint of Kafka before 4.4,
// which has neither header nor footer; complete says that both are there.
func readCheckpoint(fsys vfs.FS, path string, s *snapshot) (complete bool, err error) {
	data, err := fsys.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("reading a snapshot: %w", err)
	}
	header, footer := false, false
	for len(data) > 0 {
		batch, err := checkBatch(data)
		if err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		data = data[len(batch):]
		if !batch.IsControl() {
			records, err := recordsOf(batch)
			if err != nil {
				return false, fmt.Errorf("%s: %w", path, err)
			}
			s.records = append(s.records, records...)
			continue
		}
		controls, err := controlsOf(batch)
		if err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		for _, c := range controls {
			switch r := c.(type) {
			case *metadata.SnapshotHeaderRecord:
				header, s.lastTime = true, r.LastContainedLogTimestamp
			case *metadata.SnapshotFooterRecord:
				footer = true
			default:
				s.controls = append(s.controls, c)
			}
		}
	}
	return header && footer, nil
}

// encode is the content of the snapshot file.
func (s *snapshot) encode(now int64) ([]byte, error) {
	head := append([]metadata.ControlRecord{&metadata.SnapshotHeaderRecord{LastContainedLogTimestamp: s.lastTime}}, s.controls...)
	var out []byte
	next := int64(0)
	add := func(batch protocol.Batch) {
		batch.SetBaseOffset(next) // this and the epoch lie outside of the CRC
		batch.SetLeaderEpoch(s.id.Epoch)
		next = batch.NextOffset()
		out = append(out, batch...)
	}
	add(controlBatch(now, head...))
	for rest := s.records; len(rest) > 0; {
		n := min(len(rest), recordsPerSnapshotBatch)
		batch, err := encodeRecords(rest[:n], s.level, now)
		if err != nil {
			return nil, fmt.Errorf("encoding a snapshot: %w", err)
		}
		add(batch)
		rest = rest[n:]
	}
	add(controlBatch(now, &metadata.SnapshotFooterRecord{}))
	return out, nil
}

// write puts the snapshot on disk: complete under its name, or not there at all.
func (s *snapshot) write(fsys vfs.FS, dir string, now int64) error {
	index, err := json.Marshal(raftIndexFile{Version: 0, Index: s.index})
	if err != nil {
		return fmt.Errorf("encoding a raft index: %w", err)
	}
	base := filepath.Join(dir, s.id.name())
	if err := writeDurably(fsys, base+raftIndexSuffix, append(index, '\n')); err != nil {
		return err
	}
	content, err := s.encode(now)
	if err != nil {
		return err
	}
	return writeDurably(fsys, base+checkpointSuffix, content)
}

type raftIndexFile struct {
	Version int    `json:"version"`
	Index   uint64 `json:"index"`
}

// readRaftIndex is the index beside a snapshot. Without the file, counting starts anew at the end
// offset: an index never exceeds an offset, because every entry takes at least one.
func readRaftIndex(fsys vfs.FS, dir string, id snapshotID) (uint64, error) {
	path := filepath.Join(dir, id.name()+raftIndexSuffix)
	data, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return uint64(id.EndOffset), nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading a raft index: %w", err)
	}
	var f raftIndexFile
	if err := json.Unmarshal(data, &f); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return f.Index, nil
}

// removeSnapshotsBelow removes the snapshots before keep, and raft indexes without a snapshot.
func removeSnapshotsBelow(fsys vfs.FS, dir string, keep snapshotID) error {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("listing %s: %w", dir, err)
	}
	for _, e := range entries {
		for _, suffix := range []string{checkpointSuffix, raftIndexSuffix} {
			id, ok := parseSnapshotName(e.Name(), suffix)
			if !ok || id.EndOffset >= keep.EndOffset {
				continue
			}
			if err := fsys.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("removing snapshot %s: %w", id.name(), err)
			}
		}
	}
	return nil
}

// removeParts removes what a crash left of files that were being written.
func removeParts(fsys vfs.FS, dir string) error {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("listing %s: %w", dir, err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), partSuffix) {
			if err := fsys.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("removing a partial file: %w", err)
			}
		}
	}
	return nil
}

// writeDurably replaces a file: after a crash it has the old content or the new, never a part.
func writeDurably(fsys vfs.FS, path string, data []byte) error {
	part := path + partSuffix
	f, err := fsys.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(part, path)
	}
	if err == nil {
		err = fsys.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
