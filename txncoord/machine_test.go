package txncoord

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"minikafka/coordinator"
)

// bench is a machine whose log is kept, so that it can be loaded anew.
type bench struct {
	t       *testing.T
	m       *Machine
	now     time.Time
	log     []coordinator.Record
	token   coordinator.Token
	nextID  int64
	level   int16
	actions []markers
	answers map[coordinator.Token]any
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, level: 2, now: time.UnixMilli(1_000_000), answers: map[coordinator.Token]any{}}
	b.m = NewMachine(b.settings())
	b.take(b.m.Loaded(b.now))
	return b
}

func (b *bench) settings() Settings {
	return Settings{
		Expiration: time.Hour, ExpiryInterval: time.Minute, MaxBatchBytes: func() int { return 1 << 20 },
		Level:      func() int16 { return b.level },
		ProducerID: func() (int64, bool) { b.nextID++; return b.nextID - 1, true },
	}
}

// take does what the shard does with an outcome.
func (b *bench) take(o coordinator.Outcome) {
	for _, r := range o.Records {
		require.NoError(b.t, b.m.Replay(int64(len(b.log)), -1, r))
		b.log = append(b.log, r)
	}
	for _, r := range o.Replies {
		b.answers[r.Token] = r.Answer
	}
	for _, a := range o.Actions {
		b.actions = append(b.actions, a.(markers))
	}
}

// crash loads a new machine from the log; what waited is gone.
func (b *bench) crash() {
	before := b.m.byID
	b.m, b.actions = NewMachine(b.settings()), nil
	for i, r := range b.log {
		require.NoError(b.t, b.m.Replay(int64(i), -1, r))
	}
	require.Len(b.t, b.m.byID, len(before))
	for id, t := range before {
		got := b.m.byID[id]
		want, have := *t, *got
		want.waiting, want.lastEpoch, have.lastEpoch = nil, 0, 0
		want.armed = time.Time{}
		if len(want.partitions) == 0 {
			want.partitions, have.partitions = nil, nil
		}
		require.Equal(b.t, want, have, "memory is the replay of the log")
	}
	b.take(b.m.Loaded(b.now))
}

func (b *bench) init(r Init) any {
	b.token++
	b.take(b.m.InitProducerID(b.now, b.token, r))
	return b.answers[b.token]
}

func (b *bench) add(r Add) any {
	b.token++
	b.take(b.m.AddPartitions(b.now, b.token, r))
	return b.answers[b.token]
}

func (b *bench) end(r End) any {
	b.token++
	b.take(b.m.EndTxn(b.now, b.token, r))
	return b.answers[b.token]
}

// written is the end of the oldest action.
func (b *bench) written() {
	a := b.actions[0]
	b.actions = b.actions[1:]
	b.token++
	b.take(b.m.Completed(b.now, b.token, a.id, a.producerID, a.epoch))
}

func (b *bench) wake() {
	b.now = b.m.Wake()
	b.take(b.m.Tick(b.now))
}

var (
	begin = Init{TransactionalID: "t", TimeoutMs: 60000, ProducerID: -1, Epoch: -1}
	p0    = []TopicPartition{{"a", 0}, {"b", 3}}
)

func TestRequestWaitsForTheMarkersOfTheLastTransaction(t *testing.T) {
	b := newBench(t)
	require.Equal(t, Identity{}, b.init(begin))
	require.Equal(t, Added{}, b.add(Add{TransactionalID: "t", Version: 2, Partitions: p0}))
	require.Equal(t, Identity{Epoch: 1}, b.end(End{TransactionalID: "t", Commit: true, VersionTwo: true}))
	require.Equal(t, []markers{{id: "t", epoch: 1, commit: true, version: 2, partitions: p0}}, b.actions)
	require.Nil(t, b.add(Add{TransactionalID: "t", Epoch: 1, Version: 2, Partitions: p0[:1]}), "it waits")
	waiting := b.token
	b.written()
	require.Equal(t, Added{}, b.answers[waiting])
	require.Equal(t, Ongoing, b.m.byID["t"].state)
	require.Equal(t, Identity{Epoch: 2}, b.end(End{TransactionalID: "t", Epoch: 1, VersionTwo: true}))
	require.Nil(t, b.add(Add{TransactionalID: "t", Epoch: 2, Version: 2, Partitions: p0}))
	b.wake()
	require.Equal(t, Added{Code: kerr.ConcurrentTransactions}, b.answers[b.token], "not for ever")
}

func TestTransactionEndsWithinItsTimeout(t *testing.T) {
	for _, version := range []int16{0, 2} {
		b := newBench(t)
		b.init(begin)
		began := b.now
		b.add(Add{TransactionalID: "t", Version: version, Partitions: p0})
		b.crash()
		b.wake()
		require.Equal(t, began.Add(time.Minute), b.now)
		require.Len(t, b.actions, 1)
		require.False(t, b.actions[0].commit)
		require.EqualValues(t, 1, b.actions[0].epoch)
		code := map[int16]*kerr.Error{0: kerr.ProducerFenced, 2: kerr.InvalidTxnState}[version]
		require.Equal(t, refuse(code), b.end(End{TransactionalID: "t", Commit: true, VersionTwo: version == 2}))
		b.written()
		require.Equal(t, CompleteAbort, b.m.byID["t"].state)
	}
}

func TestSecondProducerAbortsTheTransactionOfTheFirst(t *testing.T) {
	b := newBench(t)
	b.init(begin)
	b.add(Add{TransactionalID: "t", Version: 2, Partitions: p0})
	require.Nil(t, b.init(begin), "it waits for the abort")
	second := b.token
	b.written()
	require.Equal(t, Identity{Epoch: 2}, b.answers[second])
	require.Equal(t, Added{Code: kerr.ProducerFenced}, b.add(Add{TransactionalID: "t", Version: 2, Partitions: p0}))
}

