// Package metrics is a decorator that counts and times what a driver does. It
// stands next to the driver, inside of all others:
//
//	retry.New(limit.New(breaker.New(metrics.New(driver, meter), …), …), …)
//
// So it times the back end, and not the waiting for a limit, for another attempt or
// for the end of an outage.
package metrics

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Meter counts what a store's driver does. The zero value is ready for use, a
// nil *Meter counts nothing. Safe for concurrent use.
type Meter struct {
	operations, errors, retries, bytes atomic.Int64
	latency                            Histogram
}

// Measurements are what a Meter has counted.
type Measurements struct {
	// Operations were begun and have ended: each attempt of a get, put, stat,
	// delete, sync or abort, whatever its end. A batch is one.
	Operations int64
	// Errors are those among them that failed, but for what was not there and
	// what was cancelled. A batch of which any part failed is one.
	Errors int64
	// Retries are the attempts that were made again.
	Retries int64
	// Bytes of payloads that were read and written, as they are stored.
	Bytes int64
	// Latency is of the operations that the back end answered, without the time
	// that a get's reader or a put's source took for itself.
	Latency Latency
}

// Measurements tells what was counted so far.
func (m *Meter) Measurements() Measurements {
	if m == nil {
		return Measurements{Latency: new(Histogram).Latency()}
	}
	return Measurements{
		Operations: m.operations.Load(), Errors: m.errors.Load(), Retries: m.retries.Load(),
		Bytes: m.bytes.Load(), Latency: m.latency.Latency(),
	}
}

// Retried counts an attempt that is made again.
func (m *Meter) Retried() {
	if m != nil {
		m.retries.Add(1)
	}
}

// Retries is how many operations were made again so far; 0 if m is nil.
func (m *Meter) Retries() int64 {
	if m == nil {
		return 0
	}
	return m.retries.Load()
}

// ended counts an operation that took so long.
func (m *Meter) ended(took time.Duration, err error) {
	m.operations.Add(1)
	switch {
	case errors.Is(err, context.Canceled):
	case err == nil, drivers.KindOf(err) == drivers.NotFound, drivers.KindOf(err) == drivers.TooLarge:
		m.latency.Observe(took)
	default:
		m.errors.Add(1)
	}
}
