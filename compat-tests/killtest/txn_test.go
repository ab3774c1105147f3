package killtest

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"minikafka/compat-tests/brokerproc"
)

var txnKills = flag.Int("txnkills", 20, "kill -9 under transactional producers: this often")

const (
	txnTopic     = "txnkill"
	txnProducers = 6
	txnTimeout   = 5 * time.Second
	txnSettle    = 2 * txnTimeout
)

// fate of a transaction: what its producer knows.
type fate int

const (
	unknown fate = iota // the commit was not answered: all or nothing
	committed
	aborted // or never asked to be committed
)

type txn struct {
	fate    fate
	records int
}

// txnLedger is what was sent, by producer and number of its transaction.
type txnLedger struct {
	mu   sync.Mutex
	txns map[[2]uint32]*txn
	dark bool // the power is going: what is answered from now on would reach nobody
}

func (l *txnLedger) setDark(dark bool) {
	l.mu.Lock()
	l.dark = dark
	l.mu.Unlock()
}

func (l *txnLedger) note(producer, number uint32, records int, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dark && f == committed {
		return
	}
	l.txns[[2]uint32{producer, number}] = &txn{f, records}
}

// TestTransactionsAreWholeUnderKill: six producers, some of version 1 of transactions, and a broker that is killed
// again and again. In the end a reader of committed records sees all of each committed transaction, none of each
// aborted one, all or nothing of those whose commit was not answered; and none is open beyond its time-out.
func TestTransactionsAreWholeUnderKill(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("%d kills, seed %d", *txnKills, s)
	broker, err := brokerproc.New(t.TempDir(), "log.segment.bytes=1048576")
	require.NoError(t, err)
	t.Cleanup(func() { _ = broker.Kill() })
	require.NoError(t, broker.Run())
	createTxnTopic(t, broker.Addr)
	ledger, end := transactAll(t, broker.Addr, s)
	rng := rand.New(rand.NewPCG(s, 99))
	for range *txnKills {
		time.Sleep(200*time.Millisecond + time.Duration(rng.IntN(600))*time.Millisecond)
		require.True(t, broker.Running(), "the broker ended by itself")
		require.NoError(t, broker.Kill())
		require.NoError(t, broker.Run())
	}
	time.Sleep(200 * time.Millisecond)
	require.NoError(t, broker.Kill()) // and nobody comes back to end what is open
	end()
	require.NoError(t, broker.Run())
	awaitNoTransaction(t, broker.Addr)
	verifyTxns(t, broker.Addr, ledger, *txnKills)
}

// transactAll runs all producers until end is called.
func transactAll(t *testing.T, addr string, seed uint64) (ledger *txnLedger, end func()) {
	ledger = &txnLedger{txns: map[[2]uint32]*txn{}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for p := range uint32(txnProducers) {
		wg.Go(func() { transact(ctx, addr, p, ledger, rand.New(rand.NewPCG(seed, uint64(p)))) })
	}
	return ledger, func() {
		cancel()
		wg.Wait()
	}
}

func createTxnTopic(t *testing.T, addr string) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, nil, txnTopic)
	require.NoError(t, err)
}

// transact runs transactions until ctx ends; after an error it begins anew under its transactional id.
func transact(ctx context.Context, addr string, producer uint32, ledger *txnLedger, rng *rand.Rand) {
	opts := []kgo.Opt{kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(txnTopic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID(fmt.Sprintf("txn-%d", producer)), kgo.TransactionTimeout(txnTimeout), kgo.MetadataMinAge(10 * time.Millisecond)}
	if producer%3 == 2 {
		opts = append(opts, kgo.MaxVersions(versionOne()))
	}
	for number := uint32(0); ctx.Err() == nil; {
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			panic(err)
		}
		stop := context.AfterFunc(ctx, cl.Close) // a record in flight does not give up by itself
		for ok := true; ok && ctx.Err() == nil; number++ {
			ok = oneTransaction(ctx, cl, producer, number, ledger, rng)
		}
		stop()
		cl.Close()
	}
}

