package pipeline

import (
	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/failure"
)

// What callers of a migration know these by.
type (
	// RefusedError is the refusal to begin: nothing was changed.
	RefusedError = failure.RefusedError
	// GaveUpError says that a store does not do its work. The run can be resumed.
	GaveUpError = failure.GaveUpError
	// FailureGroup is all failures of one class.
	FailureGroup = failure.Group[checkpoint.Failure]
)

// ErrStalled ends a run that was asked to stop while a store does not answer.
var ErrStalled = failure.ErrStalled
