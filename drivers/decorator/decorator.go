// Package decorator is what all decorators of a driver share. It has the methods of
// drivers.Driver once, and calls hooks before and after each operation. A decorator
// is a set of hooks:
//
//	func New(d drivers.Driver, log *slog.Logger) drivers.Driver {
//		return decorator.New(d, decorator.Hooks[struct{}]{
//			After: func(ctx context.Context, op *decorator.Operation[struct{}]) {
//				for i := range op.Parts() {
//					log.InfoContext(ctx, op.Name, "uri", op.URI(i), "error", *op.Err(i))
//				}
//			},
//		})
//	}
//
// With hooks a decorator can hold an operation back or refuse it (Before), time
// it, count it and change its errors (Before and After), do it again (Again), and
// stand between a stream and its reader (Body, Open). An operation has one part,
// or a batch's many, and a hook need not know which. A decorator keeps what it knows
// of one operation in Operation.Own, which is of its own type S.
//
// The decorated driver is a drivers.Batcher only if the inner one is. It is always a
// Syncer, a Lister, a Prover, an Aborter, an Inspector, a Carrier, a Tree and Watched. Where the inner
// driver needs no method for that, the method does nothing. Where the inner driver
// cannot do it, the method fails with errors.ErrUnsupported. Capabilities are the
// inner driver's, and say what of that is worth using. Surveyor is not passed on.
package decorator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/kedge/kedge/drivers"
)

// Hooks are what a decorator does around each operation but PathURI, Inspect and
// Outage. A nil hook does nothing. Many goroutines call them at once; those of
// one operation are called one after the other, unless Open says otherwise. None
// but Open may keep the operation: it is used again for another one.
type Hooks[S any] struct {
	// Before is called before each attempt. When it returns an error, the attempt
	// is not made and After is not called: the operation fails with that error,
	// in which Op and URI are filled in.
	Before func(ctx context.Context, op *Operation[S]) *drivers.Error
	// After is called after each attempt, and may change its errors. It is not
	// called for a listing that the caller's function has ended.
	After func(ctx context.Context, op *Operation[S])
	// Again is called after After and says which parts to do again, as indices
	// for Operation.Err in ascending order; none ends the operation.
	Again func(ctx context.Context, op *Operation[S]) []int
	// Body gives the reader of a payload that Get has opened.
	Body func(ctx context.Context, op *Operation[S], r io.ReadCloser) io.ReadCloser
	// Open opens the payload of a Put by open. A driver may call it several times,
	// and read in goroutines of its own, also while the operation ends.
	Open func(ctx context.Context, op *Operation[S], open Opener) (io.ReadCloser, error)
	// Listed is called before a listing tells of another payload, which
	// Operation.Listed counts already. Its error ends the listing.
	Listed func(ctx context.Context, op *Operation[S]) *drivers.Error
	// Outage is told in place of the inner driver's.
	Outage func() (drivers.Outage, bool)
}

// Opener is drivers.Payload.Open.
type Opener = func(context.Context) (io.ReadCloser, error)

// New gives d with hooks around it.
func New[S any](d drivers.Driver, h Hooks[S]) drivers.Driver {
	w := &decorated[S]{Driver: d, hooks: h}
	if batcher, ok := d.(drivers.Batcher); ok {
		return &batching[S]{decorated: w, batcher: batcher}
	}
	return w
}

type decorated[S any] struct {
	drivers.Driver
	hooks Hooks[S]
	// over has operations that have ended, so that one costs no allocation.
	over sync.Pool
}

var (
	_ drivers.Syncer    = (*decorated[int])(nil)
	_ drivers.Lister    = (*decorated[int])(nil)
	_ drivers.Prover    = (*decorated[int])(nil)
	_ drivers.Aborter   = (*decorated[int])(nil)
	_ drivers.Inspector = (*decorated[int])(nil)
	_ drivers.Carrier   = (*decorated[int])(nil)
	_ drivers.Tree      = (*decorated[int])(nil)
	_ drivers.Watched   = (*decorated[int])(nil)
	_ drivers.Batcher   = (*batching[int])(nil)
)

func (d *decorated[S]) begin(name, uri string) *Operation[S] {
	op, ok := d.over.Get().(*Operation[S])
	if !ok {
		op = new(Operation[S])
	}
	op.Name, op.uri, op.hooks = name, uri, &d.hooks
	return op
}

