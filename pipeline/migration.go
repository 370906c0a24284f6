// Package pipeline moves the documents of a catalog from one store to another:
//
//	enumerate -> prepare -> fetch -> recompress -> put -> verify -> commit -> delete -> finish
//
// Begin with Run in this file, which begins and ends a run, and with flow, which is the
// whole way on one screen. Each stage is a function over a batch, in a file of its own
// that is named after it. A bounded pool runs it (pools.go), and a bounded channel joins
// it to the next stage. A batch carries items. Each item is one document; life.go says
// what may become of it.
//
// Before the way come the reasons not to begin (preflight.go), the task and the
// checkpoint (result.go), and what an interrupted run left (resume.go). Beside it go the
// counting and the look through the catalog (counting.go), and the watch over lock, task
// and progress (watch.go). A purge is a migration of what has been moved before
// (purge.go), a plan one that changes nothing (rehearsal.go).
//
// The rooms below have one job each, and none of them knows an item: job (what a run is
// told and tells), route (its two stores, and which rows are its), store and forms
// (payloads), concurrency (how much at once), failure (what does not go on), progress,
// plan, preflight, probe, survey and guard (what could be lost), takeback (what was put in
// vain), copies (the record of copies), audit.
//
// The package knows the drivers' interface, the catalog and the checkpoint, and no
// backend.
package pipeline

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/canary"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/journal"
	"github.com/kedge/kedge/pipeline/plan"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/route"
	"github.com/kedge/kedge/pipeline/survey"
)

// migration is one run.
type migration struct {
	Options
	src, dst   Store
	cat        catalog.Catalog
	checkpoint *checkpoint.Checkpoint
	record     *copies.Record // nil where there is none
	journal    *journal.Writer
	stop       <-chan struct{}
	giveUp     context.CancelCauseFunc

	// since is when the probe was put, by the destination's clock.
	since time.Time

	route     route.Route
	selection catalog.Selection // route's
	limits    concurrency.Limits
	budget    *semaphore.Weighted
	// budgetBytes is what budget holds; lateStream admits one stream more.
	budgetBytes int64
	lateStream  gate
	// snapshot is the catalog as it was before anything was changed.
	snapshot  catalog.Snapshot
	settled   *survey.Settlement
	alike     survey.Folded
	deletions *canary.Watch
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
	// newRecord: this run has made the record.
	newRecord bool
	// deleting: all rows are changed, and now the sources go; only with a record.
	deleting bool
	round    round
	// walked is how fast rows were gone through, pace how fast a cutover would go, and
	// rest what it would have to move.
	walked plan.Meter
	pace   plan.Pace
	rest   Amount
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
	return newMigration(o, stop).run(ctx)
}

func (m *migration) run(ctx context.Context) (Result, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	m.giveUp = giveUp
	m.result.Began = time.Now()
	m.progress.Attach(m.asSeen())
	defer m.progress.End()

	if err := m.cat.Lock(ctx, m.WaitForLock); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return m.result, err
	}
	watching, unwatch := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { failure.StopInOutage(watching, m.stop, giveUp, m.src, m.dst) })
	err := m.locked(ctx)
	unwatch()
	watchers.Wait()
	if uerr := m.cat.Unlock(context.WithoutCancel(ctx)); err == nil && uerr != nil {
		err = uerr
	}
	m.result.Ended = time.Now()
	return m.result, err
}

// newMigration makes a run of these options, which has not begun.
func newMigration(o Options, stop <-chan struct{}) *migration {
	o = o.WithDefaults()
	m := &migration{
		Options: o, src: o.Source, dst: o.Destination, cat: o.Catalog, stop: stop, progress: o.Progress,
		limits: concurrency.LimitsFor(o.MemoryBytes), settled: survey.NewSettlement(), left: make(failure.Groups[checkpoint.Failure]),
	}
	m.route = route.Route{Source: m.src, Destination: m.dst, Purging: m.purging(), Elsewhere: m.Elsewhere == ElsewhereMove, Buckets: m.Buckets}
	m.selection = m.route.Selection()
	// One stream is set aside for payloads that turn out longer than their rows
	// say, when the batch has reserved its memory already.
	m.budgetBytes = max(o.MemoryBytes-m.route.StreamCost(false), o.MemoryBytes/2)
	m.budget = semaphore.NewWeighted(m.budgetBytes)
	m.lateStream = concurrency.Fixed[*item](1)
	m.sourceOps, m.destOps = m.newGate(m.src), m.newGate(m.dst)
	m.cpu = concurrency.Fixed[*item](concurrency.Processors())
	m.deletions = m.newWatch()
	return m
}

// purging says that nothing is moved.
func (m *migration) purging() bool { return m.Job == Purge }

