package concurrency

import (
	"testing"
	"time"
)

// BenchmarkGate is what bounding and tuning an operation costs.
func BenchmarkGate(b *testing.B) {
	g := Tuned[payload](32, MostOperations, func() int64 { return 0 })
	items := []payload{4096}
	b.ReportAllocs()
	for b.Loop() {
		if err := g.One(b.Context(), items, func() {}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTuner is the tuner alone.
func BenchmarkTuner(b *testing.B) {
	u := newTuner(32, 256)
	now := time.Now()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		u.done(now, 1, 0)
	}
}
