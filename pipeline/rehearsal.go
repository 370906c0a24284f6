package pipeline

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/plan"
	"github.com/kedge/kedge/pipeline/progress"
)

// PlanOptions say what is planned: a migration with these Options.
type PlanOptions struct {
	Options
	// Missing says that the destination's place is not there yet, so that
	// nothing can be asked of it.
	Missing bool
	// SampleTime is how long documents are read at the source for the estimates;
	// 0 reads none.
	SampleTime time.Duration
	// Looked, if set, is called now and then with how many rows were looked at.
	Looked func(rows int64)
}

// planner makes a Plan.
type planner struct {
	*migration
	options PlanOptions
	plan    plan.Plan
	tally   *plan.Tally
	// renamed are the keys that several rows may have.
	renamed map[drivers.Key]bool
	// asked counts the documents whose lengths the source was asked for.
	asked, looked int64
	sample        *plan.Sampler
}

// MakePlan finds out what Run would do with the same Options, from the same rows
// by the same rules, and changes nothing: it takes no lock, writes no task, no
// checkpoint and no probe. It fails where Run would refuse to begin, but for the
// lock and for places that may not keep what they are given, of which the Plan
// tells, and for what only a probe finds out. When stop is closed it ends early, with
// Plan.Interrupted.
//
// Memory does not depend on the number of documents.
func MakePlan(ctx context.Context, stop <-chan struct{}, o PlanOptions) (plan.Plan, error) {
	p := newPlanner(o, stop)
	err := p.lookThrough(ctx)
	p.tally.Conclude()
	return p.plan, err
}

func newPlanner(o PlanOptions, stop <-chan struct{}) *planner {
	p := &planner{migration: newMigration(o.Options, stop), options: o, sample: plan.NewSampler()}
	p.tally = plan.NewTally(&p.plan)
	// Nothing is put: what a sample reads is hashed here.
	p.provesNothing.Store(true)
	return p
}

func (p *planner) lookThrough(ctx context.Context) (err error) {
	began := time.Now()
	if err := p.lookAtAll(ctx); err != nil {
		return err
	}
	if err := p.lookAtRun(ctx); err != nil {
		return err
	}
	if err := p.findRenamed(ctx); err != nil {
		return err
	}
	if err := p.lookAtCopies(); err != nil {
		return err
	}
	p.pace.Begin = time.Since(began)
	err = p.walk(ctx, catalog.Position{}, nil, func(items []*item) error { return p.take(ctx, items) })
	if err != nil {
		return err
	}
	if p.plan.Interrupted = p.stopped; p.stopped {
		return nil
	}
	if err := p.measureCutover(ctx); err != nil {
		return err
	}
	return p.measure(ctx)
}

// lookAtAll finds the reasons not to begin, odd places, and places elsewhere.
func (p *planner) lookAtAll(ctx context.Context) (err error) {
	if err := p.refuseUntried(ctx); err != nil {
		return err
	}
	defer p.snapshot.Close()
	if p.plan.Volatile, err = p.preflight().Volatile(ctx); err != nil {
		return err
	}
	if err := p.survey(ctx); err != nil {
		return err
	}
	_, p.plan.Elsewhere, err = p.route.Count(ctx, p.snapshot, p.Beside, p.limits.PageRows)
	return err
}

// lookAtRun finds out who holds the lock, and what an earlier run has left.
func (p *planner) lookAtRun(ctx context.Context) (err error) {
	if p.plan.Held, err = p.cat.Holder(ctx); err != nil {
		return err
	}
	s, err := checkpoint.Look(p.Checkpoint, Identity(p.Options))
	var inUse *checkpoint.InUseError
	if errors.As(err, &inUse) {
		p.plan.CheckpointInUse = true
		return nil
	}
	if err != nil || s == nil || s.TaskID == 0 {
		return err
	}
	tasks, err := p.cat.Tasks(ctx)
	if err != nil {
		return err
	}
	p.plan.Resume = &plan.Resume{
		TaskID: s.TaskID, Documents: s.Documents, Moved: s.Counts.Moved, InFlight: s.InFlight, Failed: s.Failed, Finished: s.Finished,
		Forgotten: !slices.ContainsFunc(tasks, func(t catalog.Task) bool { return t.ID == s.TaskID }),
	}
	return nil
}

