package logstore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/protocol"
)

func TestEpochScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/epochs", func(t *testing.T, path string) {
		m := vfs.NewMem()
		c, err := loadEpochs(m, "/leader-epoch-checkpoint")
		require.NoError(t, err)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var epoch, offset int64
			d.MaybeScanArgs(t, "epoch", &epoch)
			d.MaybeScanArgs(t, "offset", &offset)
			switch d.Cmd {
			case "assign":
				require.NoError(t, c.assign(int32(epoch), offset))
			case "truncate-end":
				require.NoError(t, c.truncateFromEnd(offset))
			case "truncate-start":
				require.NoError(t, c.truncateFromStart(offset))
			case "clear":
				require.NoError(t, c.clear())
			case "end-offset":
				found, end := c.entries().endOffsetFor(int32(epoch), offset)
				return fmt.Sprintf("epoch %d ends at %d\n", found, end)
			case "epoch-at":
				return fmt.Sprintf("%d\n", c.entries().at(offset))
			case "file":
				data, err := m.CrashClone(vfs.CrashOptions{}).ReadFile("/leader-epoch-checkpoint")
				require.NoError(t, err)
				return strings.ReplaceAll(string(data), "\n", "|") + "\n"
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			reloaded, err := loadEpochs(m.CrashClone(vfs.CrashOptions{}), "/leader-epoch-checkpoint")
			require.NoError(t, err)
			require.Equal(t, len(c.entries()), len(reloaded.entries()), "each change is durable")
			return fmt.Sprintf("%v latest %d\n", []epochEntry(c.entries()), c.entries().latest())
		})
	})
}

func TestFailedEpochWriteLeavesTheCache(t *testing.T) {
	m := vfs.NewMem()
	c, err := loadEpochs(vfs.Faulty(m, vfs.FailNth(vfs.OpSync, "", 2, false, errors.New("broken"))), "/e")
	require.NoError(t, err)
	require.NoError(t, c.assign(1, 0))
	require.Error(t, c.assign(2, 5))
	require.Equal(t, int32(1), c.entries().latest())
}

// producerScript drives producerState as the log does: duplicate, check, apply.
type producerScript struct {
	s    *producerState
	next int64 // log end offset
}

func (p *producerScript) run(t *testing.T, d *datadriven.TestData) string {
	var (
		pid, hw, now      int64
		epoch, seq, count = 0, 0, 1
		coordinator       int
		origin            = "client"
		version           int
		ts                int64 = 1000
	)
	for name, dest := range map[string]any{
		"pid": &pid, "epoch": &epoch, "seq": &seq, "count": &count, "coordinator": &coordinator,
		"origin": &origin, "version": &version, "hw": &hw, "now": &now, "ts": &ts,
	} {
		d.MaybeScanArgs(t, name, dest)
	}
	rules := AppendRules{TransactionV2: d.HasArg("tv2"), MarkerVersion: int8(version)}
	rules.Origin = map[string]Origin{"client": OriginClient, "coordinator": OriginCoordinator, "replication": OriginReplication}[origin]
	switch d.Cmd {
	case "produce":
		var b protocol.Builder
		b.Reset(protocol.BuilderOptions{ProducerID: pid, ProducerEpoch: int16(epoch), BaseSequence: int32(seq), Transactional: d.HasArg("txn")})
		for range count {
			b.Append(ts, nil, []byte("v"), nil)
		}
		batch, err := b.AppendTo(nil)
		require.NoError(t, err)
		return p.append(batch, rules)
	case "commit", "abort":
		rules.Origin = OriginCoordinator
		return p.append(protocol.AppendMarker(nil, pid, int16(epoch), protocol.Marker{Commit: d.Cmd == "commit", CoordinatorEpoch: int32(coordinator)}, ts), rules)
	case "high-watermark":
		p.s.onHighWatermark(hw)
	case "expire":
		p.s.expire(now)
	case "restart":
		snapshot := p.s.snapshot()
		p.s = newProducerState(p.s.expiration)
		require.NoError(t, p.s.restore(snapshot, now))
	case "snapshot":
		return hex.EncodeToString(p.s.snapshot()) + "\n"
	case "show":
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	return p.show()
}

func (p *producerScript) append(b protocol.Batch, rules AppendRules) string {
	if old, ok := p.s.duplicate(b); ok && rules.Origin == OriginClient {
		return fmt.Sprintf("duplicate of %d-%d\n", old.FirstOffset(), old.LastOffset)
	}
	b.SetBaseOffset(p.next)
	if err := p.s.check(b, rules); err != nil {
		return err.Error() + "\n"
	}
	p.next = b.NextOffset()
	out := fmt.Sprintf("at %d\n", b.BaseOffset())
	if done := p.s.apply(b); done != nil {
		out += fmt.Sprintf("ended %+v, last stable offset %d\n", *done, p.s.lastStableOffset(*done))
	}
	return out
}

func (p *producerScript) show() string {
	var b strings.Builder
	for _, a := range p.s.active() {
		fmt.Fprintf(&b, "%+v\n", a)
	}
	if offset, ok := p.s.firstUnstable(); ok {
		fmt.Fprintf(&b, "first unstable %d\n", offset)
	} else {
		b.WriteString("all stable\n")
	}
	return b.String()
}

func TestProducerScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/producers", func(t *testing.T, path string) {
		p := &producerScript{s: newProducerState(24 * time.Hour)}
		datadriven.RunTest(t, path, p.run)
	})
}

func TestReplicatedBatchesAreNeverRefused(t *testing.T) {
	s := newProducerState(time.Hour)
	for _, b := range []protocol.Batch{
		batchOf(t, 1, 5, 10, true), batchOf(t, 1, 4, 3, false), protocol.AppendMarker(nil, 1, 0, protocol.Marker{CoordinatorEpoch: -5}, 0),
	} {
		require.NoError(t, s.check(b, AppendRules{Origin: OriginReplication}))
		s.apply(b)
	}
	require.Empty(t, s.open)
}

func batchOf(t testing.TB, pid int64, epoch int16, seq int32, txn bool) protocol.Batch {
	t.Helper()
	var b protocol.Builder
	b.Reset(protocol.BuilderOptions{ProducerID: pid, ProducerEpoch: epoch, BaseSequence: seq, Transactional: txn})
	b.Append(1000, nil, nil, nil)
	out, err := b.AppendTo(nil)
	require.NoError(t, err)
	return out
}

func TestFirstSequenceUndoesTheWrap(t *testing.T) {
	for _, c := range []struct{ first, delta int32 }{{0, 0}, {5, 3}, {math.MaxInt32 - 1, 4}, {math.MaxInt32, 0}, {math.MaxInt32, 1}} {
		span := batchSpan{LastSequence: protocol.IncrementSequence(c.first, c.delta), OffsetDelta: c.delta}
		require.Equal(t, c.first, span.firstSequence())
	}
}

func TestBrokenSnapshotsAreErrorsAndChangeNothing(t *testing.T) {
	s := newProducerState(time.Hour)
	s.apply(batchOf(t, 7, 0, 0, true))
	good := s.snapshot()
	require.Len(t, good, 56)
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x40
		require.ErrorIs(t, s.restore(bad, 0), errCorruptSnapshot, "byte %d", i)
	}
	for cut := range len(good) {
		require.ErrorIs(t, s.restore(good[:cut], 0), errCorruptSnapshot)
	}
	require.Len(t, s.byID, 1)
	require.NoError(t, s.restore(good, 0))
	require.Equal(t, good, s.snapshot())
}
