package pipeline

import (
	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/canary"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/job"
	"github.com/kedge/kedge/pipeline/plan"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/store"
)

// What callers of a migration know these by.
type (
	// Options say what a run does, Job what with documents, Elsewhere what with rows
	// elsewhere.
	Options   = job.Options
	Job       = job.Job
	Elsewhere = job.Elsewhere
	// Start is what is known before the first document moves, Total what the migration is
	// about, Round how a round of a Copy ended, Result how the run did.
	Start  = job.Start
	Total  = job.Total
	Round  = job.Round
	Result = job.Result
	// RefusedError is the refusal to begin: nothing was changed.
	RefusedError = failure.RefusedError
	// GaveUpError says that a store does not do its work. The run can be resumed.
	GaveUpError = failure.GaveUpError
	// LostError says that what is deleted at the source is deleted at the destination, too.
	LostError = canary.LostError
	// SkippedError says that the catalog's index led past rows.
	SkippedError = failure.SkippedError
	// Progress is how far a run has come, Snapshot what it tells at one moment.
	Progress = progress.Progress
	Snapshot = progress.Snapshot
	// What a Snapshot consists of.
	Amount      = progress.Amount
	Rates       = progress.Rates
	StageState  = progress.StageState
	SideState   = progress.SideState
	ClassCount  = progress.ClassCount
	BucketCount = progress.BucketCount
	// Plan is what a migration would do, and what it consists of.
	Plan        = plan.Plan
	PlanResume  = plan.Resume
	PlanCutover = plan.Cutover
	Sample      = plan.Sample
	Share       = plan.Share
	SizeClass   = plan.SizeClass
	// Trust is how it is made sure that copies are still there.
	Trust = copies.Trust
	// Place is a place that rows name, with how many do.
	Place = plan.Place
	// Compression is a store's rule: which payloads are compressed when they are put.
	Compression = forms.Compression
	// Store is a driver opened with one configuration, with its compression rule.
	Store = store.Store
	// FailureGroup is all failures of one class.
	FailureGroup = failure.Group[checkpoint.Failure]
)

// The jobs, what is done about rows elsewhere, and defaults.
const (
	Migrate  = job.Migrate
	Purge    = job.Purge
	Copy     = job.Copy
	Rollback = job.Rollback

	ElsewhereReport = job.ElsewhereReport
	ElsewhereIgnore = job.ElsewhereIgnore
	ElsewhereMove   = job.ElsewhereMove

	DefaultMemoryBytes        = job.DefaultMemoryBytes
	DefaultMaxBackendFailures = job.DefaultMaxBackendFailures
)

// Identity is the identity of the migration that these options describe, for naming its
// checkpoint. It opens nothing.
func Identity(o Options) checkpoint.Identity { return job.Identity(o) }

// RecordIdentity is the identity of the record of copies that these options need.
func RecordIdentity(o Options) checkpoint.Identity { return job.RecordIdentity(o) }

// BackIdentity is that of the record of the other direction.
func BackIdentity(o Options) checkpoint.Identity { return job.BackIdentity(o) }
