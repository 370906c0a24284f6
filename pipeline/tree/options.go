package tree

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/failure"
)

// Store is a store of a tree of files.
type Store interface {
	drivers.Driver
	drivers.Tree
}

// Options say what a migration does. The stores are the caller's to close.
type Options struct {
	Source, Destination Store
	// Checkpoint is the path of the state file. It is worth keeping after a run
	// with KeepSource: what is known to be proved need not be read again.
	Checkpoint string
	// Repositories keeps the migration to these repositories and the blobs that
	// they need; all when empty.
	Repositories []string
	// Uploads moves uploads that were never finished too.
	Uploads bool
	// KeepSource leaves everything at the source (--nodelete).
	KeepSource bool
	// ReadBack reads every file back from the destination, whatever that proves
	// by itself.
	ReadBack bool
	// MemoryBytes bounds the payload bytes held at once; 0 is the default.
	MemoryBytes int64
	// Workers is how many files are in work at once; 0 leaves it to the drivers.
	Workers int
	// MaxBackendFailures is how many files in a row may fail because a store does
	// not do its work before the run gives up; 0 is the default.
	MaxBackendFailures int
	// AllowVolatile empties the source also where the destination may not keep what
	// it is given.
	AllowVolatile bool
	// WatchDeletions is as for documents (canary.Options.Patience).
	WatchDeletions time.Duration
	Log            *slog.Logger
	// Started, if set, is called before the first file is moved.
	Started func(Start)
	// Report, if set, is called every two seconds with the progress.
	Report func(Snapshot)
}

func (o Options) withDefaults() Options {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = concurrency.DefaultMemoryBytes
	}
	if o.MaxBackendFailures == 0 {
		o.MaxBackendFailures = failure.DefaultMost
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Identity is the identity of the migration that these options describe, for
// naming its checkpoint. Runs with and without KeepSource are one migration, so
// that the last one builds on what those before have proved.
func Identity(o Options) checkpoint.Identity {
	description := fmt.Sprintf("registry %s -> %s", o.Source.Place(), o.Destination.Place())
	if len(o.Repositories) > 0 {
		description += fmt.Sprintf(", repositories %q", slices.Compact(slices.Sorted(slices.Values(o.Repositories))))
	}
	if o.Uploads {
		description += ", with uploads"
	}
	return checkpoint.Identify(description)
}

// Start is what is known before the first file is moved.
type Start struct {
	Pass       int64
	Resumed    bool
	Checkpoint string
	Counts     Counts
}

// Counts are what a pass has done so far, over all its runs. Bytes are of file
// contents.
type Counts struct {
	Blobs        int64 `json:"blobs"`         // blobs that the destination holds
	Links        int64 `json:"links"`         // links that it holds
	Others       int64 `json:"others"`        // files of no known kind that it holds
	AlreadyThere int64 `json:"already_there"` // of all these, how many it held before
	BytesRead    int64 `json:"bytes_read"`    // at the source
	BytesWritten int64 `json:"bytes_written"` // at the destination
	Dangling     int64 `json:"dangling"`      // layer and history links to blobs that the source does not have
	Uploads      int64 `json:"uploads"`       // files of unfinished uploads that were left out
	Extra        int64 `json:"extra"`         // files at the destination that the source does not have
	Deleted      int64 `json:"deleted"`       // at the source
}

// Moved is how many files the destination holds.
func (c Counts) Moved() int64 { return c.Blobs + c.Links + c.Others }

func (c *Counts) add(o Counts) {
	c.Blobs += o.Blobs
	c.Links += o.Links
	c.Others += o.Others
	c.AlreadyThere += o.AlreadyThere
	c.BytesRead += o.BytesRead
	c.BytesWritten += o.BytesWritten
	c.Dangling += o.Dangling
	c.Uploads += o.Uploads
	c.Extra += o.Extra
	c.Deleted += o.Deleted
}

// Snapshot is the progress at one moment.
type Snapshot struct {
	Phase string
	// Files is what there is to move; 0 while that is not known yet.
	Files  int64
	Counts Counts
	Failed int64
	// Paused are the stores that the run waits for at the moment.
	Paused []drivers.Outage
}

// Result is how a run ended.
type Result struct {
	Pass        int64
	Resumed     bool
	Interrupted bool
	// Complete: everything was moved, and the source emptied unless it was to be
	// kept.
	Complete bool
	// SourceKept: nothing was deleted because of what failed.
	SourceKept bool
	Files      int64
	Counts     Counts
	// Failures groups the files that stay behind, most frequent first.
	Failures []FailureGroup
	Failed   int64
	// Checkpoint is the path of the state file where it is kept.
	Checkpoint   string
	Began, Ended time.Time
}

// FailureGroup is all failures of one class.
type FailureGroup = failure.Group[Failure]

// Failure is a file that was not moved, or whose source was not deleted.
type Failure struct {
	Path   string `json:"path"`
	Class  string `json:"class"`
	Reason string `json:"reason"`
}

// The classes of failures that only trees have, beside those of package failure.
const (
	ClassBlobNotMoved = "blob-not-moved"    // a link whose blob failed
	ClassDangling     = "dangling-link"     // a link whose blob is not there
	ClassBadLink      = "bad-link"          // a link that holds no digest
	ClassChanged      = "changed-meanwhile" // the source was written to during the run
)
