package progress

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/pipeline/failure"
)

// Progress is how far a run has come. The zero value is ready to be handed to a
// run in Options.Progress, one run each, and can be asked before the run has
// begun and after it has ended. Safe for concurrent use.
type Progress struct {
	stages [stageCount]stageMeter

	mu          sync.Mutex
	began, over time.Time
	run         Run

	total, done Amount
	counted     bool   // total is known
	first       Amount // done by earlier runs
	counts      checkpoint.Counts
	failed      int64
	classes     map[string]int64
	buckets     map[string]*BucketCount
	sizes       []int64
	pace        pace
}

// Side is one of the two stores of a run.
type Side struct {
	Store drivers.Driver // nil for none
	Meter *metrics.Meter
	// Limits says to what the operator keeps the store, for messages.
	Limits string
	// Ops bounds the operations in flight there.
	Ops interface {
		InFlight() int64
		Limit() int64
	}
}

func (s Side) state() SideState {
	if s.Store == nil {
		return SideState{}
	}
	at := s.Meter.Measurements()
	return SideState{
		Name: s.Store.Name(), Place: s.Store.Place(), InFlight: s.Ops.InFlight(), Limit: s.Ops.Limit(),
		Operations: at.Operations, Errors: at.Errors, Retries: at.Retries, Bytes: at.Bytes, Latency: at.Latency,
	}
}

// Run is what a Progress must know of the run that it is of.
type Run struct {
	Source, Destination Side
	// Stores are all that the run works with.
	Stores []drivers.Driver
	// Carrying are those whose bytes tell how much the run carries.
	Carrying []*metrics.Meter
	// Counted: what the run is about is known when it begins, even if it is nothing.
	Counted bool
}

// Attach says what run the progress is of.
func (p *Progress) Attach(r Run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = r
	p.classes, p.buckets = make(map[string]int64), make(map[string]*BucketCount)
	p.sizes = make([]int64, len(SizeBounds)+1)
}

// End says that the run is over.
func (p *Progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = time.Now()
}

// Begin says what the migration is about, and what earlier runs have done.
func (p *Progress) Begin(h checkpoint.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
	p.counts = h.Counts
	p.total, p.counted = Amount{h.Documents, h.Bytes}, h.Documents > 0 || p.run.Counted
	p.done = Amount{h.Counts.Moved + h.Counts.Skipped, h.Counts.BytesCounted}
	p.first = p.done
}

// Count says what the migration is about, once that is known.
func (p *Progress) Count(total Amount) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.counted = total, true
}

// Staffed says that so many workers run a stage from now on.
func (p *Progress) Staffed(s Stage, workers int) {
	if s.watched() {
		p.stages[s].watch(workers)
	}
}

// Queued counts batches that wait for a stage.
func (p *Progress) Queued(s Stage, batches int64) {
	if s.watched() {
		p.stages[s].queued.Add(batches)
	}
}

// Busy counts a batch into a stage until the returned function is called.
func (p *Progress) Busy(s Stage) func() { return p.stages[s].begin() }

// Document is what flows through the stages.
type Document interface {
	// CatalogBytes is how long its payload is as the catalog counts it, in bytes; 0
	// where it does not say.
	CatalogBytes() int64
	Tracked() *Track
}

// Track is what is remembered of a Document, which embeds it.
type Track struct{ passed uint8 } // a bit for each stage that has counted it

const _ = uint8(1) << (stageCount - 1) // does not compile where there are more stages than bits

// Tracked gives the Track itself, so that a Document which embeds it has it.
func (t *Track) Tracked() *Track { return t }

// Passed counts a document as done by a stage, once.
func (p *Progress) Passed(s Stage, d Document) {
	bit, track := uint8(1)<<s, d.Tracked()
	if track.passed&bit != 0 {
		return
	}
	track.passed |= bit
	p.stages[s].documents.Add(1)
	p.stages[s].behind(d)
}

// settled counts a document as done by all stages, also by those that had
// nothing to do for it.
func (p *Progress) settled(d Document) {
	p.done.Add(amountOf(d))
	for s := range p.stages {
		if d.Tracked().passed&(1<<s) == 0 {
			p.stages[s].behind(d)
		}
	}
}

func amountOf(d Document) Amount { return Amount{1, d.CatalogBytes()} }

// Ended is how a document has ended in its batch.
type Ended struct {
	Document
	Bucket string
	Class  string // of its failure, "" for none
	// Done: it counts as done by this run. BytesRead and BytesWritten are then what
	// it took.
	Done                    bool
	BytesRead, BytesWritten int64
	// Sized: its length counts too.
	Sized bool
	// Settled: the run is over with it for good.
	Settled bool
}

// Finished takes in how a batch ended.
func (p *Progress) Finished(o checkpoint.Outcome, documents []Ended) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Add(o.Counts)
	p.failed += int64(len(o.Failed))
	for _, e := range documents {
		if e.Class != "" {
			p.classes[e.Class]++
		}
		if e.Done || e.Class != "" {
			p.bucket(e.Bucket).add(e)
		}
		if e.Sized {
			size, _ := slices.BinarySearch(SizeBounds, e.BytesRead)
			p.sizes[size]++
		}
		if e.Settled {
			p.settled(e)
		}
	}
}

