package txncheck

import (
	"context"
	"fmt"
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
		fetches := cl.PollFetches(ctx)
		now := w.recorder.now()
		fetches.EachRecord(func(rec *kgo.Record) {
			p := history.Partition{Topic: rec.Topic, Index: rec.Partition}
			value, _ := values(rec)
			r.Polled[p] = append(r.Polled[p], history.Seen{Offset: rec.Offset, Value: value, At: now})
		})
	}
	return r
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
