package pipeline

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"

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
	var missing []*item
	why := make(map[*item]error)
	for i, it := range items {
		if err := results[i].Err; drivers.KindOf(err) == drivers.NotFound {
			missing, why[it] = append(missing, it), err
			continue
		}
		m.fetched(ctx, it, results[i].Payload, results[i].Info.MD5, results[i].Err)
	}
	return m.destOps.Each(ctx, missing, func(ctx context.Context, it *item) { m.notFetched(ctx, it, why[it]) })
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
	default:
		held, unknown := m.heldThere(ctx, it)
		switch {
		case unknown != nil:
			err = fmt.Errorf("%w; whether the destination has it at %s cannot be told: %w", err, it.dest, unknown)
			it.fail(failure.StageFetch, failure.ClassOf(unknown, failure.ClassFetch), err)
		case !held:
			it.fail(failure.StageFetch, failure.ClassMissingPayload, err)
		}
	}
}

// heldThere says whether the destination holds a document that is not at the source, and
// then notes that an earlier run has moved it, though its row does not say so:
//
//   - Source and destination give the same URIs, so that no row can say it.
//   - The database fell back behind the deletes of that run: a standby that lacked the last
//     commits took over, or a backup was restored. The row names the source again.
//
// The proof is the row's digest, which what is at the document's own place at the
// destination must have. No checkpoint and no journal has to show who put it there: these
// are the bytes for which the row asks, and nothing else has them any more. Where some other
// row names that place, too, it is not the document's own.
func (m *migration) heldThere(ctx context.Context, it *item) (bool, error) {
	found, ok, err := store.Holds(ctx, m.dst, it.dest, it.doc, m.ReadBack)
	switch {
	case !ok || err != nil:
		return false, err
	case !m.route.SamePrefix():
		if err := m.settled.Wait(ctx); err != nil || m.settled.IsOdd(it.dest) {
			return false, err
		}
		return it.adopt(found), nil
	case found.Compressed != it.doc.Compressed:
		return false, nil // one row describes both copies
	case m.sweeping:
		it.foundMoved(earlierCounts)
	default:
		it.foundMoved(earlierRun)
	}
	return true, nil
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