// moves says that rows are changed.
func (m *migration) moves() bool { return m.Job == Migrate || m.Job == Rollback }

// locked is the run while the lock is held.
func (m *migration) locked(ctx context.Context) (err error) {
	m.result.Began = time.Now() // not when it began to wait
	defer func() {
		if m.snapshot != nil {
			m.snapshot.Close()
		}
	}()
	drop := false
	if err := m.openRecord(); err != nil {
		return err
	}
	defer func() {
		if cerr := m.closeRecord(drop && err == nil); err == nil { // else it would be the same again
			err = cerr
		}
	}()
	if m.Job == Copy {
		// The record has all that a round may go on from.
		if err := checkpoint.Remove(m.Checkpoint); err != nil {
			return err
		}
	}
	if err := m.refuse(ctx); err != nil {
		return cmp.Or(failure.GaveUp(m.src, m.dst), err)
	}
	m.checkpoint, err = checkpoint.Open(m.Checkpoint, Identity(m.Options))
	if err != nil {
		return err
	}
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
	if err := m.openJournal(); err != nil {
		return err
	}
	if err := m.deletions.Recover(ctx); err != nil {
		return err
	}
	if err := m.checkCopies(ctx); err != nil {
		return err
	}
	if err := m.beginRecord(ctx); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	beside, err := m.lookBeside(ctx, m.checkpoint.Header().Counts)
	if err != nil {
		return err
	}
	err = beside.end(m.stopped, m.goThrough(ctx))
	if err == nil && !m.stopped && m.moves() {
		err = m.findSkipped(ctx)
	}
	if err == nil && !m.stopped && !m.purging() {
		err = m.endRecord(ctx)
	}
	if err == nil {
		err = m.endDeletions(ctx)
	}
	drop, err = m.end(ctx, err)
	return err
}

// goThrough brings all documents on their way.
func (m *migration) goThrough(ctx context.Context) error {
	if m.Job == Copy {
		return m.copyRound(ctx)
	}
	err := m.flow(ctx, m.enumerate)
	if err == nil && !m.stopped && m.result.Resumed && m.moves() {
		m.sweeping = true
		err = m.flow(ctx, m.sweep)
	}
	return err
}

// endRecord does what is left to do with a record when all documents have been gone
// through.
func (m *migration) endRecord(ctx context.Context) error {
	switch {
	case m.Job == Copy:
		return m.endRound(ctx)
	case m.record != nil:
		return m.cutOver(ctx)
	case m.checkpoint.Header().Recorded:
		return m.tellRecordLost(ctx)
	}
	return nil
}

// openJournal opens the journal. A Copy has none: the record says what it did.
func (m *migration) openJournal() (err error) {
	if m.Job != Copy {
		m.journal, err = journal.Open(journal.Path(m.Checkpoint), m.checkpoint.Header().JournalBytes)
	}
	return err
}

// untilPut is the beginning of flow: the stages that change nothing, which a plan runs
// over its sample, too.
func (m *migration) untilPut(p pools, enumerated <-chan *batch) (recompressed <-chan *batch) {
	prepared := p.stage(progress.StagePrepare, 2, enumerated, m.prepare)
	fetched := p.stage(progress.StageFetch, 4, prepared, m.fetch)
	return p.stage(progress.StageRecompress, concurrency.Processors(), fetched, m.recompress)
}

// watched watches over lock and task, and tells the progress, until unwatch.
func (m *migration) watched(ctx context.Context) (unwatch func()) {
	watching, cancel := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { m.watchLock(watching) })
	watchers.Go(func() { m.keepTask(watching) })
	watchers.Go(func() { m.progress.Watch(watching) })
	watchers.Go(func() { m.progress.Report(watching, m.Report, m.ReportEvery) })
	return func() { cancel(); watchers.Wait() }
}

// flow runs the stages until everything that feed has fed in has come out.
func (m *migration) flow(ctx context.Context, feed func(context.Context, chan<- *batch) error) error {
	defer m.watched(ctx)()

	g, running := errgroup.WithContext(ctx)
	enumerated := make(chan *batch, 1)
	g.Go(func() error {
		defer close(enumerated)
		return feed(running, enumerated)
	})
	p := pools{g: g, ctx: running, gaveUp: func() error { return failure.GaveUp(m.src, m.dst) }, progress: m.progress}
	stored := p.stage(progress.StagePut, 4, m.untilPut(p, enumerated), m.put)
	verified := p.stage(progress.StageVerify, 4, stored, m.verify)
	if !m.settled.Known() {
		p.room = waitingBatches
	}
	commit := m.commit
	if m.Job == Copy {
		commit = m.keep
	}
	committed := p.stage(progress.StageCommit, 2, verified, commit)
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
