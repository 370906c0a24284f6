package job

import (
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/plan"
)

// Start is what is known before the first document moves.
type Start struct {
	TaskID     int64
	Resumed    bool
	Checkpoint string
	// Documents is what the migration is about, over all its runs, as far as
	// earlier runs have counted it; Moved is what they did.
	Documents, Moved int64
	// Copies are how many documents the record of copies has, of the selection or not.
	Copies int64
}

// Round is how a round of a Copy ended.
type Round struct {
	Number int64
	// CutShort: it has not looked at all that it was to look at, and does not count.
	CutShort bool
	// Copied are the documents that this round copied, Changed those that were changed
	// or removed while they were copied, which the next round looks at, Failed the
	// others that could not be copied.
	Copied, Changed, Failed int64
	// Unchanged are those that it found copied already.
	Unchanged int64
	// Copies are all that the record has now; Rest are the rows that have none, and
	// move at the cutover.
	Copies, Rest int64
	// BytesRead and BytesWritten are those of the payloads that this round copied.
	BytesRead, BytesWritten int64
	// RowsPerSecond is how many copied documents a second a cutover would commit, and
	// Cutover how long it would take now until Anchore can be started, with the rest
	// moved at this run's pace. Both are measured; 0, and negative, where they are not
	// known.
	RowsPerSecond float64
	Cutover       time.Duration
	// What the services have changed since Began is not copied yet.
	Began, Ended time.Time
}

// Total is what the migration is about.
type Total struct {
	TaskID int64
	// Documents is over all runs of the migration; Bytes, as stored, is of what is
	// left to be moved.
	Documents, Bytes int64
	// Elsewhere names the places of rows that the migration does not touch.
	Elsewhere []plan.Place
}

// Result is how a run ended.
type Result struct {
	TaskID  int64
	Resumed bool
	// State is what the task's row says in the end: complete, failed, or
	// pending when the run was interrupted.
	State       catalog.TaskState
	Interrupted bool
	// Documents is what the migration is about, as it was at its start; 0 where
	// the run was ended before it was counted.
	Documents int64
	// Counts are over all runs of the migration, Before those of earlier ones.
	Counts, Before checkpoint.Counts
	// Failures groups the documents that stay behind, most frequent first.
	Failures []failure.Group[checkpoint.Failure]
	Failed   int64
	// Left groups the documents that this run has moved, and whose sources are not
	// kedge's to delete: they are left for good, which is told this once.
	Left []failure.Group[checkpoint.Failure]
	// CopiesDoubted are the copies of the record that the destination did not show any
	// more when the run began.
	CopiesDoubted int64
	// Elsewhere names the places of rows that the migration did not touch.
	Elsewhere []plan.Place
	// Round is the last round of a Copy, also one that was cut short.
	Round Round
	// CopiedBefore counts the documents that this run has moved without a payload, because
	// the record of copies had them. Removed counts the copies of documents that are gone,
	// which this run has removed.
	CopiedBefore, Removed int64
	// Record is the path of the record of copies where it is kept.
	Record string
	// Checkpoint is the path of the checkpoint where it is kept.
	Checkpoint   string
	Began, Ended time.Time
}
