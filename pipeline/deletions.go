package pipeline

import (
	"context"
	"slices"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/canary"
)

// newWatch makes what watches over the deletion of sources.
func (m *migration) newWatch() *canary.Watch {
	return canary.New(canary.Options{
		Source: m.src.Driver, Destination: m.dst.Driver, File: m.Checkpoint + ".canary", Patience: m.WatchDeletions,
		Wanted: m.wanted, Log: m.Log,
	})
}

// recoverFirst looks after the document that a killed run has deleted first.
func (m *migration) recoverFirst(ctx context.Context) error {
	if m.KeepSource {
		return nil
	}
	return m.deletions.Recover(ctx)
}

// wanted says whether a row still wants of the destination what was proved there.
func (m *migration) wanted(ctx context.Context, d canary.Document) (bool, error) {
	rows, err := m.cat.Rows(ctx, []drivers.Key{d.Key})
	for _, row := range rows {
		if row.Name == d.Row && row.URI == d.Destination && (row.Digest == d.MD5 || d.MD5 == "") {
			return true, nil
		}
	}
	return false, err
}

// first has one of the items be the first of the run whose source is deleted, where none
// was yet, and gives the others.
func (m *migration) first(ctx context.Context, items []*item) ([]*item, error) {
	i, err := m.deletions.First(ctx, m.documents(items), func(ctx context.Context, i int) bool {
		m.deleteSource(ctx, items[i])
		return items[i].state == stateSourceGone
	})
	if err != nil || i < 0 {
		return items, err
	}
	return slices.Delete(items, i, i+1), nil
}

// removed tells whose sources were deleted.
func (m *migration) removed(ctx context.Context, items []*item) error {
	gone := slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return it.state != stateSourceGone })
	return m.deletions.Removed(ctx, m.documents(gone))
}

func (m *migration) documents(items []*item) []canary.Document {
	list := make([]canary.Document, len(items))
	for i, it := range items {
		back := it.doc.URI
		if uri, err := m.src.URI(it.doc.Key); err != nil || uri != back {
			back = ""
		}
		list[i] = canary.Document{
			Name: it.doc.Key.String(), Key: it.doc.Key, Row: it.doc.Name,
			Source: it.doc.URI, Destination: it.dest, Back: back, MD5: it.digest, Bytes: it.bytes,
		}
	}
	return list
}
