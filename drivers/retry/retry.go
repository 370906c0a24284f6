// Package retry is a decorator that repeats operations of a driver that have
// failed with kind Temporary. Drivers themselves do one attempt of one
// operation.
package retry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/kedge/kedge/drivers"
)

// New gives a driver that repeats what d fails to do with kind Temporary, as
// the policy says, and nothing else. It is a Batcher, a Syncer, a Lister and an Aborter
// whatever d is; Capabilities are d's own and say what of that is worth using.
// It is Watched too: around drivers/breaker it passes on what that knows.
// An error after several attempts is the last one's and says how many they were.
func New(d drivers.Driver, p Policy) drivers.Driver {
	return &driver{Driver: d, policy: p.withDefaults()}
}

type driver struct {
	drivers.Driver
	policy Policy
}

var (
	_ drivers.Batcher = (*driver)(nil)
	_ drivers.Syncer  = (*driver)(nil)
	_ drivers.Lister  = (*driver)(nil)
	_ drivers.Aborter = (*driver)(nil)

	_ drivers.Inspector = (*driver)(nil)
	_ drivers.Watched   = (*driver)(nil)
)

// repeat calls f until it succeeds, fails for good, or the policy ends it.
func (d *driver) repeat(ctx context.Context, op, uri string, f func() error) error {
	attempts := d.policy.begin()
	for {
		err := f()
		if err == nil || drivers.KindOf(err) != drivers.Temporary {
			return counted(err, attempts.made+1)
		}
		if ctx.Err() != nil {
			return interrupted(ctx.Err(), op, uri, err)
		}
		wait, again := attempts.wait(retryAfter(err), held(err))
		if !again {
			return counted(err, attempts.made)
		}
		d.policy.OnRetry(op, uri, err, wait)
		if serr := d.policy.Sleep(ctx, wait); serr != nil {
			return interrupted(serr, op, uri, err)
		}
	}
}

// counted adds to an error after how many attempts it came.
func counted(err error, attempts int) error {
	if err == nil || attempts < 2 {
		return err
	}
	return fmt.Errorf("%w (attempt %d)", err, attempts)
}

// interrupted is the error of an operation that would have been repeated, had
// the context not ended.
func interrupted(cause error, op, uri string, err error) error {
	return &drivers.Error{Op: op, URI: uri, Err: fmt.Errorf("%w before another attempt; the last one: %w", cause, err)}
}

// Get repeats the opening only. A body that breaks off is the reader's to open
// again.
func (d *driver) Get(ctx context.Context, uri string) (body io.ReadCloser, info drivers.Info, err error) {
	err = d.repeat(ctx, "get", uri, func() (err error) {
		body, info, err = d.Driver.Get(ctx, uri)
		return err
	})
	return body, info, err
}

// Put repeats the whole Put; the driver opens a streamed payload again for
// each attempt.
func (d *driver) Put(ctx context.Context, uri string, payload drivers.Payload) (receipt drivers.Receipt, err error) {
	err = d.repeat(ctx, "put", uri, func() (err error) {
		receipt, err = d.Driver.Put(ctx, uri, payload)
		return err
	})
	return receipt, err
}

func (d *driver) Stat(ctx context.Context, uri string) (info drivers.Info, err error) {
	err = d.repeat(ctx, "stat", uri, func() (err error) {
		info, err = d.Driver.Stat(ctx, uri)
		return err
	})
	return info, err
}

func (d *driver) Delete(ctx context.Context, uri string) error {
	return d.repeat(ctx, "delete", uri, func() error { return d.Driver.Delete(ctx, uri) })
}

// Sync does nothing where the driver needs no Sync.
func (d *driver) Sync(ctx context.Context) error {
	syncer, ok := d.Driver.(drivers.Syncer)
	if !ok {
		if err := ctx.Err(); err != nil {
			return &drivers.Error{Op: "sync", URI: d.Place(), Err: err}
		}
		return nil
	}
	return d.repeat(ctx, "sync", d.Place(), func() error { return syncer.Sync(ctx) })
}

// Inspect asks the driver, once; one that cannot tell finds nothing.
func (d *driver) Inspect(ctx context.Context) ([]drivers.Finding, error) {
	inspector, ok := d.Driver.(drivers.Inspector)
	if !ok {
		return nil, nil
	}
	return inspector.Inspect(ctx)
}

// Outage is the driver's; one that is not Watched has none.
func (d *driver) Outage() (drivers.Outage, bool) {
	if watched, ok := d.Driver.(drivers.Watched); ok {
		return watched.Outage()
	}
	return drivers.Outage{}, false
}

// AbortUploads removes unfinished uploads, where the driver can leave any.
func (d *driver) AbortUploads(ctx context.Context, uri string) error {
	aborter, ok := d.Driver.(drivers.Aborter)
	if !ok {
		return nil
	}
	return d.repeat(ctx, "abort", uri, func() error { return aborter.AbortUploads(ctx, uri) })
}

// List is repeated as long as fn has not been called: nothing may be listed
// twice.
func (d *driver) List(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	lister, ok := d.Driver.(drivers.Lister)
	if !ok {
		return &drivers.Error{Op: "list", URI: d.Place(), Err: fmt.Errorf("driver %s cannot list: %w", d.Name(), errors.ErrUnsupported)}
	}
	var final error // of a listing that had begun
	err := d.repeat(ctx, "list", d.Place(), func() error {
		begun := false
		err := lister.List(ctx, func(uri string, info drivers.Info) error {
			begun = true
			return fn(uri, info)
		})
		if begun {
			final = err
			return nil
		}
		return err
	})
	if err == nil {
		err = final
	}
	return err
}
