package breaker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/drivers"
)

// New gives a driver that does what d does and waits while d's back end is down.
// It is a Batcher if d is one; a Syncer, a Lister, an Aborter, an Inspector and
// a Tree whatever d is; and Watched. While the back end works, an operation costs two
// atomic loads more.
func New(d drivers.Driver, p Policy) drivers.Driver {
	b := &breaker{Driver: d, policy: p.withDefaults()}
	if batcher, ok := d.(drivers.Batcher); ok {
		return &batching{breaker: b, batcher: batcher}
	}
	return b
}

var (
	_ drivers.Syncer    = (*breaker)(nil)
	_ drivers.Lister    = (*breaker)(nil)
	_ drivers.Aborter   = (*breaker)(nil)
	_ drivers.Inspector = (*breaker)(nil)
	_ drivers.Tree      = (*breaker)(nil)
	_ drivers.Watched   = (*breaker)(nil)
	_ drivers.Batcher   = (*batching)(nil)
)

// heldError is the failure of an attempt that had to wait before it was made.
type heldError struct {
	error
	held time.Duration
}

// Unwrap gives the failure.
func (e *heldError) Unwrap() error { return e.error }

// Held is how long the attempt had to wait: time for which drivers/retry does
// not blame the operation.
func (e *heldError) Held() time.Duration { return e.held }

// holding adds to a failure how long the attempt was held back.
func holding(err error, held time.Duration) error {
	if err == nil || held <= 0 {
		return err
	}
	return &heldError{err, held}
}

// attempt makes one when the back end is there, and takes note of its end.
func (b *breaker) attempt(ctx context.Context, op, uri string, f func() error) error {
	held, err := b.await(ctx, op, uri)
	if err != nil {
		return err
	}
	err = f()
	b.settle(ctx, err)
	return holding(err, held)
}

// Get opens a payload. How its body ends is not looked at: the next operation
// will tell.
func (b *breaker) Get(ctx context.Context, uri string) (body io.ReadCloser, info drivers.Info, err error) {
	err = b.attempt(ctx, "get", uri, func() (err error) {
		body, info, err = b.Driver.Get(ctx, uri)
		return err
	})
	return body, info, err
}

// Put stores a payload. A failure of the payload's source is not this back
// end's; and the time for which the source kept it waiting is not the
// operation's.
func (b *breaker) Put(ctx context.Context, uri string, payload drivers.Payload) (drivers.Receipt, error) {
	held, err := b.await(ctx, "put", uri)
	if err != nil {
		return drivers.Receipt{}, err
	}
	if !payload.Streamed() {
		receipt, err := b.Driver.Put(ctx, uri, payload)
		b.settle(ctx, err)
		return receipt, holding(err, held)
	}
	var source source
	source.watch(&payload)
	receipt, err := b.Driver.Put(ctx, uri, payload)
	if !source.failed.Load() {
		b.settle(ctx, err)
	}
	return receipt, holding(err, held+time.Duration(source.opening.Load()))
}

// source watches a payload while it is being put. A driver may read it in a
// goroutine of its own.
type source struct {
	failed  atomic.Bool
	opening atomic.Int64 // nanoseconds spent in Open
}

func (s *source) watch(p *drivers.Payload) {
	open := p.Open
	p.Open = func(ctx context.Context) (io.ReadCloser, error) {
		begun := time.Now()
		r, err := open(ctx)
		s.opening.Add(int64(time.Since(begun)))
		if err != nil {
			s.failed.Store(true)
			return nil, err
		}
		return &watchedReader{ReadCloser: r, source: s}, nil
	}
}

type watchedReader struct {
	io.ReadCloser
	source *source
	closed atomic.Bool
}

// Read notes a failure, unless it comes of the reader being closed, as a driver
// does whose connection has broken.
func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !r.closed.Load() {
		r.source.failed.Store(true)
	}
	return n, err
}

// Close closes the source.
func (r *watchedReader) Close() error {
	r.closed.Store(true)
	return r.ReadCloser.Close()
}

// Stat asks for a payload's length.
func (b *breaker) Stat(ctx context.Context, uri string) (info drivers.Info, err error) {
	err = b.attempt(ctx, "stat", uri, func() (err error) {
		info, err = b.Driver.Stat(ctx, uri)
		return err
	})
	return info, err
}

// Delete removes a payload.
func (b *breaker) Delete(ctx context.Context, uri string) error {
	return b.attempt(ctx, "delete", uri, func() error { return b.Driver.Delete(ctx, uri) })
}

// Sync does nothing where the driver needs no Sync.
func (b *breaker) Sync(ctx context.Context) error {
	syncer, ok := b.Driver.(drivers.Syncer)
	if !ok {
		if err := ctx.Err(); err != nil {
			return &drivers.Error{Op: "sync", URI: b.Place(), Err: err}
		}
		return nil
	}
	return b.attempt(ctx, "sync", b.Place(), func() error { return syncer.Sync(ctx) })
}

