package pipeline

import (
	"context"
	"fmt"

	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/store"
	"github.com/kedge/kedge/pipeline/takeback"
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

// remover takes back what was put in vain.
func (m *migration) remover() takeback.Remover {
	return takeback.Remover{
		Catalog: m.cat, Source: m.src, Destination: m.dst, Settled: m.settled,
		Record: m.record, Returning: m.Job == Rollback, Since: m.checkpoint.Header().Since,
	}
}

// asPut is what may have been put for an item.
func (it *item) asPut() takeback.Put {
	return takeback.Put{Row: it.doc, Place: it.dest, Shared: it.siblings || it.dest == it.doc.URI || it.mover == forgottenRun, Receipt: it.receipt, Copy: it.copy}
}

// takeBack removes what was put for a document that is not going to be committed, so that
// nothing is left behind at the destination.
func (m *migration) takeBack(ctx context.Context, it *item, reason error) error {
	return m.remover().TakeBack(ctx, it.asPut(), reason)
}
