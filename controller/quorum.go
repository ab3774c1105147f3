package controller

import (
	"context"
	"fmt"
	"log/slog"
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/metadata"
)

// Raft's clock counts ticks; one voter needs none, because it campaigns at once and has nobody to hear.
const (
	electionTicks       = 10
	heartbeatTicks      = 1
	maxUncommittedBytes = 64 << 20
	maxApplyBytes       = 8 << 20 // per round of Ready
)

// committed is one entry that the quorum agreed on. A control batch has no data.
type committed struct {
	index uint64
	at    metadata.Position
	data  []byte
}

// quorum drives raft over the metadata log. One goroutine owns it. Rules: entries and votes are on disk
// before anything that follows from them leaves; an error of writing or flushing ends the process and is
// never tried again.
type quorum struct {
	fs     vfs.FS
	clock  clock.Clock
	dir    string // of the log
	nodeID int32
	id     uint64 // raft's

	directoryID metadata.UUID

	node  *raft.RawNode
	store *raftStore
	state quorumState // as on disk

	appliedIndex uint64
	// apply is called with each committed entry, in order.
	apply func(committed) error
}

func newQuorum(o Options, dir string, store *raftStore, state quorumState, apply func(committed) error) (*quorum, error) {
	q := &quorum{
		fs: o.FS, clock: o.Clock, dir: dir, nodeID: o.NodeID, id: raftID(o.NodeID, o.DirectoryID), directoryID: o.DirectoryID,
		store: store, state: state, apply: apply,
	}
	store.conf = raftpb.EnsureConfState(&raftpb.ConfState{Voters: []uint64{q.id}})
	store.hard = q.hardState()
	store.leaderChange = q.leaderChangeBatch
	store.unapplied = map[uint64][]byte{}
	node, err := raft.NewRawNode(&raft.Config{
		ID: q.id, ElectionTick: electionTicks, HeartbeatTick: heartbeatTicks, Storage: store, Applied: store.snapIndex,
		MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: maxApplyBytes, MaxUncommittedEntriesSize: maxUncommittedBytes,
		MaxInflightMsgs: 256, CheckQuorum: true, PreVote: true, DisableProposalForwarding: true,
		Logger: raftLogger{o.Logger},
	})
	if err != nil {
		return nil, fmt.Errorf("starting raft: %w", err)
	}
	q.node = node
	return q, nil
}

// hardState is term and vote as raft wants them. Kafka forgets its vote once it leads: a leader voted
// for itself. Raft learns anew what is committed.
func (q *quorum) hardState() *raftpb.HardState {
	term, vote := uint64(q.state.leaderEpoch), raft.None
	if last := q.store.lastTerm(); last > term {
		term = last // quorum-state is older than the log: it was lost or restored
	} else if q.state.votedID == q.nodeID || q.state.leaderID == q.nodeID {
		vote = q.id
	}
	return &raftpb.HardState{Term: &term, Vote: &vote, Commit: new(q.store.snapIndex)}
}

// campaign makes the only voter the leader, with its empty entry committed and everything before applied.
func (q *quorum) campaign() error {
	if err := q.node.Campaign(); err != nil {
		return fmt.Errorf("campaigning: %w", err)
	}
	if err := q.advance(); err != nil {
		return err
	}
	if !q.leading() {
		return errNotLeader
	}
	return nil
}

func (q *quorum) leading() bool { return q.node.BasicStatus().RaftState == raft.StateLeader }

// epoch is raft's term, Kafka's leader epoch.
func (q *quorum) epoch() int32 { return int32(q.node.BasicStatus().GetTerm()) }

// propose hands a batch to raft; advance stores it.
func (q *quorum) propose(batch []byte) error {
	if err := q.node.Propose(batch); err != nil {
		return fmt.Errorf("proposing %d bytes: %w", len(batch), err)
	}
	return nil
}

// lastIndex is the index of the last stored entry.
func (q *quorum) lastIndex() uint64 {
	last, _ := q.store.LastIndex() // never fails
	return last
}