// AbortUploads removes unfinished uploads, where the driver can leave any.
func (b *breaker) AbortUploads(ctx context.Context, uri string) error {
	aborter, ok := b.Driver.(drivers.Aborter)
	if !ok {
		return nil
	}
	return b.attempt(ctx, "abort", uri, func() error { return aborter.AbortUploads(ctx, uri) })
}

// List waits before the listing begins. What fn fails with is not the back
// end's failure.
func (b *breaker) List(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	lister, ok := b.Driver.(drivers.Lister)
	if !ok {
		return &drivers.Error{Op: "list", URI: b.Place(), Err: fmt.Errorf("driver %s cannot list: %w", b.Name(), errors.ErrUnsupported)}
	}
	return b.list(ctx, fn, func(fn func(string, drivers.Info) error) error { return lister.List(ctx, fn) })
}

// PathURI is the driver's own.
func (b *breaker) PathURI(path string) (string, error) {
	tree, ok := b.Driver.(drivers.Tree)
	if !ok {
		return "", b.noTree("uri")
	}
	return tree.PathURI(path)
}

// ListAfter is like List.
func (b *breaker) ListAfter(ctx context.Context, prefix, after string, fn func(path string, info drivers.Info) error) error {
	tree, ok := b.Driver.(drivers.Tree)
	if !ok {
		return b.noTree("list")
	}
	return b.list(ctx, fn, func(fn func(string, drivers.Info) error) error { return tree.ListAfter(ctx, prefix, after, fn) })
}

func (b *breaker) noTree(op string) error {
	return &drivers.Error{Op: op, URI: b.Place(), Err: fmt.Errorf("driver %s holds no trees: %w", b.Name(), errors.ErrUnsupported)}
}

// list lets listing call fn.
func (b *breaker) list(ctx context.Context, fn func(string, drivers.Info) error, listing func(func(string, drivers.Info) error) error) error {
	held, err := b.await(ctx, "list", b.Place())
	if err != nil {
		return err
	}
	theirs := false
	err = listing(func(name string, info drivers.Info) error {
		err := fn(name, info)
		theirs = theirs || err != nil
		return err
	})
	if theirs {
		return err
	}
	b.settle(ctx, err)
	return holding(err, held)
}

// Inspect asks the driver at once, for a person who looks what is wrong.
func (b *breaker) Inspect(ctx context.Context) ([]drivers.Finding, error) {
	inspector, ok := b.Driver.(drivers.Inspector)
	if !ok {
		return nil, nil
	}
	return inspector.Inspect(ctx)
}

// batching is a breaker around a Batcher.
type batching struct {
	*breaker
	batcher drivers.Batcher
}

// GetBatch waits before the trip, which counts as one attempt.
func (b *batching) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	return trip(ctx, b.breaker, "get", requests, b.batcher.GetBatch,
		func(r drivers.GetRequest) string { return r.URI },
		func(r *drivers.GetResult) *error { return &r.Err })
}

// PutBatch is like GetBatch.
func (b *batching) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	return trip(ctx, b.breaker, "put", requests, b.batcher.PutBatch,
		func(r drivers.PutRequest) string { return r.URI },
		func(r *drivers.PutResult) *error { return &r.Err })
}

// DeleteBatch is like GetBatch.
func (b *batching) DeleteBatch(ctx context.Context, uris []string) []error {
	return trip(ctx, b.breaker, "delete", uris, b.batcher.DeleteBatch,
		func(uri string) string { return uri },
		func(err *error) *error { return err })
}

func trip[Request, Result any](
	ctx context.Context, b *breaker, op string, requests []Request,
	call func(context.Context, []Request) []Result,
	uriOf func(Request) string, errOf func(*Result) *error,
) []Result {
	held, err := b.await(ctx, op, "")
	if err != nil {
		results := make([]Result, len(requests))
		for i := range results {
			*errOf(&results[i]) = named(err, uriOf(requests[i]))
		}
		return results
	}
	results := call(ctx, requests)
	if len(results) > 0 {
		b.settle(ctx, outcome(results, errOf))
	}
	for i := range results {
		err := errOf(&results[i])
		*err = holding(*err, held)
	}
	return results
}

// outcome is how a trip ended for the back end: well if it answered for any
// payload, else with kind Temporary if any failed so.
func outcome[Result any](results []Result, errOf func(*Result) *error) (worst error) {
	for i := range results {
		err := *errOf(&results[i])
		if answered(err) {
			return nil
		}
		if worst == nil || drivers.KindOf(err) == drivers.Temporary {
			worst = err
		}
	}
	return worst
}

// named gives an error of await to one payload of a batch.
func named(err error, uri string) error {
	waited := *err.(*drivers.Error)
	waited.URI = uri
	return &waited
}
