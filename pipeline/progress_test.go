package pipeline_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
)

// stopAt ends a run when Done has come to so many documents.
type stopAt struct {
	progress pipeline.Progress
	stop     chan struct{}
	once     sync.Once
	seen     []pipeline.Snapshot
}

func watched(o *pipeline.Options, documents int64) *stopAt {
	s := &stopAt{stop: make(chan struct{})}
	o.Progress, o.ReportEvery = &s.progress, time.Millisecond
	o.Report = func(snapshot pipeline.Snapshot) {
		s.seen = append(s.seen, snapshot)
		if snapshot.Done.Documents >= documents {
			s.once.Do(func() { close(s.stop) })
		}
	}
	return s
}

func (s *stopAt) check(t *testing.T, total pipeline.Amount) {
	t.Helper()
	var last pipeline.Amount
	for _, at := range append(s.seen, s.progress.Snapshot()) {
		if at.Total != total {
			t.Fatalf("the total is %+v, not %+v", at.Total, total)
		}
		if at.Done.Documents < last.Documents || at.Done.Bytes < last.Bytes || at.Done.Documents > total.Documents || at.Done.Bytes > total.Bytes {
			t.Fatalf("done %+v after %+v, of %+v", at.Done, last, total)
		}
		last = at.Done
	}
}

// A snapshot has the whole migration in it, also when it goes on after an
// interruption, and at the end everything is done.
func TestProgressOfAMigration(t *testing.T) {
	const documents, broken = 2000, 3
	in := install(t, documents)
	in.exec(`UPDATE archive_metadata SET digest = 'no such digest' WHERE "archiveId" IN ('id-00001', 'id-00700', 'id-01400')`)
	total := pipeline.Amount{Documents: documents, Bytes: documents * 800}

	o := in.options(in.dst)
	meter := new(metrics.Meter)
	o.Destination.Driver, o.Destination.Meter = metrics.New(in.dst, meter), meter
	o.MemoryBytes = 512 << 10 // small batches, so that it is stopped on the way
	s := watched(&o, 1)
	if before := s.progress.Snapshot(); !before.Began.IsZero() || before.Total != (pipeline.Amount{}) || before.Left >= 0 {
		t.Errorf("before the run: %+v", before)
	}
	r, err := pipeline.Run(t.Context(), s.stop, o)
	if err != nil || !r.Interrupted {
		t.Fatalf("%+v, %v", r, err)
	}
	s.check(t, total)
	first := s.progress.Snapshot()
	if first.Done.Documents != r.Counts.Moved+first.Failed || first.Done.Documents == documents {
		t.Errorf("after the first run: %+v of %+v", first.Done, r)
	}

	o.Destination.Driver, o.Destination.Meter = in.dst, nil
	s = watched(&o, documents+1)
	if r, err = pipeline.Run(t.Context(), nil, o); err != nil || !r.Resumed {
		t.Fatalf("%+v, %v", r, err)
	}
	s.check(t, total)
	last := s.progress.Snapshot()
	if last.Done != total || last.Failed != broken || !slices.Equal(last.Failures, []pipeline.ClassCount{{Class: failure.ClassDigest, Count: broken}}) {
		t.Errorf("at the end: done %+v, failed %d: %+v", last.Done, last.Failed, last.Failures)
	}
	moved := documents - broken - first.Counts.Moved
	if want := (pipeline.BucketCount{Bucket: "b", Documents: moved, Failed: broken, BytesRead: moved * 800, BytesWritten: moved * 800}); !slices.Equal(last.ByBucket, []pipeline.BucketCount{want}) {
		t.Errorf("by bucket: %+v, not %+v", last.ByBucket, want)
	}
	if last.SizeBuckets[0] != moved {
		t.Errorf("by size: %+v", last.SizeBuckets)
	}
	if last.Ended.IsZero() || last.Average.DocumentsPerSecond <= 0 {
		t.Errorf("ended %v, %+v", last.Ended, last.Average)
	}
	for s := progress.StageFetch; s < progress.StageFinish; s++ {
		name, stage := s.String(), last.Stages[s]
		if stage.Name != name || stage.InFlight != 0 || stage.Queued != 0 || stage.Workers == 0 || stage.Batches == 0 || stage.Busy <= 0 || stage.Latency.Count != stage.Batches {
			t.Errorf("stage %s: %+v", name, stage)
		}
		// What is rotten may prove so only when it is read back.
		most := moved
		if s <= progress.StagePut {
			most += broken
		}
		if stage.Documents < moved || stage.Documents > most {
			t.Errorf("stage %s did %d documents, not %d to %d", name, stage.Documents, moved, most)
		}
	}
}

// What a store does is in the snapshot, with the limit of operations in flight.
func TestProgressOfTheStores(t *testing.T) {
	in := install(t, 300)
	o := in.options(in.dst)
	meter := new(metrics.Meter)
	o.Destination.Driver, o.Destination.Meter = metrics.New(in.dst, meter), meter
	o.Workers = 3
	s := watched(&o, 1e9)
	if _, err := pipeline.Run(t.Context(), nil, o); err != nil {
		t.Fatal(err)
	}
	got := s.progress.Snapshot().Destination
	if got.Name != "localfs" || got.Limit != 3 || got.InFlight != 0 || got.Operations < 600 || got.Errors != 0 || got.Bytes < 2*300*800 || got.Latency.Count < 600 {
		t.Errorf("%+v", got)
	}
}

// A purge counts what it need not delete, too.
func TestProgressOfAPurge(t *testing.T) {
	in := install(t, 600)
	o := in.options(in.dst)
	o.KeepSource = true
	if _, err := pipeline.Run(t.Context(), nil, o); err != nil {
		t.Fatal(err)
	}
	if err := in.src.Delete(t.Context(), "db://admin/b/id-00007"); err != nil {
		t.Fatal(err)
	}
	o.KeepSource, o.Job, o.Checkpoint = false, pipeline.Purge, in.checkpoint+"-purge"
	s := watched(&o, 1e9)
	r, err := pipeline.Run(t.Context(), nil, o)
	if err != nil || r.Counts.Moved != 599 {
		t.Fatalf("%+v, %v", r, err)
	}
	total := pipeline.Amount{Documents: 600, Bytes: 600 * 800}
	s.check(t, total)
	if got := s.progress.Snapshot(); got.Done != total || got.Counts.Skipped != 1 {
		t.Errorf("%+v", got)
	}
}
