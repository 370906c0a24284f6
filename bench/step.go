package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Step is what was measured of one operation with one size and concurrency.
type Step struct {
	Operation   Operation `json:"operation"`
	SizeBytes   int64     `json:"size_bytes"`
	Concurrency int       `json:"concurrency"`
	// Batch is how many documents one trip had; the latencies are those of
	// trips.
	Batch int `json:"batch"`
	// Documents is how many succeeded, Errors how many failed, of which
	// FirstError was the first.
	Documents  int64  `json:"documents"`
	Errors     int64  `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	// Seconds is how long the step took, a final sync included.
	Seconds float64 `json:"seconds"`
	// PerSecond is the rate of documents, BytesPerSecond that of their bytes.
	PerSecond      float64 `json:"documents_per_second"`
	BytesPerSecond float64 `json:"bytes_per_second"`
	// Latencies in microseconds.
	P50 float64 `json:"p50_us"`
	P95 float64 `json:"p95_us"`
	P99 float64 `json:"p99_us"`
	Max float64 `json:"max_us"`
	// CPU is the time that this process spent on a document, user and system, in
	// microseconds; -1 where the system does not tell.
	CPU float64 `json:"cpu_us_per_document"`
	// LeftOut tells why the step was not measured.
	LeftOut string `json:"left_out,omitempty"`
}

// maxErrors is how many errors end a step: more of them tell nothing new.
const maxErrors = 100

// work is a step under way.
type work struct {
	// limit is how many documents there are to do.
	limit int64
	batch int
	// do does documents from a number up to another one, and says how many
	// succeeded; the error is that of the first that did not.
	do func(ctx context.Context, begin, end int64) (done int64, err error)
	// flush ends the work of a worker or of the step; may be nil. flushEvery is
	// after how many documents of a worker it is called.
	flush      func(ctx context.Context) error
	flushEvery int64

	next, done, failed atomic.Int64
	first              sync.Once
	firstError         error
}

// measured runs the work with so many workers until it is done, time is over,
// or somebody stops it. ended is false in the last case.
func (w *work) measured(ctx context.Context, stop <-chan struct{}, concurrency int, duration time.Duration) (s Step, ended bool) {
	deadline := time.Now().Add(duration)
	if duration <= 0 {
		deadline = time.Time{}
	}
	histograms := make([]Histogram, concurrency)
	var workers sync.WaitGroup
	cpu := processCPU()
	began := time.Now()
	for i := range concurrency {
		workers.Go(func() { w.worker(ctx, stop, deadline, &histograms[i]) })
	}
	workers.Wait()
	if w.flush != nil {
		w.fail(1, w.flush(ctx))
	}
	elapsed := time.Since(began)
	s = Step{Concurrency: concurrency, Batch: w.batch, Documents: w.done.Load(), Errors: w.failed.Load(), Seconds: elapsed.Seconds(), CPU: -1}
	if spent := processCPU() - cpu; cpu >= 0 && s.Documents > 0 {
		s.CPU = microseconds(spent) / float64(s.Documents)
	}
	if w.firstError != nil {
		s.FirstError = w.firstError.Error()
	}
	var all Histogram
	for i := range histograms {
		all.Add(&histograms[i])
	}
	s.P50, s.P95, s.P99, s.Max = microseconds(all.Quantile(0.5)), microseconds(all.Quantile(0.95)), microseconds(all.Quantile(0.99)), microseconds(all.Max())
	s.PerSecond = float64(s.Documents) / s.Seconds
	return s, !asked(stop) && ctx.Err() == nil
}

func (w *work) worker(ctx context.Context, stop <-chan struct{}, deadline time.Time, h *Histogram) {
	unflushed := int64(0)
	for !asked(stop) && ctx.Err() == nil && w.failed.Load() < maxErrors {
		if !deadline.IsZero() && time.Now().After(deadline) {
			return
		}
		begin := w.next.Add(int64(w.batch)) - int64(w.batch)
		if begin >= w.limit {
			return
		}
		end := min(begin+int64(w.batch), w.limit)
		start := time.Now()
		done, err := w.do(ctx, begin, end)
		h.Record(time.Since(start))
		w.done.Add(done)
		w.fail(end-begin-done, err)
		if unflushed += done; w.flush != nil && unflushed >= w.flushEvery {
			w.fail(1, w.flush(ctx))
			unflushed = 0
		}
	}
}

// fail counts failures; without an error there is none.
func (w *work) fail(count int64, err error) {
	if err == nil {
		return
	}
	w.failed.Add(count)
	if !errors.Is(err, context.Canceled) {
		w.first.Do(func() { w.firstError = err })
	}
}

// claimed is how many documents were begun.
func (w *work) claimed() int64 { return min(w.next.Load(), w.limit) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func asked(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
