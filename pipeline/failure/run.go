package failure

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kedge/kedge/drivers"
)

// RefusedError is the refusal to begin: nothing was changed.
type RefusedError struct{ Reason string }

// Error gives the reason.
func (e *RefusedError) Error() string { return e.Reason }

// Refused refuses to begin, for a reason that is put together as by fmt.Sprintf.
func Refused(format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...)}
}

// GaveUpError says that a store failed too often in a row, or that it has not
// answered for as long as it is waited for. The run can be resumed.
type GaveUpError struct {
	Failures int
	Last     string
	// Outage is set for a store that does not answer. What was in flight then is
	// taken up by the next run.
	Outage *drivers.Outage
}

// Error gives the last failure.
func (e *GaveUpError) Error() string {
	if e.Outage != nil {
		return fmt.Sprintf("gave up: %s has not answered for %s; the last: %s", e.Outage.Place, e.Outage.Until.Sub(e.Outage.Since).Round(time.Millisecond), e.Last)
	}
	return fmt.Sprintf("gave up after %d documents in a row failed because a store does not do its work; the last: %s", e.Failures, e.Last)
}

// SkippedError says that rows are in the catalog that were not found in its order: its
// index is damaged. The run can be resumed.
type SkippedError struct{ Rows int64 }

// Error tells the mend.
func (e *SkippedError) Error() string {
	return fmt.Sprintf("the index of archive_metadata is damaged, as after an upgrade that changed how text sorts (of glibc or ICU): "+
		"%d rows were not found by it (REINDEX TABLE archive_metadata, and run the same command again)", e.Rows)
}

// ErrStalled ends a run that was asked to stop while a store does not answer:
// what is in flight is taken up by the next run.
var ErrStalled = fmt.Errorf("a store does not answer: stopped without finishing what was in flight: %w", context.Canceled)

// DefaultMost is how many documents in a row may fail by default.
const DefaultMost = 200

// Streak counts documents that failed in a row for what may be their store's
// fault rather than their own: a store that fails document after document is down,
// and the run gives up instead of failing them all. Safe for concurrent use.
type Streak struct {
	mu    sync.Mutex
	count int
}

// Ended takes in that so many documents failed one after the other because of
// their store, the last of them for this reason; 0 says that one did not. When there
// are most of them or more in a row, it returns a GaveUpError.
func (s *Streak) Ended(failed, most int, last string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed == 0 {
		s.count = 0
		return nil
	}
	if s.count += failed; s.count < most {
		return nil
	}
	return &GaveUpError{Failures: s.count, Last: last}
}
