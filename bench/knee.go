package bench

import (
	"math"
	"slices"
)

// nearBest is what share of the best rate counts as the best: beyond it more
// concurrency brings latency and nothing else.
const nearBest = 0.95

// Knee is the smallest concurrency of some steps whose rate is within 5% of the
// best one; 0 when nothing was measured.
func Knee(steps []Step) int {
	best, knee := bestRate(steps), 0
	for _, s := range steps {
		if s.PerSecond > 0 && s.PerSecond >= nearBest*best && (knee == 0 || s.Concurrency < knee) {
			knee = s.Concurrency
		}
	}
	return knee
}

func bestRate(steps []Step) float64 {
	best := 0.0
	for _, s := range steps {
		best = max(best, s.PerSecond)
	}
	return best
}

// of selects the steps that were measured of an operation and size.
func (r *Result) of(op Operation, size int64) []Step {
	var steps []Step
	for _, s := range r.Steps {
		if s.Operation == op && s.SizeBytes == size && s.LeftOut == "" {
			steps = append(steps, s)
		}
	}
	return steps
}

// Recommended is the concurrency for an operation with documents of all the
// measured sizes: the smallest one that is, over all sizes, within 5% of the
// best. Each size counts alike, by its rate in proportion to its own best. 0 when
// nothing was measured.
func (r *Result) Recommended(op Operation) int {
	rates := make(map[int][]float64)
	sizes := 0
	for _, size := range r.sizes(op) {
		steps := r.of(op, size)
		best := bestRate(steps)
		if best == 0 {
			continue
		}
		sizes++
		// Beyond the last concurrency that could be tried with this size the
		// rate is taken to stay.
		last := 0.0
		for _, concurrency := range r.concurrencies(op) {
			if i := slices.IndexFunc(steps, func(s Step) bool { return s.Concurrency == concurrency }); i >= 0 {
				last = steps[i].PerSecond / best
			}
			if last > 0 {
				rates[concurrency] = append(rates[concurrency], last)
			}
		}
	}
	var combined []Step
	for concurrency, each := range rates {
		if len(each) == sizes {
			combined = append(combined, Step{Concurrency: concurrency, PerSecond: geometricMean(each)})
		}
	}
	return Knee(combined)
}

func (r *Result) concurrencies(op Operation) []int {
	var all []int
	for _, s := range r.Steps {
		if s.Operation == op && s.LeftOut == "" && !slices.Contains(all, s.Concurrency) {
			all = append(all, s.Concurrency)
		}
	}
	slices.Sort(all)
	return all
}

func geometricMean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}
