package main

import (
	"runtime"
	"testing"
	"time"
)

// With little in use the heap grows up to a bound; with much there is half as much garbage.
func TestGarbageIsBoundedByWhatIsInUse(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 400, 4 << 20: 400, 16 << 20: 200, 24 << 20: 100, 32 << 20: 50, 40 << 20: 50, 1 << 30: 50} {
		if got := garbagePercent(live); got != want {
			t.Errorf("%d MiB in use: %d%%, want %d%%", live>>20, got, want)
		}
		if heap := live + live*uint64(garbagePercent(live))/100; heap > max(quietHeap, live*3/2) {
			t.Errorf("%d MiB in use: the heap grows to %d MiB", live>>20, heap>>20)
		}
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
