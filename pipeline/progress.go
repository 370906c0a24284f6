package pipeline

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/failure"
)

// Progress is how far a run has come. The zero value is ready to be handed to a
// run in Options.Progress, one run each, and can be asked before the run has
// begun and after it has ended. Safe for concurrent use.
type Progress struct {
	stages [stageCount]stageMeter

	mu          sync.Mutex
	began, over time.Time
	purge       bool
	// stores are all that the run works with, and carrying those whose bytes
	// tell how much it carries.
	stores, carrying []Store

	total, done Amount
	counted     bool   // total is known
	first       Amount // done by earlier runs
	counts      checkpoint.Counts
	failed      int64
	classes     map[string]int64
	buckets     map[string]*BucketCount
	sizes       []int64
	source      side
	destination side
	pace        pace
}

// side is one of the two stores of a run.
type side struct {
	store Store
	ops   interface {
		InFlight() int64
		Limit() int64
	}
}

func (s side) state() SideState {
	if s.store.Driver == nil {
		return SideState{}
	}
	at := s.store.Meter.Measurements()
	return SideState{
		Name: s.store.Name(), Place: s.store.Place(), InFlight: s.ops.InFlight(), Limit: s.ops.Limit(),
		Operations: at.Operations, Errors: at.Errors, Retries: at.Retries, Bytes: at.Bytes, Latency: at.Latency,
	}
}

// attach says what run the progress is of.
func (p *Progress) attach(m *migration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.purge, p.stores, p.carrying = m.Purge, []Store{m.src, m.dst}, []Store{m.src}
	if p.purge {
		p.carrying = []Store{m.dst}
	}
	p.source, p.destination = side{m.src, m.sourceOps}, side{m.dst, m.destOps}
	p.makeCounts()
}

// attachAudit says what audit the progress is of.
func (p *Progress) attachAudit(a *audit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stores, p.carrying = a.Stores, a.Stores
	if len(a.Stores) > 0 {
		p.source = side{a.Stores[0], a.ops}
	}
	p.makeCounts()
}

func (p *Progress) makeCounts() {
	p.classes, p.buckets = make(map[string]int64), make(map[string]*BucketCount)
	p.sizes = make([]int64, len(SizeBounds)+1)
}

// end says that the run is over.
func (p *Progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = time.Now()
}

// begin says what the migration is about, and what earlier runs have done.
func (p *Progress) begin(h checkpoint.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
	p.counts = h.Counts
	p.total, p.counted = Amount{h.Documents, h.Bytes}, h.Documents > 0 || p.purge
	p.done = Amount{h.Counts.Moved + h.Counts.Skipped, h.Counts.BytesCounted}
	p.first = p.done
}

// count says what the migration is about, once that is known.
func (p *Progress) count(total Amount) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.counted = total, true
}

// staffed says that so many workers run a stage from now on.
func (p *Progress) staffed(s Stage, workers int) {
	if s.watched() {
		p.stages[s].watch(workers)
	}
}

// queued counts batches that wait for a stage.
func (p *Progress) queued(s Stage, batches int64) {
	if s.watched() {
		p.stages[s].queued.Add(batches)
	}
}

// busy counts a batch into a stage until the returned function is called.
func (p *Progress) busy(s Stage) func() { return p.stages[s].begin() }

// passed counts a document as done by a stage, once.
func (p *Progress) passed(s Stage, it *item) {
	bit := uint8(1) << s
	if it.passed&bit != 0 {
		return
	}
	it.passed |= bit
	p.stages[s].documents.Add(1)
	p.stages[s].behind(it)
}

// settled counts a document as done by all stages, also by those that had
// nothing to do for it.
func (p *Progress) settled(it *item) {
	p.done.add(amountOf(it))
	for s := range p.stages {
		if it.passed&(1<<s) == 0 {
			p.stages[s].behind(it)
		}
	}
}

func amountOf(it *item) Amount { return Amount{1, max(it.doc.Bytes, 0)} }

// finished takes in how a batch ended.
func (p *Progress) finished(m *migration, b *batch, o checkpoint.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Add(o.Counts)
	p.failed += int64(len(o.Failed))
	for _, it := range b.items {
		counts := m.counts(it)
		if it.failure != nil {
			p.classes[it.failure.Class]++
		}
		if counts || it.failure != nil {
			p.bucket(it.doc.Bucket).add(it, counts)
		}
		if counts && (m.Purge || !it.earlier) {
			size, _ := slices.BinarySearch(SizeBounds, it.fetchedBytes)
			p.sizes[size]++
		}
		if counts || m.skips(it) || it.failure != nil && (m.Purge || !it.counted) {
			p.settled(it)
		}
	}
}

// audited takes in a batch that was checked.
func (p *Progress) audited(b *batch, o checkpoint.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Add(o.Counts)
	p.failed += int64(len(o.Failed))
	for _, it := range b.items {
		if it.failure != nil {
			p.classes[it.failure.Class]++
		}
		p.bucket(it.doc.Bucket).add(it, true)
		p.settled(it)
	}
}

// tally tells what has been counted.
func (p *Progress) tally() (counts checkpoint.Counts, failed int64) {
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

func (c *BucketCount) add(it *item, counts bool) {
	if it.failure != nil {
		c.Failed++
	}
	if counts {
		c.Documents++
		c.BytesRead += it.fetchedBytes
		c.BytesWritten += it.receipt.Bytes
	}
}

// Snapshot tells how far the run has come at this moment.
func (p *Progress) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Snapshot{
		At: time.Now(), Began: p.began, Ended: p.over, Counts: p.counts, Failed: p.failed,
		Total: p.total, Counted: p.counted, Done: p.done, SizeBuckets: slices.Clone(p.sizes), Left: -1,
		Source: p.source.state(), Destination: p.destination.state(),
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
	s.Paused = failure.Outages(p.stores...)
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
	for _, s := range p.carrying {
		bytes += s.Meter.Measurements().Bytes
	}
	return bytes
}

// sample looks at what is measured over time. p.mu is held.
func (p *Progress) sample() sample {
	s := sample{
		at: time.Now(), carried: p.carried(),
		source: answersOf(p.source), destination: answersOf(p.destination),
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

// watch samples the run until ctx ends.
func (p *Progress) watch(ctx context.Context) {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		p.mu.Lock()
		p.pace.take(p.sample(), len(failure.Outages(p.stores...)) > 0)
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
