package decorator

import (
	"context"
	"errors"
	"time"

	"github.com/kedge/kedge/drivers"
)

// heldError is the failure of an operation that was held back.
type heldError struct {
	error
	held time.Duration
}

// Unwrap gives the failure.
func (e *heldError) Unwrap() error { return e.error }

// Held is for how long.
func (e *heldError) Held() time.Duration { return e.held }

// Hold adds to a failure for how long its operation was held back here, so that
// this time is not counted against it. No failure stays none.
func Hold(err error, held time.Duration) error {
	if err == nil || held <= 0 {
		return err
	}
	return &heldError{err, held + Held(err)}
}

// Held is for how long an operation was held back before it failed.
func Held(err error) time.Duration {
	var h interface{ Held() time.Duration }
	if errors.As(err, &h) {
		return h.Held()
	}
	return 0
}

// RetryAfter is what the server asked to be left alone for.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*drivers.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// Doubled is first, doubled so many times, but at most longest.
func Doubled(first, longest time.Duration, times int) time.Duration {
	if times < 32 && first < longest>>times {
		return first << times
	}
	return longest
}

// Sleep waits, until ctx has ended at the most, and then returns its error.
func Sleep(ctx context.Context, wait time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
