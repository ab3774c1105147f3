package txncheck

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/txncheck/history"
)

// plain is an idempotent producer without transactions, life after life, with several batches in flight.
type plain struct {
	*world
	id  string
	rng *rand.Rand
}

func (p *plain) run(ctx context.Context) {
	for ctx.Err() == nil {
		p.live(ctx, time.Duration(2+p.rng.IntN(18))*time.Second)
	}
}

func (p *plain) live(ctx context.Context, span time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	l := &life{}
	cl, err := kgo.NewClient(append(append(clientOptions(p.addr, l), kgo.MaxBufferedRecords(200)), p.PlainOptions...)...)
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex // of the transactions that are under way
	stop := context.AfterFunc(ctx, func() { l.kill(); cl.Close() })
	defer stop()
	writer, pause := p.recorder.writer(), time.Duration(2+p.rng.IntN(20))*time.Millisecond
	for seq := uint32(1); sleep(ctx, pause); seq++ {
		target := history.Partition{Topic: plainTopic, Index: int32(p.rng.IntN(plainPartitions))}
		t := &history.Txn{ID: p.id, Plain: true, Fate: history.Unknown}
		record := add(t, history.ValueOf(writer, seq), target, 0)
		p.recorder.begin(t)
		cl.Produce(ctx, record, func(r *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				t.Fate, t.Writes[0].Offset = history.Committed, r.Offset
			}
		})
	}
	l.kill()
	cl.Close() // returns when all callbacks have
	mu.Lock()
	defer mu.Unlock()
}
