package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/job"
)

// findCutOver finds out from the rows what a migration that was killed has committed and
// not recorded, before its way back: the old payload of a row that tells exactly what was
// copied still stands, or what was going to be put where its form did not change.
func (m *migration) findCutOver(ctx context.Context) error {
	err := m.eachRecorded(ctx, func(page []copies.Copy) error {
		rows, err := m.rowsOf(ctx, page)
		if err != nil {
			return err
		}
		var found []copies.Copy
		for _, c := range page {
			row, there := rowOf(rows, c)
			if !there || row.NoURI || row.URI != c.Source.URI {
				continue
			}
			switch {
			case c.State == copies.Committed && tells(c.Source, row):
				c.State = copies.Copied
			case c.State == copies.Intended && tells(c.Destination, row):
				c.Source = copies.Side{URI: row.URI, Digest: row.Digest, Bytes: row.Bytes, Compressed: row.Compressed}
				c.State = copies.Doubted // until the old store shows it
			default:
				continue
			}
			c.When, c.Kept = time.Now(), c.Kept || m.record.Header().Keeping
			found = append(found, c)
		}
		if len(found) > 0 {
			m.record.Put(found)
		}
		return nil
	}, copies.Committed, copies.Intended)
	if err != nil {
		return err
	}
	return m.flushRecord(ctx)
}

// movedBefore is what the record is to have of items that an earlier run has moved and not
// recorded: as far as it knew them.
func (m *migration) movedBefore(items []*item) []copies.Copy {
	rows := make([]catalog.Document, len(items))
	for i, it := range items {
		rows[i] = it.doc
		rows[i].URI = it.dest
	}
	known, err := m.record.Find(rows)
	list := make([]copies.Copy, len(items))
	for i, it := range items {
		if err == nil && known[i].State != copies.None && known[i].Source.URI == it.doc.URI {
			list[i] = m.committedBy(known[i], rows[i])
			continue
		}
		c := m.copyOf(it, copies.CommittedDoubted)
		c.Source.Digest, c.Source.Bytes = "", -1 // its row tells of the destination
		list[i] = c
	}
	return list
}

// refuseBack refuses a rollback for which nothing stands at the old store any more. One
// that was interrupted goes on.
func (m *migration) refuseBack(ctx context.Context) error {
	now := m.record.Counts()
	if m.Job != Rollback || now[copies.Copied] > 0 {
		return nil
	}
	missing, err := m.missesSome(ctx)
	if err != nil {
		return err
	}
	if missing || now[copies.Committed]+now[copies.Intended]+now[copies.Doubted] == 0 {
		return failure.Refused("%s shows none of the documents that were moved from there: there is nothing to go back to in place; kedge migrate moves everything back", m.dst.Place())
	}
	if now[copies.Intended]+now[copies.Doubted] > 0 || m.record.Header().Keeping || m.checkpoint.Resumed() {
		return nil
	}
	moved, err := m.cat.Count(ctx, catalog.Selection{Prefix: m.src.Prefix()})
	if err == nil && moved.Documents > 0 {
		err = failure.Refused("the record of copies (%s) has no document whose old payload at %s was kept: it is of kedge copy, and what was moved to %s before was moved without --nodelete; kedge migrate moves everything back", m.Record, m.dst.Place(), m.src.Place())
	}
	return err
}

// missesSome says whether the old store does not show some payload of which the record
// knows what it was.
func (m *migration) missesSome(ctx context.Context) (missing bool, err error) {
	err = m.eachRecorded(ctx, func(page []copies.Copy) error {
		if missing = slices.ContainsFunc(page, func(c copies.Copy) bool { return c.Destination.Digest != "" }); missing {
			return errStopping
		}
		return nil
	}, copies.Doubted)
	if errors.Is(err, errStopping) {
		err = nil
	}
	return missing, err
}

// resetDeleting has the record forget that sources were deleted, or kept, where no row
// names the destination any more: all documents have been moved back since.
func (m *migration) resetDeleting(ctx context.Context) error {
	h := m.record.Header()
	if m.Job != Copy && m.Job != Migrate || !h.Deleting && !h.Keeping {
		return nil
	}
	moved, err := m.cat.Count(ctx, catalog.Selection{Prefix: m.dst.Prefix()})
	if err == nil && moved.Documents == 0 {
		m.record.Update(func(h *copies.Header) { h.Deleting, h.Keeping = false, false })
	}
	return err
}

// suspectBack has the record of the other direction say that it must not be believed
// unseen: this run deletes what may be copies for it. It may have been another kedge's,
// or none of these stores, and is then left alone. So is a damaged one, which nobody can
// believe.
func (m *migration) suspectBack(ctx context.Context) error {
	if m.RecordBack == "" || m.KeepSource || !m.purging() && m.Job != Migrate {
		return nil
	}
	there, err := copies.Exists(m.RecordBack)
	if err != nil || !there {
		return err
	}
	if m.record != nil && m.RecordBack == m.Record {
		return nil // it is this direction's
	}
	back, err := copies.Open(m.RecordBack, copies.Opening{Identity: job.BackIdentity(m.Options), Source: m.dst.URI, Destination: m.src.URI})
	var mismatch *checkpoint.MismatchError
	var damaged *copies.DamagedError
	switch {
	case errors.As(err, &mismatch):
		return nil
	case errors.As(err, &damaged):
		m.Log.WarnContext(ctx, "the record of copies of the other direction is damaged, and is left alone", "record", m.RecordBack, "reason", damaged.Err.Error())
		return nil
	case err != nil:
		return err
	}
	err = back.Update(func(h *copies.Header) { h.Suspect = true }).Wait(ctx)
	return errors.Join(err, back.Close())
}

// disbelieve looks for what speaks against believing the record unseen. Where there is
// something, the copies are looked at after all.
func (m *migration) disbelieve(ctx context.Context) error {
	if m.Trust != copies.TrustRecord {
		return nil
	}
	reason, err := m.whyStale(ctx)
	if err == nil && reason != "" {
		m.Trust = copies.Best(m.dst)
		m.Log.WarnContext(ctx, "the record of copies is not believed unseen", "reason", reason, "trust", string(m.Trust))
	}
	return err
}

// staleUnlooked says whether the record is out of date and this run does not look at its
// copies: with the number of this run's task the record would look new.
func (m *migration) staleUnlooked(ctx context.Context) (bool, error) {
	if m.record == nil || m.newRecord || m.Job == Migrate || m.record.Header().TaskID == 0 {
		return false, nil
	}
	reason, err := m.whyStale(ctx)
	return reason != "", err
}

// whyStale says why the record may not know what has become of the copies, "" where
// nothing shows that: it is a file that somebody may have restored or left behind, and
// each migration leaves a task.
func (m *migration) whyStale(ctx context.Context) (string, error) {
	h := m.record.Header()
	if h.Suspect {
		return "kedge has deleted payloads at " + m.dst.Place() + " since it was written", nil
	}
	tasks, err := m.cat.Tasks(ctx)
	if err != nil {
		return "", err
	}
	known := false
	for _, t := range tasks {
		known = known || m.lastTask(h, t)
		ours := func(driver string) bool { return driver == m.src.Name() || driver == m.dst.Name() }
		if t.ID > h.TaskID && (ours(t.From) || ours(t.To)) {
			return fmt.Sprintf("task %d, a migration from %s to %s, is younger than the record's last task, %d", t.ID, t.From, t.To, h.TaskID), nil
		}
	}
	if !known {
		return fmt.Sprintf("the database does not have its last task, %d: one of the two may have been restored", h.TaskID), nil
	}
	return "", nil
}
