package pipeline_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/breaker"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/drivers/retry"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
)

// failing is a store whose server goes down after so many operations.
type failing struct {
	drivers.Driver
	left atomic.Int64
}

func (f *failing) fails() error {
	if f.left.Add(-1) >= 0 {
		return nil
	}
	return &drivers.Error{Op: "x", URI: "u", Kind: drivers.Temporary, Err: errors.New("connection refused")}
}

func (f *failing) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	if err := f.fails(); err != nil {
		return nil, drivers.Info{}, err
	}
	return f.Driver.Get(ctx, uri)
}

func (f *failing) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	if err := f.fails(); err != nil {
		return drivers.Receipt{}, err
	}
	return f.Driver.Put(ctx, uri, p)
}

func (f *failing) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	if err := f.fails(); err != nil {
		return drivers.Info{}, err
	}
	return f.Driver.Stat(ctx, uri)
}

func (f *failing) Delete(ctx context.Context, uri string) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Driver.Delete(ctx, uri)
}

func (f *failing) Sync(ctx context.Context) error {
	if err := f.fails(); err != nil {
		return err
	}
	if syncer, ok := f.Driver.(drivers.Syncer); ok {
		return syncer.Sync(ctx)
	}
	return nil
}

// batching is one whose driver has batches.
type batching struct {
	*failing
	drivers.Batcher
}

func (b batching) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	err := b.fails()
	if err == nil {
		return b.Batcher.GetBatch(ctx, requests)
	}
	results := make([]drivers.GetResult, len(requests))
	for i := range results {
		results[i].Err = err
	}
	return results
}

func (b batching) DeleteBatch(ctx context.Context, uris []string) []error {
	err := b.fails()
	if err == nil {
		return b.Batcher.DeleteBatch(ctx, uris)
	}
	errs := make([]error, len(uris))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// guarded is a store as the program has it, whose server goes down for good
// after so many operations.
func guarded(d drivers.Driver, operations int64) drivers.Driver {
	f := &failing{Driver: d}
	f.left.Store(operations)
	down := drivers.Driver(f)
	if batcher, ok := d.(drivers.Batcher); ok {
		down = batching{f, batcher}
	}
	p := breaker.Policy{GiveUpAfter: 20 * time.Millisecond, Every: time.Millisecond}
	return retry.New(breaker.New(down, p), retry.Policy{Base: time.Millisecond, Max: time.Millisecond})
}

// A store that goes down at any operation, and does not come back, ends the run.
// No document counts as failed, and the next run finishes it.
func TestAStoreThatIsGivenUpFailsNoDocument(t *testing.T) {
	for _, c := range []struct {
		store      string
		operations []int64
	}{
		{"source", []int64{1, 2, 3, 4, 5}},
		{"destination", []int64{2, 50, 257, 258, 400, 900}},
	} {
		for _, operations := range c.operations {
			in := install(t, 700)
			o := in.options(in.dst)
			o.MaxBackendFailures = 1
			if c.store == "source" {
				o.Source.Driver = guarded(in.src, operations)
			} else {
				o.Destination.Driver = guarded(in.dst, operations)
			}
			r, err := pipeline.Run(t.Context(), nil, o)
			var gaveUp *pipeline.GaveUpError
			if !errors.As(err, &gaveUp) || gaveUp.Outage == nil || !strings.Contains(err.Error(), "connection refused") {
				t.Fatalf("the %s is down after %d operations: %v", c.store, operations, err)
			}
			if r.Failed != 0 || r.State != "" && r.State != catalog.TaskFailed {
				t.Errorf("the %s is down after %d operations: %+v", c.store, operations, r)
			}
			in.checkAllButOrphans()
			r, err = pipeline.Run(t.Context(), nil, in.options(in.dst))
			if err != nil || r.Failed != 0 || r.State != catalog.TaskComplete {
				t.Errorf("resumed when the %s was down after %d operations: %+v, %v", c.store, operations, r, err)
			}
			if moved := in.check(); moved != 700 {
				t.Errorf("%d documents moved in the end", moved)
			}
		}
	}
}

// A run that is asked to stop while a store is down stops, and is finished by
// the next one.
func TestStoppedDuringAnOutage(t *testing.T) {
	in := install(t, 700)
	f := &failing{Driver: in.dst}
	f.left.Store(300)
	paused, stop := make(chan struct{}), make(chan struct{})
	o := in.options(retry.New(breaker.New(f, breaker.Policy{OnPause: func(string, error, time.Time) { close(paused) }}), retry.Policy{}))
	go func() {
		<-paused
		close(stop)
	}()
	if r, err := pipeline.Run(t.Context(), stop, o); !errors.Is(err, failure.ErrStalled) || r.State != catalog.TaskPending || r.Failed != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	in.checkAllButOrphans()
	if r, err := pipeline.Run(t.Context(), nil, in.options(in.dst)); err != nil || r.State != catalog.TaskComplete {
		t.Errorf("resumed: %+v, %v", r, err)
	}
	if moved := in.check(); moved != 700 {
		t.Errorf("%d documents moved in the end", moved)
	}
}

// slow is a store that answers one put after the other, each after a while.
type slow struct {
	drivers.Driver
	turn sync.Mutex
	puts atomic.Int64
}

func (s *slow) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	time.Sleep(100 * time.Millisecond)
	s.puts.Add(1)
	return s.Driver.Put(ctx, uri, p)
}

// A run that is asked to stop finishes what is in flight at a store that is slow,
// though no batch ends for longer than a store may be silent.
func TestStoppedAtASlowStore(t *testing.T) {
	t.Parallel()
	in := install(t, 250)
	s := &slow{Driver: in.dst}
	stop := make(chan struct{})
	go func() {
		for s.puts.Load() < 5 {
			time.Sleep(time.Millisecond)
		}
		close(stop)
	}()
	meter := new(metrics.Meter)
	o := in.options(metrics.New(s, meter))
	o.Destination.Meter = meter
	r, err := pipeline.Run(t.Context(), stop, o)
	if err != nil || r.Failed != 0 || r.Counts.Moved == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	in.check()
}
