package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/takeback"
)

// A migration with a record of copies changes all rows before it deletes anything, so
// that Anchore's services may be started in between. What is to be deleted, the record
// says.

// keepsSources says that no source is deleted by this run, or not before all rows are
// changed.
func (m *migration) keepsSources() bool {
	return m.KeepSource || m.record != nil && !m.deleting && !m.purging()
}

// cutOver ends a migration with a record, when all rows have been gone through.
func (m *migration) cutOver(ctx context.Context) error {
	if err := m.flushRecord(ctx); err != nil {
		return err
	}
	if err := m.settleRecord(ctx); err != nil {
		return err
	}
	crash.Point("vanished")
	if m.Job == Migrate && !m.KeepSource {
		// Before anybody is told to start the services: from now on what is at the
		// destination may be theirs.
		if err := m.record.Update(func(h *copies.Header) { h.Deleting = true }).Wait(ctx); err != nil {
			return err
		}
	}
	if m.Startable != nil {
		sources, err := m.countSources(ctx)
		if err != nil {
			return err
		}
		_, failed := m.progress.Tally()
		m.Startable(failed, sources)
	}
	crash.Point("startable")
	if m.KeepSource {
		return nil
	}
	m.deleting = true
	return m.flow(ctx, m.feedSources)
}

// countSources counts the sources that are going to be deleted.
func (m *migration) countSources(ctx context.Context) (n int64, err error) {
	if m.KeepSource {
		return 0, nil
	}
	err = m.eachRecorded(ctx, func(page []copies.Copy) error {
		n += int64(len(deletedNow(page)))
		return nil
	}, copies.Committed, copies.CommittedDoubted)
	return n, err
}

// deletedNow leaves out what a migration with --nodelete has committed.
func deletedNow(page []copies.Copy) []copies.Copy {
	return slices.DeleteFunc(page, func(c copies.Copy) bool { return c.Kept })
}

// tellRecordLost fails where a run before has relied on a record that is gone: what it was
// going to delete nobody knows any more. The next run does not say so again.
func (m *migration) tellRecordLost(ctx context.Context) error {
	if err := m.checkpoint.Record(false).Wait(ctx); err != nil {
		return err
	}
	return fmt.Errorf("the record of copies, %s, is gone: all documents are moved, but sources of those that an earlier run has committed may still be there; kedge purge deletes them, after proof", m.Record)
}

// recordPage is how many entries of the record are looked at together.
const recordPage = 256

// mostVanished is how many copies of vanished documents are looked for in one scan of the
// catalog.
const mostVanished = 50_000

// settleRecord looks at what the record does not know to be committed: rows that a
// killed run has committed, and documents that have vanished since they were copied,
// whose copies are removed.
func (m *migration) settleRecord(ctx context.Context) error {
	states := []copies.State{copies.Intended, copies.Copied, copies.Doubted} // of the others the rows were changed
	if m.Job == Copy {
		states = states[:1] // services read nothing there: the others may wait
	}
	var vanished []copies.Copy
	err := m.eachRecorded(ctx, func(page []copies.Copy) error {
		rows, err := m.rowsOf(ctx, page)
		if err != nil {
			return err
		}
		var committed []copies.Copy
		for _, c := range page {
			switch row, there := rowOf(rows, c); {
			case there && m.route.AtDestination(row):
				committed = append(committed, m.committedBy(c, row))
			case there, m.Job == Rollback: // what is at the old store was put by Anchore
			case len(rows[c.Key]) > 0: // the place is that of another row with this key
				m.record.Drop([]copies.Copy{c})
			default:
				vanished = append(vanished, c)
			}
		}
		if m.Job != Copy {
			if err := m.recordFound(ctx, committed); err != nil {
				return err
			}
		}
		if len(vanished) < mostVanished {
			return nil
		}
		full := vanished
		vanished = nil
		return m.removeVanished(ctx, full)
	}, states...)
	if err == nil {
		err = m.removeVanished(ctx, vanished)
	}
	if err != nil {
		return err
	}
	return m.flushRecord(ctx)
}

