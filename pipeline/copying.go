package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/survey"
)

// A Copy goes the way of a migration up to the proof, and then writes into the record of
// copies what a migration writes into the catalog. Anchore's services go on meanwhile: they
// read a document only where its row says.

// round is what a Copy's round is about.
type round struct {
	// since: only rows that were changed since then, in Unix seconds by Anchore's clocks;
	// 0 is all.
	since int64
	// latest is the last change that was seen.
	latest int64
	// looked is how long the catalog took to say what was changed.
	looked time.Duration
	// from is when it began to go through rows.
	from time.Time
	// strays are the places at the destination that rows name now and that are not made
	// from their own keys; nil in a round that goes through the whole catalog.
	strays map[string]bool
	// left and leftBytes are the rows that are left to the migration.
	left, leftBytes atomic.Int64
	Round
}

// leave counts a row of which no copy is made.
func (r *round) leave(d catalog.Document) {
	r.left.Add(1)
	r.leftBytes.Add(max(d.Bytes, 0))
}

// mostChanged is how many changed rows are held at once. Where there are more, the round
// goes through the whole catalog.
const mostChanged = 50_000

// copyRound copies what is new or changed, and tries once more what failed: a document
// that was just being written does so for a moment.
func (m *migration) copyRound(ctx context.Context) error {
	m.round.Began, m.round.from = m.result.Began, time.Now()
	if m.RoundBegan != nil {
		m.RoundBegan(m.record.Header().Rounds + 1)
	}
	if err := m.adopt(ctx); err != nil {
		return err
	}
	feed, err := m.enumerateCopies(ctx)
	if err != nil {
		return err
	}
	err = m.flow(ctx, feed)
	if err != nil || m.stopped {
		return err
	}
	if _, failed := m.progress.Tally(); failed == 0 {
		return nil
	}
	m.sweeping = true
	return m.flow(ctx, func(ctx context.Context, out chan<- *batch) error { return m.retryFailures(ctx, out, nil) })
}

// adopt recognises the copies of a record that was lost, where the destination is not empty
// and shows by itself what it holds. A run that was stopped before it could leaves a record
// without entries.
func (m *migration) adopt(ctx context.Context) error {
	lister, ok := m.dst.Driver.(drivers.Lister)
	if c := m.dst.Capabilities(); len(m.record.Counts()) > 0 || !ok || !c.Lists || m.round.since > 0 {
		return nil
	}
	err := lister.List(ctx, func(uri string, _ drivers.Info) error {
		if strings.Contains(uri, "/kedge-probe/kedge-probe") {
			return nil
		}
		return errStopping
	})
	if !errors.Is(err, errStopping) {
		return err
	}
	adopted, err := copies.Adopt{
		Record: m.record, Store: m.dst, Folder: m.Record + ".adopt",
		Rows: func(fn func(catalog.Document) error) error {
			return catalog.Each(ctx, m.cat, catalog.Selection{}, m.limits.PageRows, func(d catalog.Document) error {
				if !m.route.Selected(d) {
					return nil
				}
				return fn(d)
			})
		},
		KeepsForm: func(d catalog.Document) bool { return m.route.StaysAsItIs(d, d.Bytes) },
	}.Run(ctx)
	if err == nil && adopted > 0 {
		m.Log.InfoContext(ctx, "copies were recognised", "copies", adopted)
	}
	return err
}

// enumerateCopies gives what feeds what the record does not prove: of all rows, or of those
// that were changed since the last round and those that it left over. What the round before
// knew of the whole catalog may have changed, too.
func (m *migration) enumerateCopies(ctx context.Context) (feed func(context.Context, chan<- *batch) error, err error) {
	whole := func(ctx context.Context, out chan<- *batch) error {
		return m.walk(ctx, catalog.Position{}, m.uncopied, m.feeding(ctx, out))
	}
	if m.round.since == 0 {
		return whole, nil
	}
	docs, all, err := m.changed(ctx)
	if err != nil {
		return nil, err
	}
	if !all {
		return whole, m.surveyAgain(ctx)
	}
	return func(ctx context.Context, out chan<- *batch) error { return m.feedChanged(ctx, out, docs) }, nil
}

