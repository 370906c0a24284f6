package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Result is what a measurement found.
type Result struct {
	Driver string `json:"driver"`
	Place  string `json:"place"`
	User   string `json:"user"`
	Steps  []Step `json:"steps"`
	// Interrupted says that not all steps were done.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Run measures a store. It writes only below the user id Plan.User and removes
// all of it, also when it fails, when stop is closed and when ctx ends; the
// error says so if that did not succeed.
func Run(ctx context.Context, stop <-chan struct{}, p Plan) (*Result, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	r := &runner{Plan: p, stop: stop, result: &Result{Driver: p.Driver.Name(), Place: p.Driver.Place(), User: p.User}}
	for _, size := range p.Sizes {
		if err := r.size(ctx, size); err != nil {
			return r.result, err
		}
		if asked(stop) || ctx.Err() != nil {
			r.result.Interrupted = true
			break
		}
	}
	return r.result, nil
}

type runner struct {
	Plan
	stop   <-chan struct{}
	result *Result
}

// size measures one size, and removes what that has written.
func (r *runner) size(ctx context.Context, size int64) (err error) {
	s := newShelf(r.User, size, r.Noise)
	defer func() { err = errors.Join(err, r.tidy(ctx, s)) }()
	for i, concurrency := range r.Concurrency {
		for _, op := range Operations() {
			if !r.has(op) || op == List && i > 0 {
				continue
			}
			if ok, err := r.step(ctx, s, op, concurrency); err != nil || !ok {
				return err
			}
		}
		if r.has(Put) {
			if err := r.tidy(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// tidy removes what a shelf has, also when the context has ended.
func (r *runner) tidy(ctx context.Context, s *shelf) error {
	if err := s.clear(context.WithoutCancel(ctx), r.Cleaner); err != nil {
		return fmt.Errorf("remove what was written for measuring, below the user id %s: %w", r.User, err)
	}
	return nil
}

// step measures one step, false if somebody stopped it.
func (r *runner) step(ctx context.Context, s *shelf, op Operation, concurrency int) (ok bool, err error) {
	if op == List {
		concurrency = 1
	}
	if why := r.tooMuch(op, s.size, concurrency); why != "" {
		r.done(Step{Operation: op, SizeBytes: s.size, Concurrency: concurrency, LeftOut: why})
		return true, nil
	}
	if op != Put {
		if err := r.stock(ctx, s); err != nil {
			return false, err
		}
		if asked(r.stop) || ctx.Err() != nil {
			return false, nil
		}
	}
	measure := map[Operation]func(context.Context, *shelf, int) (Step, bool){
		Put: r.put, Stat: r.stat, Get: r.get, List: r.list, Delete: r.delete,
	}[op]
	step, ok := measure(ctx, s, concurrency)
	if !ok {
		return false, nil
	}
	step.Operation, step.SizeBytes, step.BytesPerSecond = op, s.size, step.PerSecond*float64(s.size)
	if op == List || op == Stat || op == Delete {
		step.BytesPerSecond = 0
	}
	r.done(step)
	return true, nil
}

func (r *runner) done(s Step) {
	r.result.Steps = append(r.result.Steps, s)
	if r.Progress != nil {
		r.Progress(s)
	}
}

// stocked is how many documents are put for the other operations where puts are
// not measured.
const stocked = 1000

// stock puts documents, unmeasured, where there are none.
func (r *runner) stock(ctx context.Context, s *shelf) error {
	if s.live() > 0 {
		return nil
	}
	w := r.putting(s, r.Cleaner, min(stocked, r.MaxBytes/s.size))
	if r.Count > 0 {
		w.limit = min(r.Count, r.MaxBytes/s.size)
	}
	concurrency := max(1, min(8, int(r.MemoryBytes/min(s.size*int64(w.batch), r.Driver.Capabilities().StreamBytes+s.size))))
	_, _ = w.measured(ctx, r.stop, concurrency, 0)
	s.high += w.claimed()
	if w.firstError != nil {
		return fmt.Errorf("put documents to measure with: %w", w.firstError)
	}
	return nil
}

// sizes lists the sizes of the steps of an operation, in ascending order.
func (r *Result) sizes(op Operation) []int64 {
	var sizes []int64
	for _, s := range r.Steps {
		if s.Operation == op && !slices.Contains(sizes, s.SizeBytes) {
			sizes = append(sizes, s.SizeBytes)
		}
	}
	slices.Sort(sizes)
	return sizes
}
