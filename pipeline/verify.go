package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/store"
)

// verify lets no document pass whose payload the destination has not proved to
// hold: by the MD5 that it computed itself, or else by reading it back. After
// it the batch holds no payload any more, and gives its memory back.
//
// Documents that an earlier run had committed are proved again before their
// source may go.
func (m *migration) verify(ctx context.Context, b *batch) error {
	defer m.progress.Busy(progress.StageVerify)()
	// Before anything is read back: a read-back should find what is durable.
	if err := m.dst.Sync(ctx); err != nil {
		return err
	}
	items := b.filter(func(it *item) bool {
		if it.state == stateMovedBefore {
			return m.purging() || !m.keepsSources()
		}
		return it.pending() && it.ready(stateProved)
	})
	unproven := make([]*item, 0, len(items))
	for _, it := range items {
		if it.prove(m.told(it)) {
			m.progress.Passed(progress.StageVerify, it)
		} else {
			unproven = append(unproven, it)
		}
	}
	if err := m.destOps.Each(ctx, unproven, m.proveByReading); err != nil {
		return err
	}
	for _, it := range items {
		it.payload = nil
	}
	m.budget.Release(b.reserved)
	b.reserved = 0
	crash.Point("verified")
	return m.judge(items, failure.StageVerify)
}

// told gives the MD5 that the destination told of what it holds, "" where the
// payload is read back whatever it says.
func (m *migration) told(it *item) string {
	switch {
	case crash.Mutated("skip-verify"), m.recordProves(it):
		return it.digest
	case m.ReadBack || it.moved():
		return ""
	default:
		return it.receipt.ProvenMD5
	}
}

// proveByReading reads the payload back and compares its MD5.
func (m *migration) proveByReading(ctx context.Context, it *item) {
	digest, err := store.Digest(ctx, m.dst, it.dest)
	if err == nil && it.prove(digest) {
		m.progress.Passed(progress.StageVerify, it)
		return
	}
	if ctx.Err() != nil || it.ended() {
		return
	}
	if it.carriage == heldUnhashed && it.payload != nil {
		// Whose fault it is.
		if _, wrong := it.whatIsWrong(); wrong != nil {
			wrong = m.takeBack(ctx, it, wrong)
			it.fail(failure.StageFetch, failure.ClassOf(wrong, failure.ClassFetch), wrong)
			return
		}
	}
	switch {
	case err != nil:
		err = fmt.Errorf("the payload could not be read back: %w", err)
	case it.digest == "":
		err = fmt.Errorf("the catalog has no digest to compare %s with", it.dest)
	default:
		err = fmt.Errorf("read back %s: its MD5 is %s, %s was put", it.dest, digest, it.digest)
	}
	stage := failure.StageVerify
	if it.moved() {
		stage = failure.StageDelete // the row is at the destination already; the source stays
	} else {
		err = m.takeBack(ctx, it, err)
	}
	it.fail(stage, failure.ClassOf(err, failure.ClassVerify), err)
}

// takeBack removes what was put for a document that is not going to be
// committed, so that nothing is left behind at the destination; not where
// another row names that place.
func (m *migration) takeBack(ctx context.Context, it *item, reason error) error {
	if it.siblings || it.dest == it.doc.URI {
		return reason
	}
	rows, err := m.cat.Rows(ctx, []drivers.Key{it.doc.Key})
	if err != nil {
		return leftThere(reason, it, err)
	}
	found := false
	for _, row := range rows {
		if row.URI == it.dest {
			return reason
		}
		found = found || row.Name == it.doc.Name
	}
	if !found {
		// A damaged index leads past rows, and then the row may name this place. Count does
		// not go by an index.
		named, err := m.cat.Count(ctx, catalog.Selection{Prefix: it.dest})
		if err == nil && named.Documents > 0 {
			err = errNamed
		}
		if err != nil {
			return leftThere(reason, it, err)
		}
	}
	if err := m.removePut(ctx, it); err != nil {
		return leftThere(reason, it, err)
	}
	return reason
}

