package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
	"github.com/kedge/kedge/drivers/s3/internal/answers"
	"github.com/kedge/kedge/drivers/s3/internal/foreign"
)

// verdict is a httpstore.Verdict, so that tables of them are short.
type verdict httpstore.Verdict

// fail makes of what the SDK or a connection reported the error that a driver
// returns. A *drivers.Error is passed on.
func (s *Store) fail(op, uri string, err error) *drivers.Error {
	if done, ok := errors.AsType[*drivers.Error](err); ok {
		return done
	}
	v := s.judge(op, err)
	if v.Kind == drivers.InvalidKey && longComponent(uri) {
		v.Text = fmt.Sprintf("the server does not hold keys with more than %d bytes between slashes", fileNameBytes)
	}
	if v.Mend == answers.SetRegion {
		v.Mend = s.conn.wrongRegion()
	} else {
		v.Mend = s.conn.inVocabulary(v.Mend)
	}
	failed := httpstore.Verdict(v).Error(op, uri, err, s.conn.secrets())
	failed.RetryAfter = httpstore.RetryAfter(askedWait(err), time.Now())
	return failed
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
	if errors.Is(err, context.Canceled) {
		return verdict{Text: "cancelled"}
	}
	if noCredentials, ok := errors.AsType[*credentialsError](err); ok {
		return judgeCredentials(op, noCredentials)
	}
	if others, ok := errors.AsType[*foreign.Answer](err); ok {
		return verdict(others.Judge())
	}
	code, message := answer(err)
	if code == "" && status(err) < 300 {
		return s.judgeConnection(err)
	}
	if code == "SignatureDoesNotMatch" && s.recognized {
		return changedOnItsWay
	}
	v := verdict(answers.Judge(op, code, message, status(err)))
	if op == "put" && v.Mend == answers.Grant("put") {
		v.Mend += s.attributes.grants()
	}
	return v
}

// changedOnItsWay is about a signature that is none though others with the same key
// were.
var changedOnItsWay = verdict{
	drivers.Denied, "the request was changed on its way: the server computes another signature, and has accepted the same keys before",
	"look for a proxy that rewrites paths, or headers that begin with Content or X-Amz; or the secret key has been replaced",
}

// judgeCredentials: at the start there are none; later on, whatever hands them
// out is having trouble and may get over it.
func judgeCredentials(op string, err *credentialsError) verdict {
	if op == "open" {
		return verdict{drivers.Denied, "no credentials found: " + httpstore.Innermost(err.err), "run where an IAM role is attached, or set access_key and secret_key"}
	}
	return verdict{Kind: drivers.Temporary, Text: "credentials could not be renewed: " + httpstore.Innermost(err.err)}
}

// judgeConnection tells failures below S3.
func (s *Store) judgeConnection(err error) verdict {
	v := httpstore.JudgeConnection(err, httpstore.Reach{
		Cannot:    "cannot reach S3 " + s.conn.String(),
		Authority: "make the server's certificate valid for this machine, or name its authority in AWS_CA_BUNDLE",
		Plain:     "write http:// in url",
	})
	_, unread := errors.AsType[*smithy.DeserializationError](err)
	_, syntax := errors.AsType[*xml.SyntaxError](err)
	if v.Kind == drivers.Other && (unread || syntax) {
		return verdict{Text: "not an answer of S3: a proxy between? It is no XML of S3's: " + v.Text, Mend: "check url, HTTPS_PROXY, HTTP_PROXY and NO_PROXY"}
	}
	return verdict(v)
}

// answer gives the S3 error code and message of a server's answer, "" when err
// is not one.
func answer(err error) (code, message string) {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode(), api.ErrorMessage()
	}
	return "", ""
}

// denies says whether the server has said that the credentials lack a permission.
// A service that hands them out may say the same.
func denies(err error) bool {
	_, noCredentials := errors.AsType[*credentialsError](err)
	code, _ := answer(err)
	return code == "AccessDenied" && !noCredentials
}

// response is the answer that err is about, nil without one.
func response(err error) *http.Response {
	if r, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && r.Response != nil {
		return r.Response.Response
	}
	return nil
}

// status is the HTTP status of the answer that err is about, 0 without one.
func status(err error) int {
	if r := response(err); r != nil {
		return r.StatusCode
	}
	return 0
}

// askedWait is the Retry-After of the answer that err is about, "" without one.
func askedWait(err error) string {
	if others, ok := errors.AsType[*foreign.Answer](err); ok {
		return others.RetryAfter
	}
	return responseHeader(err, "Retry-After")
}

func responseHeader(err error, name string) string {
	if r := response(err); r != nil {
		return r.Header.Get(name)
	}
	return ""
}
