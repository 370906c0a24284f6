package pipeline

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/progress"
)

// Sample is what was measured: batches spread over the catalog, read at the
// source and brought into the destination's form in memory, by the stages and
// with the workers that the migration would have.
type Sample struct {
	// Batches of AllBatches were read.
	Batches, AllBatches int64
	// Read is what was read, WrittenBytes what would be put for it.
	Read         Amount
	WrittenBytes int64
	Took         time.Duration
	// Failures groups the documents that proved to be missing or broken; Failed
	// counts them.
	Failures []FailureGroup
	Failed   int64
	// Long is what was left out because it would have taken too long.
	Long Amount
	// Incomplete says that the source did not answer in time for all that had
	// been begun.
	Incomplete bool
	// Asked documents were looked for at the destination, and Found of them are
	// there already. AskError is why that could not be asked.
	Asked, Found int
	AskError     error

	forms [formCount]formSample
}

// formSample is what was measured of payloads of one form.
type formSample struct{ documents, read, written, decompressed int64 }

const (
	// sampleBatches is how many batches are read at most.
	sampleBatches = 32
	// longBytes is how many bytes a batch may have to be read for a sample.
	longBytes = 64 << 20
	// sampleAsked is how many documents are looked for at the destination.
	sampleAsked = 8
	// samplePatience is how long the source may take beyond the sample's time for
	// what has been begun.
	samplePatience = 20 * time.Second
)

// sampler keeps a few of the batches that it is offered, each with the same
// chance, whatever their number.
type sampler struct {
	random  *rand.Rand
	batches [][]catalog.Document
	offered int64
	long    Amount
}

func newSampler() sampler {
	// Always the same choice, so that a plan made twice is the same twice.
	return sampler{random: rand.New(rand.NewPCG(1, 2))}
}

func (s *sampler) offer(items []*item) {
	if len(items) == 0 {
		return
	}
	var bytes int64
	for _, it := range items {
		bytes += max(it.doc.Bytes, it.fetchedBytes, 0)
	}
	if bytes > longBytes {
		s.long.Add(Amount{int64(len(items)), bytes})
		return
	}
	s.offered++
	at := s.random.Int64N(s.offered)
	if len(s.batches) < sampleBatches {
		s.batches = append(s.batches, nil)
		last := len(s.batches) - 1
		s.batches[last], s.batches[at] = s.batches[at], nil
	} else if at >= sampleBatches {
		return
	}
	docs := make([]catalog.Document, len(items))
	for i, it := range items {
		docs[i] = it.doc
	}
	s.batches[at] = docs
}

// measure reads the sample.
func (p *planner) measure(ctx context.Context) error {
	s := &p.plan.Sample
	s.AllBatches, s.Long = p.sample.offered, p.sample.long
	p.askDestination(ctx)
	if p.options.SampleTime <= 0 || len(p.sample.batches) == 0 {
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
		for _, docs := range p.sample.batches {
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
			p.measured(it)
		}
	}
	s.Failures = failures.Sorted()
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// measured counts a document that was read.
func (p *planner) measured(it *item) {
	s := &p.plan.Sample
	s.Read.Add(Amount{1, it.fetchedBytes})
	s.WrittenBytes += it.bytes
	f := &s.forms[p.formOf(it, max(it.doc.Bytes, it.fetchedBytes), true)]
	f.documents++
	f.read += it.fetchedBytes
	f.written += it.bytes
	if it.doc.Compressed && !it.compressed {
		f.decompressed++
	}
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
	for _, docs := range p.sample.batches[:min(len(p.sample.batches), sampleAsked)] {
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

// Duration estimates how long reading and recompressing would take for all that
// is to be moved; ok is false where nothing was measured. The destination comes
// on top of it, or beside it, where it is slower.
func (s *Sample) Duration() (d time.Duration, ok bool) {
	if s.Batches == 0 || s.Took <= 0 {
		return 0, s.AllBatches == 0 && s.Long.Documents == 0
	}
	took := s.Took.Seconds()
	seconds := took * float64(s.AllBatches) / float64(s.Batches)
	if s.Long.Bytes > 0 {
		if s.Read.Bytes == 0 {
			return 0, false
		}
		seconds += took * float64(s.Long.Bytes) / float64(s.Read.Bytes)
	}
	return time.Duration(seconds * float64(time.Second)), true
}
