package httpstore

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
)

var (
	// ErrNoLength: an answer that is to be a payload does not tell its length.
	ErrNoLength = errors.New("the server did not tell the object's length")
	// ErrStalled: the server fell silent within a payload.
	ErrStalled = errors.New("the server stopped sending")
)

// Verdict is what an error means to the caller.
type Verdict struct {
	Kind drivers.Kind
	Text string // one line; "" for the server's own words
	Mend string // what the operator can do about it, "" for nothing
}

// Error is the error that a driver returns for what a client library or a
// connection has reported. Its text holds none of the secrets, should a server
// have echoed them.
func (v Verdict) Error(op, uri string, err error, secrets []string) *drivers.Error {
	text := OneLine(v.Text)
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return &drivers.Error{Op: op, URI: uri, Kind: v.Kind, Mend: v.Mend, Err: Told(text, err)}
}

// failure is a cause told in one short line; what it unwraps to is a client
// library's chain, which is neither.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

// Told is err, told in these words.
func Told(text string, err error) error { return &failure{text, err} }

// Adding is an error with more words behind it, as about what stays behind.
func Adding(failed *drivers.Error, more string) *drivers.Error {
	longer := *failed
	longer.Err = Told(failed.Err.Error()+more, failed.Err)
	return &longer
}

// InPlaceOf is the error of another operation that stands in for op.
func InPlaceOf(op string, err error) error {
	failed, ok := errors.AsType[*drivers.Error](err)
	if !ok {
		return err
	}
	other := *failed
	other.Op = op
	return &other
}

// JudgeStatus sorts an answer by its HTTP status, as far as that means the same
// to all servers; Other for the rest. elsewhere is what to check where a server
// sends the request on.
func JudgeStatus(status int, elsewhere string) Verdict {
	switch {
	case status == http.StatusInsufficientStorage:
		return Verdict{Kind: drivers.Full, Text: "the server's storage is full"}
	case status == http.StatusRequestEntityTooLarge:
		return Verdict{Kind: drivers.TooLarge, Text: "larger than the server takes"}
	case Passes(status):
		return Verdict{Kind: drivers.Temporary}
	case status >= 300 && status < 400:
		return Verdict{drivers.Config, "the server sends the request on to another address", elsewhere}
	}
	return Verdict{}
}

// statusClosedRequest is nginx's, MinIO's and Swift's word for a request that was
// broken off; MinIO answers so to all that are under way when it is shut down.
const statusClosedRequest = 499

// Passes says whether a second attempt may get another answer than one of this
// HTTP status.
func Passes(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, statusClosedRequest:
		return true
	}
	return status >= 500 && status != http.StatusNotImplemented
}

// RetryAfter reads a Retry-After header: seconds, or a date; 0 for none. It is an
// hour at most: a longer wait is no retry.
func RetryAfter(value string, now time.Time) time.Duration {
	const most = time.Hour
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, most)
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), most)
	}
	return 0
}

// Innermost is the text of the last error in a chain, which is the one that says
// what happened; those around it say where in a client library.
func Innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

const maxMessageBytes = 300

// OneLine keeps a server's message from breaking or flooding a report.
func OneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxMessageBytes {
		text = strings.ToValidUTF8(text[:maxMessageBytes], "") + "…"
	}
	return text
}
