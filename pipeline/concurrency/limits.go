package concurrency

import "runtime"

// DefaultMemoryBytes is how many payload bytes are held at once by default.
const DefaultMemoryBytes = 64 << 20

// Limits say how batches are cut and what is held in memory.
type Limits struct {
	BatchDocuments int
	BatchBytes     int64
	// StreamBytes: a longer payload is never held as a whole.
	StreamBytes int64
	// UnknownBytes is what a document without a size in its row counts for when
	// batches are cut; its real length is asked for before it is fetched.
	UnknownBytes int64
	// PageRows is how many rows of the catalog are read at a time.
	PageRows int
}

// LimitsFor fits batches to a memory budget: several of them must fit into it,
// each counted twice, because a payload and its recompressed form may both be
// held.
func LimitsFor(memoryBytes int64) Limits {
	return Limits{
		BatchDocuments: 256,
		BatchBytes:     clamp(memoryBytes/8, 64<<10, 8<<20),
		StreamBytes:    clamp(memoryBytes/16, 64<<10, 4<<20),
		UnknownBytes:   128 << 10,
		PageRows:       2000,
	}
}

func clamp(n, low, high int64) int64 { return min(max(n, low), high) }

// Processors is how many goroutines do nothing but compute.
func Processors() int { return max(1, runtime.GOMAXPROCS(0)) }
