package swift

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
)

var errStalled = errors.New("the server stopped sending")

// failure is a cause told in one short line; what it unwraps to is the chain
// below, which is neither.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

// verdict is what an error means to the caller.
type verdict struct {
	kind drivers.Kind
	text string // "" for the server's own words
	mend string
}

// fail makes of what the library or a connection reported the error that a
// driver returns. A *drivers.Error is passed on.
func (s *Store) fail(op, uri string, err error) *drivers.Error {
	var done *drivers.Error
	if errors.As(err, &done) {
		return done
	}
	v := s.judge(op, err)
	if v.text == "" {
		v.text = err.Error()
	}
	failed := &drivers.Error{
		Op: op, URI: uri, Kind: v.kind, Mend: v.mend,
		Err: &failure{text: s.redact(oneLine(v.text)), err: err},
	}
	var answer *answerError
	if errors.As(err, &answer) {
		failed.RetryAfter = retryAfter(answer.retryAfter, time.Now())
	}
	return failed
}

func (s *Store) judge(op string, err error) verdict {
	var (
		answer *answerError
		auth   *authError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return verdict{text: "cancelled"}
	case errors.As(err, &auth):
		return s.judgeAuth(auth)
	case errors.As(err, &answer):
		return s.judgeAnswer(op, answer)
	default:
		return s.judgeConnection(err)
	}
}

// judgeAuth sorts failures to get a token.
func (s *Store) judgeAuth(err *authError) verdict {
	where := "the identity service at " + s.method.url
	switch status := err.status; {
	case errors.Is(err, errFixedToken):
		return verdict{drivers.Denied, err.Error(), "renew os_auth_token, or give credentials in its place"}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return verdict{drivers.Denied, where + " refuses the credentials", s.method.mend}
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return verdict{kind: drivers.Temporary, text: where + " answered " + strconv.Itoa(status)}
	case status == http.StatusBadRequest:
		return verdict{drivers.Config, where + " does not understand the request: " + oneLine(err.Error()), s.method.mend}
	case status != 0:
		return verdict{drivers.Config, where + " answered " + strconv.Itoa(status), "check " + s.method.urlKey + " and auth_version"}
	case strings.Contains(err.Error(), "storage url and auth token"):
		return verdict{drivers.Config, where + " names no object store for this project and region", "check os_region_name, os_endpoint_type and the project"}
	default:
		return verdict{drivers.Config, where + " did not answer as one: " + innermost(err.err), "check " + s.method.urlKey + " and auth_version"}
	}
}

// judgeConnection tells failures below HTTP. A certificate that does not verify
// will not verify the next time either.
func (s *Store) judgeConnection(err error) verdict {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		op          *net.OpError
		dns         *net.DNSError
		viaURL      *url.Error
		temporary   interface{ Timeout() bool }
	)
	cannot := "cannot reach Swift: "
	if errors.As(err, &viaURL) {
		cannot = "cannot reach " + publicURL(viaURL.URL) + ": "
	}
	switch {
	case errors.As(err, &certificate), errors.As(err, &authority), errors.As(err, &hostname):
		return verdict{drivers.Config, cannot + innermost(err), "name the authority's certificate in os_cacert"}
	case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return verdict{drivers.Config, cannot + "the server does not speak TLS", "write http:// in " + s.method.urlKey}
	case errors.Is(err, errStalled), errors.Is(err, io.ErrUnexpectedEOF):
		return verdict{kind: drivers.Temporary, text: innermost(err)}
	case errors.Is(err, io.EOF):
		return verdict{kind: drivers.Temporary, text: cannot + "the server closed the connection"}
	case errors.As(err, &dns):
		return verdict{kind: drivers.Temporary, text: cannot + dns.Error()}
	case errors.As(err, &op):
		return verdict{kind: drivers.Temporary, text: cannot + op.Error()}
	case errors.As(err, &temporary) && temporary.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return verdict{kind: drivers.Temporary, text: cannot + "no answer in time"}
	case viaURL != nil:
		return verdict{kind: drivers.Temporary, text: cannot + innermost(viaURL.Err)}
	default:
		return verdict{kind: drivers.Other, text: innermost(err)}
	}
}

// retryAfter reads a Retry-After header: seconds, or a date.
func retryAfter(value string, now time.Time) time.Duration {
	const most = time.Hour // a longer wait is no retry
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, most)
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), most)
	}
	return 0
}

// innermost is the text of the last error in a chain, which is the one that
// says what happened; those around it say where in the library.
func innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

const maxMessageBytes = 300

// oneLine keeps a server's message from breaking or flooding a report.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxMessageBytes {
		text = strings.ToValidUTF8(text[:maxMessageBytes], "") + "…"
	}
	return text
}

// redact takes the credentials out of a text, should a server have echoed them.
func (s *Store) redact(text string) string {
	secrets := *s.secrets
	if token := s.http.token.Load(); token != nil {
		secrets = append(slices.Clone(secrets), *token)
	}
	for _, secret := range secrets {
		if len(secret) > 3 { // a shorter one is no secret, and part of any text
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}
