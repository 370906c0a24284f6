package concurrency

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Work is what operations are about.
type Work interface {
	// WorkBytes is how long its payload is, as far as that is known, in bytes.
	WorkBytes() int64
}

// Gate bounds how many operations of one sort are in flight, over all batches: a
// fixed number, or one that a tuner finds out. Safe for concurrent use.
type Gate[T Work] struct {
	strains func() int64 // nil where the number is fixed

	mu      sync.Mutex
	limit   int // that are let in
	held    int
	waiting []chan struct{} // first come, first served
	tuner   *tuner          // nil where the number is fixed
	seen    int64           // strains that the tuner knows of
	// idleSince is since when more were let in than there were; zero while all
	// places are taken.
	idleSince time.Time
	idle      time.Duration
}

// MostOperations is how many operations a tuner should have in flight at most.
// Drivers keep as many connections.
const MostOperations = 256

// Fixed lets in so many.
func Fixed[T Work](n int) *Gate[T] { return &Gate[T]{limit: n, idleSince: time.Now()} }

// Tuned lets in as many as a tuner finds out, beginning with usual, and never more
// than most. strains gives how many operations had to be made again so far.
func Tuned[T Work](usual, most int, strains func() int64) *Gate[T] {
	g := Fixed[T](max(1, usual))
	g.tuner, g.strains = newTuner(g.limit, most), strains
	return g
}

func (g *Gate[T]) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.held < g.limit && len(g.waiting) == 0 {
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
func (g *Gate[T]) take() {
	if g.held++; g.held >= g.limit && !g.idleSince.IsZero() {
		g.idle += time.Since(g.idleSince)
		g.idleSince = time.Time{}
	}
}

// drop gives a place back. g.mu is held.
func (g *Gate[T]) drop() {
	g.held--
	for g.held < g.limit && len(g.waiting) > 0 {
		turn := g.waiting[0]
		g.waiting = g.waiting[1:]
		g.take()
		close(turn)
	}
	if g.held < g.limit && g.idleSince.IsZero() {
		g.idleSince = time.Now()
	}
}

// usualBytes is how long a payload is that counts as one document's work.
const usualBytes = 64 << 10

// leave gives a place back after an operation on so many bytes of so many
// documents.
func (g *Gate[T]) leave(documents int, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tuner != nil {
		g.tune(float64(documents) + float64(bytes)/usualBytes)
	}
	g.drop()
}

func (g *Gate[T]) tune(work float64) {
	now := time.Now()
	if !g.idleSince.IsZero() {
		g.idle += now.Sub(g.idleSince)
		g.idleSince = now
	}
	idle := g.idle
	g.idle = 0
	g.tuner.done(now, work, idle)
	if n := g.strains(); n > g.seen {
		g.seen = n
		g.tuner.strain(now)
	}
	g.limit = g.tuner.limit
}

// Each runs do for every item, at most as many at once as are let in, and
// returns when all have ended. It fails only when ctx has ended: what an item
// met is in the item.
func (g *Gate[T]) Each(ctx context.Context, items []T, do func(context.Context, T)) error {
	// A goroutine for each item would have to let its stack grow each time.
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(int64(len(items)), g.Limit()) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(items)) && g.enter(ctx) == nil; i = next.Add(1) - 1 {
				do(ctx, items[i])
				g.leave(1, items[i].WorkBytes())
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// One runs do, which is about these items, when it is let in.
func (g *Gate[T]) One(ctx context.Context, items []T, do func()) error {
	if err := g.enter(ctx); err != nil {
		return err
	}
	do()
	var bytes int64
	for _, it := range items {
		bytes += it.WorkBytes()
	}
	g.leave(len(items), bytes)
	return context.Cause(ctx)
}

// InFlight is how many operations are in flight.
func (g *Gate[T]) InFlight() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int64(g.held)
}

// Limit is how many operations there may be.
func (g *Gate[T]) Limit() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int64(g.limit)
}
