package metrics

import (
	"context"
	"io"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/decorator"
)

// New gives a driver that does what d does and has it counted by m, which must
// not be nil. Listings and Inspect are not counted.
func New(d drivers.Driver, m *Meter) drivers.Driver {
	return decorator.New(d, decorator.Hooks[times]{Before: begin, After: m.after, Body: m.body, Open: openSource})
}

type operation = decorator.Operation[times]

// times are those of one operation.
type times struct {
	begun time.Time
	took  time.Duration
	// source is what the source of a streamed payload takes to deliver it, which
	// is not the back end's time.
	source spent
}

func begin(_ context.Context, op *operation) *drivers.Error {
	op.Own.begun = time.Now()
	return nil
}

// after counts an operation. One that has opened a payload ends when that is
// closed.
func (m *Meter) after(_ context.Context, op *operation) {
	op.Own.took = max(0, time.Since(op.Own.begun)-op.Own.source.total())
	if op.Opened || op.Name == decorator.List {
		return
	}
	var worst error
	for i := range op.Parts() {
		worst = worse(worst, *op.Err(i))
	}
	m.ended(op.Own.took, worst)
	m.bytes.Add(op.Moved)
}

// worse gives the one of two ends of a batch's parts that counts as the end of
// the batch: what is only not there, or longer than expected, is an answer.
func worse(a, b error) error {
	switch drivers.KindOf(b) {
	case drivers.NotFound, drivers.TooLarge:
		return a
	}
	if a == nil {
		return b
	}
	return a
}

func (m *Meter) body(_ context.Context, op *operation, r io.ReadCloser) io.ReadCloser {
	return &body{inner: r, meter: m, took: op.Own.took}
}

func openSource(ctx context.Context, op *operation, open decorator.Opener) (io.ReadCloser, error) {
	defer op.Own.source.since(time.Now())
	r, err := open(ctx)
	if err != nil {
		return nil, err
	}
	return &feed{ReadCloser: r, spent: &op.Own.source}, nil
}