func TestUsedUpEpochEndsWithANewProducerID(t *testing.T) {
	b := newBench(t)
	b.init(begin)
	b.m.byID["t"].epoch = exhaustedEpoch
	b.add(Add{TransactionalID: "t", Epoch: exhaustedEpoch, Version: 2, Partitions: p0})
	request := End{TransactionalID: "t", Epoch: exhaustedEpoch, Commit: true, VersionTwo: true}
	b.nextID = 77
	require.Equal(t, Identity{ProducerID: 77}, b.end(request))
	require.Equal(t, int16(32767), b.actions[0].epoch)
	require.Nil(t, b.add(Add{TransactionalID: "t", ProducerID: 77, Version: 2, Partitions: p0}), "the next transaction waits")
	waiting := b.token
	b.crash()
	b.written()
	require.Nil(t, b.answers[waiting], "that was another life")
	require.Equal(t, Identity{ProducerID: 77}, b.end(request), "a retry")
	require.Equal(t, refuse(kerr.InvalidTxnState), b.end(End{TransactionalID: "t", Epoch: exhaustedEpoch, VersionTwo: true}))
}

func TestIdleTransactionalIDExpires(t *testing.T) {
	b := newBench(t)
	b.init(begin)
	for b.now.Before(time.UnixMilli(1_000_000).Add(time.Hour)) {
		require.Contains(t, b.m.byID, "t")
		b.wake()
	}
	require.Empty(t, b.m.byID)
	require.Nil(t, b.log[len(b.log)-1].Value)
	b.crash()
	require.Equal(t, refuse(kerr.InvalidProducerIDMapping), b.end(End{TransactionalID: "t", VersionTwo: true}))
}

// TestDecidedTransactionsStayDecided runs random producers against a machine that crashes at any time: the
// markers that come out for an epoch all say the same, no transaction that was answered is undone, and with
// everybody gone every transaction ends.
func TestDecidedTransactionsStayDecided(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := newBench(t)
		type key struct {
			pid   int64
			epoch int16
		}
		decided := map[key]bool{}
		seen := 0
		look := func() {
			for _, a := range b.actions[min(seen, len(b.actions)):] {
				k := key{a.producerID, a.epoch}
				before, ok := decided[k]
				require.True(t, !ok || before == a.commit, "seed %d: %v was decided twice", seed, k)
				decided[k] = a.commit
			}
			seen = len(b.actions)
		}
		have := Identity{ProducerID: -1, Epoch: -1}
		for range 200 {
			switch rng.IntN(8) {
			case 0:
				if got, ok := b.init(begin).(Identity); ok && got.Code == nil {
					have = got
				}
			case 1, 2, 3:
				b.add(Add{TransactionalID: "t", ProducerID: have.ProducerID, Epoch: have.Epoch, Version: 2, Partitions: p0[:1+rng.IntN(2)]})
			case 4:
				commit := rng.IntN(2) == 0
				got, ok := b.end(End{TransactionalID: "t", ProducerID: have.ProducerID, Epoch: have.Epoch, Commit: commit, VersionTwo: true}).(Identity)
				if ok && got.Code == nil {
					look()
					have = got
				}
			case 5:
				if len(b.actions) > 0 {
					look()
					b.written()
					seen = len(b.actions)
				}
			case 6:
				b.wake()
			case 7:
				look()
				b.crash()
				seen = 0
			}
			look()
		}
		for range 20 {
			for len(b.actions) > 0 {
				b.written()
			}
			b.wake()
		}
		for _, one := range b.m.byID {
			require.True(t, one.state.idle(), "seed %d: %v is left", seed, one.state)
		}
	}
}

func TestRecordsThatAreNoTransactionsAreRefused(t *testing.T) {
	m := NewMachine(newBench(t).settings())
	whole := (&transaction{id: "t", state: Ongoing, partitions: map[TopicPartition]struct{}{{"a", 1}: {}}, nextProducerID: 5, version: 2}).record(2)
	require.NoError(t, m.Replay(0, -1, whole))
	for i := range whole.Value {
		require.Error(t, m.Replay(0, -1, coordinator.Record{Key: whole.Key, Value: whole.Value[:i]}), "%d bytes", i)
	}
	bomb := append(append([]byte(nil), whole.Value[:17]...), 0xff, 0xff, 0xff, 0xff, 0x0f)
	require.Error(t, m.Replay(0, -1, coordinator.Record{Key: whole.Key, Value: append(bomb, make([]byte, 16)...)}))
	require.Error(t, m.Replay(0, -1, coordinator.Record{Key: []byte{0, 1, 0, 0}, Value: whole.Value}))
}

func TestTimersDoNotPileUp(t *testing.T) {
	b := newBench(t)
	b.init(begin)
	for n := range int16(1000) {
		b.add(Add{TransactionalID: "t", Epoch: n, Version: 2, Partitions: p0})
		b.end(End{TransactionalID: "t", Epoch: n, Commit: true, VersionTwo: true})
		b.written()
	}
	require.Len(t, b.m.timers, 1)
	began := b.now.Add(time.Second)
	b.now = began
	b.add(Add{TransactionalID: "t", Epoch: 1000, Version: 2, Partitions: p0})
	for len(b.actions) == 0 {
		b.wake()
	}
	require.Equal(t, began.Add(time.Minute), b.now)
}
