package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
)

// openRecord opens the record of copies where this run has one (Options.Record).
func (m *migration) openRecord() error {
	if m.Record == "" || m.purging() && m.KeepSource {
		return nil
	}
	if m.src.Place() == m.dst.Place() {
		return nil // which is refused
	}
	there, err := copies.Exists(m.Record)
	if err != nil {
		return err
	}
	switch {
	case m.Job == Copy && m.route.SamePrefix():
		return failure.Refused("source and destination give the same URIs, such as %s…: no row could say which of the two copies is meant, so nothing can be copied ahead (kedge migrate moves these documents)", m.src.Prefix())
	case m.Job == Rollback && !there:
		return failure.Refused("there is no record of a migration from %s to %s whose sources were kept (%s): migrate without --nodelete deletes them, and the way back is then an ordinary migration, kedge migrate", m.dst.Place(), m.src.Place(), m.Record)
	case !there && (m.purging() || m.Job == Migrate && !m.KeepSource || m.route.SamePrefix()):
		return nil
	}
	m.newRecord = !there
	m.record, err = copies.Open(m.Record, m.recordOpening())
	var mismatch *checkpoint.MismatchError
	if (m.Job == Migrate || m.purging()) && errors.As(err, &mismatch) {
		m.Log.Warn("the record of copies is another migration's, and is left alone", "record", m.Record)
		return nil
	}
	if err != nil {
		return err
	}
	if m.Job == Rollback && m.record.Header().Deleting {
		err := m.record.Close()
		m.record = nil
		return cmp.Or(err, failure.Refused("sources at %s have been deleted since the migration: what is gone there cannot be gone back to in place; kedge migrate moves everything back", m.dst.Place()))
	}
	return nil
}

func (m *migration) recordOpening() copies.Opening {
	return copies.Opening{Identity: RecordIdentity(m.Options), Source: m.src.URI, Destination: m.dst.URI, Turned: m.Job == Rollback}
}

// closeRecord closes the record, and removes it where it has nothing more to say.
func (m *migration) closeRecord(over bool) error {
	if m.record == nil {
		return nil
	}
	empty := true
	for _, n := range m.record.Counts() {
		empty = empty && n == 0
	}
	// The task of a Copy is not over: the next run finds it by the record.
	spent := m.newRecord && (m.Job != Copy || m.record.Header().TaskID == 0) || over && m.Job == Migrate && !m.KeepSource
	m.result.Record = m.Record
	err := m.record.Close()
	if err == nil && empty && spent {
		m.result.Record = ""
		err = copies.Remove(m.Record)
	}
	return err
}

// copied is how many copies the record has.
func (m *migration) copied() int64 {
	if m.record == nil {
		return 0
	}
	return m.record.Counts()[copies.Copied]
}

// checkCopies makes sure that the destination still holds what the record says, in the
// way that Trust says. What it does not show is moved as if it had never been copied.
func (m *migration) checkCopies(ctx context.Context) error {
	if m.record == nil || !m.moves() {
		return nil
	}
	chosen := m.Trust != ""
	if !chosen {
		m.Trust = copies.Best(m.dst)
	}
	if err := m.disbelieve(ctx); err != nil {
		return err
	}
	if m.Job == Rollback {
		if err := m.findCutOver(ctx); err != nil {
			return err
		}
	}
	counts := m.record.Counts()
	if counts[copies.Copied]+counts[copies.Committed]+counts[copies.Doubted]+counts[copies.CommittedDoubted] > 0 {
		check := copies.Check{
			Record: m.record, Store: m.dst, How: m.Trust, Folder: m.Record + ".check", Workers: int(m.destOps.Limit()), Log: m.Log,
		}
		checked, err := check.Run(ctx)
		if err != nil && !chosen && m.Trust == copies.TrustList && drivers.KindOf(err) == drivers.Other && ctx.Err() == nil {
			m.Log.WarnContext(ctx, "the copies are read back, because the listing is of no use", "reason", err.Error())
			m.Trust, check.How = copies.TrustVerify, copies.TrustVerify
			checked, err = check.Run(ctx)
		}
		if err != nil {
			return err
		}
		m.Log.InfoContext(ctx, "the copies were looked at", "trust", string(m.Trust), "confirmed", checked.Confirmed, "doubted", checked.Doubted)
		m.result.CopiesDoubted = checked.Doubted
		if m.Trust != copies.TrustRecord && m.Job == Migrate { // a way back has looked at the old store
			m.record.Update(func(h *copies.Header) { h.Suspect = false })
		}
	}
	return m.refuseBack(ctx)
}