// advance does what raft asks for until nothing is left: it stores, then applies what is committed.
func (q *quorum) advance() error {
	for q.node.HasReady() {
		rd := q.node.Ready()
		if err := q.saveState(rd); err != nil {
			return err
		}
		if len(rd.Entries) > 0 {
			if err := q.store.append(rd.Entries); err != nil {
				return err
			}
		}
		for _, e := range rd.CommittedEntries {
			if err := q.applyEntry(e); err != nil {
				return err
			}
		}
		q.node.Advance(rd)
	}
	return nil
}

func (q *quorum) applyEntry(e *raftpb.Entry) error {
	m := q.store.meta(e.GetIndex())
	err := q.apply(committed{
		index: e.GetIndex(), data: e.GetData(),
		at: metadata.Position{Offset: m.last, Epoch: int32(m.term)},
	})
	if err != nil {
		return err
	}
	q.appliedIndex = e.GetIndex()
	q.store.applied(e.GetIndex())
	q.store.log.SetHighWatermark(m.last + 1)
	return nil
}

// saveState writes term and vote when they changed, and who leads, as Kafka's quorum-state has it.
func (q *quorum) saveState(rd raft.Ready) error {
	next := q.state
	if !raft.IsEmptyHardState(rd.HardState) {
		epoch := rd.GetTerm()
		if epoch > math.MaxInt32 {
			return fmt.Errorf("term %d does not fit a leader epoch", epoch)
		}
		if int32(epoch) != next.leaderEpoch {
			next.leaderID = -1
		}
		next.leaderEpoch, next.votedID, next.votedDir = int32(epoch), -1, metadata.UUID{}
		if rd.GetVote() == q.id && next.leaderID != q.nodeID {
			next.votedID = q.nodeID
			if next.version > 0 {
				next.votedDir = q.directoryID
			}
		}
	}
	if rd.SoftState != nil && rd.Lead == q.id {
		next.leaderID, next.votedID, next.votedDir = q.nodeID, -1, metadata.UUID{}
	}
	if next.same(q.state) {
		return nil
	}
	if err := next.write(q.fs, q.dir); err != nil {
		return err
	}
	q.state = next
	return nil
}

// leaderChangeBatch is the leader's empty entry on disk.
func (q *quorum) leaderChangeBatch() []byte {
	voter := []metadata.LeaderChangeVoter{{VoterID: q.nodeID}}
	return controlBatch(q.clock.Now().UnixMilli(),
		&metadata.LeaderChangeMessage{LeaderID: q.nodeID, Voters: voter, GrantingVoters: voter})
}

// raftLogger gives raft our logger. Raft panics where its own invariants break.
type raftLogger struct{ to *slog.Logger }

func (l raftLogger) log(level slog.Level, text string) {
	l.to.Log(context.Background(), level, text, "component", "raft")
}

func (l raftLogger) Debug(v ...any)                 { l.log(slog.LevelDebug, fmt.Sprint(v...)) }
func (l raftLogger) Debugf(format string, v ...any) { l.logf(slog.LevelDebug, format, v) }
func (l raftLogger) Info(v ...any)                  { l.log(slog.LevelDebug, fmt.Sprint(v...)) }
func (l raftLogger) Infof(format string, v ...any)  { l.logf(slog.LevelDebug, format, v) }
func (l raftLogger) Warning(v ...any)               { l.log(slog.LevelWarn, fmt.Sprint(v...)) }
func (l raftLogger) Warningf(format string, v ...any) {
	l.logf(slog.LevelWarn, format, v)
}
func (l raftLogger) Error(v ...any)                 { l.log(slog.LevelError, fmt.Sprint(v...)) }
func (l raftLogger) Errorf(format string, v ...any) { l.logf(slog.LevelError, format, v) }
func (l raftLogger) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
func (l raftLogger) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }

// logf formats only what will be written.
func (l raftLogger) logf(level slog.Level, format string, v []any) {
	if l.to.Enabled(context.Background(), level) {
		l.log(level, fmt.Sprintf(format, v...))
	}
}
