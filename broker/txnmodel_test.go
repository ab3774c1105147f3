package broker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/handlers"
	"minikafka/internal/vfs"
	"minikafka/protocol"
)

var (
	modelRuns = flag.Int("txnmodel.runs", 8, "runs of the model of transactions")
	modelSeed = flag.Uint64("txnmodel.seed", 0, "its first seed; 0: of the clock")
	modelLog  = flag.Bool("txnmodel.log", false, "show the brokers' logs")
)

// modelTopics and their partitions are what transactions write to.
const (
	modelTopics     = 2
	modelPartitions = 2
	modelProducers  = 3
	modelTxns       = 25 // of each producer
	modelMaxCrashes = 14
	modelTimeout    = 5 * time.Second // of transactions
)

// txnWorld is a broker on a file system in memory that is killed at any write, again and again, and its
// clients. Time is a bubble's: who waits costs nothing.
type txnWorld struct {
	t       *testing.T
	r       *rand.Rand // the supervisor's
	mem     *vfs.Mem
	level   int16 // the cluster's transaction.version
	crashes int   // the supervisor's

	mu   sync.Mutex
	calm bool          // nobody is killed any more
	life *txnLife      // nil: it is down
	next chan struct{} // closed when there is another life
}

// txnLife is one start of the broker.
type txnLife struct {
	b      *Broker
	ctx    context.Context //nolint:containedctx // of its requests
	cancel context.CancelFunc
	end    chan struct{} // closed when it is killed or stopped

	mu     sync.Mutex
	writes int // that it has left to live
	torn   bool
	over   bool
}

var errKilled = errors.New("the process is dead")

// rule counts what changes the disk. The last write is torn, or does not happen; after it nothing does.
func (l *txnLife) rule(op vfs.Op, _ string, _ int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over:
		return errKilled
	case op == vfs.OpRead || op == vfs.OpOpen || op == vfs.OpLock:
		return nil
	}
	if l.writes--; l.writes > 0 {
		return nil
	}
	l.over = true
	close(l.end)
	if op == vfs.OpWrite && l.torn {
		return vfs.ErrTorn
	}
	return errKilled
}

// stop ends a life that nobody killed.
func (l *txnLife) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		close(l.end)
	}
}

// silent is a listener that nobody connects to.
type silent struct{ closed chan struct{} }

func (s silent) Accept() (net.Conn, error) { <-s.closed; return nil, net.ErrClosed }
func (s silent) Close() error              { close(s.closed); return nil }
func (s silent) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9092} }

// start is a broker that lives for so many writes; nil: it did not survive its start.
func (w *txnWorld) start(writes int) *txnLife {
	l := &txnLife{end: make(chan struct{}), writes: writes, torn: w.r.IntN(2) == 0}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	values, _, err := config.Load(config.Sources{Defaults: config.Dev("/d"), Overrides: []string{
		"transaction.state.log.num.partitions=2", "offsets.topic.num.partitions=2", "log.segment.bytes=1048576",
		"transaction.max.timeout.ms=60000",
	}})
	require.NoError(w.t, err)
	logger := slog.New(slog.DiscardHandler)
	if *modelLog {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	l.b, err = New(Options{
		Config: values, FS: vfs.Faulty(w.mem, l.rule), Logger: logger, Fatal: func(error) {},
		Features: map[string]int16{"transaction.version": w.level},
		Listen:   func(string, string) (net.Listener, error) { return silent{make(chan struct{})}, nil },
	})
	require.NoError(w.t, err)
	if err := l.b.Start(context.Background()); err != nil {
		if !errors.Is(err, errKilled) && !errors.Is(err, vfs.ErrTorn) {
			panic(fmt.Sprintf("the broker does not start: %v", err))
		}
		w.bury(l)
		return nil
	}
	return l
}

// bury ends a life for good. What it left on the disk is what the next one finds.
func (w *txnWorld) bury(l *txnLife) {
	l.cancel()
	_ = l.b.Stop(context.Background())
	l.stop()
	w.mem = w.mem.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll}) // its locks are free
}

// supervise starts the broker anew whenever it is dead, until done.
func (w *txnWorld) supervise(done <-chan struct{}) {
	for {
		w.mu.Lock()
		calm := w.calm
		w.mu.Unlock()
		writes := math.MaxInt
		if !calm && w.crashes < modelMaxCrashes {
			writes = 1 + w.r.IntN(1+w.r.IntN(600))
		}
		l := w.start(writes)
		w.crashes++
		if l == nil {
			continue
		}
		w.mu.Lock()
		w.life = l
		close(w.next)
		w.next = make(chan struct{})
		w.mu.Unlock()
		clean := time.Hour
		if writes != math.MaxInt && w.r.IntN(5) == 0 {
			clean = time.Duration(w.r.IntN(500)) * time.Millisecond
		}
		select {
		case <-l.end:
		case <-time.After(clean):
		case <-done:
		}
		w.mu.Lock()
		w.life = nil
		w.mu.Unlock()
		w.bury(l)
		select {
		case <-done:
			return
		default:
		}
	}
}

