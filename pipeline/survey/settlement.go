package survey

import (
	"context"
	"sync"

	"github.com/kedge/kedge/pipeline/concurrency"
)

// Settlement is what is known of the whole catalog once it has been looked
// through: the places of rows that are not made from their keys. Anchore makes
// no such rows, but a database may hold what somebody once repaired by hand.
// Such a place may be another document's source or destination, so that nothing
// there is overwritten or deleted.
//
// Until it is settled (in a resumed run, which does not wait for it), nothing is
// deleted, and put only where nothing is lost whatever it finds: into places
// that are empty, or that hold the very same bytes already.
type Settlement struct {
	once sync.Once
	done chan struct{}   // closed when what follows holds
	odd  map[string]bool // by Name
	// Source are the places of the source that rows with awkward keys come to,
	// Destination those of the destination; nil where the store knows of no such
	// places. To be read only when it is settled.
	Source, Destination *Claims
}

// NewSettlement is not settled yet.
func NewSettlement() *Settlement { return &Settlement{done: make(chan struct{})} }

// settle is called once.
func (s *Settlement) settle(odd map[string]bool, source, destination *Claims) {
	s.once.Do(func() {
		s.odd, s.Source, s.Destination = odd, source, destination
		close(s.done)
	})
}

// Known says whether it is settled.
func (s *Settlement) Known() bool { return concurrency.Closed(s.done) }

// Wait returns when it is settled, or ctx has ended, with the reason for that.
func (s *Settlement) Wait(ctx context.Context) error {
	if s.Known() {
		return nil
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// IsOdd says whether a row whose key does not say so names this place. Only when
// it is settled.
func (s *Settlement) IsOdd(uri string) bool { return len(s.odd) > 0 && s.odd[Name(uri)] }
