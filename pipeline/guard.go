package pipeline

import (
	"context"
	"sync/atomic"

	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/guard"
)

// guard keeps pending items from being put where another document's payload may
// be. It returns at once when the catalog has been looked through, and waits for
// that where an item's place holds something else.
func (m *migration) guard(ctx context.Context, b *batch) error {
	items, g := b.carrying(), m.places()
	if !m.settled.Known() {
		var unsure atomic.Bool
		err := m.destOps.Each(ctx, items, func(ctx context.Context, it *item) {
			if !unsure.Load() && !g.Harmless(ctx, it.payloadToBe()) {
				unsure.Store(true)
			}
		})
		if err != nil || !unsure.Load() {
			return err
		}
		if err := m.settled.Wait(ctx); err != nil {
			return err
		}
	}
	if err := m.guardLater(ctx, items); err != nil {
		return err
	}
	for _, it := range items {
		if err := g.Against(ctx, it.payloadToBe()); err != nil {
			if cerr := context.Cause(ctx); cerr != nil {
				return cerr
			}
			it.fail(failure.StagePut, failure.ClassPlaceTaken, err)
		}
	}
	return nil
}

// guardLater looks, in a later round of a Copy, whether rows of other keys name by now
// what would be overwritten: the look through the catalog is older than they may be.
func (m *migration) guardLater(ctx context.Context, items []*item) error {
	if len(m.round.strays) == 0 {
		return nil
	}
	over := make([]atomic.Bool, len(items))
	at := make(map[*item]int, len(items))
	for i, it := range items {
		at[it] = i
	}
	err := m.destOps.Each(ctx, items, func(ctx context.Context, it *item) { over[at[it]].Store(!m.places().Harmless(ctx, it.payloadToBe())) })
	if err != nil {
		return err
	}
	for i, it := range items {
		if over[i].Load() && m.round.strays[it.dest] {
			it.fail(failure.StagePut, failure.ClassPlaceTaken, guard.NamedByAnother(it.dest))
		}
	}
	return nil
}

// places says whose payloads may be at a document's places.
func (m *migration) places() guard.Guard {
	return guard.Guard{Catalog: m.cat, Source: m.src, Destination: m.dst, Settled: m.settled, Alike: m.alike}
}

// payloadToBe is what is going to be put of an item.
func (it *item) payloadToBe() guard.Payload {
	return guard.Payload{Key: it.doc.Key, Place: it.dest, Digest: it.digest, Bytes: it.bytes, Streamed: it.carriage.streamed()}
}