func oneTransaction(ctx context.Context, cl *kgo.Client, producer, number uint32, ledger *txnLedger, rng *rand.Rand) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	records, commit := 1+rng.IntN(10), rng.IntN(3) > 0
	ledger.note(producer, number, records, aborted)
	if cl.BeginTransaction() != nil {
		return false
	}
	batch := make([]*kgo.Record, 0, records)
	for i := range records {
		value := binary.BigEndian.AppendUint32(nil, producer)
		value = binary.BigEndian.AppendUint32(value, number)
		value = binary.BigEndian.AppendUint32(value, uint32(i))
		batch = append(batch, &kgo.Record{Partition: int32(rng.IntN(partitions)), Value: value})
	}
	if cl.ProduceSync(ctx, batch...).FirstErr() != nil {
		if rng.IntN(2) == 0 { // else whoever comes next under the id has to find it
			_ = cl.EndTransaction(ctx, kgo.TryAbort)
		}
		return false
	}
	if !commit {
		return cl.EndTransaction(ctx, kgo.TryAbort) == nil
	}
	ledger.note(producer, number, records, unknown)
	if cl.EndTransaction(ctx, kgo.TryCommit) != nil {
		return false
	}
	ledger.note(producer, number, records, committed)
	return true
}

// awaitNoTransaction waits for the time-outs.
func awaitNoTransaction(t *testing.T, addr string) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	require.NoError(t, err)
	defer cl.Close()
	adm := kadm.NewClient(cl)
	deadline := time.Now().Add(txnSettle)
	for {
		open, err := adm.ListTransactions(t.Context(), nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
		require.NoError(t, err)
		ends, err := adm.ListEndOffsets(t.Context(), txnTopic)
		require.NoError(t, err)
		stable, err := adm.ListCommittedOffsets(t.Context(), txnTopic)
		require.NoError(t, err)
		same := true
		ends.Each(func(o kadm.ListedOffset) {
			s, ok := stable.Lookup(o.Topic, o.Partition)
			same = same && ok && s.Offset == o.Offset
		})
		if len(open) == 0 && same {
			return
		}
		require.False(t, time.Now().After(deadline), "still open: %v; ends %v, stable %v", open, ends, stable)
		time.Sleep(50 * time.Millisecond)
	}
}

func verifyTxns(t *testing.T, addr string, ledger *txnLedger, atLeast int) {
	found := readCommitted(t, addr)
	counts := map[fate]int{}
	for key, sent := range ledger.txns {
		counts[sent.fate]++
		got := found[key]
		for index, n := range got {
			require.True(t, n == 1, "record %d of transaction %v is there %d times", index, key, n)
		}
		switch sent.fate {
		case committed:
			require.Len(t, got, sent.records, "committed transaction %v is lost or torn", key)
		case aborted:
			require.Empty(t, got, "records of aborted transaction %v are visible", key)
		case unknown:
			require.Contains(t, []int{0, sent.records}, len(got), "transaction %v is torn", key)
		}
	}
	for key := range found {
		require.NotNil(t, ledger.txns[key], "nobody sent %v", key)
	}
	require.Greater(t, counts[committed], atLeast, "hardly anything was committed: the test tests nothing")
	t.Logf("transactions: %d committed, %d aborted, %d unknown", counts[committed], counts[aborted], counts[unknown])
}

// readCommitted is how often each record of each transaction is there.
func readCommitted(t *testing.T, addr string) map[[2]uint32]map[uint32]int {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(txnTopic), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	require.NoError(t, err)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, txnTopic)
	require.NoError(t, err)
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { left[o.Partition] = o.Offset })
	found := map[[2]uint32]map[uint32]int{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] { // markers come last
				delete(left, r.Partition)
			}
			if r.Attrs.IsControl() {
				return
			}
			key := [2]uint32{binary.BigEndian.Uint32(r.Value), binary.BigEndian.Uint32(r.Value[4:])}
			if found[key] == nil {
				found[key] = map[uint32]int{}
			}
			found[key][binary.BigEndian.Uint32(r.Value[8:])]++
		})
	}
	return found
}

// versionOne keeps a client to the protocol before KIP-890.
func versionOne() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(0, 11)
	v.SetMaxKeyVersion(26, 4)
	v.SetMaxKeyVersion(28, 4)
	return v
}
