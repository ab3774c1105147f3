package txncheck

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/txncheck/history"
)

// copier is a member of the group that copies copiedTopic to copyTopic, life after life.
type copier struct {
	*world
	id         string
	versionOne bool
	comes      bool // and goes: its lives are short and lie apart
	rng        *rand.Rand
}

func (c *copier) run(ctx context.Context) {
	for ctx.Err() == nil {
		span := time.Duration(5+c.rng.IntN(20)) * time.Second
		if c.comes {
			span = time.Duration(2+c.rng.IntN(4)) * time.Second
		}
		c.live(ctx, span)
		if c.comes {
			sleep(ctx, time.Duration(3+c.rng.IntN(8))*time.Second)
		}
	}
}

func (c *copier) live(ctx context.Context, span time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	l := &life{}
	opts := append(clientOptions(c.addr, l), kgo.TransactionalID(c.id), kgo.TransactionTimeout(c.TxnTimeout),
		kgo.ConsumerGroup(copyGroup), kgo.ConsumeTopics(copiedTopic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(3*time.Second), kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.RebalanceTimeout(5*time.Second))
	if c.versionOne {
		opts = append(opts, versionOne())
	}
	if c.rng.IntN(2) == 0 { // of either protocol: the group changes its own as they come and go
		opts = append(opts, kgo.ServerSideBalancer())
	}
	session, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		panic(err)
	}
	cl := &client{Client: session.Client(), life: l, writer: c.recorder.writer()}
	stop := context.AfterFunc(ctx, func() {
		time.Sleep(time.Second) // for the transaction that is under way
		l.kill()
		cl.Close()
	})
	for ctx.Err() == nil && c.copy(ctx, session, cl) {
	}
	if stop() && c.rng.IntN(2) == 0 {
		l.kill() // else it leaves the group
	}
	session.CloseAllowingRebalance()
}

// copy copies what one poll brings; false: the client has to begin anew.
func (c *copier) copy(ctx context.Context, session *kgo.GroupTransactSession, cl *client) bool {
	poll, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	fetches := session.PollRecords(poll, 1+c.rng.IntN(40))
	cancel()
	if fetches.IsClientClosed() {
		return false
	}
	consumed := fetches.Records()
	if len(consumed) == 0 {
		return true
	}
	if session.Begin() != nil {
		return false
	}
	t := c.recorder.begin(&history.Txn{ID: c.id})
	records := make([]*kgo.Record, 0, len(consumed))
	for _, r := range consumed {
		source, _ := values(r)
		t.Reads = append(t.Reads, source)
		to := history.Partition{Topic: copyTopic, Index: int32(uint32(source) % copyPartitions)}
		records = append(records, add(t, cl.next(), to, source))
	}
	// The life's end must not abort what it can still end; its connections are gone a second later.
	ctx = context.WithoutCancel(ctx)
	if acked(t, session.ProduceSync(ctx, records...)) != nil {
		_, err := session.End(ctx, kgo.TryAbort)
		return err == nil
	}
	switch dice := c.rng.IntN(100); {
	case dice < 10:
		_, err := session.End(ctx, kgo.TryAbort)
		return err == nil
	case dice < 13:
		cl.life.kill()
		return false
	}
	t.Fate, t.Asked = history.Unknown, c.recorder.now()
	committed, err := session.End(ctx, kgo.TryCommit)
	if committed && err == nil {
		t.Fate, t.Answered = history.Committed, c.recorder.now()
	}
	return err == nil
}
