package txncheck

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/txncheck/history"
)

// producer runs transactions under one transactional id, life after life.
type producer struct {
	*world
	id         string
	versionOne bool
	rng        *rand.Rand
}

// client is one life of a producer.
type client struct {
	*kgo.Client
	life   *life
	writer uint32
	seq    uint32
}

func (c *client) next() history.Value {
	c.seq++
	return history.ValueOf(c.writer, c.seq)
}

func (p *producer) client() *client {
	l := &life{}
	opts := append(clientOptions(p.addr, l), kgo.TransactionalID(p.id), kgo.TransactionTimeout(p.TxnTimeout))
	if p.versionOne {
		opts = append(opts, versionOne())
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		panic(err)
	}
	return &client{Client: cl, life: l, writer: p.recorder.writer()}
}

func (p *producer) run(ctx context.Context) {
	for ctx.Err() == nil {
		cl := p.client()
		for p.transaction(ctx, cl) && sleep(ctx, time.Duration(p.rng.IntN(30))*time.Millisecond) {
		}
		if p.rng.IntN(2) == 0 {
			cl.life.kill() // else it is closed in order; neither ends a transaction
		}
		cl.Close()
	}
}

// transaction says whether the client may go on.
func (p *producer) transaction(ctx context.Context, cl *client) bool {
	ctx, cancel := context.WithTimeout(ctx, p.TxnTimeout+5*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { cl.life.kill(); cl.Close() }) // a record in flight does not give up by itself
	defer stop()
	if cl.BeginTransaction() != nil {
		return false
	}
	t := p.recorder.begin(&history.Txn{ID: p.id})
	if p.send(ctx, cl, t) != nil {
		switch p.rng.IntN(3) {
		case 0: // whoever comes next under the id has to find it
			return false
		default:
			return cl.EndTransaction(ctx, kgo.TryAbort) == nil
		}
	}
	switch dice := p.rng.IntN(1000); {
	case dice < 200:
		return cl.EndTransaction(ctx, kgo.TryAbort) == nil
	case dice < 240:
		return false
	case dice < 270:
		p.usurped(ctx, cl, t)
		return false
	case dice < 273:
		if !sleep(ctx, p.TxnTimeout+time.Duration(p.rng.IntN(2000))*time.Millisecond) {
			return false
		}
	}
	return p.commit(ctx, cl, t)
}

// send produces in one to three rounds to two to four partitions.
func (p *producer) send(ctx context.Context, cl *client, t *history.Txn) error {
	targets := make([]history.Partition, 2+p.rng.IntN(3))
	for i, n := range p.rng.Perm(len(p.partitions))[:len(targets)] {
		targets[i] = p.partitions[n]
	}
	for round := range 1 + p.rng.IntN(3) {
		if round > 0 && !sleep(ctx, time.Duration(p.rng.IntN(20))*time.Millisecond) {
			return ctx.Err()
		}
		records := make([]*kgo.Record, 1+p.rng.IntN(4))
		for i := range records {
			records[i] = add(t, cl.next(), targets[p.rng.IntN(len(targets))], 0)
		}
		if err := acked(t, cl.ProduceSync(ctx, records...)); err != nil {
			return err
		}
	}
	return nil
}

func (p *producer) commit(ctx context.Context, cl *client, t *history.Txn) bool {
	t.Fate, t.Asked = history.Unknown, p.recorder.now()
	if cl.EndTransaction(ctx, kgo.TryCommit) != nil {
		return false
	}
	t.Fate, t.Answered = history.Committed, p.recorder.now()
	return true
}

// usurped: another client takes the transactional id, and then the first one tries to commit.
func (p *producer) usurped(ctx context.Context, cl *client, t *history.Txn) {
	other := p.client()
	defer other.Close()
	defer other.life.kill()
	if _, _, err := other.ProducerID(ctx); err != nil {
		return
	}
	t.Fenced = p.recorder.now()
	p.commit(ctx, cl, t)
}
