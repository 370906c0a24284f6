// Package limit is a decorator that keeps a driver within so many operations and
// so many bytes of payloads a second. It stands between drivers/retry and
// drivers/breaker:
//
//	retry.New(limit.New(breaker.New(driver, policy), limits), retryPolicy)
//
// It is inside of retry, because each attempt costs the store an operation and the
// network its bytes. It is outside of the breaker, because the breaker's question
// whether the server is there has a time-out of its own. If that question waited in
// the queue for a slow limit, it would get no answer, and the limit would look like a
// server that is down. The failure of an operation says how long the operation
// waited here, so that retry does not count this time against it.
//
// All waits stand outside of what drivers time:
//
//   - An operation waits before it begins.
//   - A payload in memory waits before its put.
//   - What was read of a stream, or with a batch, waits after it was read, while no
//     read at the server is under way. A stream is read in small pieces and never
//     held.
//
// The server's own patience with a client that reads or sends slowly remains. A low
// rate that many operations share can exhaust it. Fewer workers are better then.
package limit

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/decorator"
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
// are none. Many goroutines share the limits evenly. Sync and Inspect are not
// limited.
func New(d drivers.Driver, l Limits) drivers.Driver {
	m := &meters{operations: newMeter(l.Operations), bytes: newMeter(float64(l.Bytes))}
	if m.operations == nil && m.bytes == nil {
		return d
	}
	return decorator.New(d, decorator.Hooks[waits]{Before: m.before, After: m.after, Body: m.body, Open: m.open, Listed: m.listed})
}

type operation = decorator.Operation[waits]

// waits are what one operation has waited for: before its attempt, and while its
// source was read.
type waits struct {
	before time.Duration
	source atomic.Int64 // nanoseconds
}

// meters are what the operations of a driver share.
type meters struct{ operations, bytes *meter }

// before waits until the operation may begin: for each of its parts, and for the
// payloads in memory that it puts.
func (m *meters) before(ctx context.Context, op *operation) *drivers.Error {
	if op.Name == decorator.Sync {
		return nil
	}
	return m.admit(ctx, op, op.Parts(), op.Bytes)
}

func (m *meters) admit(ctx context.Context, op *operation, operations int, bytes int64) *drivers.Error {
	waited, err := m.operations.take(ctx, int64(operations))
	op.Own.before += waited
	if err == nil {
		waited, err = m.bytes.take(ctx, bytes)
		op.Own.before += waited
	}
	if err != nil {
		return &drivers.Error{Err: err}
	}
	return nil
}

// after tells how long a failed operation waited, and waits for the bytes that a
// batch has brought: how many they are is not known before. So as much as one
// trip of each caller may come ahead of its time.
func (m *meters) after(ctx context.Context, op *operation) {
	waited := op.Own.before + time.Duration(op.Own.source.Load())
	for i := range op.Parts() {
		err := op.Err(i)
		*err = decorator.Hold(*err, waited)
	}
	if op.Name == decorator.Get {
		// The payloads are there, also when the wait is cut short.
		_, _ = m.bytes.take(ctx, op.Moved)
	}
}

// body waits as it is read.
func (m *meters) body(ctx context.Context, _ *operation, r io.ReadCloser) io.ReadCloser {
	return m.metered(ctx, r, nil)
}

// open gives a source that waits as it is read, each time that it is.
func (m *meters) open(ctx context.Context, op *operation, open decorator.Opener) (io.ReadCloser, error) {
	r, err := open(ctx)
	if err != nil {
		return nil, err
	}
	return m.metered(ctx, r, &op.Own.source), nil
}

// listedPerOperation is how many payloads count as one operation when they are
// listed: as many as S3 lists in one request.
const listedPerOperation = 1000

// listed waits after each thousand.
func (m *meters) listed(ctx context.Context, op *operation) *drivers.Error {
	if op.Listed == 1 || op.Listed%listedPerOperation != 1 {
		return nil
	}
	return m.admit(ctx, op, 1, 0)
}
