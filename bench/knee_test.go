package bench

import "testing"

func TestKnee(t *testing.T) {
	for _, test := range []struct {
		name  string
		rates map[int]float64
		want  int
	}{
		{"nothing", nil, 0},
		{"only errors", map[int]float64{1: 0, 2: 0}, 0},
		{"one", map[int]float64{4: 10}, 4},
		{"rising", map[int]float64{1: 10, 2: 20, 4: 40}, 4},
		{"flat", map[int]float64{1: 100, 2: 101, 4: 99}, 1},
		{"saturated", map[int]float64{1: 10, 2: 50, 4: 96, 8: 100, 16: 99}, 4},
		{"a little less", map[int]float64{1: 10, 2: 50, 4: 94, 8: 100, 16: 99}, 8},
		{"overloaded", map[int]float64{1: 80, 2: 100, 4: 60}, 2},
	} {
		var steps []Step
		for concurrency, rate := range test.rates {
			steps = append(steps, Step{Concurrency: concurrency, PerSecond: rate})
		}
		if got := Knee(steps); got != test.want {
			t.Errorf("%s: knee at %d, want %d", test.name, got, test.want)
		}
	}
}

func TestRecommended(t *testing.T) {
	at := func(op Operation, size int64, concurrency int, rate float64) Step {
		return Step{Operation: op, SizeBytes: size, Concurrency: concurrency, PerSecond: rate}
	}
	left := Step{Operation: Put, SizeBytes: 1 << 20, Concurrency: 8, LeftOut: "would hold 8 MiB in memory"}
	r := &Result{Steps: []Step{
		// Small documents want 8, large ones lose a tenth there.
		at(Put, 1<<10, 2, 50), at(Put, 1<<10, 4, 80), at(Put, 1<<10, 8, 100),
		at(Put, 1<<20, 2, 10), at(Put, 1<<20, 4, 10), left,
		at(Get, 1<<10, 2, 100), at(Get, 1<<10, 4, 100),
	}}
	for op, want := range map[Operation]int{Put: 8, Get: 2, Delete: 0} {
		if got := r.Recommended(op); got != want {
			t.Errorf("%s: recommended are %d, want %d", op, got, want)
		}
	}
}
