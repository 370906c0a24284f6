package pipeline

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
)

// Rows of one key have one place at the destination, so that they are in one batch also
// when they are tried again, wherever a batch is full.
func TestRowsOfOneKeyAreTriedAgainTogether(t *testing.T) {
	c, err := checkpoint.Open(filepath.Join(t.TempDir(), "checkpoint"), checkpoint.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := &migration{checkpoint: c, limits: concurrency.LimitsFor(DefaultMemoryBytes)}
	var failed []checkpoint.Failure
	fails := func(id, name, stage string) {
		failed = append(failed, checkpoint.Failure{Entry: checkpoint.Entry{UserID: "u", Bucket: "b", ArchiveID: id, Name: name}, Stage: stage})
	}
	full := m.limits.BatchDocuments
	for n := range full {
		id, stage := fmt.Sprintf("%04d", n), failure.StageFetch
		if n >= full/2 {
			stage = failure.StageDelete
		}
		for _, name := range []string{"a", "b", "c"} {
			fails(id, name, stage)
		}
	}
	number, intended := c.Intend(nil, checkpoint.Position{})
	c.Done(number, checkpoint.Outcome{Failed: failed})
	if err := intended.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush().Wait(t.Context()); err != nil {
		t.Fatal(err)
	}

	out := make(chan *batch, len(failed))
	inFlight := map[drivers.Key]bool{keyOf(failed[0].Entry): true}
	if err := m.retryFailures(t.Context(), out, inFlight); err != nil {
		t.Fatal(err)
	}
	close(out)
	batches, tried := 0, 0
	where := make(map[drivers.Key]int)
	for b := range out {
		batches++
		tried += len(b.entries)
		if len(b.entries) > full+2 {
			t.Errorf("a batch of %d", len(b.entries))
		}
		for _, e := range b.entries {
			if before, seen := where[keyOf(e)]; seen && before != batches {
				t.Errorf("the rows of %s are in batches %d and %d", e.ArchiveID, before, batches)
			}
			where[keyOf(e)] = batches
			if moved := e.ArchiveID >= fmt.Sprintf("%04d", full/2); moved != b.recounted {
				t.Errorf("%s: recounted %v", e.ArchiveID, b.recounted)
			}
		}
	}
	if tried != len(failed)-3 || batches < 4 || batches > 5 {
		t.Errorf("%d of %d were tried again, in %d batches", tried, len(failed), batches)
	}
}