// maxRenamed bounds how many keys are kept in mind.
const maxRenamed = 10000

// findRenamed looks for documents that may have to share a place.
func (p *planner) findRenamed(ctx context.Context) error {
	keys, err := p.cat.Renamed(ctx, maxRenamed+1)
	if err != nil {
		return err
	}
	p.plan.UncheckedNames = len(keys) > maxRenamed
	p.renamed = make(map[drivers.Key]bool, len(keys))
	for _, key := range keys {
		p.renamed[key] = true
	}
	return nil
}

// take looks at the items of a batch.
func (p *planner) take(ctx context.Context, items []*item) error {
	b := &batch{items: items}
	asking := p.asked < maxAsked
	if asking {
		p.asked += int64(len(b.filter(func(it *item) bool { return it.pending() && it.doc.Bytes < 0 })))
		if err := p.askLengths(ctx, b); err != nil {
			return err
		}
	}
	if err := p.guard(ctx, b); err != nil {
		return err
	}
	if err := p.settleShared(ctx, b); err != nil {
		return err
	}
	if err := p.countCopies(items); err != nil {
		return err
	}
	for _, it := range items {
		p.count(it, it.doc.Bytes >= 0 || asking)
	}
	p.offer(b.pending())
	p.looked += int64(len(items))
	if p.options.Looked != nil {
		p.options.Looked(p.looked)
	}
	return nil
}

// maxAsked bounds for how many documents, more or less, the source is asked how
// long they are.
const maxAsked = 2000

// settleShared finds out which of the documents that may share a place would
// have to stay. That depends on their payloads, so that these few are read, as
// the migration would read them.
func (p *planner) settleShared(ctx context.Context, b *batch) error {
	shared := &batch{items: b.filter(func(it *item) bool { return it.pending() && p.renamed[it.doc.Key] })}
	if len(shared.items) == 0 {
		return nil
	}
	for _, stage := range []func(context.Context, *batch) error{p.prepare, p.fetch, p.recompress} {
		if err := stage(ctx, shared); err != nil {
			return err
		}
	}
	_, err := p.shareDestinations(ctx, shared)
	p.budget.Release(shared.reserved)
	for _, it := range shared.items {
		it.payload = nil
	}
	return err
}

// count adds an item to everything that it is a part of.
func (p *planner) count(it *item, known bool) {
	if it.failure != nil {
		p.tally.Stays(*it.failure, it.doc.Bucket, it.doc.UserID)
		return
	}
	bytes := max(it.doc.Bytes, it.fetchedBytes, 0)
	p.tally.Moves(plan.Document{
		Bucket: it.doc.Bucket, User: it.doc.UserID, Bytes: bytes, Known: known, Digest: it.doc.Digest != "",
		Change: p.route.ChangeOf(it.doc, bytes, known),
	})
}

// offer offers a batch to be sampled.
func (p *planner) offer(items []*item) {
	documents := make([]catalog.Document, len(items))
	var bytes int64
	for i, it := range items {
		documents[i] = it.doc
		bytes += max(it.doc.Bytes, it.fetchedBytes, 0)
	}
	p.sample.Offer(documents, bytes)
}

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
		return context.Cause(ctx)
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
			if err := concurrency.Send(running, chosen, b); err != nil {
				return err
			}
		}
		return nil
	})
	stages := pools{g: g, ctx: running, gaveUp: func() error { return failure.GaveUp(p.src) }, progress: p.progress}
	for b := range stages.stage(progress.StagePut, 4, p.untilPut(stages, chosen), p.drain) {
		s.Took = time.Since(began)
		s.Batches++
		for _, it := range b.items {
			if it.failure != nil {
				s.Failed++
				failures.Add(it.failure.Class, *it.failure)
				continue
			}
			s.Add(it.fetchedBytes, it.bytes, p.route.ChangeOf(it.doc, max(it.doc.Bytes, it.fetchedBytes), true), it.doc.Compressed && !it.compressed)
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
		if it.failure != nil || !it.carriage.streamed() {
			continue
		}
		if err := p.readThrough(ctx, it); err != nil {
			p.notFetched(ctx, it, err)
		}
	}
	p.budget.Release(b.reserved)
	return context.Cause(ctx)
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