// end gives how an operation has ended. Its source may still be in use.
func (d *decorated[S]) end(op *Operation[S]) error {
	err := op.err
	if !op.hasSource {
		*op = Operation[S]{}
		d.over.Put(op)
	}
	return err
}

// Get is over when the payload is open: how reading it ends is for Body to see.
func (d *decorated[S]) Get(ctx context.Context, uri string) (r io.ReadCloser, info drivers.Info, err error) {
	op := d.begin(Get, uri)
	for op.next(ctx) {
		r, info, op.err = d.Driver.Get(ctx, uri)
		op.Opened = op.err == nil
	}
	if op.Opened && d.hooks.Body != nil {
		r = d.hooks.Body(ctx, op, r)
	}
	return r, info, d.end(op)
}

// Put stores a payload.
func (d *decorated[S]) Put(ctx context.Context, uri string, payload drivers.Payload) (receipt drivers.Receipt, err error) {
	op := d.begin(Put, uri)
	switch open := payload.Open; {
	case open == nil:
		op.Bytes = int64(len(payload.Bytes))
	case d.hooks.Open != nil:
		op.hasSource = true
		payload.Open = func(ctx context.Context) (io.ReadCloser, error) { return d.hooks.Open(ctx, op, open) }
	}
	for op.next(ctx) {
		receipt, op.err = d.Driver.Put(ctx, uri, payload)
		if op.Moved = 0; op.err == nil {
			op.Moved = receipt.Bytes
		}
	}
	return receipt, d.end(op)
}

// Stat tells a payload's length.
func (d *decorated[S]) Stat(ctx context.Context, uri string) (info drivers.Info, err error) {
	op := d.begin(Stat, uri)
	for op.next(ctx) {
		info, op.err = d.Driver.Stat(ctx, uri)
	}
	return info, d.end(op)
}

// Delete removes a payload.
func (d *decorated[S]) Delete(ctx context.Context, uri string) error {
	op := d.begin(Delete, uri)
	for op.next(ctx) {
		op.err = d.Driver.Delete(ctx, uri)
	}
	return d.end(op)
}

// Sync does nothing where the driver needs no Sync.
func (d *decorated[S]) Sync(ctx context.Context) error {
	syncer, ok := d.Driver.(drivers.Syncer)
	if !ok {
		if err := ctx.Err(); err != nil {
			return &drivers.Error{Op: Sync, URI: d.Place(), Err: err}
		}
		return nil
	}
	op := d.begin(Sync, d.Place())
	for op.next(ctx) {
		op.err = syncer.Sync(ctx)
	}
	return d.end(op)
}

// AbortUploads removes unfinished uploads where the driver can leave any.
func (d *decorated[S]) AbortUploads(ctx context.Context, uri string) error {
	aborter, ok := d.Driver.(drivers.Aborter)
	if !ok {
		return nil
	}
	op := d.begin(Abort, uri)
	for op.next(ctx) {
		op.err = aborter.AbortUploads(ctx, uri)
	}
	return d.end(op)
}

// Inspect asks the driver at once, for a person who looks what is wrong; one that
// cannot tell finds nothing.
func (d *decorated[S]) Inspect(ctx context.Context) ([]drivers.Finding, error) {
	if inspector, ok := d.Driver.(drivers.Inspector); ok {
		return inspector.Inspect(ctx)
	}
	return nil, nil
}

// CarriesDeletions asks the driver at once; one that cannot tell knows of no place.
func (d *decorated[S]) CarriesDeletions(ctx context.Context) []string {
	if carrier, ok := d.Driver.(drivers.Carrier); ok {
		return carrier.CarriesDeletions(ctx)
	}
	return nil
}

// Outage is the driver's; one that is not Watched has none.
func (d *decorated[S]) Outage() (drivers.Outage, bool) {
	if d.hooks.Outage != nil {
		return d.hooks.Outage()
	}
	if watched, ok := d.Driver.(drivers.Watched); ok {
		return watched.Outage()
	}
	return drivers.Outage{}, false
}

// cannot is the error of what the driver has no method for.
func (d *decorated[S]) cannot(op, what string) error {
	return &drivers.Error{Op: op, URI: d.Place(), Err: fmt.Errorf("driver %s cannot %s: %w", d.Name(), what, errors.ErrUnsupported)}
}
