package pipeline

import (
	"context"
	"slices"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/store"
)

// enumerate feeds the pipeline: first what an interrupted run left, then the
// catalog from where that run had come to. Each batch is intended in the
// checkpoint as it is cut, in the catalog's order.
func (m *migration) enumerate(ctx context.Context, out chan<- *batch) error {
	if err := m.resume(ctx, out); err != nil {
		return err
	}
	return m.walk(ctx, catalog.Position(m.checkpoint.Header().Position), nil, m.feeding(ctx, out))
}

// feeding feeds batches of the catalog's rows, in its order.
func (m *migration) feeding(ctx context.Context, out chan<- *batch) func([]*item) error {
	return func(items []*item) error {
		return m.feed(ctx, out, items, checkpoint.Position(items[len(items)-1].doc.After()))
	}
}

// sweep goes once more through the whole catalog after a resumed run has come
// to its end: the part before the position where it went on may have changed
// since (somebody may have migrated back). Documents that failed just now are
// not tried again.
func (m *migration) sweep(ctx context.Context, out chan<- *batch) error {
	position := m.checkpoint.Header().Position
	return m.walk(ctx, catalog.Position{}, func(page []catalog.Document) (rest []catalog.Document, err error) {
		for _, d := range page {
			if failed, err := m.checkpoint.HasFailed(entryOf(d)); err != nil {
				return nil, err
			} else if !failed {
				rest = append(rest, d)
			}
		}
		return rest, nil
	}, func(items []*item) error { return m.feed(ctx, out, items, position) })
}

// walk cuts what the catalog has behind a position, as far as sieve lets it through,
// into batches, and gives each to take, in the catalog's order.
func (m *migration) walk(ctx context.Context, position catalog.Position, sieve func([]catalog.Document) ([]catalog.Document, error), take func([]*item) error) error {
	cut := m.cutter()
	selection, whole := m.selection, m.copied() > 0 && m.moves()
	for !m.stopping() {
		if selection.Prefix = m.selection.Prefix; whole {
			selection.Prefix = ""
		}
		began := time.Now()
		page, err := m.cat.Page(ctx, selection, position, m.limits.PageRows)
		if err != nil {
			return err
		}
		m.walked.Add(len(page), time.Since(began))
		last := len(page) < m.limits.PageRows
		var seen sight
		if whole {
			seen = look(page, position, last)
		}
		if !last {
			position = page[len(page)-1].After()
		}
		rows := len(page)
		page = slices.DeleteFunc(page, func(d catalog.Document) bool { return !m.route.Selected(d) })
		whole = whole && 2*len(page) >= rows // else it would be mostly others' rows that are read
		if err := m.cutPage(page, seen, cut, sieve, take); err != nil {
			return err
		}
		if last && !m.stopping() {
			if items := cut.Rest(); items != nil {
				return take(items)
			}
			return nil
		}
	}
	// What was cut but not intended is enumerated again by the next run.
	m.stopped = true
	return nil
}

// sight is what a page of all rows, whatever they name, tells of rows with one key: they
// follow each other. The zero value has seen nothing.
type sight struct {
	whole  bool
	shared map[drivers.Key]bool // keys that more rows have, or may have
}

// look looks at a page that begins behind a position.
func look(page []catalog.Document, behind catalog.Position, last bool) sight {
	s := sight{whole: true, shared: make(map[drivers.Key]bool)}
	before := drivers.Key{UserID: behind.UserID, Bucket: behind.Bucket, ArchiveID: behind.ArchiveID}
	for _, d := range page {
		if d.Key == before {
			s.shared[d.Key] = true
		}
		before = d.Key
	}
	if !last {
		s.shared[before] = true // as the next page may show
	}
	return s
}

// alone says that no other row has a row's key.
func (s sight) alone(d catalog.Document) bool { return s.whole && !s.shared[d.Key] }

// cutPage is walk over the rows of a page that are the run's.
func (m *migration) cutPage(page []catalog.Document, seen sight, cut *concurrency.Cutter[*item], sieve func([]catalog.Document) ([]catalog.Document, error), take func([]*item) error) (err error) {
	began := time.Now()
	if sieve != nil {
		if page, err = sieve(page); err != nil {
			return err
		}
	}
	items := make([]*item, len(page))
	for i, d := range page {
		items[i] = m.newItem(d)
		items[i].alone = seen.alone(d)
	}
	if err := m.takeCopies(items); err != nil {
		return err
	}
	m.walked.Add(0, time.Since(began))
	for _, it := range items {
		if batch := cut.Add(it); batch != nil {
			if err := take(batch); err != nil {
				return err
			}
		}
		if m.stopping() {
			return nil
		}
	}
	return nil
}

func (m *migration) stopping() bool { return concurrency.Closed(m.stop) }

// feed intends a batch of new items and sends it on its way.
func (m *migration) feed(ctx context.Context, out chan<- *batch, items []*item, position checkpoint.Position) error {
	entries := make([]checkpoint.Entry, len(items))
	for i, it := range items {
		entries[i] = it.entry()
	}
	b := &batch{items: items}
	b.number, b.intended = m.checkpoint.Intend(entries, position)
	crash.Point("enumerated")
	return concurrency.Send(ctx, out, b)
}

// newItem makes an item of a row and fails it at once where it cannot move.
func (m *migration) newItem(d catalog.Document) *item {
	it := &item{doc: d, plainBytes: -1}
	if m.purging() {
		return m.purgeItem(it)
	}
	if d.NoURI {
		it.fail(failure.StageEnumerate, failure.ClassNoURI, store.ErrNoURI)
		return it
	}
	if err := store.ForeignBytes(d); err != nil {
		it.fail(failure.StageEnumerate, failure.ClassInvalidKey, err)
		return it
	}
	dest, err := m.dst.URI(d.Key)
	if err != nil {
		it.fail(failure.StageEnumerate, failure.ClassInvalidKey, err)
		return it
	}
	it.dest = dest
	if !m.MoveUnreadable {
		if err := drivers.FoundByAnchore(m.dst.Driver, dest); err != nil {
			it.fail(failure.StageEnumerate, failure.ClassUnreadableKey, err)
		}
	}
	if err := m.places().Held(dest); err != nil {
		it.fail(failure.StageEnumerate, failure.ClassPlaceTaken, err)
	}
	return it
}

// copiedDocuments are in a batch where most documents carry no payload any more: the
// fewer batches, the fewer transactions while Anchore stands still.
const copiedDocuments = 1024

// cutter cuts the catalog's rows into batches. What is not going to be read takes no
// memory.
func (m *migration) cutter() *concurrency.Cutter[*item] {
	limits := m.limits
	if m.copied() > 0 && m.Job != Copy {
		limits.BatchDocuments = copiedDocuments
	}
	return &concurrency.Cutter[*item]{
		Limits: limits,
		Key:    func(it *item) drivers.Key { return it.doc.Key },
		Bytes: func(it *item) int64 {
			if !it.carries() {
				return 0
			}
			return it.doc.Bytes
		},
		Cost: func(it *item, bytes int64) int64 {
			if !it.carries() {
				return 0
			}
			return bytes + m.allow(it, bytes)
		},
	}
}
