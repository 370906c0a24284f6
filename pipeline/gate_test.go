package pipeline

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestAGateLetsInSoMany(t *testing.T) {
	g := newGate(7, 32, nil)
	var in, most, done atomic.Int64
	items := make([]*item, 100)
	for i := range items {
		items[i] = &item{}
	}
	var batches sync.WaitGroup
	for range 8 {
		batches.Go(func() {
			err := g.each(t.Context(), items, func(context.Context, *item) {
				n := in.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				done.Add(1)
				in.Add(-1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	batches.Wait()
	if most.Load() > 7 || done.Load() != 800 || g.inFlight() != 0 || g.limit() != 7 {
		t.Errorf("%d at once, %d done, %d in flight, limit %d", most.Load(), done.Load(), g.inFlight(), g.limit())
	}
}

// Who is called off while waiting does not take a place with him.
func TestAGateIsLeftByWhoIsCalledOff(t *testing.T) {
	g := newGate(1, 1, nil)
	called := errors.New("called off")
	for range 200 {
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() {
			err := g.enter(ctx)
			if err == nil {
				g.leave(1, 0)
			}
			ended <- err
		}()
		go cancel(called)
		g.leave(1, 0)
		if err := <-ended; err != nil && !errors.Is(err, called) {
			t.Fatal(err)
		}
		if g.inFlight() != 0 {
			t.Fatalf("%d places are taken", g.inFlight())
		}
	}
}

// A store that has operations made again gets fewer at once.
func TestAGateGivesWay(t *testing.T) {
	var strains atomic.Int64
	g := newGate(0, 30, strains.Load)
	pass := func() {
		if err := g.one(t.Context(), []*item{{}}, func() {}); err != nil {
			t.Fatal(err)
		}
	}
	pass()
	if g.limit() != 30 {
		t.Fatalf("begins with %d", g.limit())
	}
	strains.Add(1)
	pass()
	if g.limit() != 20 {
		t.Errorf("%d after a refusal", g.limit())
	}
	fixed := newGate(30, 0, strains.Load)
	if err := fixed.one(t.Context(), nil, func() {}); err != nil || fixed.limit() != 30 {
		t.Errorf("a fixed number is %d then, %v", fixed.limit(), err)
	}
}
