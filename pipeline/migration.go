// Package pipeline moves the documents of a catalog from one store to another:
//
//	enumerate -> prepare -> fetch -> recompress -> put -> verify -> commit -> delete -> finish
//
// Each stage is a function over a batch, in a file of its own, run by a bounded
// pool and joined to the next by a bounded channel. It knows the drivers'
// interface, the catalog and the checkpoint, and no backend.
package pipeline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/journal"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/survey"
)

// Elsewhere says what is done about rows of the source's scheme that lie
// neither in the source's place nor in the destination's.
type Elsewhere string

// What is done about rows elsewhere.
const (
	ElsewhereReport Elsewhere = "report" // left, named, and the run counts as failed
	ElsewhereIgnore Elsewhere = "ignore" // left and named
	ElsewhereMove   Elsewhere = "move"   // moved too
)

// Defaults of Options.
const (
	DefaultMemoryBytes        = concurrency.DefaultMemoryBytes
	DefaultMaxBackendFailures = failure.DefaultMost
)

// Options say what a migration does. Source, Destination and Catalog are the
// caller's to close.
type Options struct {
	Source, Destination Store
	Catalog             catalog.Catalog
	// Checkpoint is the path of the checkpoint file.
	Checkpoint string
	// Buckets keeps the migration to these logical buckets; all when empty.
	Buckets []string
	// KeepSource leaves the payloads at the source (--nodelete).
	KeepSource bool
	// Purge moves nothing: it deletes at the source what an earlier migration
	// with KeepSource has left, of documents whose rows name the destination
	// and whose bytes the destination proves now. With KeepSource it only looks
	// what there is to delete.
	Purge     bool
	Elsewhere Elsewhere
	// Beside are the prefixes of other stores that the installation is going to
	// have: rows that name places there are where they should be, and not elsewhere.
	Beside []string
	// MoveUnreadable moves documents also to a URI that Anchore cannot read
	// back (drivers.ReadableByAnchore).
	MoveUnreadable bool
	// ReadBack verifies every put by reading the payload back, whatever the
	// destination proves by itself.
	ReadBack bool
	// MemoryBytes bounds the payload bytes held at once; 0 is the default.
	MemoryBytes int64
	// Workers is how many operations each side has in flight. 0 begins with what
	// suits the drivers and finds out what is best.
	Workers int
	// MaxBackendFailures is how many documents in a row may fail because a
	// store does not do its work before the run gives up; 0 is the default.
	MaxBackendFailures int
	// WaitForLock waits for the migration lock instead of failing.
	WaitForLock bool
	Log         *slog.Logger
	// Started, if set, is called when the first document is about to be moved.
	Started func(Start)
	// Counted, if set, is called when it is known what the migration is about,
	// perhaps while documents are moved already.
	Counted func(Total)
	// Report, if set, is called with the progress every ReportEvery, two seconds
	// if that is 0.
	Report      func(Snapshot)
	ReportEvery time.Duration
	// Progress, if set, can be asked at any time how far the run has come.
	Progress *Progress
}

// asSeen is what the progress must know of the run.
func (m *migration) asSeen() progress.Run {
	r := progress.Run{
		Source:      progress.Side{Store: m.src, Meter: m.src.Meter, Limits: m.src.Limits, Ops: m.sourceOps},
		Destination: progress.Side{Store: m.dst, Meter: m.dst.Meter, Limits: m.dst.Limits, Ops: m.destOps},
		Stores:      []drivers.Driver{m.src, m.dst},
		Carrying:    []*metrics.Meter{m.src.Meter},
	}
	if m.Purge {
		r.Carrying, r.Counted = []*metrics.Meter{m.dst.Meter}, true
	}
	return r
}

// Start is what is known before the first document moves.
type Start struct {
	TaskID     int64
	Resumed    bool
	Checkpoint string
	// Documents is what the migration is about, over all its runs, as far as
	// earlier runs have counted it; Moved is what they did.
	Documents, Moved int64
}

// Total is what the migration is about.
type Total struct {
	TaskID int64
	// Documents is over all runs of the migration; Bytes, as stored, is of what is
	// left to be moved.
	Documents, Bytes int64
	// Elsewhere names the places of rows that the migration does not touch.
	Elsewhere []Place
}

// errLockLost stops a run whose lock session has ended.
var errLockLost = errors.New("the database session that held the migration lock has ended: stopped before anything more was changed (whether a commit under way took effect, the next run reads from the rows)")

