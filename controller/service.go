package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"minikafka/config"
	"minikafka/internal/clock"
	"minikafka/internal/vfs"
	"minikafka/metadata"
)

// Options say what a controller stands on.
type Options struct {
	FS          vfs.FS
	Clock       clock.Clock
	Logger      *slog.Logger
	Dir         string // the metadata log dir; the log is Dir/__cluster_metadata-0
	NodeID      int32
	ClusterID   string
	DirectoryID metadata.UUID // of Dir
	// LogDirectoryIDs are all log dirs of this node, for placement and registration.
	LogDirectoryIDs []metadata.UUID
	Config          *config.Values // static; dynamic broker configs are in the image
	// Fatal is called once when the quorum cannot go on (an fsync error): the process must end.
	Fatal func(error)
}

// Bounds of the loop. Whoever comes when the queue is full waits, at most until its deadline.
const (
	queueLength   = 1024
	maxGroupSize  = 512     // changes that share one fdatasync
	maxGroupBytes = 4 << 20 // of their records
	maxBatchBytes = 8 << 20 // of one change, Kafka's limit for a batch of the metadata log
)

// Errors of a change as a whole. They wrap the *kerr.Error that clients are told, as do those that are
// not exported.
var (
	// ErrClosed: the controller is closed, or failed.
	ErrClosed = fmt.Errorf("%w: the controller is closed", kerr.NotController)
	// ErrTimedOut: not committed in time; it may be committed later.
	ErrTimedOut = fmt.Errorf("%w: the change was not committed in time", kerr.RequestTimedOut)

	errNotLeader = fmt.Errorf("%w: this node does not lead the metadata quorum", kerr.NotController)
	errTooLarge  = fmt.Errorf("%w: the change has too many records for one batch", kerr.PolicyViolation)
)

// Controller runs the quorum and answers the requests that change metadata. Answers come back only
// when the change is committed and every subscriber has applied it.
//
// One goroutine, the loop, owns everything below it: it takes all waiting changes, decides each on the
// image that the ones before it make, proposes their records, and stores them with one fdatasync. What
// is committed is published, in order; then the answers leave.
type Controller struct {
	o         Options
	machine   *machine
	publisher *metadata.Publisher
	queue     chan *change
	quit      chan struct{} // closed by Close
	ended     chan struct{} // closed by the loop
	closeOnce sync.Once
	err       error // why the loop ended; read after ended

	// The loop's.
	quorum   *quorum
	spec     *metadata.Replay // with what is proposed but not committed
	values   *config.Values   // of spec's image
	proposed []*change        // in order of their index
	snapshots
}

// view is what a change is decided on.
type view struct {
	image  *metadata.Image
	next   int64 // offset of the first record that the change writes
	values *config.Values
}

// change is one request on its way through the loop.
type change struct {
	// decide is pure; no records: the change is answered when what it saw is committed.
	decide   func(view) ([]metadata.Record, error)
	deadline time.Time  // zero: none
	done     chan error // one slot
	index    uint64     // of its raft entry, or of the last one before it
	image    *metadata.Image
	delta    *metadata.Delta // nil: it wrote nothing
	records  int
	// call is, instead of decide, run by the loop between changes.
	call func()

	// deciding is held while decide runs, so that whoever gives up knows that its request is not read any
	// more: its bytes belong to a pooled frame.
	deciding sync.Mutex
	givenUp  bool
}

// giveUp makes sure that decide is not running and will not run.
func (t *change) giveUp() {
	t.deciding.Lock()
	t.givenUp = true
	t.deciding.Unlock()
}

// Image is the newest committed image.
func (c *Controller) Image() *metadata.Image { return c.publisher.Image() }

// Subscribe adds a subscriber and calls it at once with the present image (delta: everything). A
// subscriber must not call the controller: it would wait for itself.
func (c *Controller) Subscribe(name string, s metadata.Subscriber) {
	t := &change{done: make(chan error, 1), call: func() { c.publisher.Subscribe(name, s) }}
	if err := c.submit(context.Background(), t, 0); err != nil {
		c.o.Logger.Error("subscribing to metadata", "subscriber", name, "error", err)
	}
}

