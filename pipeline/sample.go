package pipeline

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/progress"
)

const (
	// sampleAsked is how many documents are looked for at the destination.
	sampleAsked = 8
	// samplePatience is how long the source may take beyond the sample's time for
	// what has been begun.
	samplePatience = 20 * time.Second
)

// measure reads the sample.
func (p *planner) measure(ctx context.Context) error {
	s := &p.plan.Sample
	s.AllBatches, s.Long = p.sample.Offered, p.sample.Long
	p.askDestination(ctx)
	if p.options.SampleTime <= 0 || len(p.sample.Batches) == 0 {
		return cancelled(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, p.options.SampleTime+samplePatience)
	defer cancel()
	err := p.readSample(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		s.Incomplete = true
		return nil
	}
	return err
}

// readSample runs the stages that change nothing over the sample.
func (p *planner) readSample(ctx context.Context) error {
	s := &p.plan.Sample
	failures := make(failure.Groups[checkpoint.Failure])
	began := time.Now()
	g, running := errgroup.WithContext(ctx)
	chosen := make(chan *batch, 1)
	g.Go(func() error {
		defer close(chosen)
		for _, docs := range p.sample.Batches {
			if time.Since(began) >= p.options.SampleTime || p.stopping() {
				return nil
			}
			b := &batch{}
			for _, d := range docs {
				b.items = append(b.items, p.newItem(d))
			}
			if err := send(running, chosen, b); err != nil {
				return err
			}
		}
		return nil
	})
	stages := pools{g: g, ctx: running, gaveUp: func() error { return failure.GaveUp(p.src) }, progress: p.progress}
	prepared := stages.stage(progress.StagePrepare, 2, chosen, p.prepare)
	fetched := stages.stage(progress.StageFetch, 4, prepared, p.fetch)
	recompressed := stages.stage(progress.StageRecompress, concurrency.Processors(), fetched, p.recompress)
	for b := range stages.stage(progress.StagePut, 4, recompressed, p.drain) {
		s.Took = time.Since(began)
		s.Batches++
		for _, it := range b.items {
			if it.failure != nil {
				s.Failed++
				failures.Add(it.failure.Class, *it.failure)
				continue
			}
			s.Add(it.fetchedBytes, it.bytes, p.changeOf(it, max(it.doc.Bytes, it.fetchedBytes), true), it.doc.Compressed && !it.compressed)
		}
	}
	s.Failures = failures.Sorted()
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// drain stands where put does: streamed payloads are read through, and what is
// held in memory is given up.
func (p *planner) drain(ctx context.Context, b *batch) error {
	for _, it := range b.items {
		it.payload = nil
		if it.failure != nil || !it.streamed {
			continue
		}
		if err := p.readThrough(ctx, it); err != nil {
			p.notFetched(ctx, it, err)
		}
	}
	p.budget.Release(b.reserved)
	return cancelled(ctx)
}

// readThrough reads the stream that would be put.
func (p *planner) readThrough(ctx context.Context, it *item) error {
	payload, err := p.stream(ctx, it)
	if err != nil {
		return err
	}
	r, err := payload.Open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	it.bytes, err = forms.Copy(io.Discard, r)
	return err
}

// askDestination looks there for a few documents that are at the source. Where
// they are there already, the two may be one place.
func (p *planner) askDestination(ctx context.Context) {
	if p.options.Missing {
		return
	}
	s := &p.plan.Sample
	for _, docs := range p.sample.Batches[:min(len(p.sample.Batches), sampleAsked)] {
		it := p.newItem(docs[0])
		if it.failure != nil {
			continue
		}
		_, err := p.dst.Stat(ctx, it.dest)
		switch {
		case err == nil:
			s.Found++
		case drivers.KindOf(err) != drivers.NotFound && drivers.KindOf(err) != drivers.Untold:
			s.AskError = err
			return
		}
		s.Asked++
	}
}
