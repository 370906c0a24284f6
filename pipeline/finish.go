package pipeline

import (
	"context"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/journal"
)

// finish records how a batch ended, in the journal and then in the checkpoint,
// which drops the batch. There is one worker for it.
func (m *migration) finish(ctx context.Context, b *batch) error {
	if b.reserved > 0 {
		m.budget.Release(b.reserved)
		b.reserved = 0
	}
	var o checkpoint.Outcome
	now := time.Now()
	for _, it := range b.items {
		it.conclude(m.Job == Copy, m.keepsSources())
	}
	if m.Job == Copy {
		if err := m.tellChanged(ctx, b); err != nil {
			return err
		}
	}
	for _, it := range b.items {
		m.settle(ctx, it, &o)
		if it.state == stateNothingLeft || m.purging() && m.KeepSource || m.Job == Copy {
			continue // nothing was done, or the record of copies has it
		}
		if err := m.journal.Append(m.journalLine(it, now)); err != nil {
			return err
		}
	}
	if m.journal != nil {
		// Before the batch is dropped: no document may be without its record.
		if err := m.journal.Sync(); err != nil {
			return err
		}
		o.JournalBytes = m.journal.Offset()
	}
	crash.Point("journaled")
	if m.deleting || m.purging() && m.record != nil {
		m.forgetDeleted(b)
	}
	m.checkpoint.Done(b.number, o)
	m.progress.Finished(o, m.ended(b.items))
	return nil
}

// settle adds to an outcome how a document ended, and logs it where it failed.
func (m *migration) settle(ctx context.Context, it *item, o *checkpoint.Outcome) {
	switch {
	case it.failure == nil, it.failure.Class == failure.ClassChanged:
		o.Cleared = append(o.Cleared, it.entry())
	case it.leftForGood():
		// Told once: no run can do more about it.
		o.Cleared = append(o.Cleared, it.entry())
		m.left.Add(it.failure.Class, *it.failure)
		m.Log.WarnContext(ctx, "source left", "document", it.doc.Key.String(), "uri", it.doc.URI, "reason", it.failure.Reason)
	default:
		o.Failed = append(o.Failed, *it.failure)
		m.Log.WarnContext(ctx, "document failed", "document", it.doc.Key.String(), "uri", it.doc.URI,
			"stage", it.failure.Stage, "class", it.failure.Class, "reason", it.failure.Reason)
	}
	switch {
	case m.counts(it):
		o.Counts.Add(countsOf(it))
	case m.skips(it):
		o.Counts.Add(checkpoint.Counts{Skipped: 1, BytesCounted: max(it.doc.Bytes, 0)})
	}
}

// counts says whether the item counts as done by this batch.
func (m *migration) counts(it *item) bool {
	switch m.Job {
	case Purge:
		return it.failure == nil && !m.skips(it)
	case Copy:
		return it.state == stateCopied
	}
	return it.moved() && it.mover != earlierCounts
}

// skips says whether there was nothing to be done for the item.
func (m *migration) skips(it *item) bool { return it.state == stateNothingLeft }

func countsOf(it *item) checkpoint.Counts {
	c := checkpoint.Counts{Moved: 1, BytesRead: it.fetchedBytes, BytesWritten: it.receipt.Bytes, BytesCounted: max(it.doc.Bytes, 0)}
	if it.mover == forgottenRun {
		c.Adopted = 1
	} else if it.mover != thisRun {
		c.AlreadyThere = 1
	} else if it.copy.State == copies.Copied {
		c.CopiedBefore = 1
	} else if it.doc.Digest == "" {
		c.NoDigest = 1
	}
	return c
}

// journalLine is the journal's line for an item.
func (m *migration) journalLine(it *item, now time.Time) journal.Record {
	r := journal.Record{
		When: now, Task: m.result.TaskID, Result: m.outcome(it),
		UserID: it.doc.UserID, Bucket: it.doc.Bucket, ArchiveID: it.doc.ArchiveID, DocumentName: it.doc.Name,
		From: it.doc.URI, PlainDigest: it.plainDigest, PlainBytes: it.plainBytes, StoredBytes: -1,
	}
	if it.moved() {
		r.To, r.StoredDigest, r.StoredBytes, r.Compressed = it.dest, it.digest, it.bytes, it.compressed
	}
	if it.failure != nil {
		r.Class, r.Reason = it.failure.Class, it.failure.Reason
	}
	return r
}

func (m *migration) outcome(it *item) journal.Result {
	switch {
	case it.state == stateSourceLeft:
		return journal.Left
	case it.state == stateStays:
		return journal.Failed
	case m.keepsSources():
		return journal.Kept
	case m.purging(), m.deleting:
		return journal.Purged
	default:
		return journal.Moved
	}
}
