package pipeline

import "runtime"

// limits say how batches are cut and what is held in memory.
type limits struct {
	batchDocuments int
	batchBytes     int64
	// streamBytes: a longer payload is never held as a whole.
	streamBytes int64
	// unknownBytes is what a document without a size in its row counts for when
	// batches are cut; its real length is asked for before it is fetched.
	unknownBytes int64
	pageRows     int
}

// limitsFor fits batches to a memory budget: several of them must fit into it,
// each counted twice, because a payload and its recompressed form may both be
// held.
func limitsFor(memoryBytes int64) limits {
	return limits{
		batchDocuments: 256,
		batchBytes:     clamp(memoryBytes/8, 64<<10, 8<<20),
		streamBytes:    clamp(memoryBytes/16, 64<<10, 4<<20),
		unknownBytes:   128 << 10,
		pageRows:       2000,
	}
}

func clamp(n, low, high int64) int64 { return min(max(n, low), high) }

// cpuWorkers is how many goroutines do nothing but compute.
func cpuWorkers() int { return max(1, runtime.GOMAXPROCS(0)) }
