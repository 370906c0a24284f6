package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
)

// commit changes the catalog's rows, all of a batch in one transaction, each
// only if it still says what it said when it was enumerated. A commit that
// fails ends the run: whether it took effect is found out from the rows when
// the run is resumed.
func (m *migration) commit(ctx context.Context, b *batch) error {
	items := b.filter(func(it *item) bool { return it.pending() && it.ready(stateCommitted) })
	if len(items) == 0 {
		m.recordCommitted(b, nil)
		return nil
	}
	defer m.progress.Busy(progress.StageCommit)()
	sources, err := m.seeSources(ctx, items)
	if err != nil {
		return err
	}
	if crash.Mutated("delete-before-commit") {
		for _, it := range items {
			_ = m.src.Delete(ctx, it.doc.URI)
		}
		crash.Point("mutated")
	}
	changes := make([]catalog.Change, len(items))
	for i, it := range items {
		changes[i] = catalog.Change{Document: it.doc, URI: it.dest, Compressed: it.compressed, Digest: it.digest, Bytes: it.bytes}
	}
	applied, err := m.cat.Commit(ctx, changes)
	if err != nil {
		return err
	}
	crash.Point("committed")
	defer m.recordCommitted(b, sources)
	var missed []*item
	for i, it := range items {
		if !applied[i] {
			missed = append(missed, it)
		} else if it.commit() {
			m.progress.Passed(progress.StageCommit, it)
		}
	}
	return m.explain(ctx, missed)
}

var errRowGone = errors.New("the catalog's row is gone: somebody deleted it during the migration")

func rowChanged(uri string) error {
	return fmt.Errorf("the catalog's row was changed by somebody else during the migration: it says %q now, and is left alone", uri)
}

// explain says of rows that were not changed why: they were changed already, or
// by somebody else.
func (m *migration) explain(ctx context.Context, missed []*item) error {
	for _, it := range missed {
		rows, err := m.cat.Rows(ctx, []drivers.Key{it.doc.Key})
		if err != nil {
			return err
		}
		reason := errRowGone
		for _, row := range rows {
			if row.Name != it.doc.Name {
				continue
			}
			if !it.moved() && row.URI == it.dest && row.Digest == it.digest {
				it.commit()
			}
			reason = rowChanged(row.URI)
		}
		if !it.moved() {
			it.fail(failure.StageCommit, failure.ClassRowChanged, m.takeBack(ctx, it, reason))
		}
	}
	return nil
}
