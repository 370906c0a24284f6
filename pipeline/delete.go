package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/survey"
)

// delete removes the source payloads of what was moved, after a last look at the
// rows: each must still name the destination, and no other one the source.
func (m *migration) delete(ctx context.Context, b *batch) error {
	if m.keepsSources() {
		return nil
	}
	if err := m.settled.Wait(ctx); err != nil {
		return err
	}
	items, err := m.deletable(ctx, b)
	if err != nil {
		return err
	}
	defer m.progress.Busy(progress.StageDelete)()
	if err := m.deleteSources(ctx, items); err != nil {
		return err
	}
	crash.Point("deleted")
	return m.judge(items, failure.StageDelete)
}

// deleteSources deletes the sources of committed documents, and of no others. Nothing
// else in kedge deletes a document at the source.
func (m *migration) deleteSources(ctx context.Context, items []*item) error {
	ready := slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return !it.ready(stateSourceGone) })
	alone, err := m.first(ctx, ready)
	if err != nil {
		return err
	}
	ready = slices.Clone(alone)
	if batcher := m.src.Batcher(); batcher != nil && m.src.Capabilities().BatchDelete {
		var together []*item
		together, alone = m.apart(alone)
		if err := m.deleteBatch(ctx, batcher, together); err != nil {
			return err
		}
	}
	if err := m.sourceOps.Each(ctx, alone, func(ctx context.Context, it *item) { _ = m.deleteSource(ctx, it) }); err != nil {
		return err
	}
	return m.removed(ctx, ready)
}

// deleteSource deletes one source. The item has the error, too.
func (m *migration) deleteSource(ctx context.Context, it *item) error {
	err := m.src.Delete(m.meantAtSource(ctx, it), it.doc.URI)
	m.deletedSource(it, err)
	crash.Point("deleting")
	return err
}

// meantAtSource is the context for what is asked of the source when it is to go.
func (m *migration) meantAtSource(ctx context.Context, it *item) context.Context {
	if it.atSource == survey.SharedByNone {
		return m.meaning(ctx, it)
	}
	return ctx
}

// apart gives the items that can be deleted by their URIs alone, and those of which
// the driver must know which payload is meant.
func (m *migration) apart(items []*item) (together, alone []*item) {
	for _, it := range items {
		if len(survey.Places(m.src, it.doc.URI)) == 1 {
			together = append(together, it)
		} else {
			alone = append(alone, it)
		}
	}
	return together, alone
}

func (m *migration) deleteBatch(ctx context.Context, batcher drivers.Batcher, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	uris := make([]string, len(items))
	for i, it := range items {
		uris[i] = it.doc.URI
	}
	var errs []error
	if err := m.sourceOps.One(ctx, items, func() { errs = batcher.DeleteBatch(ctx, uris) }); err != nil {
		return err
	}
	for i, it := range items {
		m.deletedSource(it, errs[i])
	}
	return nil
}

func (m *migration) deletedSource(it *item, err error) {
	switch {
	case err == nil:
		it.sourceGone()
	case drivers.KindOf(err) == drivers.InvalidKey && it.atSource == survey.SharedByRow:
		// That row's document goes with the payload, when it is moved.
	default:
		m.notDeleted(it, err)
		return
	}
	m.progress.Passed(progress.StageDelete, it)
}

// notDeleted fails an item whose source could not be deleted, or of which that must
// not be tried, because a store did not say what speaks against it.
func (m *migration) notDeleted(it *item, err error) {
	if drivers.KindOf(err) == drivers.InvalidKey {
		m.leaveSource(it, err)
		return
	}
	it.fail(failure.StageDelete, failure.ClassDelete, fmt.Errorf("the document was moved, its source could not be deleted: %w", err))
}

// leaveSource leaves a source for good: it is not kedge's to delete.
func (m *migration) leaveSource(it *item, reason error) {
	it.fail(failure.StageDelete, failure.ClassLeft, fmt.Errorf("the document was moved, its source %s is left: %w", it.doc.URI, reason))
}

