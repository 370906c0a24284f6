// Package bench makes workloads: the documents of an installation of any size,
// the same ones for the same parameters, without keeping them anywhere.
package bench

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/kedge/kedge/drivers"
)

// Workload describes a set of documents like those that Anchore keeps: JSON
// reports of log-normal length in a few logical buckets of a few users. Each
// document can be made at any time, in any order, from its number alone.
type Workload struct {
	// Documents is how many there are.
	Documents int
	// MedianBytes is the median length of a plain document, MaxBytes the
	// longest one; both in bytes. Zero means 2 KB and 100 times the median.
	MedianBytes, MaxBytes int64
	// Sigma is the spread of the lengths' logarithm; zero means 1.
	Sigma float64
	// Seed makes another set of the same kind.
	Seed uint64
}

var (
	users   = [...]string{"admin", "team-a", "team-b", "ci.builds"}
	buckets = [...]string{"analysis_data", "image_content_data", "manifest_data", "policy_evaluations"}
	words   = [...]string{
		"package", "openssl", "libc6", "version", "vulnerability", "severity", "Medium", "layer", "sha256",
		"usr/share/doc", "usr/lib/x86_64-linux-gnu", "origin", "Debian Security Team", "license", "GPL-2.0",
	}
)

// random gives the generator of one document.
func (w Workload) random(number int) *rand.Rand {
	return rand.New(rand.NewPCG(w.Seed, uint64(number)))
}

// Key is the key of a document.
func (w Workload) Key(number int) drivers.Key {
	r := w.random(number)
	return drivers.Key{
		UserID:    users[r.IntN(len(users))],
		Bucket:    buckets[r.IntN(len(buckets))],
		ArchiveID: fmt.Sprintf("sha256:%016x%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64(), uint64(number)),
	}
}

// Plain makes a plain document.
func (w Workload) Plain(number int) []byte {
	r := w.random(number)
	bytes := w.length(r)
	out := make([]byte, 0, bytes+128)
	out = append(out, `{"document": {"report": [`...)
	for int64(len(out)) < bytes-40 {
		out = fmt.Appendf(out, `{"name": %q, "path": "/%s/%s", "digest": "%016x", "size": %d}, `,
			words[r.IntN(len(words))], words[r.IntN(len(words))], words[r.IntN(len(words))], r.Uint64(), r.IntN(1<<20))
	}
	return fmt.Appendf(out, `{"number": %d}]}}`, number)
}

// length draws a length in bytes.
func (w Workload) length(r *rand.Rand) int64 {
	median, longest, sigma := w.MedianBytes, w.MaxBytes, w.Sigma
	if median == 0 {
		median = 2 << 10
	}
	if longest == 0 {
		longest = 100 * median
	}
	if sigma == 0 {
		sigma = 1
	}
	return min(int64(float64(median)*math.Exp(sigma*r.NormFloat64())), longest)
}
