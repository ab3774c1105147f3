package txncheck

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/txncheck/history"
)

// read polls all partitions from their beginning until ctx ends.
func (w *world) read(ctx context.Context, name string, committed bool) *history.Reader {
	r := &history.Reader{Name: name, Committed: committed, Polled: map[history.Partition][]history.Seen{}}
	cl, err := kgo.NewClient(append(clientOptions(w.addr, &life{}), kgo.ConsumePartitions(w.everything()),
		kgo.FetchIsolationLevel(isolation(committed)))...)
	if err != nil {
		panic(err)
	}
	defer cl.Close()
	for ctx.Err() == nil {
		w.polled(r, cl.PollFetches(ctx))
	}
	return r
}

func (w *world) polled(r *history.Reader, fetches kgo.Fetches) {
	now := w.recorder.now()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		p := history.Partition{Topic: f.Topic, Index: f.Partition}
		for _, rec := range f.Records {
			value, _ := values(rec)
			r.Polled[p] = append(r.Polled[p], history.Seen{Offset: rec.Offset, Value: value, At: now})
			w.ends.set(p, rec.Offset)
		}
	})
}

// lookIn reads a little of a partition from somewhere on, again and again: what is aborted has to be known from there.
func (w *world) lookIn(ctx context.Context, rng *rand.Rand) (looks []*history.Reader) {
	all := append(slices.Clone(w.partitions), history.Partition{Topic: copyTopic, Index: rng.Int32N(copyPartitions)})
	for sleep(ctx, 200*time.Millisecond) {
		p := all[rng.IntN(len(all))]
		if end := w.ends.get(p); end > 0 {
			looks = append(looks, w.lookFrom(ctx, p, rng.Int64N(end)))
		}
	}
	return looks
}

func (w *world) lookFrom(ctx context.Context, p history.Partition, from int64) *history.Reader {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r := &history.Reader{
		Name: "look", Committed: true, Polled: map[history.Partition][]history.Seen{}, From: map[history.Partition]int64{p: from},
	}
	cl, err := kgo.NewClient(append(clientOptions(w.addr, &life{}), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(64<<10),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.Topic: {p.Index: kgo.NewOffset().At(from)}}))...)
	if err != nil {
		panic(err)
	}
	defer cl.Close()
	for len(r.Polled[p]) < 200 && ctx.Err() == nil {
		w.polled(r, cl.PollFetches(ctx))
	}
	return r
}

// ends are offsets up to which partitions were read.
type ends struct {
	mu sync.Mutex
	at map[history.Partition]int64
}

func (e *ends) set(p history.Partition, offset int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.at[p] = max(e.at[p], offset)
}

func (e *ends) get(p history.Partition) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.at[p]
}

func isolation(committed bool) kgo.IsolationLevel {
	if committed {
		return kgo.ReadCommitted()
	}
	return kgo.ReadUncommitted()
}

func (w *world) everything() map[string]map[int32]kgo.Offset {
	all := map[string]map[int32]kgo.Offset{}
	for topic, n := range topics {
		all[topic] = map[int32]kgo.Offset{}
		for p := range n {
			all[topic][p] = kgo.NewOffset().At(0)
		}
	}
	return all
}

// truth reads the partitions as they are in the end.
func (w *world) truth(ctx context.Context) (map[history.Partition][]history.Entry, error) {
	logs := map[history.Partition][]history.Entry{}
	if err := w.drain(ctx, false, func(p history.Partition, r *kgo.Record) {
		value, source := values(r)
		logs[p] = append(logs[p], history.Entry{Offset: r.Offset, Value: value, Source: source})
	}); err != nil {
		return nil, err
	}
	next := map[history.Partition]int{}
	var odd error
	err := w.drain(ctx, true, func(p history.Partition, r *kgo.Record) {
		for next[p] < len(logs[p]) && logs[p][next[p]].Offset < r.Offset {
			next[p]++
		}
		value, _ := values(r)
		if next[p] == len(logs[p]) || logs[p][next[p]].Offset != r.Offset || logs[p][next[p]].Value != value {
			odd = fmt.Errorf("%v offset %d is %v to readers of committed records, and not to others", p, r.Offset, value)
			return
		}
		logs[p][next[p]].Visible = true
	})
	if err == nil {
		err = odd
	}
	return logs, err
}

// drain reads every partition to its end.
func (w *world) drain(ctx context.Context, committed bool, each func(history.Partition, *kgo.Record)) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(append(clientOptions(w.addr, &life{}), kgo.ConsumePartitions(w.everything()),
		kgo.FetchIsolationLevel(isolation(committed)), kgo.KeepControlRecords())...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topicNames()...)
	if err != nil {
		return err
	}
	left := map[history.Partition]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[history.Partition{Topic: o.Topic, Index: o.Partition}] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("could not read to the ends (committed: %v), left: %v", committed, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			p := history.Partition{Topic: r.Topic, Index: r.Partition}
			if r.Offset+1 >= left[p] { // nothing else is appended now
				delete(left, p)
			}
			if !r.Attrs.IsControl() {
				each(p, r)
			}
		})
	}
	return nil
}