// alive waits for a broker.
func (w *txnWorld) alive() *txnLife {
	for {
		w.mu.Lock()
		l, next := w.life, w.next
		w.mu.Unlock()
		if l != nil {
			return l
		}
		<-next
	}
}

// call sends a request to the broker that lives now. lost: it died meanwhile, so that an error is no answer.
func (w *txnWorld) call(req kmsg.Request, version int16) (resp kmsg.Response, lost bool) {
	l := w.alive()
	req.SetVersion(version)
	a, _ := handlers.Lookup(req.Key())
	resp, later := l.b.srv.serve(l.ctx, a, &handlers.Request{
		Header: protocol.Header{Key: req.Key(), Version: version}, Listener: "PLAINTEXT", Principal: "User:ANONYMOUS",
	}, req)
	if later != nil {
		resp = later(l.ctx)
	}
	select {
	case <-l.end:
		return resp, true
	default:
		return resp, l.ctx.Err() != nil
	}
}

// prepare makes the topics, in a life that is not killed.
func (w *txnWorld) prepare() {
	l := w.start(math.MaxInt)
	w.life = l
	create := kmsg.NewPtrCreateTopicsRequest()
	create.TimeoutMillis = 5000
	for i := range modelTopics {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprintf("t%d", i), modelPartitions, 1
		create.Topics = append(create.Topics, topic)
	}
	resp, _ := w.call(create, 7)
	require.Zero(w.t, resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
	for _, kind := range []int8{0, 1} {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorType, find.CoordinatorKeys = kind, []string{"x"}
		resp, _ := w.call(find, 4)
		require.Zero(w.t, resp.(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode)
	}
	w.life = nil
	w.bury(l)
}

// TestWhatReadersSeeOfTransactionsIsTheModel: producers begin, send, commit, abort, forget and time out, with both
// versions of the protocol, while the broker is killed at any of its writes. What is read committed is what was
// committed, whole and once; an answer that was lost leaves both outcomes open, but no third. No transaction
// stays open, and offsets that were committed in transactions are those of the last of them.
func TestWhatReadersSeeOfTransactionsIsTheModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	transactions, crashes, kinds := 0, 0, map[string]int{}
	for i := range *modelRuns {
		s := seed + uint64(i)
		ok := t.Run(fmt.Sprintf("seed=%d", s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &txnWorld{t: t, r: rand.New(rand.NewPCG(s, 0)), mem: vfs.NewMem(), next: make(chan struct{})}
				w.level = 1 + int16(w.r.IntN(2))
				for outcome, n := range w.run(s) {
					kinds[outcome] += n
					transactions += n
				}
				crashes += w.crashes
			})
		})
		if !ok {
			t.Fatalf("again: go test ./broker -run Model -txnmodel.runs 1 -txnmodel.seed %d", s)
		}
	}
	t.Logf("%d transactions, %d lives of the broker, seeds %d to %d: %v", transactions, crashes, seed, seed+uint64(*modelRuns)-1, kinds)
}

// run is one world; it returns how many transactions ended how.
func (w *txnWorld) run(seed uint64) map[string]int {
	w.prepare()
	done, readers := make(chan struct{}), make(chan struct{})
	var supervisor, clients, reading sync.WaitGroup
	supervisor.Go(func() { w.supervise(done) })
	reader := newTxnReader(w, rand.New(rand.NewPCG(seed, 99)))
	reading.Go(func() { reader.follow(readers) })
	producers := make([]*txnProducer, modelProducers)
	for i := range producers {
		producers[i] = newTxnProducer(w, rand.New(rand.NewPCG(seed, uint64(1+i))), i)
		clients.Go(producers[i].work)
	}
	clients.Wait()
	time.Sleep(2 * modelTimeout) // what was left open times out
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	w.alive().stop() // the last start finds all of it on the disk
	time.Sleep(time.Second)
	close(readers)
	reading.Wait()
	w.check(producers, reader)
	close(done)
	supervisor.Wait()
	outcomes := map[string]int{}
	for _, p := range producers {
		for _, x := range p.txns {
			outcomes[x.outcome]++
		}
	}
	return outcomes
}