// deletable gives the items whose source may go.
func (m *migration) deletable(ctx context.Context, b *batch) ([]*item, error) {
	moved := b.filter(func(it *item) bool {
		// One that was found at the destination only has no source.
		return it.moved() && !it.ended() && it.mover != forgottenRun && !(it.mover != thisRun && it.doc.URI == it.dest)
	})
	if len(moved) == 0 {
		return nil, nil
	}
	keys := make([]drivers.Key, len(moved))
	for i, it := range moved {
		keys[i] = it.doc.Key
	}
	found, err := m.cat.Rows(ctx, keys)
	if err != nil {
		return nil, err
	}
	rows := make(map[drivers.Key][]catalog.Document, len(found))
	for _, row := range found {
		rows[row.Key] = append(rows[row.Key], row)
	}
	var items []*item
	for _, it := range moved {
		named, err := m.mayGo(ctx, it, rows[it.doc.Key])
		if err != nil {
			return nil, err
		}
		switch {
		case it.failure != nil:
		case !named:
			items = append(items, it)
		case m.purging():
			it.nothingLeft() // another document's payload is there, and none of its own
		}
	}
	return items, context.Cause(ctx)
}

// mayGo looks once more at everything that speaks against deleting a source:
// the item fails where something does, and is named where another row that is
// still to be moved has its payload there.
func (m *migration) mayGo(ctx context.Context, it *item, rows []catalog.Document) (named bool, err error) {
	reason := errRowGone
	if m.deleting {
		reason = nil // it named the destination when it was committed
	}
	for _, row := range rows {
		if row.Name == it.doc.Name {
			reason = rowChanged(row.URI)
			if row.URI == it.dest && (row.Digest == it.digest || m.deleting) {
				reason = nil
			}
			continue
		}
		if it.doc.URI == it.dest {
			continue
		}
		same, err := m.places().Named(ctx, row, it.doc.URI)
		if err != nil {
			m.notDeleted(it, err) // who cannot tell does not delete
			return false, context.Cause(ctx)
		}
		named = named || same
	}
	if reason == nil && !named {
		if named, err = m.places().NamedAlike(ctx, it.doc); err != nil {
			return false, err
		}
	}
	if it.atSource, err = m.settled.SharingOf(ctx, m.cat, m.src, it.doc, it.mover == thisRun); err != nil {
		m.notDeleted(it, err)
		return false, context.Cause(ctx)
	}
	alone := len(survey.Places(m.src, it.doc.URI)) == 1
	named = named || alone && it.atSource == survey.SharedByRow
	switch {
	case reason != nil:
		it.fail(failure.StageDelete, failure.ClassRowChanged, reason)
	case named:
	case alone && it.atSource == survey.SharedUnknown:
		m.leaveSource(it, errors.New("too many documents of the catalog have keys by which they may be at this place too"))
	case !m.route.MadeFromKey(it.doc) || m.settled.IsOdd(it.doc.URI):
		// Any row may name such a place; and nothing tells which.
		if _, err := m.src.Stat(m.meaning(ctx, it), it.doc.URI); drivers.KindOf(err) != drivers.NotFound {
			m.leaveSource(it, errors.New("the place is not made from the document's key, or other rows name it too"))
		}
	case m.src.Capabilities().Identifies && m.dst.Capabilities().Identifies:
		return false, m.tellApart(ctx, it)
	}
	return named, nil
}

// tellApart fails an item whose source and destination are one payload.
func (m *migration) tellApart(ctx context.Context, it *item) error {
	same, err := m.places().OneFile(ctx, it.doc.URI, it.dest)
	switch {
	case err != nil:
		m.notDeleted(it, err)
		return context.Cause(ctx)
	case same:
		m.leaveSource(it, fmt.Errorf("it and %s are one and the same file", it.dest))
	}
	return nil
}
