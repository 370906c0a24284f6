// Package observe shows a run from afar. It keeps the run's history, serves it as a
// live page, as JSON and as metrics for Prometheus, and writes the report when all is
// over.
//
// All of these show a Progress. docs/observing.md documents its JSON form. Nothing in
// it is a secret.
package observe

import (
	"slices"
	"time"
)

// Schema is the version of the JSON form of Progress. It changes when a field
// goes or changes its meaning, not when one comes.
const Schema = 1

// State is what a run is doing, or how it ended.
type State string

// The states.
const (
	Starting    State = "starting"    // checking and counting, or waiting for the lock
	Running     State = "running"     //
	Paused      State = "paused"      // a store does not answer
	Stopping    State = "stopping"    // interrupted: what is in flight is being finished
	Complete    State = "complete"    // the end: all is done
	Interrupted State = "interrupted" // the end: the same command goes on
	Failed      State = "failed"      // the end: documents stay behind, or it could not go on
)

// States are all states.
var States = []State{Starting, Running, Paused, Stopping, Complete, Interrupted, Failed}

// Ended says whether the run is over.
func (s State) Ended() bool { return s == Complete || s == Interrupted || s == Failed }

// Healthy says whether the run needs nobody's attention.
func (s State) Healthy() bool { return s != Paused && s != Failed }

// Progress is a run at one moment.
type Progress struct {
	Schema  int    `json:"schema"`
	Version string `json:"version"` // kedge's
	Command string `json:"command"` // migrate, copy, rollback, purge, verify
	// Unit is what is counted: documents, or the files of a registry's storage.
	Unit   string `json:"unit"`
	TaskID int64  `json:"task_id"` // 0 before there is one, and where there is none
	State  State  `json:"state"`
	// Reason says more about the state: why the run is paused, why it failed.
	Reason string `json:"reason"`
	// Phase is what the run is at: a Phase, or that of a registry's migration; "" before
	// it has begun.
	Phase string `json:"phase,omitempty"`
	// CanStart says that Anchore can be started; nil until then.
	CanStart *CanStart `json:"can_start"`
	// Copies tell of a run that copies; nil for others.
	Copies         *Copies   `json:"copies"`
	At             time.Time `json:"at"`
	Began          time.Time `json:"began"`
	ElapsedSeconds float64   `json:"elapsed_seconds"` // of this run
	// RemainingSeconds is how long the rest will take as things are; nil while
	// that is not known.
	RemainingSeconds *float64   `json:"remaining_seconds"`
	Documents        Documents  `json:"documents"`
	Bytes            Bytes      `json:"bytes"`
	Rates            Rates      `json:"rates"`
	Limit            Limit      `json:"limit"`
	Stages           []Stage    `json:"stages"`
	Source           Side       `json:"source"`
	Destination      Side       `json:"destination"`
	Paused           []Outage   `json:"paused"`
	Failures         []Failures `json:"failures"`
	Buckets          []Bucket   `json:"buckets"`
	Sizes            Histogram  `json:"sizes"` // payload bytes as read, of what this run moved

	// passed are the documents by which the pace is told: counted one by one, and
	// sooner than Documents.Done, which grows by whole batches.
	passed int64
}

// Documents are counts of documents (or files). Those over all runs include
// what earlier, interrupted runs of the same migration have done.
type Documents struct {
	Total         int64 `json:"total"`          // what the run is about, over all runs; 0 while it is not known
	Done          int64 `json:"done"`           // moved, skipped or failed, over all runs
	Moved         int64 `json:"moved"`          // over all runs
	Skipped       int64 `json:"skipped"`        // nothing had to be done for them, over all runs
	Failed        int64 `json:"failed"`         // in this run
	WithoutDigest int64 `json:"without_digest"` // moved, and the catalog had no digest to check them by
}

// Bytes are counts of payload bytes. Total and Done are as the catalog counts
// them, Read and Written as the stores hold them.
type Bytes struct {
	Total   int64 `json:"total"`
	Done    int64 `json:"done"`
	Read    int64 `json:"read"`
	Written int64 `json:"written"`
}