// holds says whether a copy is of exactly what a row says.
func holds(c copies.Copy, d catalog.Document) bool {
	if c.State != copies.Copied || d.NoURI {
		return false
	}
	if crash.Mutated("row-unread") {
		return true
	}
	return c.Destination.Digest != "" && c.Source.URI == d.URI && tells(c.Source, d)
}

// takeCopies has the record prove what it can of documents that are found.
func (m *migration) takeCopies(items []*item) error {
	if m.record == nil || m.purging() {
		return nil
	}
	docs := make([]catalog.Document, len(items))
	for i, it := range items {
		docs[i] = it.doc
	}
	found, err := m.record.Find(docs)
	if err != nil {
		return err
	}
	for i, it := range items {
		it.traces = found[i].Traces()
		switch c := found[i]; {
		case c.State == copies.Intended:
			it.revived = true
		case m.Job == Copy:
		case it.state == stateFound && holds(c, it.doc) && c.Destination.URI == it.dest:
			it.copiedBefore(c)
		case it.state == stateMovedBefore && c.State == copies.Committed:
			it.copy = c
		}
	}
	return nil
}

// recordProves says whether what the destination holds is proved without anything of this
// run's put: by the record, whose copy was proved when it was put, and looked at when this
// run began; or because heldThere has just seen it.
func (m *migration) recordProves(it *item) bool {
	switch {
	case it.state == stateCopied:
		return true
	case it.state == stateMovedBefore && m.deleting:
		return it.copy.State == copies.Committed && it.digest != ""
	default:
		return false
	}
}

// intendCopies has the record say that nothing proves what is at the places at which a
// batch is going to be put: a copy that may have been overwritten is none. It says, too,
// by what these puts are known again.
func (m *migration) intendCopies(b *batch) {
	if m.record == nil {
		return
	}
	var list []copies.Copy
	for _, it := range b.carrying() {
		c := m.copyOf(it, copies.Intended)
		c.Destination, c.Put = copies.Side{URI: it.dest, Bytes: -1}, it.traces.And(m.digestAhead(it))
		list = append(list, c)
	}
	if len(list) > 0 {
		b.recorded = m.record.Intend(list)
	}
}

// digestAhead is the MD5 of what is going to be put, "" where only the put tells it.
func (m *migration) digestAhead(it *item) string {
	switch {
	case !it.carriage.streamed():
		return it.digest
	case m.route.StaysAsItIs(it.doc, max(it.doc.Bytes, it.fetchedBytes)):
		return it.doc.Digest
	default:
		return ""
	}
}

// copyOf is what the record is to have of an item.
func (m *migration) copyOf(it *item, state copies.State) copies.Copy {
	c := copies.Copy{
		Key: it.doc.Key, Name: it.doc.Name, State: state, When: time.Now(), Kept: m.Job == Migrate && m.KeepSource,
		Source:      copies.Side{URI: it.doc.URI, Digest: it.doc.Digest, Bytes: it.doc.Bytes, Compressed: it.doc.Compressed},
		Destination: copies.Side{URI: it.dest, Digest: it.digest, Bytes: it.bytes, Compressed: it.compressed, Version: it.receipt.Version},
	}
	if it.copy.State == copies.Copied || it.copy.State == copies.Committed {
		c.Source, c.Destination = it.copy.Source, it.copy.Destination // with their versions
	}
	return c
}

// recordCommitted tells the record which rows of a batch name the destination now. Not
// durably: what a crash takes is found out from the rows by the next run.
func (m *migration) recordCommitted(b *batch, sources map[*item]string) {
	if m.record == nil || m.deleting || m.purging() {
		return
	}
	var list []copies.Copy
	var before []*item
	for _, it := range b.items {
		if it.state != stateCommitted && it.state != stateMovedBefore || it.copy.State == copies.Committed || it.mover == forgottenRun {
			continue
		}
		if it.state == stateMovedBefore {
			before = append(before, it)
			continue
		}
		c := m.copyOf(it, copies.Committed)
		c.Source.Version = sources[it] // one that it has from when it was copied stays
		list = append(list, c)
	}
	list = append(list, m.movedBefore(before)...)
	if len(list) > 0 {
		m.record.Put(list)
	}
}

// settledMargin is how much older than a run a source must be for its version to be
// recorded: by clocks that may differ.
const settledMargin = time.Minute

