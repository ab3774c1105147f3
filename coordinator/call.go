package coordinator

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Errors of a call; Wait has Kafka's codes of them.
var (
	ErrNotCoordinator = errors.New("not the coordinator")
	ErrLoading        = errors.New("the coordinator is loading")
	ErrUnavailable    = errors.New("too few in-sync replicas for a write")
	ErrTimedOut       = errors.New("the records were not committed in time")
	ErrBusy           = errors.New("too many requests wait for the coordinator")
	ErrFailed         = errors.New("the coordinator failed and starts anew")
)

// Call is a request that was posted.
type Call struct {
	done   chan struct{}
	answer any
	err    error
}

func newCall() *Call { return &Call{done: make(chan struct{})} }

// Answered is a call that never went to a shard.
func Answered(answer any, err error) *Call {
	c := newCall()
	c.finish(answer, err)
	return c
}

func (c *Call) finish(answer any, err error) {
	c.answer, c.err = answer, err
	close(c.done)
}

// Wait returns the answer, or why there is none. An answer that comes after ctx has ended is dropped.
func (c *Call) Wait(ctx context.Context) (any, error) {
	select {
	case <-c.done:
		return c.answer, c.err
	default:
	}
	select {
	case <-c.done:
		return c.answer, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Ready is the answer if it is there already.
func (c *Call) Ready() (answer any, err error, ready bool) {
	select {
	case <-c.done:
		return c.answer, c.err, true
	default:
		return nil, nil, false
	}
}

// brief is how long Soon waits: long enough for a step and its append on one broker.
const brief = time.Millisecond

// Soon is the answer if it is there, or comes in a moment. A goroutine that would wait for it costs more
// than the moment does.
func (c *Call) Soon() (answer any, err error, ready bool) {
	if answer, err, ready = c.Ready(); ready {
		return answer, err, true
	}
	timer := time.NewTimer(brief)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.answer, c.err, true
	case <-timer.C:
		return nil, nil, false
	}
}

// Wait is a call's answer, or the code of why there is none.
func Wait[T any](ctx context.Context, c *Call) (T, *kerr.Error) {
	answer, err := c.Wait(ctx)
	if err == nil {
		return answer.(T), nil
	}
	var none T
	switch {
	case errors.Is(err, ErrLoading), errors.Is(err, ErrBusy):
		return none, kerr.CoordinatorLoadInProgress
	case errors.Is(err, ErrTimedOut), errors.Is(err, ErrUnavailable), ctx.Err() != nil:
		return none, kerr.CoordinatorNotAvailable
	}
	return none, kerr.NotCoordinator
}
