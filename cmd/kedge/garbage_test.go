package main

import (
	"runtime"
	"testing"
	"time"
)

// With little in use the heap grows up to a bound; with much there is half as much garbage.
func TestGarbageIsBoundedByWhatIsInUse(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, c := range []struct {
		live, roots uint64
		want        int
	}{
		{0, 0, 400}, {4 * mib, 0, 400}, {16 * mib, 0, 200}, {24 * mib, 0, 100}, {32 * mib, 0, 50}, {40 * mib, 0, 50}, {1024 * mib, 0, 50},
		{0, 12 * mib, 400}, {8 * mib, 12 * mib, 200}, {8 * mib, 100 * mib, 50}, // with many goroutines
	} {
		got := garbagePercent(c.live, c.roots)
		if got != c.want {
			t.Errorf("%d and %d MiB in use: %d%%, want %d%%", c.live/mib, c.roots/mib, got, c.want)
		}
		if heap := c.live + (c.live+c.roots)*uint64(got)/100; heap > max(quietHeap, c.live+(c.live+c.roots)/2) {
			t.Errorf("%d and %d MiB in use: the heap grows to %d MiB", c.live/mib, c.roots/mib, heap/mib)
		}
	}
}

// What the last collection has found is told, with the stacks of goroutines.
func TestWhatIsInUseIsTold(t *testing.T) {
	t.Parallel()
	runtime.GC()
	if live, roots := inUse(); live == 0 || live == quietHeap || roots == 0 {
		t.Errorf("%d bytes of the heap, %d beside it", live, roots)
	}
}

func TestEachCollectionIsFollowed(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 1000)
	afterCollection(func() {
		select {
		case calls <- struct{}{}:
		default:
		}
	})
	for range 3 {
		runtime.GC()
		select {
		case <-calls:
		case <-time.After(time.Minute):
			t.Fatal("a collection was not followed")
		}
	}
}