// commit runs a change through the loop. A timeout above zero bounds the wait; without one, only ctx does.
func (c *Controller) commit(ctx context.Context, timeout time.Duration, decide func(view) ([]metadata.Record, error)) error {
	return c.submit(ctx, &change{decide: decide, done: make(chan error, 1)}, timeout)
}

func (c *Controller) submit(ctx context.Context, t *change, timeout time.Duration) error {
	var expired <-chan time.Time
	if timeout > 0 {
		timer := c.o.Clock.NewTimer(timeout)
		defer timer.Stop()
		expired, t.deadline = timer.C(), c.o.Clock.Now().Add(timeout)
	}
	select {
	case <-c.ended:
		return c.endedError()
	default:
	}
	select {
	case c.queue <- t:
	case <-ctx.Done():
		return ctx.Err()
	case <-expired:
		return ErrTimedOut
	case <-c.ended:
		return c.endedError()
	}
	defer t.giveUp()
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-expired:
		return ErrTimedOut
	case <-c.ended:
	}
	select { // it may have been answered just before the loop ended
	case err := <-t.done:
		return err
	default:
		return c.endedError()
	}
}

func (c *Controller) endedError() error {
	if c.err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, c.err)
	}
	return ErrClosed
}

// Close ends the loop after what is in flight, and closes the log.
func (c *Controller) Close() error {
	c.closeOnce.Do(func() { close(c.quit) })
	<-c.ended
	return c.err
}

// run is the loop.
func (c *Controller) run() {
	defer close(c.ended)
	timer := c.o.Clock.NewTimer(c.snapshotInterval())
	defer timer.Stop()
	for {
		var err error
		select {
		case t := <-c.queue:
			err = c.round(t)
		case done := <-c.written:
			err = c.snapshotWritten(done)
		case <-timer.C():
			c.takeSnapshot()
			timer.Reset(c.snapshotInterval())
		case <-c.quit:
			c.err = c.shutDown()
			return
		}
		if err != nil {
			c.fail(err)
			return
		}
		c.snapshotIfLarge()
	}
}

// shutDown serves what is queued, waits for a snapshot under way, and closes the log.
func (c *Controller) shutDown() error {
	for {
		select {
		case t := <-c.queue:
			if err := c.round(t); err != nil {
				c.fail(err)
				return c.err
			}
			continue
		default:
		}
		break
	}
	if c.writing {
		if err := c.snapshotWritten(<-c.written); err != nil {
			c.o.Logger.Error("writing a metadata snapshot", "error", err)
		}
	}
	return c.quorum.store.log.Close()
}

// fail ends the loop: whoever waits is answered by endedError, and the process must end, because what is
// on disk is not known any more.
func (c *Controller) fail(err error) {
	c.err = err
	c.o.Logger.Error("the metadata quorum cannot go on", "error", err)
	if c.writing {
		<-c.written
	}
	if cerr := c.quorum.store.log.Close(); cerr != nil {
		c.o.Logger.Error("closing the metadata log", "error", cerr)
	}
	if c.o.Fatal != nil {
		c.o.Fatal(err)
	}
}

// round takes the first change and whatever waits behind it, and commits them together.
func (c *Controller) round(first *change) error {
	bytes, n := 0, 0
	for t := first; t != nil; n++ {
		bytes += c.propose(t)
		t = nil
		if n < maxGroupSize && bytes < maxGroupBytes {
			select {
			case t = <-c.queue:
			default:
			}
		}
	}
	if err := c.quorum.advance(); err != nil {
		return err
	}
	c.answer()
	return nil
}

// propose decides one change and gives its records to raft; it returns the bytes proposed.
func (c *Controller) propose(t *change) int {
	if t.call != nil {
		t.call()
		t.done <- nil
		return 0
	}
	batch, err := c.decide(t)
	if err != nil {
		t.done <- err
		return 0
	}
	c.proposed = append(c.proposed, t)
	return len(batch)
}

