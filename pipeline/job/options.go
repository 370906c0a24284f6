package job

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/store"
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

// Job is what a run does with the documents of its selection.
type Job uint8

// The jobs.
const (
	// Migrate moves them. Where there is a record of copies it is a cutover: it takes
	// what the record proves as it is, changes all rows first, and deletes sources
	// afterwards.
	Migrate Job = iota
	// Purge moves nothing: it deletes at the source what an earlier migration with
	// KeepSource has left, of documents whose rows name the destination and whose
	// bytes the destination proves now. With KeepSource it only looks what there is to
	// delete.
	Purge
	// Copy puts and proves them at the destination, while they stay where they are and
	// Anchore's services go on. The record of copies says which are there.
	Copy
	// Rollback moves them back to the store that they came from: Source is the new
	// store, Destination the old one. What the record of the migration proves to be
	// there still is taken as it is. No payload is deleted.
	Rollback
)

// Options say what a run does. Source, Destination and Catalog are the
// caller's to close.
type Options struct {
	Job                 Job
	Source, Destination store.Store
	Catalog             catalog.Catalog
	// Checkpoint is the path of the checkpoint file.
	Checkpoint string
	// Record is the path of the record of copies (RecordIdentity). Migrate makes one
	// where it keeps sources, and uses one that is there; Copy and Rollback need it.
	// "" is none.
	Record string
	// RecordBack is the path of the record of the other direction, if there is one: a run
	// that deletes sources tells it that what it knows as copies may be gone. "" is none.
	RecordBack string
	// Trust is how a migration or a rollback makes sure that the copies of the record
	// are still there; "" is the strongest way that takes under a minute per million.
	Trust copies.Trust
	// FollowEvery has a Copy go on until it is stopped, with so long between two looks
	// at the catalog; 0 is one round.
	FollowEvery time.Duration
	// Buckets keeps the migration to these logical buckets; all when empty.
	Buckets []string
	// KeepSource leaves the payloads at the source (--nodelete).
	KeepSource bool
	Elsewhere  Elsewhere
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
	// WatchDeletions is for how long after the first deletion of a source the destination is
	// asked at least for what was deleted, before the run ends (canary.Options.Patience).
	WatchDeletions time.Duration
	// WaitForLock waits for the migration lock instead of failing.
	WaitForLock bool
	Log         *slog.Logger
	// Started, if set, is called when the first document is about to be moved.
	Started func(Start)
	// Counted, if set, is called when it is known what the migration is about,
	// perhaps while documents are moved already.
	Counted func(Total)
	// Startable, if set, is called when no row needs changing any more, so that
	// Anchore's services may run while sources are being deleted: with the documents
	// that stay behind, and how many sources are still to be deleted.
	Startable func(failed, sources int64)
	// RoundBegan, if set, is called when a round of a Copy begins, once it has the lock;
	// Round when it has ended, also where it was cut short.
	RoundBegan func(number int64)
	Round      func(Round)
	// Report, if set, is called with the progress every ReportEvery, two seconds
	// if that is 0.
	Report      func(progress.Snapshot)
	ReportEvery time.Duration
	// Progress, if set, can be asked at any time how far the run has come.
	Progress *progress.Progress
}

// WithDefaults gives the options with what is left open filled in.
func (o Options) WithDefaults() Options {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = DefaultMemoryBytes
	}
	if o.MaxBackendFailures == 0 {
		o.MaxBackendFailures = DefaultMaxBackendFailures
	}
	if o.Job == Copy || o.Job == Rollback {
		o.KeepSource = true
	}
	if o.Elsewhere == "" {
		o.Elsewhere = ElsewhereReport
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = new(progress.Progress)
	}
	return o
}

// Identity is the identity of the migration that these options describe, for
// naming its checkpoint. It opens nothing. It tells a migration from others: same
// catalog, places, filters and treatment of the source.
func Identity(o Options) checkpoint.Identity {
	buckets := slices.Clone(o.Buckets)
	slices.Sort(buckets)
	buckets = slices.Compact(buckets)
	description := fmt.Sprintf("%s -> %s of %s", o.Source.Place(), o.Destination.Place(), o.Catalog.Place())
	switch o.Job {
	case Purge:
		description = "purge of " + description
	case Copy:
		description = "copying of " + description
	case Rollback:
		description = "rollback of " + description
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

// RecordIdentity is the identity of the record of copies that these options need: it is
// one for all runs between two places of a catalog, in both directions.
func RecordIdentity(o Options) checkpoint.Identity {
	if o.Job == Rollback {
		return recordIdentity(o.Destination, o.Source, o.Catalog)
	}
	return recordIdentity(o.Source, o.Destination, o.Catalog)
}

// BackIdentity is that of the record of the other direction.
func BackIdentity(o Options) checkpoint.Identity {
	o.Source, o.Destination = o.Destination, o.Source
	return RecordIdentity(o)
}

func recordIdentity(from, to store.Store, of catalog.Catalog) checkpoint.Identity {
	return checkpoint.Identify(fmt.Sprintf("copies of %s at %s, of %s", from.Place(), to.Place(), of.Place()))
}