func leftThere(reason error, it *item, err error) error {
	return fmt.Errorf("%w; what was put at %s is left there: %w", reason, it.dest, err)
}

// removePut removes what this migration has put at an item's place, which no row of the
// catalog names. It fails where somebody else may have put there what there is.
func (m *migration) removePut(ctx context.Context, it *item) error {
	if err := m.settled.Wait(ctx); err != nil {
		return err
	}
	if m.settled.IsOdd(it.dest) || m.Job == Rollback && it.copy.State == copies.Copied {
		return nil // another row's; or Anchore's own, which was never put by kedge
	}
	if m.record != nil && it.copy.State == copies.Copied {
		// A copy that may have been removed is none.
		if err := m.record.Doubt([]copies.Copy{it.copy}).Wait(ctx); err != nil {
			return err
		}
	}
	// Where nothing is, Delete removes what a killed put has left beside the place.
	if err := m.removable(ctx, it); err != nil && drivers.KindOf(err) != drivers.NotFound {
		return err
	}
	return m.dst.Delete(ctx, it.dest)
}

var (
	errReplaced = errors.New("it is not what was put")
	errNamed    = errors.New("a row names it that is not found by its key, or one names a place that begins so (if nobody deleted the row: REINDEX TABLE archive_metadata)")
	errYoung    = errors.New("it is too young to tell whether an earlier run has put it")
	errOlder    = errors.New("nothing shows that this migration has put it")
	errSource   = errors.New("it is the source's own file")
)

// mayBeServices says whether what is at the place of a copy may have been put there by
// Anchore's services, which were started when all rows had been changed.
func (m *migration) mayBeServices(it *item, there drivers.Info) bool {
	if m.record == nil || it.copy.State == copies.None || !m.record.Header().Deleting {
		return false
	}
	since := m.checkpoint.Header().Since
	return since.IsZero() || there.Modified.IsZero() || !there.Modified.Before(since)
}

// removable says why what is at an item's place must not be removed, as far as the
// stores tell: because somebody has replaced what was put, or because it is the
// source under another name, as where a directory of the one is mounted inside of
// the other. Kind NotFound where nothing is there.
func (m *migration) removable(ctx context.Context, it *item) error {
	there, err := m.dst.Stat(ctx, it.dest)
	if err != nil {
		return err
	}
	if crash.Mutated("foreign-copy-removed") {
		return nil
	}
	if m.mayBeServices(it, there) {
		return errYoung
	}
	put, told := it.receipt, false
	if same, known := it.copy.Destination.SameVersion(there.Version); known {
		if told = true; !same {
			return errReplaced
		}
	}
	for _, mark := range [][2]string{{put.Version, there.Version}, {put.ProvenMD5, there.MD5}} {
		if mark[0] == "" || mark[1] == "" {
			continue
		}
		if told = true; mark[0] != mark[1] {
			return errReplaced
		}
	}
	if digest := it.copy.Destination.Digest; !told && digest != "" {
		held, err := store.Digest(ctx, m.dst, it.dest)
		if err != nil {
			return err
		}
		if told = true; held != digest {
			return errReplaced
		}
	}
	switch {
	case told:
	case it.copy.State == copies.Intended:
		if err := m.putBefore(ctx, it, there); err != nil {
			return err
		}
	case !m.putSince(there):
		return errOlder
	}
	if !m.src.Capabilities().Identifies || !m.dst.Capabilities().Identifies {
		return nil
	}
	source, err := m.src.Stat(ctx, it.doc.URI)
	switch {
	case drivers.KindOf(err) == drivers.NotFound || drivers.KindOf(err) == drivers.InvalidKey:
		return nil
	case err != nil:
		return fmt.Errorf("whether it is the source's own file cannot be told: %w", err)
	case source.Identity == there.Identity:
		return errSource
	}
	return nil
}
