package concurrency

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// payload is one of so many bytes.
type payload int64

func (p payload) WorkBytes() int64 { return int64(p) }

func TestAGateLetsInSoMany(t *testing.T) {
	g := Fixed[payload](7)
	var in, most, done atomic.Int64
	items := make([]payload, 100)
	var batches sync.WaitGroup
	for range 8 {
		batches.Go(func() {
			err := g.Each(t.Context(), items, func(context.Context, payload) {
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
	if most.Load() > 7 || done.Load() != 800 || g.InFlight() != 0 || g.Limit() != 7 {
		t.Errorf("%d at once, %d done, %d in flight, limit %d", most.Load(), done.Load(), g.InFlight(), g.Limit())
	}
}

// Who is called off while waiting does not take a place with him.
func TestAGateIsLeftByWhoIsCalledOff(t *testing.T) {
	g := Fixed[payload](1)
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
		if g.InFlight() != 0 {
			t.Fatalf("%d places are taken", g.InFlight())
		}
	}
}

// A store that has operations made again gets fewer at once.
func TestAGateGivesWay(t *testing.T) {
	var strains atomic.Int64
	g := Tuned[payload](30, MostOperations, strains.Load)
	pass := func() {
		if err := g.One(t.Context(), []payload{0}, func() {}); err != nil {
			t.Fatal(err)
		}
	}
	pass()
	if g.Limit() != 30 {
		t.Fatalf("begins with %d", g.Limit())
	}
	strains.Add(1)
	pass()
	if g.Limit() != 20 {
		t.Errorf("%d after a refusal", g.Limit())
	}
	fixed := Fixed[payload](30)
	if err := fixed.One(t.Context(), nil, func() {}); err != nil || fixed.Limit() != 30 {
		t.Errorf("a fixed number is %d then, %v", fixed.Limit(), err)
	}
}
