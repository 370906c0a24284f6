package bench

import (
	"math/bits"
	"time"
)

// subBits says how fine the histogram is: 64 buckets for each doubling, so that
// a quantile is at most 1/64 too high.
const subBits = 6

// histogramBuckets is how many buckets the positive int64 need.
const histogramBuckets = (64 - subBits) << subBits

// Histogram counts times in buckets whose width grows with the time, like
// HdrHistogram: its memory, some 30 KB, depends neither on how many times it has
// seen nor on how long they were. The zero value is empty. It is not safe for
// concurrent use: give each goroutine one and Add them up.
type Histogram struct {
	buckets [histogramBuckets]uint64
	count   uint64
	longest time.Duration
}

// Record counts a time; a negative one counts as 0.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(uint64(d))]++
	h.count++
	h.longest = max(h.longest, d)
}

// Add adds what another histogram has counted.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.longest = max(h.longest, other.longest)
}

// Max is the longest time, exactly.
func (h *Histogram) Max() time.Duration { return h.longest }

// Quantile is the time that a share q (0 to 1) of those counted did not exceed,
// at most 1/64 too high; 0 when nothing was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := min(uint64(q*float64(h.count)), h.count-1) // how many are before it
	for i, n := range h.buckets {
		if rank < n {
			return min(time.Duration(upperEnd(i)), h.longest)
		}
		rank -= n
	}
	return h.longest
}

// bucketOf gives the bucket of a value: below 128 one each, then 64 for each
// doubling.
func bucketOf(v uint64) int {
	shift := max(0, bits.Len64(v)-subBits-1)
	return shift<<subBits + int(v>>shift)
}

// upperEnd is the greatest value in a bucket.
func upperEnd(bucket int) uint64 {
	shift := max(0, bucket>>subBits-1)
	return uint64(bucket-shift<<subBits+1)<<shift - 1
}
