package bench

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"slices"
	"testing"
)

func TestWorkloadIsDeterministic(t *testing.T) {
	a, b := Workload{Documents: 50, Noise: 0.3, Seed: 4}, Workload{Documents: 50, Noise: 0.3, Seed: 5}
	keys := make(map[string]bool)
	for n := range a.Documents {
		key, plain := a.Key(n), a.Plain(n)
		if key != a.Key(n) || !bytes.Equal(plain, a.Plain(n)) {
			t.Fatalf("document %d differs from itself", n)
		}
		if a.Key(n) == b.Key(n) || bytes.Equal(a.Plain(n), b.Plain(n)) {
			t.Errorf("document %d does not depend on the seed", n)
		}
		keys[a.Key(n).String()] = true
		if !json.Valid(a.Plain(n)) {
			t.Errorf("document %d is no JSON: %s", n, a.Plain(n))
		}
	}
	if len(keys) != a.Documents {
		t.Errorf("%d documents have %d keys", a.Documents, len(keys))
	}
}

func TestWorkloadLengths(t *testing.T) {
	lengths := func(w Workload) []int64 {
		var all []int64
		for n := range w.Documents {
			all = append(all, int64(len(w.Plain(n))))
		}
		slices.Sort(all)
		return all
	}
	fixed := lengths(Workload{Documents: 20, Lengths: Fixed, MedianBytes: 5000, Seed: 1})
	if fixed[0] != 5000 || fixed[19] != 5000 {
		t.Errorf("fixed lengths are %v", fixed)
	}
	uniform := lengths(Workload{Documents: 2000, Lengths: Uniform, MinBytes: 1000, MaxBytes: 3000, Seed: 1})
	if uniform[0] < 1000 || uniform[1999] > 3000 || uniform[1000] < 1900 || uniform[1000] > 2100 {
		t.Errorf("uniform lengths go from %d over %d to %d", uniform[0], uniform[1000], uniform[1999])
	}
	normal := lengths(Workload{Documents: 2000, MedianBytes: 4000, MaxBytes: 20000, Seed: 1})
	if normal[1000] < 3700 || normal[1000] > 4300 || normal[1999] != 20000 || normal[320] < 1200 || normal[320] > 1800 {
		t.Errorf("log-normal lengths: a sixth below %d, half below %d, the longest %d", normal[320], normal[1000], normal[1999])
	}
}

// TestWorkloadNoise: the more noise, the less there is to compress.
func TestWorkloadNoise(t *testing.T) {
	var ratios []float64
	for _, noise := range []float64{0, 0.25, 0.5, 1} {
		plain := Workload{Lengths: Fixed, MedianBytes: 1 << 20, Noise: noise}.Plain(0)
		var packed bytes.Buffer
		z, err := zlib.NewWriterLevel(&packed, 3)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		ratios = append(ratios, float64(packed.Len())/float64(len(plain)))
	}
	if !slices.IsSorted(ratios) || ratios[0] > 0.3 || ratios[3] < 0.7 {
		t.Errorf("compressed to %.2f of the length", ratios)
	}
}
