package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramBuckets(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 127, 128, 129, 255, 256, 1000, 1<<20 - 1, 1 << 20, 1<<62 + 12345, 1<<63 - 1} {
		bucket := bucketOf(v)
		if bucket < 0 || bucket >= histogramBuckets {
			t.Fatalf("%d is in bucket %d of %d", v, bucket, histogramBuckets)
		}
		end := upperEnd(bucket)
		if end < v || float64(end) > float64(v)*(1+1.0/64) {
			t.Errorf("%d is in bucket %d, which ends at %d", v, bucket, end)
		}
		if next := bucketOf(end + 1); end < 1<<63-1 && next != bucket+1 {
			t.Errorf("bucket %d ends at %d, but %d is in bucket %d", bucket, end, end+1, next)
		}
	}
}

// TestHistogramQuantiles compares with the sorted values.
func TestHistogramQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, count := range []int{1, 2, 10, 99, 100, 101, 5000} {
		var values []time.Duration
		var all Histogram
		parts := make([]Histogram, 3)
		for i := range count {
			v := time.Duration(r.Int64N(1 << (1 + r.IntN(40))))
			values = append(values, v)
			parts[i%3].Record(v)
		}
		for i := range parts {
			all.Add(&parts[i])
		}
		slices.Sort(values)
		if all.count != uint64(count) || all.Max() != values[count-1] {
			t.Errorf("%d values: count %d, max %s, want %s", count, all.count, all.Max(), values[count-1])
		}
		for _, q := range []float64{0, 0.5, 0.95, 0.99, 1} {
			exact := values[min(int(q*float64(count)), count-1)]
			if got := all.Quantile(q); got < exact || float64(got) > float64(exact)*(1+1.0/64) {
				t.Errorf("%d values: quantile %g is %d, want %d", count, q, got, exact)
			}
		}
	}
	var none Histogram
	if none.Quantile(0.5) != 0 || none.Max() != 0 {
		t.Error("an empty histogram has a quantile")
	}
}
