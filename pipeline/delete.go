package pipeline

import (
	"context"
	"fmt"
	"strings"

	"github.com/kedge/kedge/drivers"
)

// delete removes the source payloads of what was moved. A source that another
// row still names stays.
func (m *migration) delete(ctx context.Context, b *batch) error {
	if m.KeepSource {
		return nil
	}
	var items []*item
	for _, it := range b.filter(func(it *item) bool { return it.moved && it.failure == nil && !it.absent }) {
		if it.earlier && it.doc.URI == it.dest {
			continue // found at the destination, and not at the source
		}
		if it.earlier {
			if err := m.recheck(ctx, it); err != nil {
				return err
			}
			if it.failure != nil {
				continue
			}
		}
		named, err := m.stillNamed(ctx, it)
		if err != nil {
			return err
		}
		if !named {
			items = append(items, it)
		}
	}
	defer m.progress.busy(StageDelete)()
	var err error
	if batcher := m.src.batcher(); batcher != nil && m.src.Capabilities().BatchDelete {
		err = m.deleteBatch(ctx, batcher, items)
	} else {
		err = m.sourceOps.each(ctx, items, func(ctx context.Context, it *item) {
			m.deletedSource(it, m.src.Delete(ctx, it.doc.URI))
		})
	}
	if err != nil {
		return err
	}
	return m.judge(items, stageDelete)
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
	if err := m.sourceOps.one(ctx, func() { errs = batcher.DeleteBatch(ctx, uris) }); err != nil {
		return err
	}
	for i, it := range items {
		m.deletedSource(it, errs[i])
	}
	return nil
}

func (m *migration) deletedSource(it *item, err error) {
	if err != nil {
		it.fail(stageDelete, ClassDelete, fmt.Errorf("the document was moved, its source could not be deleted: %w", err))
	}
}

// recheck looks once more at the row of a document that was moved earlier:
// nothing has changed it on the way here in this run.
func (m *migration) recheck(ctx context.Context, it *item) error {
	rows, err := m.cat.Rows(ctx, []drivers.Key{it.doc.Key})
	if err != nil {
		return err
	}
	reason := errRowGone
	for _, row := range rows {
		if row.Name != it.doc.Name {
			continue
		}
		if row.URI == it.dest && row.Digest == it.digest {
			return nil
		}
		reason = rowChanged(row.URI)
	}
	it.fail(stageDelete, ClassRowChanged, reason)
	return nil
}

// stillNamed says whether another row names the item's source. Places that are
// made from the key can only be shared by rows of the same key, which prepare
// has looked for; any other place may be named by any row.
func (m *migration) stillNamed(ctx context.Context, it *item) (bool, error) {
	if it.doc.URI == it.dest {
		return false, nil // the row itself names it, at the other server
	}
	if !m.madeFromKey(it) {
		n, err := m.cat.References(ctx, it.doc.URI)
		return n > 0, err
	}
	if !it.siblings {
		return false, nil
	}
	rows, err := m.cat.Rows(ctx, []drivers.Key{it.doc.Key})
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		if row.URI == it.doc.URI {
			return true, nil
		}
	}
	return false, nil
}

// madeFromKey says whether the item's source URI is the one that the source's
// driver makes from its key, under whatever prefix.
func (m *migration) madeFromKey(it *item) bool {
	uri, err := m.src.URI(it.doc.Key)
	return err == nil && strings.HasSuffix(it.doc.URI, strings.TrimPrefix(uri, m.src.Prefix()))
}
