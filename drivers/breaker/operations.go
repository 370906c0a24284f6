package breaker

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/decorator"
)

// New gives a driver that does what d does and waits while d's back end is down.
// It is Watched. While the back end works, an operation costs two atomic loads
// more.
func New(d drivers.Driver, p Policy) drivers.Driver {
	b := &breaker{Driver: d, policy: p.withDefaults()}
	return decorator.New(d, decorator.Hooks[attempt]{Before: b.before, After: b.after, Open: openSource, Outage: b.outage})
}

type operation = decorator.Operation[attempt]

// attempt is one of an operation.
type attempt struct {
	// held is for how long it was held back before it was made.
	held time.Duration
	// Of a streamed payload's source, which a driver may read in a goroutine of
	// its own: whether it has failed, and the nanoseconds that were spent in Open.
	sourceFailed atomic.Bool
	opening      atomic.Int64
}

func (b *breaker) before(ctx context.Context, op *operation) (refusal *drivers.Error) {
	op.Own.held, refusal = b.await(ctx)
	return refusal
}

// after takes note of how an attempt ended, unless it was the source of the
// payload that failed, which is not this back end's failure. The time for which
// the source kept the operation waiting is not the operation's either. How the
// body of a Get ends is not looked at: the next operation will tell.
func (b *breaker) after(ctx context.Context, op *operation) {
	if !op.Own.sourceFailed.Load() {
		b.settle(ctx, outcome(op))
	}
	held := op.Own.held + time.Duration(op.Own.opening.Load())
	for i := range op.Parts() {
		err := op.Err(i)
		*err = decorator.Hold(*err, held)
	}
}

// outcome is how an attempt ended for the back end: well if it answered for any
// payload, else with kind Temporary if any failed so.
func outcome(op *operation) (worst error) {
	for i := range op.Parts() {
		err := *op.Err(i)
		if answered(err) {
			return nil
		}
		if worst == nil || drivers.KindOf(err) == drivers.Temporary {
			worst = err
		}
	}
	return worst
}

// openSource watches a payload while it is being put.
func openSource(ctx context.Context, op *operation, open decorator.Opener) (io.ReadCloser, error) {
	begun := time.Now()
	r, err := open(ctx)
	op.Own.opening.Add(int64(time.Since(begun)))
	if err != nil {
		op.Own.sourceFailed.Store(true)
		return nil, err
	}
	return &watchedReader{ReadCloser: r, failed: &op.Own.sourceFailed}, nil
}

type watchedReader struct {
	io.ReadCloser
	failed *atomic.Bool
	closed atomic.Bool
}

// Read notes a failure, unless it comes of the reader being closed, as a driver
// does whose connection has broken.
func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !r.closed.Load() {
		r.failed.Store(true)
	}
	return n, err
}

// Close closes the source.
func (r *watchedReader) Close() error {
	r.closed.Store(true)
	return r.ReadCloser.Close()
}
