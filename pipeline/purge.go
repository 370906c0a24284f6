package pipeline

import (
	"context"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
)

// A purge is a migration whose documents have all been moved before: its items
// are what a resumed migration finds committed. They are proved at the
// destination, their rows looked at once more, and their sources deleted.

// beginPurge counts what is at the destination. A purge has no task row:
// Anchore knows of no such thing.
func (m *migration) beginPurge(ctx context.Context) error {
	totals, err := m.snapshot.Count(ctx, m.selection)
	if err != nil {
		return err
	}
	if err := m.survey(ctx); err != nil {
		return err
	}
	h := m.checkpoint.Header()
	if m.result.Resumed = m.checkpoint.Resumed() && !h.Finished; !m.result.Resumed {
		if err := m.checkpoint.ClearFailures(func(f checkpoint.Failure) bool { return true }); err != nil {
			return err
		}
		if err := m.checkpoint.Begin(0, totals.Documents, totals.Bytes, time.Time{}).Wait(ctx); err != nil {
			return err
		}
	}
	h = m.checkpoint.Header()
	m.progress.Begin(h)
	m.result.Documents = h.Documents
	if m.Started != nil {
		m.Started(Start{Resumed: m.result.Resumed, Checkpoint: m.Checkpoint, Documents: h.Documents, Moved: h.Counts.Moved})
	}
	return nil
}

// purgeItem makes an item of a row that names the destination.
func (m *migration) purgeItem(it *item) *item {
	it.dest = it.doc.URI
	it.foundMoved(earlierRun)
	it.doc.URI, _ = m.src.URI(it.doc.Key) // selected only if the source can hold it
	return it
}

// findLeft asks the source which payloads it still has.
func (m *migration) findLeft(ctx context.Context, b *batch) error {
	items := b.filter(func(it *item) bool { return it.state == stateMovedBefore })
	err := m.sourceOps.Each(ctx, items, func(ctx context.Context, it *item) {
		info, err := m.src.Stat(m.meaning(ctx, it), it.doc.URI)
		switch {
		case err == nil:
			it.fetchedBytes = info.Bytes
			m.progress.Passed(progress.StageFetch, it)
		case drivers.KindOf(err) == drivers.NotFound && !it.revived:
			it.nothingLeft()
		case drivers.KindOf(err) == drivers.NotFound:
			// Deleted by a killed run, perhaps not to the end: folders.
		default:
			it.fail(failure.StageFetch, failure.ClassFetch, err)
		}
	})
	if err != nil {
		return err
	}
	return m.judge(items, failure.StageFetch)
}
