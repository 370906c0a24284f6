package pipeline

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/folding"
	"github.com/kedge/kedge/pipeline/store"
)

// settlement is what is known of the whole catalog once it has been looked
// through: the places of rows that are not made from their keys. Anchore makes
// no such rows, but a database may hold what somebody once repaired by hand.
// Such a place may be another document's source or destination, so that nothing
// there is overwritten or deleted.
//
// Until it is settled (in a resumed run, which does not wait for it), nothing is
// deleted, and put only where nothing is lost whatever it finds: into places
// that are empty, or that hold the very same bytes already.
type settlement struct {
	once sync.Once
	done chan struct{}   // closed when odd holds
	odd  map[string]bool // by oddName
	// claims are the places of the source that rows with awkward keys come to, taken
	// those of the destination.
	claims, taken *claims
}

func newSettlement() *settlement { return &settlement{done: make(chan struct{})} }

// settle is called once.
func (s *settlement) settle(odd map[string]bool, source, destination *claims) {
	s.once.Do(func() {
		s.odd, s.claims, s.taken = odd, source, destination
		close(s.done)
	})
}

// known says whether it is settled.
func (s *settlement) known() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// wait returns when it is settled, or ctx has ended, with the reason for that.
func (s *settlement) wait(ctx context.Context) error {
	if s.known() {
		return nil
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// isOdd says whether a row whose key does not say so names this place. Only when
// it is settled.
func (s *settlement) isOdd(uri string) bool { return len(s.odd) > 0 && s.odd[oddName(uri)] }

// oddName is the name under which an odd place is kept in mind: that of all spellings
// which some store may take for one.
func oddName(uri string) string { return folding.Name(normal(uri)) }

// guard keeps pending items from being put where another document's payload may
// be. It returns at once when the catalog has been looked through, and waits for
// that where an item's place holds something else.
func (m *migration) guard(ctx context.Context, b *batch) error {
	items := b.pending()
	if !m.settled.known() {
		var unsure atomic.Bool
		err := m.destOps.Each(ctx, items, func(ctx context.Context, it *item) {
			if !unsure.Load() && !m.harmless(ctx, it) {
				unsure.Store(true)
			}
		})
		if err != nil || !unsure.Load() {
			return err
		}
		if err := m.settled.wait(ctx); err != nil {
			return err
		}
	}
	for _, it := range items {
		if m.settled.isOdd(it.dest) {
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
