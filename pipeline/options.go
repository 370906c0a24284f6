package pipeline

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
)

// Elsewhere says what is done about rows of the source's scheme that lie
// neither in the source's place nor in the destination's.
type Elsewhere string

// What is done about rows elsewhere.
const (
	ElsewhereReport Elsewhere = "report" // left, named, and the run counts as failed
	ElsewhereIgnore Elsewhere = "ignore" // left and named
	ElsewhereMove   Elsewhere = "move"   // moved too
)

// Defaults of Options.
const (
	DefaultMemoryBytes        = concurrency.DefaultMemoryBytes
	DefaultMaxBackendFailures = failure.DefaultMost
)

// Options say what a migration does. Source, Destination and Catalog are the
// caller's to close.
type Options struct {
	Source, Destination Store
	Catalog             catalog.Catalog
	// Checkpoint is the path of the checkpoint file.
	Checkpoint string
	// Buckets keeps the migration to these logical buckets; all when empty.
	Buckets []string
	// KeepSource leaves the payloads at the source (--nodelete).
	KeepSource bool
	// Purge moves nothing: it deletes at the source what an earlier migration
	// with KeepSource has left, of documents whose rows name the destination
	// and whose bytes the destination proves now. With KeepSource it only looks
	// what there is to delete.
	Purge     bool
	Elsewhere Elsewhere
	// Beside are the prefixes of other stores that the installation is going to
	// have: rows that name places there are where they should be, and not elsewhere.
	Beside []string
	// MoveUnreadable moves documents also to a URI that Anchore cannot read
	// back (drivers.ReadableByAnchore).
	MoveUnreadable bool
	// ReadBack verifies every put by reading the payload back, whatever the
	// destination proves by itself.
	ReadBack bool
	// MemoryBytes bounds the payload bytes held at once; 0 is the default.
	MemoryBytes int64
	// Workers is how many operations each side has in flight. 0 begins with what
	// suits the drivers and finds out what is best.
	Workers int
	// MaxBackendFailures is how many documents in a row may fail because a
	// store does not do its work before the run gives up; 0 is the default.
	MaxBackendFailures int
	// AllowVolatile deletes sources also where the destination or the catalog may
	// not keep what they are given.
	AllowVolatile bool
	// WaitForLock waits for the migration lock instead of failing.
	WaitForLock bool
	Log         *slog.Logger
	// Started, if set, is called when the first document is about to be moved.
	Started func(Start)
	// Counted, if set, is called when it is known what the migration is about,
	// perhaps while documents are moved already.
	Counted func(Total)
	// Report, if set, is called with the progress every ReportEvery, two seconds
	// if that is 0.
	Report      func(Snapshot)
	ReportEvery time.Duration
	// Progress, if set, can be asked at any time how far the run has come.
	Progress *Progress
}

func (o Options) withDefaults() Options {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = DefaultMemoryBytes
	}
	if o.MaxBackendFailures == 0 {
		o.MaxBackendFailures = DefaultMaxBackendFailures
	}
	if o.Elsewhere == "" {
		o.Elsewhere = ElsewhereReport
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	return o
}

// Start is what is known before the first document moves.
type Start struct {
	TaskID     int64
	Resumed    bool
	Checkpoint string
	// Documents is what the migration is about, over all its runs, as far as
	// earlier runs have counted it; Moved is what they did.
	Documents, Moved int64
}

// Total is what the migration is about.
type Total struct {
	TaskID int64
	// Documents is over all runs of the migration; Bytes, as stored, is of what is
	// left to be moved.
	Documents, Bytes int64
	// Elsewhere names the places of rows that the migration does not touch.
	Elsewhere []Place
}

// Identity is the identity of the migration that these options describe, for
// naming its checkpoint. It opens nothing. It tells a migration from others: same
// catalog, places, filters and treatment of the source.
func Identity(o Options) checkpoint.Identity {
	buckets := slices.Clone(o.Buckets)
	slices.Sort(buckets)
	buckets = slices.Compact(buckets)
	description := fmt.Sprintf("%s -> %s of %s", o.Source.Place(), o.Destination.Place(), o.Catalog.Place())
	if o.Purge {
		description = "purge of " + description
	}
	if len(buckets) > 0 {
		description += fmt.Sprintf(", buckets %q", buckets)
	}
	if o.KeepSource {
		description += ", --nodelete"
	}
	if o.Elsewhere == ElsewhereMove {
		description += ", --elsewhere=move"
	}
	return checkpoint.Identify(description)
}