// surveyAgain looks through the whole catalog once more.
func (m *migration) surveyAgain(ctx context.Context) error {
	now, err := m.cat.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer now.Close()
	m.settled = survey.NewSettlement()
	return m.settled.Look(ctx, now, m.src, m.dst)
}

// changed gives the rows that were changed since the last round, and those that it left
// over, in the catalog's order; all is false where there are too many.
func (m *migration) changed(ctx context.Context) (docs []catalog.Document, all bool, err error) {
	seen := make(map[catalog.Position]bool)
	add := func(d catalog.Document) error {
		if at := d.After(); !seen[at] && m.route.Selected(d) {
			seen[at] = true
			docs = append(docs, d)
		}
		if len(docs) > mostChanged {
			return errStopping
		}
		return nil
	}
	began := time.Now()
	astray := make(map[string]bool)
	strays := catalog.Strays{Prefix: m.dst.Prefix(), Hashed: m.dst.Capabilities().HashedPaths, Found: func(uri string) error {
		if astray[uri] = true; len(astray) > mostChanged {
			return errStopping
		}
		return nil
	}}
	m.round.latest, err = m.cat.Changed(ctx, m.selection, m.round.since, strays, add)
	m.round.looked = time.Since(began)
	if errors.Is(err, errStopping) {
		return nil, false, nil
	}
	if err == nil {
		err = m.eachRecorded(ctx, func(page []copies.Copy) error {
			rows, err := m.rowsOf(ctx, page)
			for _, c := range page {
				if row, there := rowOf(rows, c); there && err == nil {
					err = add(row)
				}
			}
			return err
		}, copies.Intended, copies.Doubted)
	}
	if errors.Is(err, errStopping) {
		return nil, false, nil
	}
	m.round.strays = astray
	slices.SortFunc(docs, func(a, b catalog.Document) int { return compare(a.After(), b.After()) })
	return docs, true, err
}

func compare(a, b catalog.Position) int {
	for _, pair := range [][2]string{{a.Bucket, b.Bucket}, {a.ArchiveID, b.ArchiveID}, {a.UserID, b.UserID}, {a.Name, b.Name}} {
		if c := strings.Compare(pair[0], pair[1]); c != 0 {
			return c
		}
	}
	return 0
}

// feedChanged feeds changed rows.
func (m *migration) feedChanged(ctx context.Context, out chan<- *batch, docs []catalog.Document) error {
	cut := m.cutter()
	take := m.feeding(ctx, out)
	for len(docs) > 0 && !m.stopping() {
		page := docs[:min(len(docs), m.limits.PageRows)]
		docs = docs[len(page):]
		if err := m.cutPage(page, sight{}, cut, m.uncopied, take); err != nil {
			return err
		}
	}
	if m.stopping() {
		m.stopped = true
		return nil
	}
	if items := cut.Rest(); items != nil {
		return take(items)
	}
	return nil
}

// uncopied leaves out the rows of which the record proves the copy, and those that no
// copy can be compared with: they move when the services are stopped.
func (m *migration) uncopied(page []catalog.Document) (rest []catalog.Document, err error) {
	found, err := m.record.Find(page)
	if err != nil {
		return nil, err
	}
	var skipped checkpoint.Counts
	for i, d := range page {
		switch dest, err := m.dst.URI(d.Key); {
		case err == nil && holds(found[i], d) && found[i].Destination.URI == dest:
		case d.Digest == "" && !d.NoURI:
			m.round.leave(d)
		default:
			rest = append(rest, d)
			continue
		}
		skipped.Add(checkpoint.Counts{Skipped: 1, BytesCounted: max(d.Bytes, 0)})
	}
	m.skipped(skipped)
	return rest, nil
}

