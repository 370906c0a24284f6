package metrics

import (
	"context"
	"io"
	"time"

	"github.com/kedge/kedge/drivers"
)

// New gives a driver that does what d does and has it counted by m, which must
// not be nil. It is a Batcher if d is one, and a Syncer, a Lister, an Aborter, an
// Inspector and a Tree whatever d is. Listings and Inspect are not counted.
func New(d drivers.Driver, m *Meter) drivers.Driver {
	counted := &metered{Driver: d, meter: m}
	if batcher, ok := d.(drivers.Batcher); ok {
		return &batching{metered: counted, batcher: batcher}
	}
	return counted
}

// metered is a driver with its meter.
type metered struct {
	drivers.Driver
	meter *Meter
}

var (
	_ drivers.Syncer    = (*metered)(nil)
	_ drivers.Lister    = (*metered)(nil)
	_ drivers.Aborter   = (*metered)(nil)
	_ drivers.Inspector = (*metered)(nil)
	_ drivers.Tree      = (*metered)(nil)
	_ drivers.Batcher   = (*batching)(nil)
)

// Get opens the payload; the operation ends when it is closed.
func (d *metered) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	begun := time.Now()
	r, info, err := d.Driver.Get(ctx, uri)
	took := time.Since(begun)
	if err != nil {
		d.meter.ended(took, err)
		return r, info, err
	}
	return &body{inner: r, meter: d.meter, took: took}, info, nil
}

// Put stores a payload. What the source of a streamed one takes to deliver it is
// not the back end's time.
func (d *metered) Put(ctx context.Context, uri string, payload drivers.Payload) (drivers.Receipt, error) {
	var source spent
	if open := payload.Open; open != nil {
		payload.Open = func(ctx context.Context) (io.ReadCloser, error) {
			begun := time.Now()
			r, err := open(ctx)
			source.since(begun)
			if err != nil {
				return nil, err
			}
			return &feed{ReadCloser: r, spent: &source}, nil
		}
	}
	begun := time.Now()
	receipt, err := d.Driver.Put(ctx, uri, payload)
	d.meter.ended(max(0, time.Since(begun)-source.total()), err)
	if err == nil {
		d.meter.bytes.Add(receipt.Bytes)
	}
	return receipt, err
}

// Stat asks for a payload's length.
func (d *metered) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	begun := time.Now()
	info, err := d.Driver.Stat(ctx, uri)
	d.meter.ended(time.Since(begun), err)
	return info, err
}

// Delete removes a payload.
func (d *metered) Delete(ctx context.Context, uri string) error {
	begun := time.Now()
	err := d.Driver.Delete(ctx, uri)
	d.meter.ended(time.Since(begun), err)
	return err
}

// AbortUploads removes unfinished uploads where the driver can leave any.
func (d *metered) AbortUploads(ctx context.Context, uri string) error {
	aborter, ok := d.Driver.(drivers.Aborter)
	if !ok {
		return nil
	}
	begun := time.Now()
	err := aborter.AbortUploads(ctx, uri)
	d.meter.ended(time.Since(begun), err)
	return err
}

// Sync does nothing where the driver needs no Sync.
func (d *metered) Sync(ctx context.Context) error {
	syncer, ok := d.Driver.(drivers.Syncer)
	if !ok {
		if err := ctx.Err(); err != nil {
			return &drivers.Error{Op: "sync", URI: d.Place(), Err: err}
		}
		return nil
	}
	begun := time.Now()
	err := syncer.Sync(ctx)
	d.meter.ended(time.Since(begun), err)
	return err
}

// Inspect asks the driver; one that cannot tell finds nothing.
func (d *metered) Inspect(ctx context.Context) ([]drivers.Finding, error) {
	inspector, ok := d.Driver.(drivers.Inspector)
	if !ok {
		return nil, nil
	}
	return inspector.Inspect(ctx)
}
