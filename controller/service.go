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
	// Features are levels, by name, that a new cluster begins with instead of Kafka's defaults.
	Features map[string]int16
	// Inspected is what Inspect found in Dir; nil: Open looks itself.
	Inspected *Inspection
	// Fatal is called once when the quorum cannot go on (an fsync error): the process must end.
	Fatal func(error)
}

// Bounds of the loop. Whoever comes when the queue is full waits, at most until its deadline.
const (
	queueLength   = 1024
	maxGroupSize  = 512     // changes that share one batch and one fdatasync
	maxGroupBytes = 1 << 20 // of their records; what is left up to maxBatchBytes is for the last one
	maxBatchBytes = 8 << 20 // of one batch, Kafka's limit in the metadata log
	// recordsPerEntry bounds an entry of a change that is divided, like Kafka's.
	recordsPerEntry = 10_000
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
	group    group            // of the round that is under way
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
	failed   error           // why raft did not take it
	// divisible: its records are right in parts as well, and may be too many for one batch.
	divisible bool
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

// commitDivided is commit of a change whose records may be many, and are right in parts as well.
func (c *Controller) commitDivided(ctx context.Context, decide func(view) ([]metadata.Record, error)) error {
	return c.submit(ctx, &change{decide: decide, divisible: true, done: make(chan error, 1)}, 0)
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
