package metrics

import (
	"sync/atomic"
	"time"
)

// LatencyBounds are the upper bounds of a Latency's buckets, but for the last
// bucket, which has none.
var LatencyBounds = []time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute,
}

// latencyBuckets is one more than there are LatencyBounds.
const latencyBuckets = 16

// Histogram counts durations. The zero value is ready for use. Safe for
// concurrent use.
type Histogram struct {
	sum     atomic.Int64 // nanoseconds
	buckets [latencyBuckets]atomic.Int64
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	bucket := 0
	for bucket < len(LatencyBounds) && d > LatencyBounds[bucket] {
		bucket++
	}
	h.sum.Add(int64(d))
	h.buckets[bucket].Add(1)
}

// Latency tells what was counted so far.
func (h *Histogram) Latency() Latency {
	l := Latency{Sum: time.Duration(h.sum.Load()), Buckets: make([]int64, latencyBuckets)}
	for i := range h.buckets {
		l.Buckets[i] = h.buckets[i].Load()
		l.Count += l.Buckets[i]
	}
	return l
}

// Latency is how long so many operations took.
type Latency struct {
	Count int64
	Sum   time.Duration
	// Buckets has a count for each of LatencyBounds, of what took no longer than
	// that but longer than the bound before, and one of what took longer than all.
	Buckets []int64
}

// Mean is the mean of them, 0 when there are none.
func (l Latency) Mean() time.Duration {
	if l.Count == 0 {
		return 0
	}
	return l.Sum / time.Duration(l.Count)
}
