package tree

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/canary"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/folding"
	"github.com/kedge/kedge/pipeline/progress"
)

const (
	// pageFiles is how many files of a range are in work together, and recorded
	// together.
	pageFiles = 256
	// rangesAtOnce is how many ranges are listed at the same time.
	rangesAtOnce = 8
	// inlineBytes: a longer file is never held as a whole.
	inlineBytes = 256 << 10
)

// migration is one run.
type migration struct {
	Options
	stop    <-chan struct{}
	state   *state
	journal *journalWriter
	header  header // as the run found it
	slots   chan struct{}
	budget  *semaphore.Weighted
	blobs   singleflight.Group // copies of single blobs, by path
	result  Result
	// taken are names that the destination does not tell apart; nil where it tells
	// all of them apart.
	taken     *folding.Groups
	deletions *canary.Watch

	// alone: there is no destination, the source is audited.
	alone  bool
	streak failure.Streak
	// counting: what only the destination has is counted in this phase.
	counting bool
	// cut: a range was left before its end because the run is to stop.
	cut atomic.Bool

	mu       sync.Mutex
	progress Snapshot
}

// Run migrates. It returns when everything is done, or when stop is closed and
// what was in flight is done (Result.Interrupted), or with an error when it could
// not begin or could not go on; in the latter two cases the same call resumes.
// Ending ctx stops at once, which is safe too.
//
// Files that could not be moved are no error: they stand in the Result.
func Run(ctx context.Context, stop <-chan struct{}, o Options) (Result, error) {
	m := newMigration(stop, o)
	m.result.Began = time.Now()
	err := m.run(ctx)
	m.result.Ended = time.Now()
	return m.result, err
}

func newMigration(stop <-chan struct{}, o Options) *migration {
	o = o.withDefaults()
	workers := o.Workers
	if workers <= 0 {
		workers = max(1, o.Source.Capabilities().Workers, o.Destination.Capabilities().Workers)
	}
	return &migration{Options: o, stop: stop, slots: make(chan struct{}, workers), budget: semaphore.NewWeighted(o.MemoryBytes)}
}

func (m *migration) run(ctx context.Context) (err error) {
	if err := m.refuse(); err != nil {
		return err
	}
	if !m.KeepSource {
		if err := failure.RefuseCarried(ctx, m.Log, m.AllowVolatile, m.Source, m.Destination); err != nil {
			return err
		}
	}
	if m.state, err = openState(m.Checkpoint, Identity(m.Options)); err != nil {
		return err
	}
	drop := false
	defer func() {
		if cerr := errors.Join(m.journal.close(), m.state.close()); err == nil {
			err = cerr
		}
		if drop && err == nil {
			err = checkpoint.Remove(m.Checkpoint)
		} else {
			m.result.Checkpoint = m.Checkpoint
		}
	}()
	if err := m.begin(ctx); err != nil {
		return err
	}
	m.deletions = canary.New(canary.Options{
		Source: m.Source, Destination: m.Destination, File: m.Checkpoint + canary.Ending, Patience: m.WatchDeletions, Stop: m.stop, Log: m.Log,
	})
	if err := m.deletions.Recover(ctx); err != nil {
		return err
	}
	err = m.steps(ctx)
	if err == nil {
		err = m.deletions.End(ctx)
	}
	drop, err = m.end(err)
	return err
}

// stores are those that the run works with.
func (m *migration) stores() []Store {
	if m.alone {
		return []Store{m.Source}
	}
	return []Store{m.Source, m.Destination}
}

// streamCost is the memory in bytes that one streamed file takes.
func (m *migration) streamCost() int64 {
	return m.Source.Capabilities().GetStreamBytes + m.Destination.Capabilities().StreamBytes
}

// refuse finds the reasons not to begin at all that take no look at the stores.
func (m *migration) refuse() error {
	src, dst := m.Source.Place(), m.Destination.Place()
	if src == dst {
		return failure.Refused("source and destination are the same place, %s: nothing to migrate", src)
	}
	for _, pair := range [][2]Store{{m.Source, m.Destination}, {m.Destination, m.Source}} {
		inner := pair[1].Prefix()
		// A folder's place has its symbolic links resolved.
		if strings.HasPrefix(inner, pair[0].Prefix()+root) || strings.HasPrefix(pair[1].Place()+"/", pair[0].Place()+"/"+root) {
			return failure.Refused("%s lies inside of the registry's storage in %s: choose another root directory", inner, pair[0].Place())
		}
	}
	path, err := filepath.Abs(m.Checkpoint)
	if err != nil {
		return fmt.Errorf("find the checkpoint's folder: %w", err)
	}
	for _, s := range []Store{m.Source, m.Destination} {
		if strings.HasPrefix("file://"+path, s.Prefix()+root) {
			return failure.Refused("the checkpoint %s lies inside of the registry's storage %s: choose another --checkpoint", path, s.Place())
		}
	}
	if reason := m.Destination.Capabilities().Volatile; reason != "" {
		place := failure.Volatile{Role: "destination", Place: dst, Reason: reason}
		if err := failure.RefuseVolatile(m.Log, !m.KeepSource && !m.AllowVolatile, place); err != nil {
			return err
		}
	}
	failure.WarnVolatileCheckpoint(m.Log, m.Checkpoint)
	if cost := m.streamCost(); cost > m.MemoryBytes {
		return failure.Refused("one stream takes %d MiB (a part of a multipart upload: chunksize), more than --memory allows: raise --memory, or lower chunksize", (cost+1<<20-1)>>20)
	}
	return nil
}