// recordFound records what rows say to be committed, where the source is still there: a
// run that knew nothing of the record may have deleted it.
func (m *migration) recordFound(ctx context.Context, list []copies.Copy) error {
	items := make([]*item, len(list))
	for i, c := range list {
		items[i] = &item{copy: c, doc: catalog.Document{Key: c.Key, Name: c.Name, URI: c.Source.URI, Digest: c.Source.Digest}}
	}
	var mu sync.Mutex
	var there, gone []copies.Copy
	err := m.sourceOps.Each(ctx, items, func(ctx context.Context, it *item) {
		_, err := m.src.Stat(m.meaning(ctx, it), it.doc.URI)
		mu.Lock()
		defer mu.Unlock()
		if drivers.KindOf(err) == drivers.NotFound {
			gone = append(gone, it.copy)
		} else {
			there = append(there, it.copy)
		}
	})
	if err != nil || len(list) == 0 {
		return err
	}
	m.record.Put(there)
	m.record.Drop(gone)
	return nil
}

// settleKept records, before a migration that deletes changes a row, what one with --nodelete
// has committed and not recorded: what is found committed later is this one's.
func (m *migration) settleKept(ctx context.Context) error {
	if !m.record.Header().Keeping {
		return nil
	}
	err := m.eachRecorded(ctx, func(page []copies.Copy) error {
		rows, err := m.rowsOf(ctx, page)
		if err != nil {
			return err
		}
		var committed []copies.Copy
		for _, c := range page {
			if row, there := rowOf(rows, c); there && m.route.AtDestination(row) {
				committed = append(committed, m.committedBy(c, row))
			}
		}
		return m.recordFound(ctx, committed)
	}, copies.Intended, copies.Copied, copies.Doubted)
	if err != nil {
		return err
	}
	return m.flushRecord(ctx)
}

// committedBy is a copy of which the row says that it was committed.
func (m *migration) committedBy(c copies.Copy, row catalog.Document) copies.Copy {
	kept := c.Kept && c.State != copies.Copied && c.State != copies.Doubted // to these it means nothing
	c.When, c.Kept = time.Now(), kept || m.record.Header().Keeping
	same := tells(c.Destination, row)
	if c.State == copies.Copied && same {
		c.State = copies.Committed
		return c
	}
	if !same && !tells(c.Source, row) {
		// Somebody may have written the document anew since it was committed. What is at
		// the source is then of another document, to which nothing may go back.
		c.Source.Digest, c.Source.Bytes = "", -1
	}
	// The row names what nobody has proved since.
	c.Destination = copies.Side{URI: row.URI, Digest: row.Digest, Bytes: row.Bytes, Compressed: row.Compressed}
	c.State = copies.CommittedDoubted
	return c
}

// tells says whether a row tells of exactly the payload of a side.
func tells(s copies.Side, row catalog.Document) bool {
	return s.Digest != "" && s.Digest == row.Digest && s.Bytes == row.Bytes && s.Compressed == row.Compressed
}

// eachRecorded calls fn with the record's entries in some states, a page at a time.
func (m *migration) eachRecorded(ctx context.Context, fn func([]copies.Copy) error, states ...copies.State) error {
	var at copies.Cursor
	for {
		page, next, err := m.record.Each(at, recordPage, states...)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := fn(page); err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if concurrency.Closed(m.cat.Lost()) {
			return errLockLost
		}
		at = next
	}
}

// rowsOf reads the rows that have the keys of copies.
func (m *migration) rowsOf(ctx context.Context, list []copies.Copy) (map[drivers.Key][]catalog.Document, error) {
	keys := make([]drivers.Key, len(list))
	for i, c := range list {
		keys[i] = c.Key
	}
	found, err := m.cat.Rows(ctx, keys)
	rows := make(map[drivers.Key][]catalog.Document, len(found))
	for _, row := range found {
		rows[row.Key] = append(rows[row.Key], row)
	}
	return rows, err
}

// rowOf is the row of a copy among those of its key.
func rowOf(rows map[drivers.Key][]catalog.Document, c copies.Copy) (catalog.Document, bool) {
	for _, row := range rows[c.Key] {
		if row.Name == c.Name {
			return row, true
		}
	}
	return catalog.Document{}, false
}

var errVanished = errors.New("somebody has deleted the document since it was copied")

