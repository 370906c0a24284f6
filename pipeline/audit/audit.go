package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/store"
)

// Options say what an audit looks at. It changes nothing but its
// checkpoint.
type Options struct {
	// Stores are all that the installation has configured.
	Stores  []store.Store
	Catalog catalog.Catalog
	// Checkpoint is the path of the file that lets an interrupted audit go on.
	Checkpoint string
	Buckets    []string
	// SamplePercent keeps the audit to so many documents of a hundred, always
	// the same ones; 0 and 100 are all.
	SamplePercent float64
	// Orphans also looks for payloads that no row names, in stores that list.
	Orphans     bool
	MemoryBytes int64
	Workers     int
	Log         *slog.Logger
	// Failed is called for each document that is not well, and Orphan for each
	// payload that no row names; one after the other, at the end.
	Failed func(checkpoint.Failure)
	Orphan func(uri string, info drivers.Info)
	// Report, if set, is called with the progress every ReportEvery, two seconds
	// if that is 0.
	Report      func(progress.Snapshot)
	ReportEvery time.Duration
	// Progress, if set, can be asked at any time how far the audit has come. Its
	// documents and bytes to check are counted with one query; of a sample they
	// are what can be expected.
	Progress *progress.Progress
}

// Result is how an audit ended.
type Result struct {
	Resumed, Interrupted bool
	// Documents were checked, with Bytes payload bytes as stored; NoDigest of
	// them have none in the catalog.
	Documents, Bytes, NoDigest int64
	Failures                   []failure.Group[checkpoint.Failure]
	Failed                     int64
	Orphans                    int64
	Checkpoint                 string // where it is kept
	Began, Ended               time.Time
}

// audit is one run.
type audit struct {
	Options
	checkpoint *checkpoint.Checkpoint
	stop       <-chan struct{}
	limits     concurrency.Limits
	budget     *semaphore.Weighted
	ops        *concurrency.Gate[*document]
	progress   *progress.Progress
	stopped    bool
	// folding says of stores that were asked whether they fold names.
	folding map[*store.Store]bool
}

// Run reads every document of the catalog where its row says, and checks
// digest, length and zlib. What is not well stands in the result; an error means
// that the audit could not be finished.
func Run(ctx context.Context, stop <-chan struct{}, o Options) (Result, error) {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = concurrency.DefaultMemoryBytes
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &audit{Options: o, stop: stop, limits: concurrency.LimitsFor(o.MemoryBytes), budget: semaphore.NewWeighted(o.MemoryBytes)}
	workers := o.Workers
	for _, s := range o.Stores {
		if o.Workers == 0 {
			workers = max(workers, s.Capabilities().Workers)
		}
	}
	a.ops = concurrency.Fixed[*document](max(1, workers))
	if a.progress = o.Progress; a.progress == nil {
		a.progress = new(progress.Progress)
	}
	a.progress.Attach(a.asSeen())
	defer a.progress.End()
	result := Result{Began: time.Now()}
	ctx, giveUp := context.WithCancelCause(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { failure.StopInOutage(ctx, stop, giveUp, a.Stores...) })
	err := a.run(ctx, &result)
	if err != nil {
		err = cmp.Or(failure.GaveUp(a.Stores...), context.Cause(ctx), err)
	}
	giveUp(nil)
	watchers.Wait()
	result.Ended = time.Now()
	return result, err
}

// asSeen is what the progress must know of the audit.
func (a *audit) asSeen() (r progress.Run) {
	for i, s := range a.Stores {
		if i == 0 {
			r.Source = progress.Side{Store: s, Meter: s.Meter, Limits: s.Limits, Ops: a.ops}
		}
		r.Stores, r.Carrying = append(r.Stores, s), append(r.Carrying, s.Meter)
	}
	return r
}

func (a *audit) run(ctx context.Context, result *Result) (err error) {
	if a.checkpoint, err = checkpoint.Open(a.Checkpoint, Identity(a.Options)); err != nil {
		return err
	}
	finished := false
	defer func() {
		if cerr := a.checkpoint.Close(); err == nil {
			err = cerr
		}
		if result.Checkpoint = a.Checkpoint; finished {
			result.Checkpoint = ""
			err = cmp.Or(err, checkpoint.Remove(a.Checkpoint))
		}
	}()
	result.Resumed = a.checkpoint.Resumed()
	if err := a.count(ctx); err != nil {
		return err
	}
	if err := a.allReached(ctx); err != nil {
		var skipped *failure.SkippedError
		finished = errors.As(err, &skipped)
		return err
	}
	if !a.stopped {
		err = a.documents(ctx)
	}
	if err != nil {
		return err
	}
	if err := a.checkpoint.Flush().Wait(ctx); err != nil {
		return err
	}
	h := a.checkpoint.Header()
	result.Documents, result.Bytes, result.NoDigest = h.Counts.Moved, h.Counts.BytesRead, h.Counts.NoDigest
	if result.Failures, result.Failed, err = failure.Gather(a.checkpoint, a.Failed); err != nil {
		return err
	}
	if result.Interrupted = a.stopped; a.stopped {
		return nil
	}
	if a.Orphans {
		if result.Orphans, err = a.orphans(ctx); err != nil {
			return err
		}
	}
	finished = true
	return nil
}

