// Package limit is a decorator that keeps a driver within so many operations and
// so many bytes of payloads a second. It stands between drivers/retry and
// drivers/breaker:
//
//	retry.New(limit.New(breaker.New(driver, policy), limits), retryPolicy)
//
// Inside of retry, because each attempt costs the store an operation and the
// network its bytes. Outside of the breaker, because the breaker's question
// whether the server is there has a time-out of its own: waiting in the queue
// for a slow limit, it would get no answer, and the limit would look like a
// server that is down. The failure of an operation tells retry how long the
// operation waited here, so that this time is not counted against it.
//
// All waits stand outside of what drivers time. An operation waits before it
// begins. A payload in memory is waited for before its put. What has been read
// of a stream, or with a batch, is waited for after that, while no read at the
// server is under way; a stream is read in small pieces and never held. What
// remains is the server's own patience with a client that reads or sends slowly:
// a low rate that many operations share can exhaust it, and is better served
// with fewer workers.
package limit

import (
	"context"
	"io"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Limits are what a store may be asked for in a second. What has not been used
// can be made up for with a tenth of that, or with one operation.
type Limits struct {
	// Bytes of payloads a second, read and written together, as they are
	// stored; 0 for no limit.
	Bytes int64
	// Operations a second; 0 for no limit. A get, put, stat, delete or abort of
	// one payload is one, also as a part of a batch; so is each thousand of
	// payloads listed, or less. How many requests a driver makes of it is not
	// looked at.
	Operations float64
}

// New gives a driver that does what d does, within limits: d itself where there
// are none. It is a Batcher if d is one, and a Syncer, a Lister, an Aborter, an
// Inspector, a Tree and Watched whatever d is. Many goroutines share the limits
// evenly. Sync and Inspect are not limited.
func New(d drivers.Driver, l Limits) drivers.Driver {
	m := &limited{Driver: d, operations: newMeter(l.Operations), bytes: newMeter(float64(l.Bytes))}
	if m.operations == nil && m.bytes == nil {
		return d
	}
	if batcher, ok := d.(drivers.Batcher); ok {
		return &batching{limited: m, batcher: batcher}
	}
	return m
}

// limited is a driver with its meters.
type limited struct {
	drivers.Driver
	operations, bytes *meter
}

var (
	_ drivers.Syncer    = (*limited)(nil)
	_ drivers.Lister    = (*limited)(nil)
	_ drivers.Aborter   = (*limited)(nil)
	_ drivers.Inspector = (*limited)(nil)
	_ drivers.Tree      = (*limited)(nil)
	_ drivers.Watched   = (*limited)(nil)
	_ drivers.Batcher   = (*batching)(nil)
)

// admit waits until so many operations with so many bytes may begin.
func (l *limited) admit(ctx context.Context, op, uri string, operations int, bytes int64) (waited time.Duration, err error) {
	waited, err = l.operations.take(ctx, int64(operations))
	if err == nil {
		var more time.Duration
		more, err = l.bytes.take(ctx, bytes)
		waited += more
	}
	if err != nil {
		return waited, &drivers.Error{Op: op, URI: uri, Err: err}
	}
	return waited, nil
}

// one does one operation when it may begin.
func (l *limited) one(ctx context.Context, op, uri string, f func() error) error {
	waited, err := l.admit(ctx, op, uri, 1, 0)
	if err != nil {
		return err
	}
	return holding(f(), waited)
}

// Get waits before it opens the payload; the body waits as it is read.
func (l *limited) Get(ctx context.Context, uri string) (body io.ReadCloser, info drivers.Info, err error) {
	err = l.one(ctx, "get", uri, func() (err error) {
		body, info, err = l.Driver.Get(ctx, uri)
		return err
	})
	if err == nil {
		body = l.metered(ctx, body, nil)
	}
	return body, info, err
}

// Put waits before it begins; a streamed payload waits as it is read, each time
// that it is.
func (l *limited) Put(ctx context.Context, uri string, payload drivers.Payload) (drivers.Receipt, error) {
	before := int64(len(payload.Bytes))
	if payload.Streamed() {
		before = 0
	}
	waited, err := l.admit(ctx, "put", uri, 1, before)
	if err != nil {
		return drivers.Receipt{}, err
	}
	if !payload.Streamed() {
		receipt, err := l.Driver.Put(ctx, uri, payload)
		return receipt, holding(err, waited)
	}
	var spent spent
	open := payload.Open
	payload.Open = func(ctx context.Context) (io.ReadCloser, error) {
		r, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return l.metered(ctx, r, &spent), nil
	}
	receipt, err := l.Driver.Put(ctx, uri, payload)
	return receipt, holding(err, waited+spent.total())
}

// Stat waits, and asks for a payload's length.
func (l *limited) Stat(ctx context.Context, uri string) (info drivers.Info, err error) {
	err = l.one(ctx, "stat", uri, func() (err error) {
		info, err = l.Driver.Stat(ctx, uri)
		return err
	})
	return info, err
}

// Delete waits, and removes a payload.
func (l *limited) Delete(ctx context.Context, uri string) error {
	return l.one(ctx, "delete", uri, func() error { return l.Driver.Delete(ctx, uri) })
}

// AbortUploads waits, and removes unfinished uploads where the driver can leave
// any.
func (l *limited) AbortUploads(ctx context.Context, uri string) error {
	aborter, ok := l.Driver.(drivers.Aborter)
	if !ok {
		return nil
	}
	return l.one(ctx, "abort", uri, func() error { return aborter.AbortUploads(ctx, uri) })
}

// Sync does not wait, and does nothing where the driver needs no Sync.
func (l *limited) Sync(ctx context.Context) error {
	if syncer, ok := l.Driver.(drivers.Syncer); ok {
		return syncer.Sync(ctx)
	}
	if err := ctx.Err(); err != nil {
		return &drivers.Error{Op: "sync", URI: l.Place(), Err: err}
	}
	return nil
}

// Inspect asks the driver at once; one that cannot tell finds nothing.
func (l *limited) Inspect(ctx context.Context) ([]drivers.Finding, error) {
	inspector, ok := l.Driver.(drivers.Inspector)
	if !ok {
		return nil, nil
	}
	return inspector.Inspect(ctx)
}

// Outage is the driver's; one that is not Watched has none.
func (l *limited) Outage() (drivers.Outage, bool) {
	if watched, ok := l.Driver.(drivers.Watched); ok {
		return watched.Outage()
	}
	return drivers.Outage{}, false
}
