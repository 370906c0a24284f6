package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/canary"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
)

// newWatch makes what watches over the deletion of sources.
func (m *migration) newWatch() *canary.Watch {
	return canary.New(canary.Options{
		Source: m.src.Driver, Destination: m.dst.Driver, File: m.Checkpoint + canary.Ending, Patience: m.WatchDeletions, Stop: m.stop,
		Wanted: m.wanted, LooksOnly: m.purging() && m.KeepSource, Log: m.Log,
	})
}

// wanted says whether a row still wants of the destination what was proved there: it names
// that, or, in a catalog that fell back, the source, where nothing is.
func (m *migration) wanted(ctx context.Context, d canary.Document) (bool, error) {
	rows, err := m.cat.Rows(ctx, []drivers.Key{d.Key})
	i := slices.IndexFunc(rows, func(row catalog.Document) bool { return row.Name == d.Row })
	if err != nil || i < 0 {
		return false, err
	}
	switch row := rows[i]; {
	case row.URI == d.Destination:
		return row.Digest == d.MD5 || row.Digest == "" || d.MD5 == "", nil
	case row.URI != d.Source:
		return false, nil
	}
	_, err = m.src.Stat(drivers.WithFresh(ctx), d.Source)
	if drivers.KindOf(err) == drivers.NotFound {
		return true, nil
	}
	return false, err
}

// first has items be deleted one by one until it is known that deletions do not reach the
// destination, and gives the others.
func (m *migration) first(ctx context.Context, items []*item) ([]*item, error) {
	indexes, err := m.deletions.First(ctx, m.documents(ctx, items), canary.Deletion{
		Delete: func(ctx context.Context, i int) error { return m.deleteSource(ctx, items[i]) },
		Leave: func(i int, reason error) {
			items[i].fail(failure.StageDelete, failure.ClassDelete, fmt.Errorf("the document was moved, its source was not deleted: %w", reason))
		},
	})
	slices.Sort(indexes)
	rest := make([]*item, len(indexes))
	for n, i := range indexes {
		rest[n] = items[i]
	}
	return rest, err
}

// removed tells whose sources were deleted.
func (m *migration) removed(ctx context.Context, items []*item) error {
	gone := slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return it.state != stateSourceGone })
	return m.deletions.Removed(ctx, m.documents(ctx, gone))
}

func (m *migration) documents(ctx context.Context, items []*item) []canary.Document {
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
		if meant, told := drivers.MeantBy(m.meantAtSource(ctx, it)); told {
			list[i].Meant = &meant
		}
	}
	return list
}

// endDeletions looks a last time, when everything is done.
func (m *migration) endDeletions(ctx context.Context) error {
	defer m.watched(ctx)()
	err := m.deletions.End(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx) // the database is gone, or the lock
	}
	return err
}