// count counts what there is to check.
func (a *audit) count(ctx context.Context) error {
	totals, err := a.Catalog.Count(ctx, catalog.Selection{Buckets: a.Buckets})
	if err != nil {
		return err
	}
	part := 1.0
	if a.SamplePercent > 0 {
		part = min(1, a.SamplePercent/100)
	}
	h := a.checkpoint.Header()
	h.Documents, h.Bytes = int64(part*float64(totals.Documents+totals.NoURI)), int64(part*float64(totals.Bytes))
	a.progress.Begin(h)
	a.progress.Count(progress.Amount{Documents: h.Documents, Bytes: h.Bytes})
	return nil
}

// documents runs through the catalog.
func (a *audit) documents(ctx context.Context) error {
	watching, unwatch := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { a.progress.Watch(watching) })
	watchers.Go(func() { a.progress.Report(watching, a.Report, a.ReportEvery) })
	defer watchers.Wait()
	defer unwatch()
	g, running := errgroup.WithContext(ctx)
	cut := make(chan *batch, 1)
	g.Go(func() error {
		defer close(cut)
		return a.enumerate(running, cut)
	})
	a.progress.Staffed(progress.StageFetch, auditWorkers)
	for range auditWorkers {
		g.Go(func() error {
			for b := range cut {
				if err := a.check(running, b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// auditWorkers is how many batches are checked at once.
const auditWorkers = 4

// check checks a batch and records what was found.
func (a *audit) check(ctx context.Context, b *batch) error {
	defer a.progress.Busy(progress.StageFetch)()
	for s, items := range a.byStore(b.documents) {
		if err := a.checkIn(ctx, s, items); err != nil {
			return err
		}
	}
	if err := failure.GaveUp(a.Stores...); err != nil {
		return err
	}
	var o checkpoint.Outcome
	ended := make([]progress.Ended, len(b.documents))
	for i, it := range b.documents {
		ended[i] = progress.Ended{Document: it, Bucket: it.doc.Bucket, Done: true, Settled: true, BytesRead: it.fetchedBytes}
		o.Counts.Moved++
		o.Counts.BytesRead += it.fetchedBytes
		o.Counts.BytesCounted += it.CatalogBytes()
		if it.doc.Digest == "" && !it.doc.NoURI {
			o.Counts.NoDigest++
		}
		if it.failure != nil {
			ended[i].Class = it.failure.Class
			o.Failed = append(o.Failed, *it.failure)
		}
	}
	a.checkpoint.Done(b.number, o)
	a.progress.Finished(o, ended)
	return nil
}

// byStore sorts items by the store that reads them, and fails those that none
// does.
func (a *audit) byStore(items []*document) map[*store.Store][]*document {
	sorted := make(map[*store.Store][]*document)
	for _, it := range items {
		if it.doc.NoURI {
			it.fail(failure.StageEnumerate, failure.ClassNoURI, store.ErrNoURI)
			continue
		}
		if err := store.ForeignBytes(it.doc); err != nil {
			it.fail(failure.StageEnumerate, failure.ClassInvalidKey, err)
			continue
		}
		if s := a.storeOf(it.doc.URI); s != nil {
			sorted[s] = append(sorted[s], it)
		} else {
			it.fail(failure.StageEnumerate, failure.ClassNoStore, fmt.Errorf("no store of the configuration reads %s", it.doc.URI))
		}
	}
	return sorted
}

// storeOf is the store whose prefix fits best, else one with the same scheme:
// rows of an earlier configuration are read too, where its backend can.
func (a *audit) storeOf(uri string) *store.Store {
	var best *store.Store
	for i := range a.Stores {
		s := &a.Stores[i]
		if strings.HasPrefix(uri, s.Prefix()) && (best == nil || len(s.Prefix()) > len(best.Prefix())) {
			best = s
		}
	}
	for i := range a.Stores {
		if best == nil && strings.HasPrefix(uri, a.Stores[i].Scheme()) {
			best = &a.Stores[i]
		}
	}
	return best
}

// Identity is the identity of an audit, for naming its checkpoint.
func Identity(o Options) checkpoint.Identity {
	var places []string
	for _, s := range o.Stores {
		places = append(places, s.Place())
	}
	return checkpoint.Identify(fmt.Sprintf("verify of %s with %s, buckets %q, %g%%", o.Catalog.Place(), strings.Join(places, " and "), o.Buckets, o.SamplePercent))
}