// removeVanished removes the copies of documents whose rows are gone. A place that any row
// names is left alone: a scan looks for that, which a damaged index does not mislead.
func (m *migration) removeVanished(ctx context.Context, list []copies.Copy) error {
	if len(list) == 0 {
		return nil
	}
	uris := make([]string, len(list))
	for i, c := range list {
		uris[i] = c.Destination.URI
	}
	taken, err := m.cat.Naming(ctx, uris)
	if err != nil {
		return err
	}
	named := make(map[string]bool, len(taken))
	for _, uri := range taken {
		named[uri] = true
	}
	items := make([]*item, 0, len(list))
	gone := list[:0:0]
	for _, c := range list {
		if named[c.Destination.URI] {
			gone = append(gone, c)
			continue
		}
		it := &item{copy: c, plainBytes: -1, dest: c.Destination.URI}
		it.doc = catalog.Document{Key: c.Key, Name: c.Name, URI: c.Source.URI, Digest: c.Source.Digest, Bytes: c.Source.Bytes}
		it.receipt.ProvenMD5 = c.Destination.Digest
		items = append(items, it)
	}
	if m.alike.Folds {
		m.Log.WarnContext(ctx, "copies of deleted documents are left", "documents", len(items))
		return nil
	}
	left := make([]error, len(items))
	at := make(map[*item]int, len(items))
	for i, it := range items {
		at[it] = i
	}
	if err := m.destOps.Each(ctx, items, func(ctx context.Context, it *item) { left[at[it]] = m.removeCopy(ctx, it) }); err != nil {
		return err
	}
	for i, it := range items {
		if left[i] != nil {
			m.Log.WarnContext(ctx, "copy left", "document", it.doc.Key.String(), "uri", it.dest,
				"reason", fmt.Errorf("%w, and what is at its place is left there: %w", errVanished, left[i]).Error())
		}
		switch err := left[i]; {
		case err == nil:
			m.result.Removed++
		case takeback.Foreign(err):
		default:
			continue // another run may find out, or come through
		}
		gone = append(gone, it.copy)
	}
	m.record.Drop(gone)
	return nil
}

// removeCopy removes one copy, with what a killed put may have left of it.
func (m *migration) removeCopy(ctx context.Context, it *item) error {
	if it.copy.State == copies.Intended {
		if err := m.abortUploads(ctx, it); err != nil {
			return err
		}
	}
	return m.remover().Remove(ctx, it.asPut())
}

// feedSources feeds what was committed and still has a source.
func (m *migration) feedSources(ctx context.Context, out chan<- *batch) error {
	err := m.eachRecorded(ctx, func(page []copies.Copy) error {
		if page = deletedNow(page); len(page) == 0 {
			return nil
		}
		if m.stopping() {
			return errStopping
		}
		return concurrency.Send(ctx, out, &batch{committed: page})
	}, copies.Committed, copies.CommittedDoubted)
	if errors.Is(err, errStopping) {
		m.stopped, err = true, nil
	}
	return err
}

var errStopping = errors.New("asked to stop")

// reviveCommitted makes the items of a batch whose sources are to be deleted. A row that
// names the source again is left alone. One that is gone, or tells other bytes at the
// destination, is what Anchore's services have made of it since: nobody asks for the old
// payload any more.
func (m *migration) reviveCommitted(b *batch, rows map[drivers.Key][]catalog.Document) {
	for _, c := range b.committed {
		row, there := rowOf(rows, c)
		if there && !m.route.AtDestination(row) {
			m.record.Drop([]copies.Copy{c})
			continue
		}
		it := &item{doc: row, dest: c.Destination.URI, copy: c, plainBytes: -1}
		superseded := !there || row.Digest != c.Destination.Digest
		if superseded {
			it.doc = catalog.Document{Key: c.Key, Name: c.Name, Digest: c.Destination.Digest, Bytes: c.Destination.Bytes, Compressed: c.Destination.Compressed}
		}
		it.foundMoved(earlierCounts)
		it.doc.URI = c.Source.URI // as delete needs it
		if superseded {
			it.prove(c.Destination.Digest) // as it was when it was committed
		}
		b.items = append(b.items, it)
	}
}

// forgetDeleted has the record forget the documents of a batch whose sources are gone, or
// are left for good.
func (m *migration) forgetDeleted(b *batch) {
	var list []copies.Copy
	for _, it := range b.items {
		if it.state == stateSourceGone || it.state == stateNothingLeft || it.state == stateCommitted || it.leftForGood() {
			list = append(list, copies.Copy{Key: it.doc.Key, Name: it.doc.Name})
		}
	}
	if len(list) > 0 {
		m.record.Drop(list)
	}
}