func (c *Controller) decide(t *change) (batch []byte, err error) {
	t.deciding.Lock()
	defer t.deciding.Unlock()
	now := c.o.Clock.Now()
	if t.givenUp {
		return nil, context.Canceled
	}
	if !t.deadline.IsZero() && !now.Before(t.deadline) {
		return nil, ErrTimedOut
	}
	if !c.quorum.leading() {
		return nil, errNotLeader
	}
	t.index = c.quorum.lastIndex()
	next := c.quorum.nextOffset()
	records, err := t.decide(view{image: c.spec.Image(), next: next, values: c.values})
	if err != nil || len(records) == 0 {
		return nil, err
	}
	if batch, err = encodeRecords(records, now.UnixMilli()); err != nil {
		return nil, err
	}
	if len(batch) > maxBatchBytes {
		return nil, fmt.Errorf("%w: %d records, %d bytes", errTooLarge, len(records), len(batch))
	}
	at := metadata.Position{Offset: next + int64(len(records)) - 1, Epoch: c.quorum.epoch(), Timestamp: now.UnixMilli()}
	undo := *c.spec
	if t.image, t.delta, err = c.spec.Batch(records, at); err != nil {
		return nil, fmt.Errorf("the change contradicts the image: %w", err)
	}
	if err := c.quorum.propose(batch, len(records)); err != nil {
		*c.spec = undo
		return nil, err
	}
	t.index, t.records = c.quorum.lastIndex(), len(records)
	c.refreshValues(t.delta)
	return batch, nil
}

// refreshValues follows the dynamic broker configs.
func (c *Controller) refreshValues(delta *metadata.Delta) {
	for r := range delta.Configs {
		if r.Type == metadata.ResourceBroker {
			c.values = brokerValues(c.o.Config, c.spec.Image(), c.o.NodeID)
			return
		}
	}
}

func brokerValues(static *config.Values, image *metadata.Image, node int32) *config.Values {
	return static.WithDynamic(
		image.Configs(metadata.Resource{Type: metadata.ResourceBroker, Name: fmt.Sprint(node)}),
		image.Configs(metadata.Resource{Type: metadata.ResourceBroker}))
}

// applyCommitted publishes what a committed entry makes. Entries of this leader were applied when they
// were proposed; others (those found at start) are decoded.
func (c *Controller) applyCommitted(e committed) error {
	c.bytesSince += int64(len(e.data))
	for _, t := range c.proposed {
		if t.index >= e.index {
			if t.index == e.index && t.delta != nil {
				c.publisher.Publish(t.image, t.delta)
				return nil
			}
			break
		}
	}
	return c.replayCommitted(e)
}

func (c *Controller) replayCommitted(e committed) error {
	if e.data == nil {
		e.at.Timestamp = c.spec.Image().Timestamp
		image, _, err := c.spec.Batch(nil, e.at)
		if err != nil {
			return err
		}
		c.publisher.Publish(image, nil)
		return nil
	}
	batch, err := checkBatch(e.data)
	if err != nil {
		return err
	}
	records, err := recordsOf(batch)
	if err != nil {
		return err
	}
	e.at.Timestamp = batch.MaxTimestamp()
	image, delta, err := c.spec.Batch(records, e.at)
	if err != nil {
		return fmt.Errorf("the metadata log cannot be replayed: %w", err)
	}
	c.sawRecords = true
	if delta != nil {
		c.refreshValues(delta)
	}
	c.publisher.Publish(image, delta)
	return nil
}

// answer lets those changes go whose entry, or all that they saw, is committed.
func (c *Controller) answer() {
	applied := c.quorum.appliedIndex
	n := 0
	for ; n < len(c.proposed) && c.proposed[n].index <= applied; n++ {
		c.proposed[n].done <- nil
	}
	c.proposed = append(c.proposed[:0], c.proposed[n:]...)
}
