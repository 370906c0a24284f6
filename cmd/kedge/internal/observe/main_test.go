package observe

import (
	"os"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/limit"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/progress"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

var begun = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// hostile is a name that must not become part of a page.
const hostile = `<script>alert("x")</script>&'`

// moment is a run so many seconds after its beginning, with something of
// everything.
func moment(seconds int64) Progress {
	latency := metrics.Latency{Count: 10 * seconds, Sum: time.Duration(seconds) * time.Second, Buckets: make([]int64, len(metrics.LatencyBounds)+1)}
	latency.Buckets[5] = 10 * seconds
	side := pipeline.SideState{InFlight: 3, Limit: 16, Operations: 11 * seconds, Errors: seconds, Retries: 2, Bytes: seconds << 20, Latency: latency}
	s := pipeline.Snapshot{
		At: begun.Add(time.Duration(seconds) * time.Second), Began: begun,
		Total: pipeline.Amount{Documents: 100000, Bytes: 1 << 30}, Done: pipeline.Amount{Documents: 100 * seconds, Bytes: seconds << 20},
		Now: pipeline.Rates{DocumentsPerSecond: 101}, Average: pipeline.Rates{DocumentsPerSecond: 100}, Left: time.Hour,
		Failed: 3, Failures: []pipeline.ClassCount{{Class: "put-failed", Count: 3}}, Source: side, Destination: side,
		SizeBuckets: []int64{5, 0, 90 * seconds}, ByBucket: []pipeline.BucketCount{{Bucket: "analysis_data", Documents: 7, BytesRead: 4 << 20, BytesWritten: 1 << 20}, {Bucket: hostile, BytesRead: 9}},
	}
	s.Counts.Moved, s.Counts.BytesRead = 100*seconds-3, seconds<<20
	for _, stage := range []progress.Stage{progress.StageFetch, progress.StagePut} {
		s.Stages = append(s.Stages, pipeline.StageState{Name: stage.String(), Workers: 4, Batches: seconds, Documents: 100 * seconds, Busy: 2 * time.Duration(seconds) * time.Second, BusyShare: 0.5, Latency: latency})
	}
	r := Run{Command: "migrate", Version: "kedge v1.2.3", Source: "db", Destination: "s3", DestinationLimits: limit.Limits{Bytes: 1 << 20, Operations: 200}, Started: begun.Add(-time.Minute)}
	return r.Documents(s, 12)
}

// paused is a moment at which a store does not answer.
func paused(seconds int64) Progress {
	p := moment(seconds)
	p.goes(begun, -1, []drivers.Outage{{Place: "s3://b/", Since: begun, Until: begun.Add(time.Hour), Last: errRefused}})
	return p
}

type refusedError struct{}

func (refusedError) Error() string { return "connection refused " + hostile }

var errRefused refusedError
