package pipeline

import (
	"context"
	"crypto/md5"
	"encoding/hex"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/store"
)

// fetch reads the payloads that are held in memory and checks them against the
// catalog. Streamed ones are fetched while they are put.
func (m *migration) fetch(ctx context.Context, b *batch) error {
	defer m.progress.Busy(progress.StageFetch)()
	if m.purging() {
		return m.findLeft(ctx, b)
	}
	items := b.filter(func(it *item) bool { return it.carries() && !it.carriage.streamed() })
	var err error
	if batcher := m.src.Batcher(); batcher != nil && m.src.Capabilities().BatchGet {
		err = m.fetchBatch(ctx, batcher, items)
	} else {
		err = m.sourceOps.Each(ctx, items, m.fetchOne)
	}
	if err != nil {
		return err
	}
	return m.judge(items, failure.StageFetch)
}

// heldBytes is how long a payload may be to be held in memory.
func (m *migration) heldBytes(it *item) int64 {
	return max(it.doc.Bytes, it.fetchedBytes, 0)
}

func (m *migration) fetchBatch(ctx context.Context, batcher drivers.Batcher, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	requests := make([]drivers.GetRequest, len(items))
	for i, it := range items {
		requests[i] = drivers.GetRequest{URI: it.doc.URI, MaxBytes: m.heldBytes(it)}
	}
	var results []drivers.GetResult
	if err := m.sourceOps.One(ctx, items, func() { results = batcher.GetBatch(ctx, requests) }); err != nil {
		return err
	}
	for i, it := range items {
		m.fetched(ctx, it, results[i].Payload, results[i].Info.MD5, results[i].Err)
	}
	return context.Cause(ctx)
}

func (m *migration) fetchOne(ctx context.Context, it *item) {
	var payload []byte
	var told string
	err := store.Again(ctx, m.src, func() (err error) {
		payload, told, err = store.ReadWhole(m.meaning(ctx, it), m.src, it.doc.URI, m.heldBytes(it))
		return err
	})
	m.fetched(ctx, it, payload, told, err)
}

// fetched takes a payload, with the MD5 that the source tells of it, or the
// reason why there is none.
func (m *migration) fetched(ctx context.Context, it *item, payload []byte, told string, err error) {
	switch {
	case err == nil && m.hashedThere(it, told, int64(len(payload))):
		if it.hold(payload, it.doc.Digest, heldUnhashed) {
			m.progress.Passed(progress.StageFetch, it)
		}
	case err == nil:
		sum := md5.Sum(payload)
		digest := hex.EncodeToString(sum[:])
		if err := store.Check(it.doc, digest, told, int64(len(payload))); err != nil {
			if it.revived {
				err = m.remover().TakeBackRotten(ctx, it.asPut(), digest, err)
			}
			it.fail(failure.StageFetch, failure.ClassOf(err, failure.ClassFetch), err)
			return
		}
		if it.hold(payload, digest, held) {
			m.progress.Passed(progress.StageFetch, it)
		}
	case drivers.KindOf(err) == drivers.TooLarge:
		it.carriage = streamed
	default:
		m.notFetched(ctx, it, err)
	}
}

// notFetched deals with a payload that could not be read at the source.
func (m *migration) notFetched(ctx context.Context, it *item, err error) {
	switch {
	case drivers.KindOf(err) != drivers.NotFound:
		it.fail(failure.StageFetch, failure.ClassOf(err, failure.ClassFetch), err)
	case m.route.SamePrefix() && m.alreadyThere(ctx, it):
		if m.sweeping {
			it.foundMoved(earlierCounts)
		} else {
			it.foundMoved(earlierRun)
		}
	default:
		it.fail(failure.StageFetch, failure.ClassMissingPayload, err)
	}
}

// alreadyThere says whether the destination holds, with its digest, a document
// that is no longer at the source. It matters where both give the same URIs,
// so that the catalog cannot say that it was moved by an interrupted run.
func (m *migration) alreadyThere(ctx context.Context, it *item) bool {
	if it.doc.Digest == "" {
		return false
	}
	if info, err := m.dst.Stat(ctx, it.dest); err != nil || info.MD5 == it.doc.Digest {
		return err == nil
	}
	digest, err := store.Digest(ctx, m.dst, it.dest)
	return err == nil && digest == it.doc.Digest
}

// meaning is the context for an operation on an item's payload at the source.
func (m *migration) meaning(ctx context.Context, it *item) context.Context {
	if m.src.Capabilities().Placer == nil {
		return ctx
	}
	if it.mover != thisRun { // its row tells the destination's digest
		return drivers.WithMeant(ctx, drivers.Meant{})
	}
	return drivers.WithMeant(ctx, drivers.Meant{MD5: it.doc.Digest})
}