// begin takes up an interrupted pass, or starts a new one.
func (m *migration) begin(ctx context.Context) (err error) {
	if m.header, err = m.state.header(); err != nil {
		return err
	}
	if err := m.checkRepositories(ctx); err != nil {
		return err
	}
	if !m.state.resumed { // else it may be emptied already
		if err := Holds(ctx, m.Source); err != nil {
			return err
		}
	}
	if err := m.probe(ctx); err != nil {
		return err
	}
	if err := m.findAlike(ctx); err != nil {
		return err
	}
	m.result.Resumed = m.state.resumed
	again, err := m.worthAnotherPass()
	if err != nil {
		return err
	}
	if !m.state.resumed || again {
		if err := m.state.begin(m.plan()[0].phase); err != nil {
			return err
		}
		if m.header, err = m.state.header(); err != nil {
			return err
		}
	}
	if m.journal, err = openJournal(m.Checkpoint, m.header.JournalBytes); err != nil {
		return err
	}
	m.result.Pass = m.header.Pass
	m.progress = Snapshot{Counts: m.header.Counts, Files: m.header.Files}
	if m.Started != nil {
		m.Started(Start{Pass: m.header.Pass, Resumed: m.result.Resumed && !again, Checkpoint: m.Checkpoint, Counts: m.header.Counts})
	}
	return nil
}

// worthAnotherPass says whether an interrupted pass has files that failed for
// what may have been a store's fault: then all is gone through from the
// beginning, where what has been proved costs no more than its listing.
func (m *migration) worthAnotherPass() (again bool, err error) {
	err = m.state.failures(func(f Failure) { again = again || failure.StoreFault(f.Class) })
	return again, err
}

// checkRepositories wants every repository asked for to be there.
func (m *migration) checkRepositories(ctx context.Context) error {
	for _, name := range m.Repositories {
		if !repositoryName.MatchString(name) {
			return fmt.Errorf("--repository %q: no name of a repository", name)
		}
		if m.state.resumed {
			continue // its links may be moved and deleted already
		}
		l := list(ctx, m.Source, inside([]string{name})[0], "")
		_, found, err := l.peek()
		l.close()
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("--repository %s: the source has no repository of that name", name)
		}
	}
	return nil
}

// stopping says whether the run was asked to stop.
func (m *migration) stopping() bool { return concurrency.Closed(m.stop) }

// steps runs the phases from the one under way on.
func (m *migration) steps(ctx context.Context) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	g, running := errgroup.WithContext(ctx)
	working, done := context.WithCancel(running)
	g.Go(func() error { progress.Report(working, m.snapshot, m.Report, 0); return nil })
	g.Go(func() error { failure.StopInOutage(working, m.stop, giveUp, m.stores()...); return nil })
	if !m.header.Counted {
		g.Go(func() error { return m.count(working) })
	}
	g.Go(func() error {
		defer done()
		at := m.header.Phase
		plan := m.plan
		if m.alone {
			plan = m.auditPlan
		}
		for _, s := range plan() {
			if s.phase != at {
				continue
			}
			if err := m.step(running, s); err != nil {
				return err
			}
			if m.cut.Load() || m.result.SourceKept {
				return nil
			}
			if at = s.next; at == "" {
				return nil
			}
			if err := m.state.enter(at); err != nil {
				return err
			}
		}
		return nil
	})
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if gone := failure.GaveUp(m.stores()...); err != nil && gone != nil {
		return gone
	}
	return err
}

func (m *migration) step(ctx context.Context, s step) error {
	m.mu.Lock()
	m.progress.Phase = string(s.phase)
	m.mu.Unlock()
	if m.stopping() {
		m.cut.Store(true)
		return nil
	}
	m.counting = s.phase == phaseBlobs && len(m.Repositories) == 0 || s.phase == phaseLayers
	m.Log.DebugContext(ctx, "phase", "phase", string(s.phase))
	return s.run(ctx)
}

// each works on the items concurrently, within the run's limit.
func (m *migration) each(ctx context.Context, items []*item, work func(context.Context, *item) error) error {
	g, running := errgroup.WithContext(ctx)
	for _, it := range items {
		select {
		case m.slots <- struct{}{}:
		case <-running.Done():
			return errors.Join(g.Wait(), context.Cause(ctx))
		}
		g.Go(func() error {
			defer func() { <-m.slots }()
			if err := work(running, it); err != nil {
				return err
			}
			if it.failure != nil {
				if err := failure.GaveUp(m.stores()...); err != nil {
					return err
				}
			}
			return m.judge(it)
		})
	}
	return g.Wait()
}

// judge gives up when file after file fails for what may be a store's fault.
func (m *migration) judge(it *item) error {
	switch {
	case it.failure == nil:
		return m.streak.Ended(0, m.MaxBackendFailures, "")
	case !failure.StoreFault(it.failure.Class):
		return nil
	default:
		return m.streak.Ended(1, m.MaxBackendFailures, it.failure.Reason)
	}
}

// fail notes why a file is not moved. A run that is being ended is no reason.
func (it *item) fail(ctx context.Context, class string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if drivers.KindOf(err) == drivers.InvalidKey {
		class = failure.ClassInvalidKey
	}
	it.held = false
	it.failure = &Failure{Path: it.path, Class: class, Reason: failure.Reason(err)}
	return nil
}
