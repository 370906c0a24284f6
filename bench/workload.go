// Package bench measures how fast a store puts, finds, reads, lists and deletes
// documents (Run). It also makes workloads: the documents of an installation of any
// size. The same parameters make the same documents, and nothing keeps them
// anywhere.
package bench

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/kedge/kedge/drivers"
)

// Workload describes a set of documents like those that Anchore keeps: JSON
// reports in a few logical buckets of a few users. Each document can be made at
// any time, in any order, from its number alone.
type Workload struct {
	// Documents is how many there are.
	Documents int
	// Lengths is how the lengths of the plain documents are spread.
	Lengths Lengths
	// MedianBytes is the median length of a plain document, MaxBytes the
	// longest one; both in bytes. Zero means 2 KB and 100 times the median.
	// Fixed needs no MaxBytes; MinBytes is the shortest one of Uniform.
	MedianBytes, MinBytes, MaxBytes int64
	// Sigma is the spread of the lengths' logarithm; zero means 1.
	Sigma float64
	// Noise is which share of the documents' bytes, 0 to 1, is random text of 64
	// letters, which compression makes a quarter shorter at best. The rest is
	// like a report, which becomes four times shorter or more.
	Noise float64
	// Seed makes another set of the same kind.
	Seed uint64
}

// Lengths is a distribution of lengths.
type Lengths int

// The distributions.
const (
	// LogNormal has a median and a long tail, as reports have.
	LogNormal Lengths = iota
	// Fixed makes all documents MedianBytes long.
	Fixed
	// Uniform draws from MinBytes to MaxBytes, each length as likely as the
	// others.
	Uniform
)

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

// Plain makes a plain document: JSON of exactly the drawn length, or of some 60
// bytes where less was drawn.
func (w Workload) Plain(number int) []byte {
	r := w.random(number)
	bytes := w.length(r)
	end := fmt.Sprintf(`{"number": %d}]}}`, number)
	out := make([]byte, 0, bytes+256)
	out = append(out, `{"document": {"report": [`...)
	room := bytes - int64(len(end))
	noisy := int64(0)
	for int64(len(out)) < room-entryBytes {
		if float64(noisy) < w.Noise*float64(len(out)) {
			begin := len(out)
			out = appendNoise(out, r, min(noiseBytes, room-int64(len(out))-entryBytes))
			noisy += int64(len(out) - begin)
			continue
		}
		out = fmt.Appendf(out, `{"name": %q, "path": "/%s/%s", "digest": "%016x", "size": %d}, `,
			words[r.IntN(len(words))], words[r.IntN(len(words))], words[r.IntN(len(words))], r.Uint64(), r.IntN(1<<20))
	}
	for int64(len(out)) < room {
		out = append(out, ' ')
	}
	return append(out, end...)
}

// entryBytes is more than an entry of a report is long, noiseBytes how much
// random text comes at once.
const (
	entryBytes = 160
	noiseBytes = 256
)

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"

// appendNoise appends an entry of so many random letters.
func appendNoise(out []byte, r *rand.Rand, count int64) []byte {
	out = append(out, `{"noise": "`...)
	for i := int64(0); i < count; {
		for bits, n := r.Uint64(), 0; n < 10 && i < count; n++ {
			out = append(out, letters[bits&63])
			bits >>= 6
			i++
		}
	}
	return append(out, `"}, `...)
}

// length draws a length in bytes.
func (w Workload) length(r *rand.Rand) int64 {
	median, sigma := cmp.Or(w.MedianBytes, 2<<10), cmp.Or(w.Sigma, 1)
	longest := cmp.Or(w.MaxBytes, 100*median)
	switch w.Lengths {
	case Fixed:
		return median
	case Uniform:
		return w.MinBytes + r.Int64N(max(1, longest-w.MinBytes+1))
	default:
		return min(int64(float64(median)*math.Exp(sigma*r.NormFloat64())), longest)
	}
}
