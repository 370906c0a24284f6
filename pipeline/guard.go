package pipeline

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/store"
)

// guard keeps pending items from being put where another document's payload may
// be. It returns at once when the catalog has been looked through, and waits for
// that where an item's place holds something else.
func (m *migration) guard(ctx context.Context, b *batch) error {
	items := b.pending()
	if !m.settled.Known() {
		var unsure atomic.Bool
		err := m.destOps.Each(ctx, items, func(ctx context.Context, it *item) {
			if !unsure.Load() && !m.harmless(ctx, it) {
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
	for _, it := range items {
		if m.settled.IsOdd(it.dest) {
			it.fail(stagePut, failure.ClassPlaceTaken, fmt.Errorf("its place at the destination, %s, is named by the row of another document: putting it would overwrite that", it.dest))
			continue
		}
		err := m.claimed(ctx, it)
		if err == nil {
			err = m.overAnother(ctx, it)
		}
		if err != nil {
			if cerr := cancelled(ctx); cerr != nil {
				return cerr
			}
			it.fail(stagePut, failure.ClassPlaceTaken, err)
		}
	}
	return nil
}

// harmless says that nothing can be lost by putting the item: nothing is there,
// or what is going to be.
func (m *migration) harmless(ctx context.Context, it *item) bool {
	info, err := m.dst.Stat(ctx, it.dest)
	if drivers.KindOf(err) == drivers.NotFound {
		return true
	}
	if err != nil || it.streamed || info.Bytes != it.bytes {
		return false
	}
	if info.MD5 != "" {
		return info.MD5 == it.digest
	}
	digest, err := store.Digest(ctx, m.dst, it.dest)
	return err == nil && digest == it.digest
}
