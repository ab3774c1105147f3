package franzgo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"minikafka/compat-tests/brokerproc"
)

// versionOne keeps franz-go to the transaction protocol before KIP-890.
func versionOne() []kgo.Opt {
	v := kversion.Stable()
	v.SetMaxKeyVersion(0, 11)
	v.SetMaxKeyVersion(26, 4)
	v.SetMaxKeyVersion(28, 4)
	return []kgo.Opt{kgo.MaxVersions(v)}
}

func protocols(t *testing.T, test func(t *testing.T, opts []kgo.Opt)) {
	t.Run("version 2", func(t *testing.T) { test(t, nil) })
	t.Run("version 1", func(t *testing.T) { test(t, versionOne()) })
}

func TestCommittedTransactionsAreReadAndAbortedOnesAreNot(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	protocols(t, func(t *testing.T, opts []kgo.Opt) {
		topic := create(t, addr, 3)
		ctx := contextOf(t)
		cl := client(t, addr, append(opts, kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		want := map[string]bool{}
		for n := range 30 {
			require.NoError(t, cl.BeginTransaction())
			commit := n%3 != 1
			for i := range 10 {
				value := fmt.Sprintf("%d-%d", n, i)
				cl.Produce(ctx, &kgo.Record{Partition: int32(i % 3), Value: []byte(value)}, func(_ *kgo.Record, err error) { require.NoError(t, err) })
				if commit {
					want[value] = true
				}
			}
			require.NoError(t, cl.Flush(ctx))
			require.NoError(t, cl.EndTransaction(ctx, kgo.TransactionEndTry(commit)))
		}
		got := map[string]bool{}
		reader := client(t, addr, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond))
		for len(got) < len(want) {
			fetches := reader.PollFetches(ctx)
			require.NoError(t, fetches.Err())
			fetches.EachRecord(func(r *kgo.Record) {
				require.False(t, got[string(r.Value)], "%s twice", r.Value)
				got[string(r.Value)] = true
			})
		}
		require.Equal(t, want, got)
	})
}

func TestSecondProducerFencesTheFirst(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	protocols(t, func(t *testing.T, opts []kgo.Opt) {
		topic := create(t, addr, 1)
		ctx := contextOf(t)
		opts = append(opts, kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
		first, second := client(t, addr, opts...), client(t, addr, opts...)
		require.NoError(t, first.BeginTransaction())
		require.NoError(t, first.ProduceSync(ctx, kgo.StringRecord("lost")).FirstErr())
		require.NoError(t, second.BeginTransaction())
		require.NoError(t, second.ProduceSync(ctx, kgo.StringRecord("kept")).FirstErr())
		err := first.EndTransaction(ctx, kgo.TryCommit)
		require.Error(t, err)
		require.True(t, errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.InvalidProducerIDMapping), "%v", err)
		require.NoError(t, second.EndTransaction(ctx, kgo.TryCommit))
		got := consume(t, addr, topic, 0, kgo.NewOffset().AtStart(), 1, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		require.Equal(t, "kept", string(got[0].Value))
	})
}

func TestGroupTransactSessionCopiesEveryRecordOnce(t *testing.T) {
	addr := brokerproc.Bootstrap(t)
	protocols(t, func(t *testing.T, opts []kgo.Opt) {
		from := create(t, addr, 2)
		to := from + "-copy"
		ctx := contextOf(t)
		feeder := client(t, addr, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(from))
		const records = 500
		for i := range records {
			require.NoError(t, feeder.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(i))).FirstErr())
		}
		copied := 0
		for attempt := 0; copied < records; attempt++ { // a new session goes on where the last one committed
			copied += copySome(ctx, t, addr, from, to, opts, attempt, records-copied)
		}
		got := map[string]int{}
		reader := client(t, addr, kgo.ConsumeTopics(to), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond))
		for len(got) < records {
			fetches := reader.PollFetches(ctx)
			require.NoError(t, fetches.Err())
			fetches.EachRecord(func(r *kgo.Record) { got[string(r.Value)]++ })
		}
		for value, n := range got {
			require.Equal(t, 1, n, value)
		}
	})
}

// copySome copies up to three polls of records, aborting one of them, and returns how many were committed.
func copySome(ctx context.Context, t *testing.T, addr, from, to string, opts []kgo.Opt, attempt, left int) int {
	session, err := kgo.NewGroupTransactSession(append(opts, kgo.SeedBrokers(addr), kgo.TransactionalID(from+"-copier"), kgo.ConsumerGroup(from),
		kgo.ConsumeTopics(from), kgo.DefaultProduceTopic(to), kgo.AllowAutoTopicCreation(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))...)
	require.NoError(t, err)
	defer session.Close()
	copied := 0
	for poll := range 3 {
		fetches := session.PollRecords(ctx, 60)
		require.NoError(t, fetches.Err())
		require.NoError(t, session.Begin())
		fetches.EachRecord(func(r *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Value: []byte(strings.Clone(string(r.Value)))}, nil)
		})
		commit := kgo.TransactionEndTry(poll != 1 || attempt%2 == 0)
		committed, err := session.End(ctx, commit)
		require.NoError(t, err)
		if committed {
			copied += fetches.NumRecords()
		}
		if copied == left {
			break
		}
	}
	return copied
}
