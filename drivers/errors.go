package drivers

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Kind sorts errors by what a caller does about them.
type Kind uint8

// The kinds of error.
const (
	// Other is anything not told apart below. It is not retried.
	Other Kind = iota
	// NotFound: there is no such payload.
	NotFound
	// InvalidKey: this backend cannot hold, or cannot tell apart, such a key.
	InvalidKey
	// Corrupt: what arrived is not what was sent (refused by the server, or
	// found by comparing).
	Corrupt
	// TooLarge: longer than the backend, or the request, allows.
	TooLarge
	// Temporary: may succeed if tried again (time-outs, 5xx, SlowDown, a
	// connection that broke).
	Temporary
	// Denied: credentials are wrong or lack a permission.
	Denied
	// Config: the configuration cannot work as it stands (a bucket that is not
	// there, a directory that is no archive).
	Config
	// Full: no room left at the backend.
	Full
	// Down: the backend has not answered for as long as it is waited for. Every
	// further operation of the store fails so. It is not retried.
	Down
	// Untold: there is no such payload, or it may not be read; the backend does
	// not tell which, because the credentials lack the permission to be told.
	// Neither may be concluded.
	Untold
)

// Error is what drivers return: what was being done, to which payload, and what
// went wrong. It never holds a secret.
type Error struct {
	Op   string // get, put, stat, delete, list, sync, open
	URI  string // the payload, or the store's place; "" where neither applies
	Kind Kind
	// RetryAfter is what the server asked for, 0 if it did not.
	RetryAfter time.Duration
	// Mend says what the operator can do about it, in one phrase; may be "".
	Mend string
	Err  error
}

// Error gives one line: "put s3://bucket/key: access denied (mend)". A URI with
// control characters is quoted.
func (e *Error) Error() string {
	s := e.Op
	switch {
	case strings.ContainsFunc(e.URI, unicode.IsControl):
		s += " " + strconv.Quote(e.URI)
	case e.URI != "":
		s += " " + e.URI
	}
	s += ": " + e.Err.Error()
	if e.Mend != "" {
		s += " (" + e.Mend + ")"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf tells the kind of the outermost *Error in err's chain; Other for an
// error without one, for nil, and for a cancelled context, which is nobody's
// fault.
func KindOf(err error) Kind {
	if err == nil || errors.Is(err, context.Canceled) {
		return Other
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Other
}
