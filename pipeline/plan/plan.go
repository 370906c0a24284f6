package plan

import (
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
)

// Plan is what a migration would do, as the rows of the catalog tell it, and
// what was measured for it. Nothing was changed to find that out.
type Plan struct {
	// Move is what would be moved, but for payloads that prove to be missing or
	// broken when they are read.
	Move progress.Amount
	// UnknownLength counts the documents in Move whose length neither the row
	// tells nor the source was asked for; they count as no bytes.
	UnknownLength int64
	// Stay groups the documents that would stay where they are, most frequent
	// first, and Staying counts them.
	Stay    []failure.Group[checkpoint.Failure]
	Staying int64
	// UncheckedNames says that too many documents have unusual names for all of
	// them to be looked at for places that they would have to share.
	UncheckedNames bool
	// Buckets and Users share out all of these documents; at most so many by name
	// as maxPlanBuckets and PlanUsers say, the rest in one more Share of no name.
	Buckets, Users []Share
	// UserCount counts the users; at least so many, where UsersUncounted.
	UserCount      int64
	UsersUncounted bool
	// Sizes shares out Move by the length of the payloads.
	Sizes []SizeClass
	// NoDigest counts the documents in Move whose row has no digest.
	NoDigest int64
	Forms    Forms
	// Elsewhere names the places of rows that the migration would not touch.
	Elsewhere []Place
	// Resume is how far an interrupted migration of this kind has come; nil
	// without one.
	Resume *Resume
	// Cutover is what the migration comes to with the record of copies; nil where there
	// is none, or where it is another's.
	Cutover *Cutover
	// Held is who holds the migration lock, nil if nobody does. CheckpointInUse
	// says that a run has the checkpoint open, so that Resume is not known.
	Held            *catalog.HeldError
	CheckpointInUse bool
	// Volatile are the places that may not keep what they are given, for which a
	// migration refuses to delete sources.
	Volatile []failure.Volatile
	Sample   Sample
	// Interrupted says that the plan was stopped before it was complete.
	Interrupted bool
}

// Forms says what would become of payloads on the way.
type Forms struct {
	// Compress: stored plain, and compressed at the destination.
	Compress progress.Amount
	// Decompress: stored compressed, and plain at the destination.
	Decompress progress.Amount
	// Pass: the same bytes at the destination.
	Pass progress.Amount
	// Undecided: stored compressed, and the destination's rule depends on the
	// length of the plain document, which only the payload tells; or the length
	// is not known.
	Undecided progress.Amount
}

// Cutover is what a migration comes to where documents were copied before.
type Cutover struct {
	// Copied are the documents whose rows are as the record of copies has them, Rest
	// the others, which would be moved.
	Copied int64
	Rest   progress.Amount
	// RowsPerSecond is how many of the first a second would be committed, and Took how
	// long all would take until Anchore can be started; 0 and negative where that is
	// not known.
	RowsPerSecond float64
	Took          time.Duration
}

// Resume is what a checkpoint says of the migration that it belongs to.
type Resume struct {
	TaskID int64
	// Documents is what that migration was about, Moved how many of them it has
	// moved, InFlight how many of the others it had begun.
	Documents, Moved, InFlight int64
	// Failed counts what had failed, by class.
	Failed map[string]int64
	// Finished says that it had come to its end: the next run tries the failed
	// documents again, in a new task.
	Finished bool
	// Forgotten says that the database does not know its task any more, so that
	// the next run begins anew.
	Forgotten bool
}
