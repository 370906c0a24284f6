package swift

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// verdict is a httpstore.Verdict, so that they are short.
type verdict httpstore.Verdict

// fail makes of what the library or a connection reported the error that a
// driver returns. A *drivers.Error is passed on.
func (s *Store) fail(op, uri string, err error) *drivers.Error {
	if done, ok := errors.AsType[*drivers.Error](err); ok {
		return done
	}
	v := s.judge(op, err)
	if v.Text == "" {
		v.Text = err.Error()
	}
	failed := httpstore.Verdict(v).Error(op, uri, err, s.unspoken())
	if answer, ok := errors.AsType[*answerError](err); ok {
		failed.RetryAfter = httpstore.RetryAfter(answer.retryAfter, time.Now())
	}
	return failed
}

func (s *Store) judge(op string, err error) verdict {
	if errors.Is(err, context.Canceled) {
		return verdict{Text: "cancelled"}
	}
	if auth, ok := errors.AsType[*authError](err); ok {
		return s.judgeAuth(auth)
	}
	if answer, ok := errors.AsType[*answerError](err); ok {
		return s.judgeAnswer(op, answer)
	}
	server := "Swift"
	if viaURL, ok := errors.AsType[*url.Error](err); ok {
		server = publicURL(viaURL.URL)
	}
	return verdict(httpstore.JudgeConnection(err, httpstore.Reach{
		Cannot:    "cannot reach " + server,
		Authority: "name the authority's certificate in os_cacert",
		Plain:     "write http:// in " + s.method.urlKey,
	}))
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
		return verdict{Kind: drivers.Temporary, Text: where + " answered " + strconv.Itoa(status)}
	case status == http.StatusBadRequest:
		return verdict{drivers.Config, where + " does not understand the request: " + httpstore.OneLine(err.Error()), s.method.mend}
	case status != 0:
		return verdict{drivers.Config, where + " answered " + strconv.Itoa(status), "check " + s.method.urlKey + " and auth_version"}
	case strings.Contains(err.Error(), "storage url and auth token"):
		return verdict{drivers.Config, where + " names no object store for this project and region", "check os_region_name, os_endpoint_type and the project"}
	default:
		return verdict{drivers.Config, where + " did not answer as one: " + httpstore.Innermost(err.err), "check " + s.method.urlKey + " and auth_version"}
	}
}

// unspoken are the texts that no message may hold.
func (s *Store) unspoken() []string {
	secrets := slices.Clone(*s.secrets)
	if token := s.http.token.Load(); token != nil {
		secrets = append(secrets, *token)
	}
	// A shorter one is no secret, and part of any text.
	return slices.DeleteFunc(secrets, func(secret string) bool { return len(secret) <= 3 })
}
