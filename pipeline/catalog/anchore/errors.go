package anchore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// plain is an error in our own words. What caused it stays in the chain, for
// errors.Is and errors.As, and out of the text.
type plain struct {
	text  string
	cause error
}

func (e *plain) Error() string { return e.text }
func (e *plain) Unwrap() error { return e.cause }

// describe tells in one line why the database cannot be used. The connection
// attempt itself, which holds the password, is taken out of the chain.
func describe(err error, c *pgx.ConnConfig) error {
	if attempt := (*pgconn.ConnectError)(nil); errors.As(err, &attempt) {
		err = attempt.Unwrap()
	}
	at := strings.Join(addresses(c), ", ")
	if errors.Is(err, context.Canceled) {
		return &plain{"connecting to the database at " + at + ": " + context.Canceled.Error(), err}
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return &plain{"cannot reach the database at " + at + ": " + rootCause(err), err}
	}
	switch {
	case strings.HasPrefix(refused.Code, "28"):
		return &plain{fmt.Sprintf("the database at %s refuses user %q: %s", at, c.User, oneLine(refused.Message)), err}
	case refused.Code == "3D000":
		return &plain{fmt.Sprintf("the database server at %s has no database %q", at, c.Database), err}
	default:
		return &plain{"the database at " + at + " answers: " + oneLine(refused.Message) + " (SQLSTATE " + refused.Code + ")", err}
	}
}

// rootCause is the shortest true text of a network error.
func rootCause(err error) string {
	if cause := tlsCause(err); cause != "" {
		return cause
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return oneLine(op.Error())
	}
	if pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return oneLine(err.Error())
}

func oneLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(line)
}

// worthRetrying says whether connecting may succeed a little later: nobody
// answers, or a server that is starting, stopping or crowded does.
func worthRetrying(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return strings.HasPrefix(e.Code, "57P") || strings.HasPrefix(e.Code, "08") || e.Code == "53300"
	}
	return errors.As(err, new(*net.OpError)) || pgconn.Timeout(err)
}

// failed says what was being done when the database failed, in one line.
func failed(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if attempt := (*pgconn.ConnectError)(nil); errors.As(err, &attempt) {
		err = attempt.Unwrap()
	}
	text := oneLine(err.Error())
	if cause := ctx.Err(); cause != nil {
		if !errors.Is(err, cause) {
			err = errors.Join(cause, err)
		}
		text = cause.Error()
	}
	return &plain{doing + ": " + text, err}
}

// RefusesPassword says whether an error of Open is the server's refusal of the
// password, or of the user with it.
func RefusesPassword(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "28P01"
}