// Skipped takes in documents that needed nothing.
func (p *Progress) Skipped(counts checkpoint.Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Add(counts)
	p.done.Add(Amount{counts.Skipped, counts.BytesCounted})
}

// Tally tells what has been counted.
func (p *Progress) Tally() (counts checkpoint.Counts, failed int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts, p.failed
}

// bucket gives the counts of a logical bucket.
func (p *Progress) bucket(name string) *BucketCount {
	if p.buckets[name] == nil && len(p.buckets) >= maxBuckets {
		name = OtherBuckets
	}
	if p.buckets[name] == nil {
		p.buckets[name] = &BucketCount{Bucket: name}
	}
	return p.buckets[name]
}

func (c *BucketCount) add(e Ended) {
	if e.Class != "" {
		c.Failed++
	}
	if e.Done {
		c.Documents++
		c.BytesRead += e.BytesRead
		c.BytesWritten += e.BytesWritten
	}
}

// Snapshot tells how far the run has come at this moment.
func (p *Progress) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Snapshot{
		At: time.Now(), Began: p.began, Ended: p.over, Counts: p.counts, Failed: p.failed,
		Total: p.total, Counted: p.counted, Done: p.done, SizeBuckets: slices.Clone(p.sizes), Left: -1,
		Source: p.run.Source.state(), Destination: p.run.Destination.state(),
	}
	if p.counted {
		s.Done = p.done.within(p.total)
	}
	s.Retries = s.Source.Retries + s.Destination.Retries
	for i := range p.stages {
		s.Stages = append(s.Stages, p.stages[i].state(Stage(i).String()))
	}
	for class, n := range p.classes {
		s.Failures = append(s.Failures, ClassCount{class, n})
	}
	slices.SortFunc(s.Failures, func(a, b ClassCount) int { return cmp.Compare(a.Class, b.Class) })
	for _, c := range p.buckets {
		s.ByBucket = append(s.ByBucket, *c)
	}
	slices.SortFunc(s.ByBucket, func(a, b BucketCount) int { return cmp.Compare(a.Bucket, b.Bucket) })
	if !p.began.IsZero() {
		p.tellPace(&s)
	}
	return s
}

// tellPace adds what a look at the time before tells.
func (p *Progress) tellPace(s *Snapshot) {
	now := p.sample()
	weights := now.weights()
	if passed := now.at.Sub(p.began).Seconds(); passed > 0 {
		s.Average.DocumentsPerSecond = weights.of(now.behind).documents / passed
		s.Average.BytesPerSecond = float64(now.carried) / passed
	}
	if !p.over.IsZero() {
		return
	}
	s.Paused = failure.Outages(p.run.Stores...)
	if p.counted && p.done != p.first {
		s.Left = p.pace.left(now, Amount{p.total.Documents - p.first.Documents, p.total.Bytes - p.first.Bytes})
	}
	before := p.pace.before(now)
	passed := now.at.Sub(before.at)
	if passed <= 0 {
		return
	}
	s.Now.DocumentsPerSecond = (weights.of(now.behind).documents - weights.of(before.behind).documents) / passed.Seconds()
	s.Now.BytesPerSecond = float64(now.carried-before.carried) / passed.Seconds()
	for i := range s.Stages {
		s.Stages[i].BusyShare = share(now.busy[i]-before.busy[i], passed, s.Stages[i].Workers)
	}
	if len(s.Paused) == 0 {
		s.bottleneck = p.findBottleneck(before, now, s.Stages)
	}
}

// share is the part of their time that workers were busy.
func share(busy, passed time.Duration, workers int) float64 {
	if workers == 0 {
		return 0
	}
	return min(1, max(0, busy.Seconds()/passed.Seconds()/float64(workers)))
}

// carried are the bytes that the run's pace is told in.
func (p *Progress) carried() (bytes int64) {
	for _, s := range p.run.Carrying {
		bytes += s.Measurements().Bytes
	}
	return bytes
}

// sample looks at what is measured over time. p.mu is held.
func (p *Progress) sample() sample {
	s := sample{
		at: time.Now(), carried: p.carried(),
		source: answersOf(p.run.Source), destination: answersOf(p.run.Destination),
	}
	for i := range p.stages {
		p.stages[i].sample(&s, i)
	}
	if !p.over.IsZero() {
		s.at = p.over
	}
	commits := p.stages[StageCommit].latency.Latency()
	s.commits = answers{count: commits.Count, sum: commits.Sum}
	return s
}

// Watch samples the run until ctx ends.
func (p *Progress) Watch(ctx context.Context) {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		p.mu.Lock()
		p.pace.take(p.sample(), len(failure.Outages(p.run.Stores...)) > 0)
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Report calls back with the progress every so often, every two seconds if that is
// 0, until ctx ends. call may be nil.
func (p *Progress) Report(ctx context.Context, call func(Snapshot), every time.Duration) {
	Report(ctx, p.Snapshot, call, every)
}

const defaultReportEvery = 2 * time.Second

// Report calls back with what snapshot gives, every so often, every two seconds if that
// is 0, until ctx ends. call may be nil.
func Report[S any](ctx context.Context, snapshot func() S, call func(S), every time.Duration) {
	if call == nil {
		return
	}
	tick := time.NewTicker(cmp.Or(every, defaultReportEvery))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			call(snapshot())
		}
	}
}
