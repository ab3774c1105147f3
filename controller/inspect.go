package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"minikafka/metadata"
	"minikafka/protocol"
)

// Inspection is what a directory holds, read without a change.
type Inspection struct {
	snapshot snapshot
	image    *metadata.Image // of the snapshot
	controls []metadata.ControlRecord
	entries  []entryMeta // of the log, after the snapshot
	end      int64       // offset after the last valid batch
	state    quorumState
	features map[string]int16 // levels of the last FeatureLevelRecord of each
	empty    bool             // neither snapshot nor log
}

// Inspect reads all of the metadata log below o.Dir and changes nothing: newest snapshot, every batch after
// it, quorum-state. Every record is decoded, so that a record or a feature level of a newer server is an
// error here, as is damage that a crash does not explain, and a quorum that has other voters.
func Inspect(o Options) (*Inspection, error) {
	f, err := inspect(o, filepath.Join(o.Dir, metadataLogName))
	if err != nil {
		return nil, fmt.Errorf("reading the metadata log: %w", err)
	}
	return f, nil
}

func inspect(o Options, dir string) (*Inspection, error) {
	f := &Inspection{features: map[string]int16{}}
	ids, err := listSnapshots(o.FS, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(ids) > 0 {
		s, err := readSnapshot(o.FS, dir, ids[len(ids)-1])
		if err != nil {
			return nil, err
		}
		f.snapshot, f.controls = *s, s.controls
	}
	id := f.snapshot.id
	f.image, _, err = metadata.Apply(metadata.Empty(o.ClusterID), f.snapshot.records,
		metadata.Position{Offset: id.EndOffset - 1, Epoch: id.Epoch, Timestamp: f.snapshot.lastTime})
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", id.name(), err)
	}
	f.noteFeatures(f.snapshot.records)
	f.snapshot.records = nil
	start, end, err := scanLog(o.FS, dir, id.EndOffset, f.visit)
	if err != nil {
		return nil, err
	}
	if start > id.EndOffset {
		return nil, fmt.Errorf("the log starts at offset %d, but the newest snapshot ends at %d: what is between is lost", start, id.EndOffset)
	}
	f.end = end
	var found bool
	if f.state, found, err = readQuorumState(o.FS, dir); err != nil {
		return nil, err
	}
	if !found {
		f.state.version = f.kraftVersion()
	}
	if f.state.version == 0 && len(f.state.voters) == 0 {
		f.state.voters = []int32{o.NodeID}
	}
	f.empty = len(ids) == 0 && end == 0
	if end == 0 {
		records, err := f.formatted(o)
		if err != nil {
			return nil, err
		}
		f.noteFeatures(records)
	}
	f.image.KRaftVersion = int16(f.kraftVersion())
	return f, f.admissible(o.NodeID)
}

func (f *Inspection) visit(b protocol.Batch) error {
	if b.IsControl() {
		controls, err := controlsOf(b)
		if err != nil {
			return err
		}
		for _, c := range controls {
			f.noteControl(c)
		}
	} else {
		records, err := recordsOf(b)
		if err != nil {
			return err
		}
		f.noteFeatures(records)
	}
	term := uint64(f.snapshot.id.Epoch)
	if n := len(f.entries); n > 0 {
		term = f.entries[n-1].term
	}
	if uint64(b.LeaderEpoch()) < term {
		return fmt.Errorf("batch at offset %d has leader epoch %d, below %d of the one before", b.BaseOffset(), b.LeaderEpoch(), term)
	}
	f.entries = append(f.entries, entryMeta{
		term: uint64(b.LeaderEpoch()), offset: b.BaseOffset(), last: b.LastOffset(),
	})
	return nil
}

// noteControl keeps the newest KRaftVersion and KRaftVoters for later snapshots.
func (f *Inspection) noteControl(c metadata.ControlRecord) {
	if t := c.ControlType(); t != metadata.ControlKRaftVersion && t != metadata.ControlKRaftVoters {
		return
	}
	for i, old := range f.controls {
		if old.ControlType() == c.ControlType() {
			f.controls[i] = c
			return
		}
	}
	f.controls = append(f.controls, c)
}

func (f *Inspection) kraftVersion() int {
	for _, c := range f.controls {
		if v, ok := c.(*metadata.KRaftVersionRecord); ok {
			return int(v.KRaftVersion)
		}
	}
	return 0
}

func (f *Inspection) noteFeatures(records []metadata.Record) {
	for _, r := range records {
		if l, ok := r.(*metadata.FeatureLevelRecord); ok {
			f.features[l.Name] = l.FeatureLevel
		}
	}
}

// admissible says whether this server can go on where the log ends: with its feature levels, as its only voter.
func (f *Inspection) admissible(nodeID int32) error {
	for _, name := range slices.Sorted(maps.Keys(f.features)) {
		if err := metadata.CheckFeature(name, f.features[name]); err != nil {
			return err
		}
	}
	if level, ok := f.features[metadata.MetadataVersion]; ok && level < metadata.MinWriteLevel {
		return fmt.Errorf("metadata.version is %d: records are written from %d on; raise it with Kafka's kafka-features.sh first",
			level, metadata.MinWriteLevel)
	}
	if err := metadata.CheckFeature(metadata.KRaftVersion, f.image.KRaftVersion); err != nil {
		return err
	}
	voters := slices.Clone(f.state.voters)
	for _, c := range f.controls {
		if r, ok := c.(*metadata.VotersRecord); ok {
			voters = nil
			for _, v := range r.Voters {
				voters = append(voters, v.VoterID)
			}
		}
	}
	if len(voters) > 0 && !slices.Equal(voters, []int32{nodeID}) {
		return fmt.Errorf("its quorum has the voters %v: only a quorum of this node alone (%d) is served", voters, nodeID)
	}
	return nil
}
