package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"minikafka/internal/vfs"
	"minikafka/metadata"
)

const quorumStateName = "quorum-state"

// quorumState is the file quorum-state: term and vote, as Kafka writes them. Version 0 (a static quorum)
// and version 1 (kraft.version 1) are different sets of fields.
type quorumState struct {
	version     int // data_version
	leaderID    int32
	leaderEpoch int32
	votedID     int32
	votedDir    metadata.UUID // version 1
	voters      []int32       // version 0
}

// jsonQuorumStateV0 and V1 have Kafka's names in Kafka's order.
type jsonQuorumStateV0 struct {
	ClusterID     string      `json:"clusterId"` // Kafka leaves it empty
	LeaderID      int32       `json:"leaderId"`
	LeaderEpoch   int32       `json:"leaderEpoch"`
	VotedID       int32       `json:"votedId"`
	AppliedOffset int64       `json:"appliedOffset"`
	CurrentVoters []jsonVoter `json:"currentVoters"`
	DataVersion   int         `json:"data_version"`
}

type jsonVoter struct {
	VoterID int32 `json:"voterId"`
}

type jsonQuorumStateV1 struct {
	LeaderID         int32  `json:"leaderId"`
	LeaderEpoch      int32  `json:"leaderEpoch"`
	VotedID          int32  `json:"votedId"`
	VotedDirectoryID string `json:"votedDirectoryId"`
	DataVersion      int    `json:"data_version"`
}

// readQuorumState reads the file; found is false when there is none.
func readQuorumState(fsys vfs.FS, dir string) (s quorumState, found bool, err error) {
	path := filepath.Join(dir, quorumStateName)
	data, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return quorumState{leaderID: -1, votedID: -1}, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("reading %s: %w", path, err)
	}
	var both struct {
		jsonQuorumStateV0
		VotedDirectoryID string `json:"votedDirectoryId"`
	}
	if err := json.Unmarshal(data, &both); err != nil {
		return s, false, fmt.Errorf("%s: %w", path, err)
	}
	if both.DataVersion < 0 || both.DataVersion > 1 {
		return s, false, fmt.Errorf("%s has data_version %d, which is newer than this server", path, both.DataVersion)
	}
	if both.LeaderEpoch < 0 || both.LeaderEpoch == math.MaxInt32 {
		return s, false, fmt.Errorf("%s has leaderEpoch %d", path, both.LeaderEpoch)
	}
	s = quorumState{version: both.DataVersion, leaderID: both.LeaderID, leaderEpoch: both.LeaderEpoch, votedID: both.VotedID}
	for _, v := range both.CurrentVoters {
		s.voters = append(s.voters, v.VoterID)
	}
	if both.VotedDirectoryID != "" {
		if s.votedDir, err = metadata.ParseUUID(both.VotedDirectoryID); err != nil {
			return s, false, fmt.Errorf("%s: %w", path, err)
		}
	}
	return s, true, nil
}

func (s quorumState) write(fsys vfs.FS, dir string) error {
	var v any
	if s.version == 0 {
		v0 := jsonQuorumStateV0{LeaderID: s.leaderID, LeaderEpoch: s.leaderEpoch, VotedID: s.votedID}
		for _, id := range s.voters {
			v0.CurrentVoters = append(v0.CurrentVoters, jsonVoter{id})
		}
		v = v0
	} else {
		v = jsonQuorumStateV1{
			LeaderID: s.leaderID, LeaderEpoch: s.leaderEpoch, VotedID: s.votedID,
			VotedDirectoryID: s.votedDir.String(), DataVersion: 1,
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding quorum-state: %w", err)
	}
	return writeDurably(fsys, filepath.Join(dir, quorumStateName), data)
}

func (s quorumState) same(t quorumState) bool {
	return s.version == t.version && s.leaderID == t.leaderID && s.leaderEpoch == t.leaderEpoch &&
		s.votedID == t.votedID && s.votedDir == t.votedDir && slices.Equal(s.voters, t.voters)
}