// seeSources notes the versions of sources that tell no MD5 themselves, for a way back
// that need not read them. One that is so young that it may have been replaced since it
// was read has none.
func (m *migration) seeSources(ctx context.Context, items []*item) (map[*item]string, error) {
	if m.record == nil || !m.KeepSource || !m.src.Capabilities().Identifies {
		return nil, nil
	}
	items = slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return it.copy.State == copies.Copied })
	versions := make([]atomic.Pointer[string], len(items))
	at := make(map[*item]int, len(items))
	for i, it := range items {
		at[it] = i
	}
	err := m.sourceOps.Each(ctx, items, func(ctx context.Context, it *item) {
		info, err := m.src.Stat(m.meaning(ctx, it), it.doc.URI)
		if err == nil && !info.Modified.IsZero() && info.Modified.Before(m.result.Began.Add(-settledMargin)) {
			versions[at[it]].Store(&info.Version)
		}
	})
	seen := make(map[*item]string, len(items))
	for i, it := range items {
		if v := versions[i].Load(); v != nil {
			seen[it] = *v
		}
	}
	return seen, err
}

// task gives the migration's row in the table tasks: that of the record, where it is
// still there and not over, else a new one.
func (m *migration) task(ctx context.Context) (int64, error) {
	if m.record != nil && m.Job != Rollback {
		open, err := m.taskOpen(ctx)
		if err != nil {
			return 0, err
		}
		if open {
			id := m.record.Header().TaskID
			return id, m.cat.UpdateTask(ctx, id, catalog.TaskRunning, 0, 0)
		}
	}
	stale, err := m.staleUnlooked(ctx)
	if err != nil {
		return 0, err
	}
	id, err := m.cat.StartTask(ctx, m.src.Name(), m.dst.Name(), 0, m.Job == Copy)
	if err != nil || m.record == nil {
		return id, err
	}
	tasks, err := m.cat.Tasks(ctx)
	if err != nil {
		return 0, err
	}
	at := slices.IndexFunc(tasks, func(t catalog.Task) bool { return t.ID == id })
	if at < 0 {
		return 0, fmt.Errorf("the migration's task %d is gone as soon as it is written", id)
	}
	m.record.Update(func(h *copies.Header) {
		h.TaskID, h.TaskCreated, h.Suspect = id, tasks[at].Created, h.Suspect || stale
	})
	return id, nil
}

// taskOpen says whether the record's last task is there and not over.
func (m *migration) taskOpen(ctx context.Context) (bool, error) {
	h := m.record.Header()
	if h.TaskID == 0 {
		return false, nil
	}
	tasks, err := m.cat.Tasks(ctx)
	return slices.ContainsFunc(tasks, func(t catalog.Task) bool {
		return m.lastTask(h, t) && t.State != catalog.TaskComplete && t.State != catalog.TaskFailed && t.From == m.src.Name()
	}), err
}

// lastTask says whether a task is the record's last one, as far as the record knows it. The
// way back has its source and destination the other way round.
func (m *migration) lastTask(h copies.Header, t catalog.Task) bool {
	from, to := m.src.Name(), m.dst.Name()
	return t.ID == h.TaskID && (h.TaskCreated.IsZero() || t.Created.Equal(h.TaskCreated)) &&
		(t.From == from && t.To == to || t.From == to && t.To == from)
}

// beginRecord has the record say, durably, when the first of what it has may have been put,
// by the destination's clock, and what this run is going to do with sources.
func (m *migration) beginRecord(ctx context.Context) error {
	if err := m.suspectBack(ctx); err != nil || m.record == nil {
		return err
	}
	if err := m.resetDeleting(ctx); err != nil {
		return err
	}
	deletes := m.Job == Migrate && !m.KeepSource
	if deletes {
		m.checkpoint.Record(true)
		if err := m.settleKept(ctx); err != nil {
			return err
		}
	}
	return m.record.Update(func(h *copies.Header) {
		if h.Began.IsZero() {
			h.Began = m.since
		}
		h.Keeping = (h.Keeping || m.Job == Migrate && m.KeepSource) && !deletes
		h.Deleting = h.Deleting || m.purging()
	}).Wait(ctx)
}

// flushRecord returns when all that the record was told is durable.
func (m *migration) flushRecord(ctx context.Context) error {
	return m.record.Update(func(*copies.Header) {}).Wait(ctx)
}