// Rates are speeds: now (over some ten seconds), and on average over this run.
type Rates struct {
	DocumentsPerSecond        float64 `json:"documents_per_second"`
	DocumentsPerSecondAverage float64 `json:"documents_per_second_average"`
	BytesPerSecond            float64 `json:"bytes_per_second"` // read
	BytesPerSecondAverage     float64 `json:"bytes_per_second_average"`
}

// Limit names the stage that keeps the run from being faster, and why; both are
// empty where none stands out.
type Limit struct {
	Stage string `json:"stage"`
	Why   string `json:"why"`
}

// Stage is a stage of the pipeline. InFlight and Queued are batches.
type Stage struct {
	Name        string    `json:"name"`
	Workers     int       `json:"workers"`
	InFlight    int64     `json:"in_flight"`
	Queued      int64     `json:"queued"`
	Batches     int64     `json:"batches"`
	Documents   int64     `json:"documents"`
	BusySeconds float64   `json:"busy_seconds"` // summed over the workers
	BusyShare   float64   `json:"busy_share"`   // lately, from 0 to 1
	Latency     Histogram `json:"latency"`      // of batches, in seconds
}

// Side is a store.
type Side struct {
	Driver     string    `json:"driver"`
	InFlight   int64     `json:"in_flight"` // operations
	Workers    int64     `json:"workers"`   // operations in flight at most
	Operations int64     `json:"operations"`
	Errors     int64     `json:"errors"`  // attempts that failed
	Retries    int64     `json:"retries"` // attempts that were made again
	Bytes      int64     `json:"bytes"`   // of payloads read and written there
	Latency    Histogram `json:"latency"` // of attempts, in seconds
	// What the operator allows in a second; 0 is no limit.
	MaxBytesPerSecond      int64   `json:"max_bytes_per_second"`
	MaxOperationsPerSecond float64 `json:"max_operations_per_second"`
}

// Outage is a store that does not answer.
type Outage struct {
	Place  string    `json:"place"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"` // when it is given up
	Reason string    `json:"reason"`
}

// Failures are how many documents failed in this run for one reason.
type Failures struct {
	Class string `json:"class"`
	Count int64  `json:"count"`
}

// Bucket is what this run did for one of Anchore's logical buckets.
type Bucket struct {
	Name         string `json:"name"`
	Documents    int64  `json:"documents"`
	Failed       int64  `json:"failed"`
	BytesRead    int64  `json:"bytes_read"`
	BytesWritten int64  `json:"bytes_written"`
}

// Histogram counts values between bounds: Counts[i] are those up to and with
// Bounds[i] and above the bound before; the last one those above all bounds.
type Histogram struct {
	Bounds []float64 `json:"bounds"`
	Counts []int64   `json:"counts"`
	Count  int64     `json:"count"`
	Sum    float64   `json:"sum"`
}

// Mean is the mean value; ok is false where there is none.
func (h Histogram) Mean() (mean float64, ok bool) {
	if h.Count == 0 {
		return 0, false
	}
	return h.Sum / float64(h.Count), true
}

// Share is how much of the work is done, from 0 to 1: of the bytes where they
// are known, else of the documents.
func (p Progress) Share() float64 {
	switch {
	case p.State == Complete:
		return 1
	case p.Documents.Total == 0:
		return 0
	default:
		return min(1, float64(p.Documents.Done)/float64(p.Documents.Total))
	}
}

// Retries are those of both sides.
func (p Progress) Retries() int64 { return p.Source.Retries + p.Destination.Retries }

// stage gives the stage of that name, an empty one if there is none.
func (p Progress) stage(name string) Stage {
	if i := slices.IndexFunc(p.Stages, func(s Stage) bool { return s.Name == name }); i >= 0 {
		return p.Stages[i]
	}
	return Stage{Name: name}
}
