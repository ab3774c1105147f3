package txncheck

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/txncheck/history"
)

const watchEvery = 200 * time.Millisecond

// watcher looks at the broker from the side, past the proxy.
type watcher struct {
	*world
	client  *kgo.Client
	admin   *kadm.Client
	offsets []history.OffsetRead
	pinned  []history.Pinned
	since   map[history.Partition]pin
}

// pin is a last stable offset before the end of its partition, and how long it was seen there: a broker that is down
// cannot end a transaction.
type pin struct {
	offset   int64
	last     time.Duration
	observed time.Duration
}

func (w *world) watcher() *watcher {
	direct := &life{}
	cl, err := kgo.NewClient(append(clientOptions(w.addr, direct), kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return direct.dial(ctx, network, w.Broker.Addr())
	}))...)
	if err != nil {
		panic(err)
	}
	return &watcher{world: w, client: cl, admin: kadm.NewClient(cl), since: map[history.Partition]pin{}}
}

func (w *watcher) run(ctx context.Context) {
	defer w.client.Close()
	for sleep(ctx, watchEvery) {
		w.look(ctx)
	}
	for p := range w.since {
		w.release(p)
	}
}

func (w *watcher) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if got, err := w.admin.FetchOffsets(ctx, copyGroup); err == nil {
		now := w.recorder.now()
		got.Each(func(o kadm.OffsetResponse) {
			if o.Err == nil && o.At >= 0 {
				w.offsets = append(w.offsets, history.OffsetRead{Partition: history.Partition{Topic: o.Topic, Index: o.Partition}, Offset: o.At, At: now})
			}
		})
	}
	stable, err := w.admin.ListCommittedOffsets(ctx, topicNames()...)
	if err != nil {
		return
	}
	ends, err := w.admin.ListEndOffsets(ctx, topicNames()...)
	if err != nil {
		return
	}
	ends.Each(func(end kadm.ListedOffset) {
		s, ok := stable.Lookup(end.Topic, end.Partition)
		if !ok || s.Err != nil || end.Err != nil {
			return
		}
		p := history.Partition{Topic: end.Topic, Index: end.Partition}
		was, pinned := w.since[p]
		if pinned && was.offset != s.Offset {
			w.release(p)
			pinned = false
		}
		now := w.recorder.now()
		switch {
		case pinned:
			w.since[p] = pin{s.Offset, now, was.observed + min(now-was.last, 5*watchEvery)}
		case s.Offset < end.Offset:
			w.since[p] = pin{s.Offset, now, 0}
		}
	})
}

// release notes how long a last stable offset did not move; short times are usual.
func (w *watcher) release(p history.Partition) {
	was := w.since[p]
	delete(w.since, p)
	if was.observed > time.Second {
		w.pinned = append(w.pinned, history.Pinned{Partition: p, Offset: was.offset, For: was.observed})
	}
}

// settled waits until no transaction is open; the answer is those that are, in words, when the time is over.
func (w *watcher) settled(ctx context.Context, within time.Duration) (open []string) {
	for deadline := time.Now().Add(within); ; {
		open = w.open(ctx)
		if len(open) == 0 || time.Now().After(deadline) || !sleep(ctx, watchEvery) {
			return open
		}
	}
}

func (w *watcher) open(ctx context.Context) (open []string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	listed, err := w.admin.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence"})
	if err != nil {
		return []string{err.Error()}
	}
	for _, t := range listed.Sorted() {
		open = append(open, fmt.Sprintf("%s of producer %d: %s", t.TxnID, t.ProducerID, t.State))
	}
	stable, err := w.admin.ListCommittedOffsets(ctx, topicNames()...)
	if err != nil {
		return append(open, err.Error())
	}
	ends, err := w.admin.ListEndOffsets(ctx, topicNames()...)
	if err != nil {
		return append(open, err.Error())
	}
	ends.Each(func(end kadm.ListedOffset) {
		if s, ok := stable.Lookup(end.Topic, end.Partition); !ok || s.Err != nil || end.Err != nil || s.Offset != end.Offset {
			open = append(open, fmt.Sprintf("%s-%d: last stable offset %d (%v), end %d", end.Topic, end.Partition, s.Offset, s.Err, end.Offset))
		}
	})
	return open
}

// groupOffsets are those that the copiers' group has committed.
func (w *watcher) groupOffsets(ctx context.Context) (map[history.Partition]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	got, err := w.admin.FetchOffsets(ctx, copyGroup)
	if err != nil {
		return nil, err
	}
	final := map[history.Partition]int64{}
	got.Each(func(o kadm.OffsetResponse) {
		if o.At >= 0 {
			final[history.Partition{Topic: o.Topic, Index: o.Partition}] = o.At
		}
	})
	return final, nil
}
