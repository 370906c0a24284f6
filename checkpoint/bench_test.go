package checkpoint

import (
	"path/filepath"
	"testing"
)

// BenchmarkBatches intends batches and has them done, as a run does, with no
// more in flight than a run has.
func BenchmarkBatches(b *testing.B) {
	const documents, inFlight = 256, 16
	c, err := Open(filepath.Join(b.TempDir(), "k.checkpoint"), identity)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	entries := make([]Entry, documents)
	for i := range entries {
		entries[i] = entry(i)
	}
	var numbers []uint64
	var last *Ticket
	b.ReportAllocs()
	for b.Loop() {
		number, ticket := c.Intend(entries, position(documents))
		numbers, last = append(numbers, number), ticket
		if len(numbers) == inFlight {
			c.Done(numbers[0], Outcome{Counts: Counts{Moved: documents}, Cleared: entries})
			numbers = numbers[1:]
		}
	}
	if err := last.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N*documents)/b.Elapsed().Seconds(), "documents/s")
}
