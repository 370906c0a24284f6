package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kedge/kedge/drivers"
)

var (
	errNoLength = errors.New("the server did not tell the object's length")
	errStalled  = errors.New("the server stopped sending")
)

// failure is a cause told in one short line; what it unwraps to is the SDK's
// chain, which is neither.
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

// fail makes of what the SDK or a connection reported the error that a driver
// returns. A *drivers.Error is passed on.
func (s *Store) fail(op, uri string, err error) *drivers.Error {
	var done *drivers.Error
	if errors.As(err, &done) {
		return done
	}
	v := s.judge(op, err)
	if v.kind == drivers.InvalidKey && longComponent(uri) {
		v.text = fmt.Sprintf("the server does not hold keys with more than %d bytes between slashes", fileNameBytes)
	}
	if v.mend == setRegion {
		v.mend = s.conn.wrongRegion()
	} else {
		v.mend = s.conn.inVocabulary(v.mend)
	}
	return &drivers.Error{
		Op: op, URI: uri, Kind: v.kind, Mend: v.mend,
		RetryAfter: retryAfter(askedWait(err), time.Now()),
		Err:        &failure{text: s.redact(oneLine(v.text)), err: err},
	}
}

var registryWords = strings.NewReplacer("access_key", "accesskey", "secret_key", "secretkey", "url", "regionendpoint")

// inVocabulary names the options as the configuration does.
func (c *connection) inVocabulary(mend string) string {
	if c.registry {
		return registryWords.Replace(mend)
	}
	return mend
}

func (s *Store) judge(op string, err error) verdict {
	var (
		noCredentials *credentialsError
		others        *foreign
	)
	switch code, message := answer(err); {
	case errors.Is(err, context.Canceled):
		return verdict{text: "cancelled"}
	case errors.As(err, &noCredentials):
		return judgeCredentials(op, noCredentials)
	case errors.As(err, &others):
		return others.judge()
	case code != "" || status(err) >= 300:
		v := judgeAnswer(op, code, message, status(err))
		if op == "put" && v.mend == grant("put") {
			v.mend += s.attributes.grants()
		}
		return v
	default:
		return s.judgeConnection(err)
	}
}

// judgeCredentials: at the start there are none; later on, whatever hands them
// out is having trouble and may get over it.
func judgeCredentials(op string, err *credentialsError) verdict {
	if op == "open" {
		return verdict{drivers.Denied, "no credentials found: " + innermost(err.err), "run where an IAM role is attached, or set access_key and secret_key"}
	}
	return verdict{kind: drivers.Temporary, text: "credentials could not be renewed: " + innermost(err.err)}
}

// judgeConnection tells failures below S3. A certificate that does not verify
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
		unread      *smithy.DeserializationError
		syntax      *xml.SyntaxError
	)
	cannot := "cannot reach S3 " + s.conn.String() + ": "
	switch {
	case errors.As(err, &certificate), errors.As(err, &authority), errors.As(err, &hostname):
		return verdict{drivers.Config, cannot + innermost(err), "make the server's certificate valid for this machine, or name its authority in AWS_CA_BUNDLE"}
	case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return verdict{drivers.Config, cannot + "the server does not speak TLS", "write http:// in url"}
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
	case errors.As(err, &unread), errors.As(err, &syntax):
		return verdict{text: "not an answer of S3: a proxy between? It is no XML of S3's: " + innermost(err), mend: "check url, HTTPS_PROXY, HTTP_PROXY and NO_PROXY"}
	case errors.As(err, &viaURL):
		return verdict{kind: drivers.Temporary, text: cannot + innermost(viaURL.Err)}
	default:
		return verdict{kind: drivers.Other, text: innermost(err)}
	}
}

// answer gives the S3 error code and message of a server's answer, "" when err
// is not one.
func answer(err error) (code, message string) {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode(), api.ErrorMessage()
	}
	return "", ""
}

// denies says whether the server has said that the credentials lack a permission.
// A service that hands them out may say the same.
func denies(err error) bool {
	var noCredentials *credentialsError
	code, _ := answer(err)
	return code == "AccessDenied" && !errors.As(err, &noCredentials)
}

// status is the HTTP status of the answer that err is about, 0 without one.
func status(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil && response.Response.Response != nil {
		return response.Response.StatusCode
	}
	return 0
}

// askedWait is the Retry-After of the answer that err is about, "" without one.
func askedWait(err error) string {
	var others *foreign
	if errors.As(err, &others) {
		return others.retryAfter
	}
	return responseHeader(err, "Retry-After")
}

func responseHeader(err error, name string) string {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil && response.Response.Response != nil {
		return response.Response.Header.Get(name)
	}
	return ""
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
// says what happened; those around it say where in the SDK.
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
	for _, secret := range s.conn.secrets() {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}
