package anchore

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// cutPatience is how long a statement is begun again when its connection breaks:
// a pool may hand out many that a proxy or a fail-over has cut, and what comes
// instead may be cut as well. It is a time, not a number of attempts: how many
// connections break in it says nothing about the database.
const cutPatience = 10 * time.Second

// The second attempt waits cutWait, each further one twice as long as the one
// before, up to cutWaitMost.
const (
	cutWait     = 100 * time.Millisecond
	cutWaitMost = time.Second
)

// again runs a statement, and once more where its connection broke: a lost
// connection is no reason to end a migration of many hours. It is for reads, and
// for what may be done twice. Without the session that holds the lock there is no
// going on, but that is looked after elsewhere and ends ctx.
func again[T any](ctx context.Context, statement func() (T, error)) (T, error) {
	until := time.Now().Add(cutPatience)
	for wait := cutWait; ; wait = min(2*wait, cutWaitMost) {
		result, err := statement()
		if err == nil || !brokenOff(err) || time.Now().Add(wait).After(until) {
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
