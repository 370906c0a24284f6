package pipeline

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
)

// begin makes or takes up the task.
func (m *migration) begin(ctx context.Context) (err error) {
	if m.purging() {
		return m.beginPurge(ctx)
	}
	h := m.checkpoint.Header()
	if m.result.Resumed, err = m.resumes(ctx, h); err != nil {
		return err
	}
	if m.result.Resumed {
		if err := m.cat.UpdateTask(ctx, h.TaskID, catalog.TaskRunning, h.Documents, h.Counts.Moved); err != nil {
			return err
		}
	} else {
		if err := m.beginAnew(ctx); err != nil {
			return err
		}
		h = m.checkpoint.Header()
	}
	if err := m.cat.EndStale(ctx, h.TaskID); err != nil {
		return err
	}
	m.progress.Begin(h)
	m.result.Before = h.Counts
	m.result.TaskID, m.result.Documents = h.TaskID, h.Documents
	if m.Started != nil {
		m.Started(Start{
			TaskID: h.TaskID, Resumed: m.result.Resumed, Checkpoint: m.Checkpoint,
			Documents: h.Documents, Moved: h.Counts.Moved, Copies: m.copied(),
		})
	}
	return nil
}

// beginAnew begins a pass over the whole catalog.
func (m *migration) beginAnew(ctx context.Context) error {
	if err := m.survey(ctx); err != nil {
		return err
	}
	// Failures of the last pass are found again by enumeration, but for
	// sources that could not be deleted: no row names them any more.
	if err := m.checkpoint.ClearFailures(func(f checkpoint.Failure) bool { return f.Stage != failure.StageDelete }); err != nil {
		return err
	}
	id, err := m.task(ctx)
	if err != nil {
		return err
	}
	crash.Point("started")
	return m.checkpoint.Begin(id, 0, 0, m.since).Wait(ctx)
}

// resumes says whether the checkpoint is that of an interrupted run whose task
// is still there: a database that was restored from a backup knows nothing of
// it, and then everything is gone through from the beginning.
func (m *migration) resumes(ctx context.Context, h checkpoint.Header) (bool, error) {
	if !m.checkpoint.Resumed() || h.Finished || h.TaskID == 0 {
		return false, nil
	}
	tasks, err := m.cat.Tasks(ctx)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(tasks, func(t catalog.Task) bool { return t.ID == h.TaskID }), nil
}

// end writes the outcome into the task and the result, and says whether the
// checkpoint has served its purpose.
func (m *migration) end(ctx context.Context, ran error) (drop bool, err error) {
	ctx = context.WithoutCancel(ctx)
	m.result.Interrupted = ran == nil && m.stopped
	finished := ran == nil && !m.stopped
	crash.Point("closing")
	if err := m.checkpoint.Flush().Wait(ctx); err != nil {
		return false, errors.Join(ran, err)
	}
	if m.result.Failures, m.result.Failed, err = failure.Gather(m.checkpoint, nil); err != nil {
		return false, errors.Join(ran, err)
	}
	if m.Job == Copy {
		m.tellRound(!finished)
	}
	h := m.conclude(ran)
	if concurrency.Closed(m.cat.Lost()) {
		return false, cmp.Or(ran, errLockLost) // somebody else may hold the lock and the task by now
	}
	if !m.purging() {
		// Before the checkpoint says that all is over: a run that finds it over
		// begins another task and ends this one as failed, if it still says
		// running.
		if err := m.cat.UpdateTask(ctx, h.TaskID, m.result.State, h.Documents, h.Counts.Moved); err != nil {
			return false, errors.Join(ran, err)
		}
		crash.Point("told")
	}
	if finished {
		if err := m.checkpoint.Finish().Wait(ctx); err != nil {
			return false, errors.Join(ran, err)
		}
	}
	crash.Point("closed")
	return m.Job == Copy || finished && m.result.Failed == 0, ran
}

// conclude puts into the result how the run ended, and gives the checkpoint's header
// with what is known better now.
func (m *migration) conclude(ran error) checkpoint.Header {
	m.result.Left = m.left.Sorted()
	h := m.checkpoint.Header()
	switch {
	case !m.route.SamePrefix() && ran == nil && !m.stopped:
		// A run that was killed before it had counted may have committed more than
		// it had recorded, which the next one's count did not find any more.
		h.Documents = max(h.Documents, h.Counts.Moved)
		m.result.Documents = h.Documents
	case m.route.SamePrefix() && h.Documents > 0:
		// Where the catalog cannot say what was moved, a batch that was in
		// flight more than once may have been counted as often.
		h.Counts.Moved = min(h.Counts.Moved, max(0, h.Documents-m.result.Failed))
	}
	m.result.Counts = h.Counts
	if n := h.Counts.Adopted - m.result.Before.Adopted; n > 0 {
		m.Log.Warn("rows named the source again for documents that are not there, and that the destination held: the catalog is older than their deletion, or the source is not the one that it was", "documents", n)
	}
	m.result.CopiedBefore = h.Counts.CopiedBefore - m.result.Before.CopiedBefore
	switch {
	case m.Job == Copy, m.result.Interrupted, errors.Is(ran, context.Canceled):
		m.result.State = catalog.TaskPending
	case ran != nil, m.result.Failed > 0, len(m.result.Elsewhere) > 0 && m.Elsewhere != ElsewhereIgnore:
		m.result.State = catalog.TaskFailed
	default:
		m.result.State = catalog.TaskComplete
	}
	return h
}

// ended is what the progress must know of how a batch ended.
func (m *migration) ended(items []*item) []progress.Ended {
	list := make([]progress.Ended, len(items))
	for i, it := range items {
		e := progress.Ended{Document: it, Bucket: it.doc.Bucket, Done: m.counts(it)}
		if it.failure != nil {
			e.Class = it.failure.Class
		}
		if e.Done {
			e.BytesRead, e.BytesWritten = it.fetchedBytes, it.receipt.Bytes
			e.Sized = m.purging() || it.mover == thisRun
		}
		e.Settled = e.Done || m.skips(it) || it.failure != nil && (m.purging() || it.mover != earlierCounts)
		list[i] = e
	}
	return list
}

// judge looks at how a stage ended for a batch, and gives up when document after
// document has failed there.
func (m *migration) judge(items []*item, stage string) error {
	if len(items) == 0 {
		return nil
	}
	failed, last := 0, ""
	for _, it := range items {
		if it.failure == nil {
			failed = 0
			break
		}
		if it.failure.Stage == stage && failure.StoreFault(it.failure.Class) {
			failed++
			last = it.failure.Reason
		}
	}
	return m.streak.Ended(failed, m.MaxBackendFailures, last)
}