// migration is one run.
type migration struct {
	Options
	src, dst   Store
	cat        catalog.Catalog
	checkpoint *checkpoint.Checkpoint
	journal    *journal.Writer
	stop       <-chan struct{}
	giveUp     context.CancelCauseFunc

	// since is when the probe was put, by the destination's clock.
	since time.Time

	selection catalog.Selection
	limits    concurrency.Limits
	budget    *semaphore.Weighted
	// budgetBytes is what budget holds; lateStream admits one stream more.
	budgetBytes int64
	lateStream  gate
	// snapshot is the catalog as it was before anything was changed.
	snapshot  catalog.Snapshot
	settled   *survey.Settlement
	alike     alike
	sourceOps gate // gets and deletes at the source
	destOps   gate // puts and read-backs at the destination
	cpu       gate // whatever only computes

	// provesNothing: the destination did not tell the MD5 of what it holds.
	provesNothing atomic.Bool

	progress *Progress
	streak   failure.Streak
	result   Result
	// left are the sources that this run has left for good; of finish, until it ends.
	left failure.Groups[checkpoint.Failure]
	// sweeping: the run has come to the end and goes once more from the start.
	sweeping bool
	// stopped: enumeration ended because of stop, not at the catalog's end.
	stopped bool
}

// Run migrates. It returns when everything is done, or when stop is closed and
// what was in flight is done (Result.Interrupted), or with an error when it
// could not begin or could not go on; in the latter two cases the same call
// resumes. Ending ctx stops at once, which is safe too: what was in flight is
// taken up by the next run.
//
// Documents that could not be moved are no error: they stand in the Result.
func Run(ctx context.Context, stop <-chan struct{}, o Options) (Result, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	m := newMigration(o, stop)
	m.giveUp = giveUp
	m.result.Began = time.Now()
	m.progress.Attach(m.asSeen())
	defer m.progress.End()

	if err := m.cat.Lock(ctx, m.WaitForLock); err != nil {
		return m.result, err
	}
	watching, unwatch := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { failure.StopInOutage(watching, stop, giveUp, m.src, m.dst) })
	err := m.locked(ctx)
	unwatch()
	watchers.Wait()
	if uerr := m.cat.Unlock(context.WithoutCancel(ctx)); err == nil && uerr != nil {
		err = uerr
	}
	m.result.Ended = time.Now()
	return m.result, err
}

// gate bounds the operations on items in flight, over all batches.
type gate = *concurrency.Gate[*item]

// newGate bounds the operations in flight at a store.
func (m *migration) newGate(s Store) gate {
	c := s.Capabilities()
	switch {
	case m.Workers > 0:
		return concurrency.Fixed[*item](m.Workers)
	case c.BatchGet || c.BatchPut:
		// So many connections there are; the catalog may be on them, too.
		return concurrency.Tuned[*item](c.Workers, c.Workers, s.Meter.Retries)
	default:
		return concurrency.Tuned[*item](c.Workers, concurrency.MostOperations, s.Meter.Retries)
	}
}

// newMigration makes a run of these options, which has not begun.
func newMigration(o Options, stop <-chan struct{}) *migration {
	o = o.withDefaults()
	m := &migration{
		Options: o, src: o.Source, dst: o.Destination, cat: o.Catalog, stop: stop, progress: o.Progress,
		limits: concurrency.LimitsFor(o.MemoryBytes), settled: survey.NewSettlement(), left: make(failure.Groups[checkpoint.Failure]),
	}
	// One stream is set aside for payloads that turn out longer than their rows
	// say, when the batch has reserved its memory already.
	m.budgetBytes = max(o.MemoryBytes-m.streamCost(false), o.MemoryBytes/2)
	m.budget = semaphore.NewWeighted(m.budgetBytes)
	m.lateStream = concurrency.Fixed[*item](1)
	m.sourceOps, m.destOps = m.newGate(m.src), m.newGate(m.dst)
	m.cpu = concurrency.Fixed[*item](concurrency.Processors())
	return m
}

func (o Options) withDefaults() Options {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = DefaultMemoryBytes
	}
	if o.MaxBackendFailures == 0 {
		o.MaxBackendFailures = DefaultMaxBackendFailures
	}
	if o.Elsewhere == "" {
		o.Elsewhere = ElsewhereReport
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	return o
}

