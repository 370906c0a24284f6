// Package ending has the errors by which a command says how it ended, where that
// is neither done nor failed. The program turns them into its exit status.
package ending

import (
	"errors"
	"fmt"
)

type (
	interrupted struct{ error }
	incomplete  struct{ error }
)

func (e *interrupted) Unwrap() error { return e.error }
func (e *incomplete) Unwrap() error  { return e.error }

// Interrupted says that the run was interrupted and can be resumed.
func Interrupted(format string, args ...any) error {
	return &interrupted{fmt.Errorf(format, args...)}
}

// Incomplete says that the command ran, and that documents stayed behind or that it
// could not go on.
func Incomplete(format string, args ...any) error {
	return &incomplete{fmt.Errorf(format, args...)}
}

// IsInterrupted says whether err is from Interrupted.
func IsInterrupted(err error) bool {
	var e *interrupted
	return errors.As(err, &e)
}

// IsIncomplete says whether err is from Incomplete.
func IsIncomplete(err error) bool {
	var e *incomplete
	return errors.As(err, &e)
}
