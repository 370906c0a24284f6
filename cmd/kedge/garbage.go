package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// leastGarbage is how much garbage there may be, in percent of what is in use:
	// payloads come and go by the megabyte.
	leastGarbage = 50
	// mostGarbage bounds it where next to nothing is in use.
	mostGarbage = 400
	// quietHeap is up to how many bytes the heap may grow whatever is in use. Where
	// millions of rows go by and few payloads, kedge would else collect all the time.
	quietHeap = 48 << 20
)

// paceGarbage sets when garbage is collected, and sets it anew after each collection.
func paceGarbage() {
	debug.SetGCPercent(leastGarbage)
	afterCollection(func() { debug.SetGCPercent(garbagePercent(liveHeap())) })
}

// garbagePercent is how much garbage there may be with so many bytes in use.
func garbagePercent(live uint64) int {
	if live >= quietHeap {
		return leastGarbage
	}
	return int(min(max((quietHeap-live)*100/max(live, 1), leastGarbage), mostGarbage))
}

// afterCollection calls fn after each collection, on the runtime's own goroutine for
// finalizers.
func afterCollection(fn func()) {
	type collected struct{ _ *byte } // with a pointer, it is allocated by itself
	var again func(*collected)
	again = func(c *collected) {
		fn()
		runtime.SetFinalizer(c, again)
	}
	runtime.SetFinalizer(&collected{}, again)
}

// liveHeap is how many bytes the last collection has found in use.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return quietHeap
	}
	return sample[0].Value.Uint64()
}
