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
	afterCollection(func() { debug.SetGCPercent(garbagePercent(inUse())) })
}

// garbagePercent is how much garbage there may be with so many bytes of the heap in use. The
// runtime takes the percentage of these and of roots: stacks, and what is global.
func garbagePercent(live, roots uint64) int {
	if live >= quietHeap {
		return leastGarbage
	}
	return int(min(max((quietHeap-live)*100/max(live+roots, 1), leastGarbage), mostGarbage))
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

// inUse is how many bytes of the heap the last collection has found in use, and from how
// many bytes outside of the heap it has looked for them.
func inUse() (live, roots uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			return quietHeap, 0
		}
	}
	return samples[0].Value.Uint64(), samples[1].Value.Uint64() + samples[2].Value.Uint64()
}
