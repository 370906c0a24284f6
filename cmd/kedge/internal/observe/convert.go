package observe

import (
	"fmt"
	"slices"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/limit"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/tree"
)

// Run is what does not change while a run goes on.
type Run struct {
	Command, Version string
	// Source and Destination are the drivers' names, "" where there is none.
	Source, Destination             string
	SourceLimits, DestinationLimits limit.Limits
	// Started is when the command began, before it had counted.
	Started time.Time
}

// progress is what every run shows.
func (r Run) progress(unit string, at time.Time) Progress {
	return Progress{
		Schema: Schema, Version: r.Version, Command: r.Command, Unit: unit, State: Starting, At: at, Began: r.Started,
		ElapsedSeconds: at.Sub(r.Started).Seconds(),
		Stages:         []Stage{}, Paused: []Outage{}, Failures: []Failures{}, Buckets: []Bucket{},
		Sizes: emptyHistogram(), Source: r.side(r.Source, r.SourceLimits), Destination: r.side(r.Destination, r.DestinationLimits),
	}
}

// emptyHistogram has lists, so that scripts find some.
func emptyHistogram() Histogram { return Histogram{Bounds: []float64{}, Counts: []int64{}} }

func (r Run) side(driver string, l limit.Limits) Side {
	return Side{Driver: driver, MaxBytesPerSecond: l.Bytes, MaxOperationsPerSecond: l.Operations, Latency: emptyHistogram()}
}

// Documents tells of a run over an installation's documents.
func (r Run) Documents(s pipeline.Snapshot, taskID int64) Progress {
	at := s.At
	if !s.Ended.IsZero() {
		at = s.Ended
		s.Stages = slices.Clone(s.Stages)
		for i := range s.Stages { // none was busy lately
			s.Stages[i].BusyShare = overall(s.Stages[i], s.Ended.Sub(s.Began))
		}
	}
	p := r.progress("documents", at)
	p.TaskID = taskID
	p.Documents = Documents{Total: s.Total.Documents, Done: s.Done.Documents, Moved: s.Counts.Moved, Skipped: s.Counts.Skipped,
		Failed: s.Failed, WithoutDigest: s.Counts.NoDigest}
	p.Bytes = Bytes{Total: s.Total.Bytes, Done: s.Done.Bytes, Read: s.Counts.BytesRead, Written: s.Counts.BytesWritten}
	p.Rates = Rates{s.Now.DocumentsPerSecond, s.Average.DocumentsPerSecond, s.Now.BytesPerSecond, s.Average.BytesPerSecond}
	p.Limit.Stage, p.Limit.Why = s.Limit()
	for _, stage := range s.Stages {
		p.Stages = append(p.Stages, Stage{Name: stage.Name, Workers: stage.Workers, InFlight: stage.InFlight, Queued: stage.Queued,
			Batches: stage.Batches, Documents: stage.Documents, BusySeconds: stage.Busy.Seconds(), BusyShare: stage.BusyShare, Latency: latencies(stage.Latency)})
	}
	p.passed = p.stage(r.pacing().String()).Documents
	p.Source.measured(s.Source)
	p.Destination.measured(s.Destination)
	for _, f := range s.Failures {
		p.Failures = append(p.Failures, Failures(f))
	}
	for _, b := range s.ByBucket {
		p.Buckets = append(p.Buckets, Bucket{b.Bucket, b.Documents, b.Failed, b.BytesRead, b.BytesWritten})
		p.Sizes.Sum += float64(b.BytesRead)
	}
	for _, bound := range progress.SizeBounds {
		p.Sizes.Bounds = append(p.Sizes.Bounds, float64(bound))
	}
	p.Sizes.count(s.SizeBuckets)
	p.goes(s.Began, s.Left, s.Paused)
	return p
}

// overall is the part of their time for which a stage's workers were busy in a
// run that took so long.
func overall(s pipeline.StageState, took time.Duration) float64 {
	if s.Workers == 0 || took <= 0 {
		return 0
	}
	return min(1, s.Busy.Seconds()/took.Seconds()/float64(s.Workers))
}

// pacing is the stage by which the run's pace is told.
func (r Run) pacing() progress.Stage {
	if r.Command == "purge" {
		return progress.StageVerify
	}
	return progress.StagePut
}

// measured takes in what a store's operations came to.
func (s *Side) measured(m pipeline.SideState) {
	s.InFlight, s.Workers = m.InFlight, m.Limit
	s.Operations, s.Errors, s.Retries, s.Bytes = m.Operations, m.Errors, m.Retries, m.Bytes
	s.Latency = latencies(m.Latency)
}

// goes says what the run is doing; began is zero while it counts.
func (p *Progress) goes(began time.Time, left time.Duration, paused []drivers.Outage) {
	if !began.IsZero() {
		p.State, p.Began, p.ElapsedSeconds = Running, began, p.At.Sub(began).Seconds()
	}
	if !began.IsZero() && left >= 0 {
		remaining := left.Seconds()
		p.RemainingSeconds = &remaining
	}
	for _, o := range paused {
		p.State = Paused
		p.Reason = fmt.Sprintf("%s does not answer", o.Place)
		p.Paused = append(p.Paused, Outage{o.Place, o.Since, o.Until, o.Last.Error()})
	}
}

func latencies(l metrics.Latency) Histogram {
	h := emptyHistogram()
	for _, bound := range metrics.LatencyBounds {
		h.Bounds = append(h.Bounds, bound.Seconds())
	}
	h.count(l.Buckets)
	h.Sum = l.Sum.Seconds()
	return h
}

// count takes in the counts between the bounds, which may be missing.
func (h *Histogram) count(counts []int64) {
	h.Counts = make([]int64, len(h.Bounds)+1)
	copy(h.Counts, counts)
	for _, n := range h.Counts {
		h.Count += n
	}
}

// Files tells of a run over a registry's files, which began when began says
// (zero: not yet) after so many files had been moved by earlier runs. The meters
// are those of its stores.
func (r Run) Files(s tree.Snapshot, at, began time.Time, earlier tree.Counts, source, destination *metrics.Meter) Progress {
	p := r.progress("files", at)
	p.Phase = s.Phase
	moved := s.Counts.Moved()
	p.Documents = Documents{Total: s.Files, Done: moved + s.Failed, Moved: moved, Failed: s.Failed}
	p.Bytes = Bytes{Read: s.Counts.BytesRead, Written: s.Counts.BytesWritten}
	p.passed = p.Documents.Done
	p.Source.metered(source)
	p.Destination.metered(destination)
	left := time.Duration(-1)
	if passed := at.Sub(began).Seconds(); !began.IsZero() && passed > 0 {
		p.Rates.DocumentsPerSecondAverage = float64(moved-earlier.Moved()) / passed
		p.Rates.BytesPerSecondAverage = float64(s.Counts.BytesRead-earlier.BytesRead) / passed
		if rate := p.Rates.DocumentsPerSecondAverage; rate > 0 && s.Files > 0 {
			left = time.Duration(float64(max(0, s.Files-moved)) / rate * float64(time.Second))
		}
	}
	p.goes(began, left, s.Paused)
	return p
}

// metered takes in what a meter has counted; nil has counted nothing.
func (s *Side) metered(m *metrics.Meter) {
	at := m.Measurements()
	s.Operations, s.Errors, s.Retries, s.Bytes = at.Operations, at.Errors, at.Retries, at.Bytes
	s.Latency = latencies(at.Latency)
}
