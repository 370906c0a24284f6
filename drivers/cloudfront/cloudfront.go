package cloudfront

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/cloudfront/sign"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// Store is a store whose payloads are fetched through CloudFront. Its methods
// are safe for concurrent use.
type Store struct {
	drivers.Driver
	drivers.Tree
	base     string
	prefix   string // of every key behind the S3 bucket's name
	root     string // of every URI up to the key
	through  func(path string) bool
	signer   *sign.URLSigner
	duration time.Duration
	http     *http.Client
	timeout  time.Duration
	now      func() time.Time
	// shortened: the distribution's origin path is the prefix, so that URLs go
	// without it. decided: one of the two forms has worked.
	shortened, decided atomic.Bool
}

// Tree is a store of a tree of files.
type Tree interface {
	drivers.Driver
	drivers.Tree
}

// New puts CloudFront in front of a store in S3. through says of a path in the
// tree whether it is fetched there: what may change under its path must not be,
// for the edge may hold an old copy. It reads the key file, and connects to
// nothing. A fault in the options has kind Config.
func New(inner Tree, o Options, through func(path string) bool) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	key, err := o.loadKey()
	if err != nil {
		return nil, misconfigured("", err)
	}
	base, err := o.base()
	if err != nil {
		return nil, misconfigured("", err)
	}
	duration, err := o.duration()
	if err != nil {
		return nil, misconfigured("", err)
	}
	// "s3://bucket/prefix" -> "s3://bucket/", "prefix"
	rest := strings.TrimPrefix(inner.Prefix(), inner.Scheme())
	bucket, prefix, found := strings.Cut(rest, "/")
	if inner.Scheme() != "s3://" || !found {
		return nil, misconfigured(inner.Place(), errors.New("the middleware cloudfront works with the storage driver s3 only"))
	}
	s := &Store{
		Driver: inner, Tree: inner, base: base, prefix: prefix, root: inner.Scheme() + bucket + "/", through: through,
		signer: sign.NewURLSigner(o.KeyPairID, key), duration: duration, timeout: o.timeout(), now: o.now,
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.http = &http.Client{
		Transport: httpstore.Transport{
			ConnectTimeout: 10 * time.Second, Silence: s.timeout,
		}.Until(s.timeout),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

// Close gives up the idle connections and closes the store behind.
func (s *Store) Close() error {
	s.http.CloseIdleConnections()
	return s.Driver.Close()
}

// Get fetches what may be cached through CloudFront, all else from S3.
func (s *Store) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	key, ok := strings.CutPrefix(uri, s.root)
	path, below := strings.CutPrefix(key, s.prefix)
	if !ok || !below || !s.through(path) {
		return s.Driver.Get(ctx, uri)
	}
	if s.shortened.Load() {
		key = path
	}
	body, info, err := s.fetch(ctx, uri, key)
	if err == nil {
		s.decided.Store(true)
		return body, info, nil
	}
	var refused *refusal
	if !errors.As(err, &refused) {
		return nil, drivers.Info{}, err
	}
	// A distribution answers 403 or 404 for what is not there, as its origin's
	// permissions have it.
	if _, serr := s.Stat(ctx, uri); serr != nil {
		return nil, drivers.Info{}, httpstore.InPlaceOf("get", serr)
	}
	if refused.clock || s.prefix == "" || s.decided.Load() {
		return nil, drivers.Info{}, err
	}
	// With the prefix as the distribution's origin path, URLs go without it.
	body, info, err2 := s.fetch(ctx, uri, path)
	if err2 != nil {
		return nil, drivers.Info{}, err
	}
	s.shortened.Store(true)
	s.decided.Store(true)
	return body, info, nil
}

// signed is the URL of a key with its signature.
func (s *Store) signed(key string, expires time.Time) (string, error) {
	return s.signer.Sign(s.base+(&url.URL{Path: key}).EscapedPath(), expires)
}

// errStalled: the edge fell silent within a payload.
var errStalled = errors.New("CloudFront stopped sending")

func (s *Store) fetch(ctx context.Context, uri, key string) (io.ReadCloser, drivers.Info, error) {
	fail := func(err error) *drivers.Error {
		if failed, ok := errors.AsType[*drivers.Error](err); ok {
			return failed
		}
		if errors.Is(err, httpstore.ErrStalled) {
			err = errStalled
		}
		return &drivers.Error{Op: "get", URI: uri, Err: fmt.Errorf("reading from CloudFront: %w", err)}
	}
	return httpstore.Opening{
		Silence: s.timeout, Fail: fail,
		Request: func(ctx context.Context) (io.ReadCloser, drivers.Info, error) { return s.request(ctx, uri, key) },
		Ask: func(ctx context.Context) (drivers.Info, error) {
			info, err := s.Stat(ctx, uri)
			return drivers.Info{Bytes: info.Bytes}, err // the edge tells nothing else
		},
	}.Get(ctx)
}

func (s *Store) request(ctx context.Context, uri, key string) (io.ReadCloser, drivers.Info, error) {
	fail := func(kind drivers.Kind, err error) (io.ReadCloser, drivers.Info, error) {
		return nil, drivers.Info{}, &drivers.Error{Op: "get", URI: uri, Kind: kind, Err: err}
	}
	expires := s.now().Add(s.duration)
	address, err := s.signed(key, expires)
	if err != nil {
		return fail(drivers.Config, fmt.Errorf("signing a URL of %s: %w", s.base, err))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fail(drivers.Config, fmt.Errorf("baseurl %s cannot be used", s.base))
	}
	response, err := s.http.Do(request)
	if err != nil {
		return fail(s.connectionKind(ctx, err), fmt.Errorf("cannot reach CloudFront at %s: %w", s.base, innermost(err)))
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close() // nothing of it is wanted
		return nil, drivers.Info{}, s.refused(uri, expires, response)
	}
	return response.Body, drivers.Info{Bytes: httpstore.Length(response)}, nil
}

// connectionKind: what cannot be reached now may be later; a cancelled request
// is nobody's fault.
func (s *Store) connectionKind(ctx context.Context, err error) drivers.Kind {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return drivers.Other
	}
	if strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "HTTP response to HTTPS client") {
		return drivers.Config
	}
	return drivers.Temporary
}

