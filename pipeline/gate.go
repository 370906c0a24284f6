package pipeline

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// gate bounds how many operations are in flight at one store, over all batches:
// a fixed number, or one that a tuner finds out. Safe for concurrent use.
type gate struct {
	// strains gives how many operations had to be made again so far.
	strains func() int64

	mu      sync.Mutex
	most    int // that are let in
	held    int
	waiting []chan struct{} // first come, first served
	tuner   *tuner          // nil where the number is fixed
	seen    int64           // strains that the tuner knows of
	// idleSince is since when more were let in than there were; zero while all
	// places are taken.
	idleSince time.Time
	idle      time.Duration
}

// mostOperations is how many operations a tuner has in flight at most. Drivers
// keep as many connections.
const mostOperations = 256

// newGate lets in a fixed number, or, where that is 0, as many as a tuner finds
// out, beginning with usual. strains may be nil.
func newGate(fixed, usual int, strains func() int64) *gate {
	g := &gate{most: fixed, strains: strains, idleSince: time.Now()}
	if fixed == 0 {
		g.most = max(1, usual)
		g.tuner = newTuner(g.most, mostOperations)
	}
	return g
}

// gate bounds the operations in flight at a store.
func (m *migration) gate(s Store) *gate {
	c := s.Capabilities()
	g := newGate(m.Workers, c.Workers, s.Meter.Retries)
	if g.tuner != nil && (c.BatchGet || c.BatchPut) {
		// So many connections there are; the catalog may be on them, too.
		g.tuner.most = g.most
	}
	return g
}

func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.held < g.most && len(g.waiting) == 0 {
		g.take()
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.waiting {
		if other == turn {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return context.Cause(ctx)
		}
	}
	g.drop() // its turn had come
	return context.Cause(ctx)
}

// take takes a place. g.mu is held.
func (g *gate) take() {
	if g.held++; g.held >= g.most && !g.idleSince.IsZero() {
		g.idle += time.Since(g.idleSince)
		g.idleSince = time.Time{}
	}
}

// drop gives a place back. g.mu is held.
func (g *gate) drop() {
	g.held--
	for g.held < g.most && len(g.waiting) > 0 {
		turn := g.waiting[0]
		g.waiting = g.waiting[1:]
		g.take()
		close(turn)
	}
	if g.held < g.most && g.idleSince.IsZero() {
		g.idleSince = time.Now()
	}
}

// usualBytes is how long a payload is that counts as one document's work.
const usualBytes = 64 << 10

// leave gives a place back after an operation on so many bytes of so many
// documents.
func (g *gate) leave(documents int, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tuner != nil {
		g.tune(float64(documents) + float64(bytes)/usualBytes)
	}
	g.drop()
}

func (g *gate) tune(work float64) {
	now := time.Now()
	if !g.idleSince.IsZero() {
		g.idle += now.Sub(g.idleSince)
		g.idleSince = now
	}
	idle := g.idle
	g.idle = 0
	g.tuner.done(now, work, idle)
	if g.strains != nil {
		if n := g.strains(); n > g.seen {
			g.seen = n
			g.tuner.strain(now)
		}
	}
	g.most = g.tuner.limit
}

// each runs do for every item, at most as many at once as are let in, and
// returns when all have ended. It fails only when ctx has ended: what an item
// met is in the item.
func (g *gate) each(ctx context.Context, items []*item, do func(context.Context, *item)) error {
	// A goroutine for each item would have to let its stack grow each time.
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(int64(len(items)), g.limit()) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(items)) && g.enter(ctx) == nil; i = next.Add(1) - 1 {
				do(ctx, items[i])
				g.leave(1, items[i].workBytes())
			}
		})
	}
	wg.Wait()
	return cancelled(ctx)
}

// one runs do, which is about these items, when it is let in.
func (g *gate) one(ctx context.Context, items []*item, do func()) error {
	if err := g.enter(ctx); err != nil {
		return err
	}
	do()
	var bytes int64
	for _, it := range items {
		bytes += it.workBytes()
	}
	g.leave(len(items), bytes)
	return cancelled(ctx)
}

// inFlight is how many operations are in flight, and limit how many there may be.
func (g *gate) inFlight() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int64(g.held)
}

func (g *gate) limit() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int64(g.most)
}

// workBytes is how long an item's payload is, as far as that is known.
func (it *item) workBytes() int64 { return max(it.bytes, it.fetchedBytes, it.doc.Bytes, 0) }
