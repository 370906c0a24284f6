package anchore

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// attempts is how often a statement is begun when its connection breaks: a pool
// may hand out several that a proxy or a fail-over has cut.
const attempts = 5

// attemptWait is how long the second attempt waits; each further one waits twice
// as long as the one before.
const attemptWait = 100 * time.Millisecond

// again runs a statement, and once more where its connection broke: one lost
// connection is no reason to end a migration of many hours. It is for reads, and
// for what may be done twice. Without the session that holds the lock there is no
// going on, but that is looked after elsewhere and ends ctx.
func again[T any](ctx context.Context, statement func() (T, error)) (T, error) {
	for attempt, wait := 1, attemptWait; ; attempt, wait = attempt+1, 2*wait {
		result, err := statement()
		if err == nil || attempt == attempts || !brokenOff(err) {
			return result, err
		}
		select {
		case <-ctx.Done():
			return result, err
		case <-time.After(wait):
		}
	}
}

// brokenOff says whether a statement ended because its connection did. A server
// that was silent for too long has had its patience.
func brokenOff(err error) bool {
	if pgconn.Timeout(err) {
		return false
	}
	return worthRetrying(err) || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
