package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
)

// resume feeds what an earlier run left: the batches that were in flight, and
// the documents that had failed.
func (m *migration) resume(ctx context.Context, out chan<- *batch) error {
	if !m.checkpoint.Resumed() {
		return nil
	}
	inFlight := make(map[drivers.Key]bool)
	var batches []*batch
	err := m.checkpoint.InFlight(func(number uint64, entries []checkpoint.Entry) error {
		batches = append(batches, &batch{number: number, entries: entries})
		for _, e := range entries {
			inFlight[keyOf(e)] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, b := range batches {
		if err := concurrency.Send(ctx, out, b); err != nil {
			return err
		}
	}
	return m.retryFailures(ctx, out, inFlight)
}

// retryFailures feeds the failed documents again, a batch at a time, but for
// those that share a key with one that is in flight: the next run tries them. They are cut as the catalog's rows are: rows of
// one key in two batches would be put at one place, one over the other.
func (m *migration) retryFailures(ctx context.Context, out chan<- *batch, inFlight map[drivers.Key]bool) error {
	cut := concurrency.Cutter[checkpoint.Failure]{
		Limits: m.limits,
		Key:    func(f checkpoint.Failure) drivers.Key { return keyOf(f.Entry) },
		Bytes:  func(checkpoint.Failure) int64 { return 0 }, // by number: prepare knows the lengths
	}
	var after []byte
	for !m.stopping() {
		var failures []checkpoint.Failure
		last, err := m.checkpoint.Failures(after, func(f checkpoint.Failure) bool {
			if !inFlight[keyOf(f.Entry)] {
				failures = cut.Add(f)
			}
			return failures == nil
		})
		if err != nil {
			return err
		}
		after = last
		all := failures == nil
		if all {
			failures = cut.Rest()
		}
		if err := m.tryAgain(ctx, out, failures); err != nil || all {
			return err
		}
	}
	return nil
}

// tryAgain feeds a batch of failed documents, those apart of which an earlier run has
// counted that they were moved.
func (m *migration) tryAgain(ctx context.Context, out chan<- *batch, failures []checkpoint.Failure) error {
	var moved, rest []checkpoint.Entry
	for _, f := range failures {
		if f.Stage == failure.StageDelete {
			moved = append(moved, f.Entry)
		} else {
			rest = append(rest, f.Entry)
		}
	}
	for _, b := range []*batch{{entries: moved, recounted: true}, {entries: rest}} {
		if len(b.entries) == 0 {
			continue
		}
		b.number, b.intended = m.checkpoint.Intend(b.entries, m.checkpoint.Header().Position)
		if err := concurrency.Send(ctx, out, b); err != nil {
			return err
		}
	}
	return nil
}

// takeBackChanged removes what a killed run may have put for documents whose
// rows were changed by somebody else since.
func (m *migration) takeBackChanged(ctx context.Context, b *batch) {
	for _, it := range b.items {
		if it.failure == nil || it.failure.Class != failure.ClassRowChanged || it.dest == "" || m.purging() || m.Job == Rollback {
			continue
		}
		if m.alike.Folds {
			// What is there may be the document's that has the place now.
			it.failure.Reason += "; what was put at " + it.dest + ", if anything was, is left there"
			continue
		}
		reason := errors.New(it.failure.Reason)
		if !it.siblings { // which may be under way to the same place
			if err := m.abortUploads(ctx, it); err != nil {
				reason = fmt.Errorf("%w; what was begun of an upload to %s is left there: %w", reason, it.dest, err)
			}
		}
		it.failure.Reason = m.takeBack(ctx, it, reason).Error()
	}
}

// revive makes the items of a batch of an earlier run from what its rows say
// now: still at the source (to be moved), at the destination (moved, the source
// perhaps not deleted), or something else, which is left alone.
func (m *migration) revive(b *batch, rows map[drivers.Key][]catalog.Document) {
	for _, e := range b.entries {
		it := m.reviveEntry(e, rows[keyOf(e)])
		it.revived = true
		if b.recounted && it.mover == earlierRun {
			it.mover = earlierCounts
		}
		b.items = append(b.items, it)
	}
}

func (m *migration) reviveEntry(e checkpoint.Entry, rows []catalog.Document) *item {
	gone := &item{plainBytes: -1, doc: catalog.Document{
		Key:  keyOf(e),
		Name: e.Name, URI: e.URI, NoURI: e.URI == "", Bytes: -1,
	}}
	gone.dest, _ = m.dst.URI(gone.doc.Key) // "" where it can never have been put
	for _, row := range rows {
		if row.Name != e.Name {
			continue
		}
		switch {
		case row.URI == e.URI && !m.purging():
			return m.newItem(row)
		case m.route.AtDestination(row):
			it := &item{doc: row, dest: row.URI, plainBytes: -1}
			it.foundMoved(earlierRun)
			it.doc.URI = e.URI // the source, as delete needs it
			return it
		default:
			gone.fail(failure.StageEnumerate, failure.ClassRowChanged, rowChanged(row.URI))
			return gone
		}
	}
	gone.fail(failure.StageEnumerate, failure.ClassRowChanged, errRowGone)
	return gone
}