// leaveSiblings leaves out the documents whose key other rows have with other bytes, of
// which only one can be at the destination: the migration decides which.
func (m *migration) leaveSiblings(b *batch, rows map[drivers.Key][]catalog.Document) {
	b.items = slices.DeleteFunc(b.items, func(it *item) bool {
		if !it.siblings || it.failure != nil {
			return false
		}
		for _, row := range rows[it.doc.Key] {
			if row.URI != it.doc.URI || row.Digest != it.doc.Digest || row.Compressed != it.doc.Compressed {
				m.round.leave(it.doc)
				m.skipped(checkpoint.Counts{Skipped: 1, BytesCounted: max(it.doc.Bytes, 0)})
				return true
			}
		}
		return false
	})
}

// skipped counts documents that nothing is done for.
func (m *migration) skipped(counts checkpoint.Counts) {
	if counts.Skipped > 0 {
		m.checkpoint.Count(counts)
		m.progress.Skipped(counts)
	}
}

// keep records what is proved, durably. It stands where a migration commits.
func (m *migration) keep(ctx context.Context, b *batch) error {
	items := b.filter(func(it *item) bool { return it.pending() && it.ready(stateCopied) })
	if len(items) == 0 {
		return nil
	}
	defer m.progress.Busy(progress.StageCommit)()
	sources, err := m.seeSources(ctx, items)
	if err != nil {
		return err
	}
	list := make([]copies.Copy, len(items))
	for i, it := range items {
		list[i] = m.copyOf(it, copies.Copied)
		list[i].Source.Version = sources[it]
	}
	if err := m.record.Put(list).Wait(ctx); err != nil {
		return err
	}
	crash.Point("recorded")
	for _, it := range items {
		if it.recorded() {
			m.progress.Passed(progress.StageCommit, it)
		}
	}
	return nil
}

// tellChanged finds out which documents of a batch were not copied because the services
// have changed or removed them meanwhile.
func (m *migration) tellChanged(ctx context.Context, b *batch) error {
	failed := b.filter(func(it *item) bool { return it.failure != nil })
	if len(failed) == 0 {
		return nil
	}
	list := make([]copies.Copy, len(failed))
	for i, it := range failed {
		list[i] = copies.Copy{Key: it.doc.Key, Name: it.doc.Name}
	}
	rows, err := m.rowsOf(ctx, list)
	if err != nil {
		return err
	}
	for i, it := range failed {
		if row, there := rowOf(rows, list[i]); !there || row != it.doc {
			it.failure.Class = failure.ClassChanged
			m.round.Changed++
		}
	}
	return nil
}

// endRound ends a round of copying.
func (m *migration) endRound(ctx context.Context) error {
	if err := m.measureRound(ctx); err != nil {
		return err
	}
	if m.round.since == 0 { // it costs a scan of the catalog; the cutover does it in any case
		if err := m.settleRecord(ctx); err != nil {
			return err
		}
	}
	return m.record.Update(func(h *copies.Header) { h.Rounds++ }).Wait(ctx)
}

// tellRound says how the round has ended, or how far it has come.
func (m *migration) tellRound(cutShort bool) {
	counts, _ := m.progress.Tally()
	r := &m.round.Round
	r.Rest = m.round.left.Load()
	r.Number, r.Ended, r.Copies = m.record.Header().Rounds, time.Now(), m.copied()
	r.CutShort = cutShort
	r.BytesRead, r.BytesWritten = counts.BytesRead, counts.BytesWritten
	r.Copied, r.Unchanged, r.Failed = counts.Moved, counts.Skipped-r.Rest, m.result.Failed
	r.RowsPerSecond, r.Cutover = m.pace.RowsPerSecond(), m.pace.Cutover(r.Copies, m.rest)
	m.result.Round = *r
}
