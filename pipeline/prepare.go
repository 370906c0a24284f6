package pipeline

import (
	"context"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
)

// prepare finds out what the rows alone do not say before anything is fetched:
// other rows that share a document's places, and the length of payloads whose
// row has none. Then it reserves the batch's share of the memory budget.
func (m *migration) prepare(ctx context.Context, b *batch) error {
	// Of what is copied nothing is put: that there were no siblings just now is enough.
	found, err := m.cat.Rows(ctx, b.keysOf(func(it *item) bool { return !it.alone || it.state != stateCopied }))
	if err != nil {
		return err
	}
	rows := make(map[drivers.Key][]catalog.Document, len(found))
	for _, row := range found {
		rows[row.Key] = append(rows[row.Key], row)
	}
	if b.entries != nil {
		m.revive(b, rows)
		if err := m.takeCopies(b.items); err != nil {
			return err
		}
	}
	if b.committed != nil {
		m.reviveCommitted(b, rows)
	}
	for _, it := range b.items {
		m.findSiblings(it, rows[it.doc.Key])
	}
	if m.Job == Copy {
		m.leaveSiblings(b, rows)
	}
	if b.entries != nil {
		m.takeBackChanged(ctx, b)
	}
	if err := m.askLengths(ctx, b); err != nil {
		return err
	}
	b.reserved = min(m.plan(b), m.budgetBytes)
	if err := m.budget.Acquire(ctx, b.reserved); err != nil {
		return context.Cause(ctx)
	}
	return nil
}

// findSiblings notes the rows that have the item's key under another name.
func (m *migration) findSiblings(it *item, rows []catalog.Document) {
	for i, row := range rows {
		if row.Name == it.doc.Name {
			continue
		}
		it.siblings = true
		if !row.NoURI && row.URI != it.doc.URI && m.places().OnePlace(row.URI, it.dest) {
			it.atDest = &rows[i]
		}
	}
}

// askLengths asks the source for the lengths that the catalog does not know.
func (m *migration) askLengths(ctx context.Context, b *batch) error {
	unknown := b.filter(func(it *item) bool { return it.carries() && it.doc.Bytes < 0 })
	return m.sourceOps.Each(ctx, unknown, func(ctx context.Context, it *item) {
		info, err := m.src.Stat(m.meaning(ctx, it), it.doc.URI)
		switch {
		case err == nil:
			it.fetchedBytes = info.Bytes
			if info.Bytes > m.limits.StreamBytes {
				it.carriage = streamed
			}
		case drivers.KindOf(err) == drivers.NotFound:
			// fetch finds out whether it is at the destination already.
		default:
			it.fail(failure.StageFetch, failure.ClassFetch, err)
		}
	})
}

// plan decides which payloads are streamed and says how many bytes the others
// may take, all together. Streamed payloads of a batch go one after the other,
// so that they count once.
func (m *migration) plan(b *batch) int64 {
	var total, stream int64
	for _, it := range b.items {
		if !it.carries() {
			continue
		}
		bytes := max(it.doc.Bytes, it.fetchedBytes)
		cost := bytes + m.allow(it, bytes)
		if it.carriage.streamed() || bytes > m.limits.StreamBytes || total+cost > 2*m.limits.BatchBytes {
			it.carriage, b.streams = streamed, true
			stream = max(stream, m.route.StreamCost(m.route.Passes(it.doc, bytes)))
			continue
		}
		total += cost
	}
	return total + stream
}

// allow sets and returns how many bytes an item may take beside its payload as fetched.
func (m *migration) allow(it *item, bytes int64) int64 {
	it.allowance = m.route.Allowance(it.doc, bytes, m.limits.StreamBytes)
	return it.allowance
}