// locked is the run while the lock is held.
func (m *migration) locked(ctx context.Context) (err error) {
	m.result.Began = time.Now() // not when it began to wait
	defer func() {
		if m.snapshot != nil {
			m.snapshot.Close()
		}
	}()
	if err := m.refuse(ctx); err != nil {
		return cmp.Or(failure.GaveUp(m.src, m.dst), err)
	}
	m.checkpoint, err = checkpoint.Open(m.Checkpoint, m.identity())
	if err != nil {
		return err
	}
	drop := false
	defer func() {
		if m.journal != nil {
			err = errors.Join(err, m.journal.Close())
		}
		if cerr := m.checkpoint.Close(); err == nil {
			err = cerr
		}
		if drop && err == nil {
			err = checkpoint.Remove(m.Checkpoint)
		}
		if !drop {
			m.result.Checkpoint = m.Checkpoint
		}
	}()
	if m.journal, err = journal.Open(journal.Path(m.Checkpoint), m.checkpoint.Header().JournalBytes); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	beside, err := m.lookBeside(ctx, m.checkpoint.Header().Counts)
	if err != nil {
		return err
	}
	err = m.flow(ctx, m.enumerate)
	if err == nil && !m.stopped && m.result.Resumed && !m.Purge {
		m.sweeping = true
		err = m.flow(ctx, m.sweep)
	}
	err = beside.end(m.stopped, err)
	drop, err = m.end(ctx, err)
	return err
}

// flow runs the stages until everything that feed has fed in has come out.
func (m *migration) flow(ctx context.Context, feed func(context.Context, chan<- *batch) error) error {
	watching, unwatch := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { m.watchLock(watching) })
	watchers.Go(func() { m.keepTask(watching) })
	watchers.Go(func() { m.progress.Watch(watching) })
	watchers.Go(func() { m.progress.Report(watching, m.Report, m.ReportEvery) })
	defer watchers.Wait()
	defer unwatch()

	g, running := errgroup.WithContext(ctx)
	enumerated := make(chan *batch, 1)
	g.Go(func() error {
		defer close(enumerated)
		return feed(running, enumerated)
	})
	p := pools{g: g, ctx: running, gaveUp: func() error { return failure.GaveUp(m.src, m.dst) }, progress: m.progress}
	prepared := p.stage(progress.StagePrepare, 2, enumerated, m.prepare)
	fetched := p.stage(progress.StageFetch, 4, prepared, m.fetch)
	recompressed := p.stage(progress.StageRecompress, concurrency.Processors(), fetched, m.recompress)
	stored := p.stage(progress.StagePut, 4, recompressed, m.put)
	verified := p.stage(progress.StageVerify, 4, stored, m.verify)
	if !m.settled.Known() {
		p.room = waitingBatches
	}
	committed := p.stage(progress.StageCommit, 2, verified, m.commit)
	p.room = 0
	deleted := p.stage(progress.StageDelete, 4, committed, m.delete)
	for range p.stage(progress.StageFinish, 1, deleted, m.finish) {
		continue // finish has seen it; nothing is left to do
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx) // what the stages met then is only the echo of it
	}
	return err
}

// waitingBatches is how many committed batches may wait to have their sources
// deleted until the catalog has been looked through. They hold no payloads.
const waitingBatches = 64

// pools are the stages' workers, all owned by one errgroup.
type pools struct {
	g   *errgroup.Group
	ctx context.Context
	// progress is told which batches wait for which stage.
	progress *Progress
	// gaveUp fails when the run is to end because a store has been given up.
	gaveUp func() error
	// room is how many batches more than one may wait behind a stage.
	room int
}

// stage runs work, which is that of s, on every batch of in with so many workers,
// and passes it on.
func (p pools) stage(s progress.Stage, workers int, in <-chan *batch, work func(context.Context, *batch) error) <-chan *batch {
	out := make(chan *batch, 1+p.room)
	p.progress.Staffed(s, workers)
	var running sync.WaitGroup
	running.Add(workers)
	for range workers {
		p.g.Go(func() error {
			defer running.Done()
			for {
				select {
				case <-p.ctx.Done():
					return context.Cause(p.ctx)
				case b, ok := <-in:
					if !ok {
						return nil
					}
					p.progress.Queued(s, -1)
					err := work(p.ctx, b)
					if err := cmp.Or(p.gaveUp(), err); err != nil {
						return err
					}
					p.progress.Queued(s+1, 1)
					select {
					case out <- b:
					case <-p.ctx.Done():
						return context.Cause(p.ctx)
					}
				}
			}
		})
	}
	p.g.Go(func() error {
		running.Wait()
		close(out)
		return nil
	})
	return out
}

// watchLock stops the run when the lock is lost.
func (m *migration) watchLock(ctx context.Context) {
	select {
	case <-m.cat.Lost():
		m.giveUp(errLockLost)
	case <-ctx.Done():
	}
}
