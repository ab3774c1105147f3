package txncheck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/compat-tests/txncheck/faultproxy"
	"minikafka/compat-tests/txncheck/history"
)

const (
	copiedTopic     = "tx-a" // one of the producers'
	copyTopic       = "copies"
	copyPartitions  = 3
	copyGroup       = "copiers"
	plainTopic      = "plain"
	plainPartitions = 3
)

// topics are all of them, by the number of their partitions.
var topics = map[string]int32{copiedTopic: 3, "tx-b": 3, "tx-c": 2, copyTopic: copyPartitions, plainTopic: plainPartitions}

func topicNames() []string { return slices.Sorted(maps.Keys(topics)) }

// Config says what to run.
type Config struct {
	Broker   Broker
	Proxy    *faultproxy.Proxy
	Seed     uint64
	Duration time.Duration
	// Producers, Copiers and Plains are how many there are.
	Producers, Copiers, Plains int
	TxnTimeout                 time.Duration
	// Slack is what a transaction may stay open beyond its time-out.
	Slack time.Duration
	// Faults: requests are held, repeated and cut off. Kills: the broker is killed and stopped, after pauses of
	// KillEvery on average.
	Faults    bool
	KillEvery time.Duration
	// Rewrite makes the broker a broken one.
	Rewrite      func(kmsg.Request) bool
	PlainOptions []kgo.Opt
	// Log is told what happens to requests and to the broker.
	Log func(format string, args ...any)
}

// Result is what a run came to.
type Result struct {
	History      *history.History
	Kills, Stops int
	// Faults counts what was done to requests, and what came of it.
	Faults map[string]int
}

// world is a run.
type world struct {
	Config
	addr       string // of the proxy
	recorder   *recorder
	partitions []history.Partition // the transactional producers'
	ends       ends

	mu     sync.Mutex
	result Result
}

// Run runs a workload and returns what its clients did and saw. An error is of the run itself.
func Run(ctx context.Context, c Config) (*Result, error) {
	w := &world{Config: c, addr: c.Proxy.Addr, recorder: &recorder{start: time.Now()}, ends: ends{at: map[history.Partition]int64{}}, result: Result{Faults: map[string]int{}}}
	for _, topic := range topicNames() {
		for p := range topics[topic] {
			if topic != copyTopic && topic != plainTopic {
				w.partitions = append(w.partitions, history.Partition{Topic: topic, Index: p})
			}
		}
	}
	plan := faultproxy.NewPlan(c.Seed, longestHold)
	if c.Faults {
		plan = faults(c.Seed)
	}
	c.Proxy.Serve(faultproxy.Options{Backend: c.Broker.Addr(), Plan: plan, Rewrite: c.Rewrite, Log: w.fault})
	if err := c.Broker.Run(); err != nil {
		return nil, err
	}
	if err := w.createTopics(ctx); err != nil {
		return nil, err
	}
	plan.Switch(true)
	return &w.result, w.run(ctx, plan)
}

func (w *world) fault(r *faultproxy.Request, v faultproxy.Verdict, began time.Time, outcome string) {
	key := fmt.Sprintf("%-11s %s v%d: %s", v.Action, kmsg.NameForKey(r.Key), r.Version, outcome)
	w.Log("%v %v after %v: %v: %s", began.Sub(w.recorder.start), v.Action, v.After, r, outcome)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Faults[key]++
}