// innermost keeps the signed URL, which client errors repeat, out of messages.
func innermost(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// refusal is an answer of the edge that is not the payload and that another
// attempt will get again.
type refusal struct {
	text  string
	clock bool
}

func (r *refusal) Error() string { return r.text }

// refused tells what the edge's answer means.
func (s *Store) refused(uri string, expires time.Time, response *http.Response) error {
	code, message := answer(response.Body)
	said := fmt.Sprintf("CloudFront at %s answered %d", s.base, response.StatusCode)
	if code != "" {
		said += " " + code
	}
	if message != "" && message != code {
		said += ": " + message
	}
	failed := &drivers.Error{Op: "get", URI: uri, Kind: drivers.Other, Err: &refusal{text: said}}
	status := response.StatusCode
	edge, derr := http.ParseTime(response.Header.Get("Date"))
	switch {
	case status == http.StatusForbidden && derr == nil && !edge.Before(expires):
		failed.Kind = drivers.Denied
		failed.Err = &refusal{text: fmt.Sprintf("%s: the signed URL had expired %s before, by the edge's clock", said, edge.Sub(expires).Round(time.Second)), clock: true}
		failed.Mend = "set this machine's clock, or give a longer duration"
	case code == "InvalidKey" || code == "MissingKey":
		failed.Kind, failed.Mend = drivers.Denied, "keypairid is no key pair that the distribution trusts"
	case status == http.StatusForbidden:
		failed.Kind, failed.Mend = drivers.Denied, "does privatekey belong to keypairid, does the distribution trust it, and may it read the S3 bucket?"
	case status == http.StatusNotFound:
		failed.Mend = "is the distribution's origin the S3 bucket, with an empty origin path?"
	case status == http.StatusTooManyRequests || status >= 500:
		failed.Kind, failed.Err = drivers.Temporary, errors.New(said)
	case status >= 300 && status < 400:
		failed.Kind, failed.Mend = drivers.Config, "it sends the request on to another address: check baseurl"
	case status == http.StatusOK:
		failed.Err = errors.New(said + " without the payload's length")
	}
	return failed
}

// maxAnswerBytes bounds what is read of an answer that is no payload.
const maxAnswerBytes = 16 << 10

// answer reads CloudFront's and S3's form of an error.
func answer(r io.Reader) (code, message string) {
	var parsed struct {
		Code, Message string
	}
	text, err := io.ReadAll(io.LimitReader(r, maxAnswerBytes))
	if err != nil || xml.Unmarshal(text, &parsed) != nil {
		return "", ""
	}
	const most = 200
	short := func(s string) string {
		s = strings.Join(strings.Fields(s), " ")
		return strings.ToValidUTF8(s[:min(len(s), most)], "")
	}
	return short(parsed.Code), short(parsed.Message)
}