func (w *world) createTopics(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	for topic, n := range topics {
		if _, err := kadm.NewClient(cl).CreateTopic(ctx, n, 1, nil, topic); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) rng(stream int) *rand.Rand { return rand.New(rand.NewPCG(w.Seed, uint64(stream))) }

// run: first the clients and the kills; then all is left alone until no transaction is open; then the readers get
// time to see the last of it.
func (w *world) run(ctx context.Context, plan *faultproxy.Plan) error {
	watch := w.watcher()
	var side sync.WaitGroup
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	side.Go(func() { watch.run(watching) })
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	readers := make([]*history.Reader, 3)
	for i := range readers {
		side.Go(func() { readers[i] = w.read(reading, fmt.Sprintf("reader-%d", i), i > 0) })
	}
	var looks []*history.Reader
	side.Go(func() { looks = w.lookIn(reading, w.rng(2)) })
	working, stopWorking := context.WithTimeout(ctx, w.Duration)
	defer stopWorking()
	var workers sync.WaitGroup
	w.start(working, &workers)
	err := w.disturb(working)
	stopWorking()
	workers.Wait()
	plan.Switch(false)
	for w.Proxy.Held() > 0 && sleep(ctx, watchEvery) {
	}

	calm := w.watcher()
	defer calm.client.Close()
	h := &history.History{PinnedMost: w.TxnTimeout + w.Slack}
	w.result.History = h
	h.Open = calm.settled(ctx, longestHold+w.TxnTimeout+w.Slack)
	sleep(ctx, 2*time.Second)
	stopReading()
	stopWatching()
	side.Wait()
	h.Txns, h.Readers, h.Pinned = w.recorder.txns, slices.Concat(readers, looks), watch.pinned
	if err != nil || len(h.Open) > 0 {
		return err // the ends cannot be read while a transaction is open
	}
	return w.conclude(ctx, calm, watch)
}

func (w *world) conclude(ctx context.Context, calm, watch *watcher) error {
	h := w.result.History
	logs, err := w.truth(ctx)
	if err != nil {
		return err
	}
	h.Logs = logs
	final, err := calm.groupOffsets(ctx)
	if err != nil {
		return err
	}
	copying := history.Copying{Output: copyTopic, Offsets: watch.offsets, Final: final}
	for p := range topics[copiedTopic] {
		copying.Inputs = append(copying.Inputs, history.Partition{Topic: copiedTopic, Index: p})
	}
	h.Copies = []history.Copying{copying}
	return nil
}

// start starts the clients. One producer of three, and one copier of two, is of the first version of the protocol.
func (w *world) start(ctx context.Context, all *sync.WaitGroup) {
	for i := range w.Producers {
		p := &producer{world: w, id: fmt.Sprintf("txn-%d", i), versionOne: i%3 == 2, rng: w.rng(100 + i)}
		all.Go(func() { p.run(ctx) })
	}
	for i := range w.Copiers {
		c := &copier{world: w, id: fmt.Sprintf("copy-%d", i), versionOne: i == 1, comes: i == 2, rng: w.rng(200 + i)}
		all.Go(func() { c.run(ctx) })
	}
	for i := range w.Plains {
		p := &plain{world: w, id: fmt.Sprintf("plain-%d", i), rng: w.rng(300 + i)}
		all.Go(func() { p.run(ctx) })
	}
}

// disturb kills and stops the broker until ctx ends, and leaves it running.
func (w *world) disturb(ctx context.Context) error {
	rng := w.rng(1)
	for {
		pause := time.Duration(rng.Int64N(2 * int64(max(w.KillEvery, 1))))
		if rng.IntN(5) == 0 {
			pause = time.Duration(rng.IntN(500)) * time.Millisecond // it has hardly come up
		}
		if w.KillEvery == 0 {
			<-ctx.Done()
			return nil
		}
		if !sleep(ctx, pause) {
			return nil
		}
		if !w.Broker.Running() {
			return errors.New("the broker ended by itself")
		}
		var err error
		if rng.IntN(4) == 0 {
			w.Log("%v stop", w.recorder.now())
			w.result.Stops++
			err = w.Broker.Stop()
		} else {
			w.Log("%v kill", w.recorder.now())
			w.result.Kills++
			err = w.Broker.Kill()
		}
		if err != nil {
			return err
		}
		if rng.IntN(3) == 0 {
			sleep(ctx, time.Duration(rng.IntN(1000))*time.Millisecond)
		}
		if err := w.Broker.Run(); err != nil {
			return err
		}
		w.Log("%v up", w.recorder.now())
	}
}
