package swift

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// request is one request to the object store.
type request struct {
	method    string
	container string
	object    string
	query     url.Values
	headers   ncw.Headers
	payload   []byte // the body; nil for none
	slow      bool   // makes the server work for long
}

// answerError is an answer of the object store that is no success.
type answerError struct {
	status     int
	text       string // the body's, one line
	retryAfter string
}

func (e *answerError) Error() string {
	text := "the server answered " + strconv.Itoa(e.status)
	if name := http.StatusText(e.status); name != "" {
		text += " " + name
	}
	if e.text != "" {
		text += ": " + e.text
	}
	return text
}

// authError is a failure to get a token.
type authError struct {
	status int // of the identity service's answer, 0 without one
	err    error
}

func (e *authError) Error() string { return e.err.Error() }
func (e *authError) Unwrap() error { return e.err }

// statusOf is the status of the object store's answer that err is about, 0
// without one.
func statusOf(err error) int {
	if answer, ok := errors.AsType[*answerError](err); ok {
		return answer.status
	}
	return 0
}

// isMissing says whether err is the answer that there is no such object or
// container.
func isMissing(err error) bool { return statusOf(err) == http.StatusNotFound }

// do sends a request and reads its answer to the end.
func (s *Store) do(ctx context.Context, r request) (ncw.Headers, []byte, error) {
	headers, stream, err := s.open(ctx, r)
	if err != nil {
		return headers, nil, err
	}
	defer stream.Close()
	answer, err := io.ReadAll(stream)
	if err != nil {
		return headers, nil, err
	}
	return headers, answer, nil
}

// open sends a request and leaves the answer's body to the caller, who closes
// it. A token that is no longer accepted is renewed, once or twice: near its
// end a server may hand out the old one again.
func (s *Store) open(ctx context.Context, r request) (ncw.Headers, io.ReadCloser, error) {
	account, err := s.conn.GetStorageUrl(ctx)
	if err != nil {
		return nil, nil, notAuthenticated(err)
	}
	p := ncw.RequestOpts{
		Container: r.container, ObjectName: r.object, Operation: r.method,
		Parameters: r.query, Headers: r.headers,
		OnReAuth: func() (string, error) { return s.conn.StorageUrl, nil }, // called with the lock held
	}
	if drivers.Fresh(ctx) {
		p.Headers = maps.Clone(r.headers)
		if p.Headers == nil {
			p.Headers = ncw.Headers{}
		}
		p.Headers["Cache-Control"] = "no-cache"
	}
	if r.payload != nil {
		p.Body = bytes.NewReader(nil) // tripper puts in the payload
	}
	var answer string
	ctx = context.WithValue(ctx, sendingKey{}, sending{payload: r.payload, slow: r.slow, answer: &answer})
	resp, headers, err := s.conn.Call(ctx, account, p)
	if err == nil {
		return headers, resp.Body, nil
	}
	told, ok := errors.AsType[*ncw.Error](err)
	switch {
	case headers != nil && ok:
		return headers, nil, &answerError{
			status: told.StatusCode, text: plainText(answer), retryAfter: headers["Retry-After"],
		}
	case headers == nil && (ok || !isTransport(err)):
		return nil, nil, notAuthenticated(err)
	}
	return nil, nil, err
}

// isTransport says whether err comes from below HTTP, where it is the same
// whatever the request was for.
func isTransport(err error) bool {
	_, viaURL := errors.AsType[*url.Error](err)
	return viaURL || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func notAuthenticated(err error) error {
	if isTransport(err) {
		return err
	}
	failed := &authError{err: err}
	if told, ok := errors.AsType[*ncw.Error](err); ok {
		failed.status = told.StatusCode
	}
	return failed
}

var markup = regexp.MustCompile(`<[^>]*>`)

// plainText takes the markup out of Swift's answers, which are small pages of
// HTML unless they are plain.
func plainText(text string) string {
	if strings.HasPrefix(text, "<") {
		text = markup.ReplaceAllString(text, " ")
	}
	return httpstore.OneLine(text)
}

// head asks for an object's headers.
func (s *Store) head(ctx context.Context, loc location) (ncw.Headers, error) {
	headers, _, err := s.do(ctx, request{method: http.MethodHead, container: loc.container, object: loc.name})
	return headers, err
}

// infoOf reads the headers of an object. The ETag of a large object is no MD5
// of its bytes. Where they do not tell the length, Bytes is what stands for that in
// httpstore.
func infoOf(h ncw.Headers) drivers.Info {
	info := drivers.Info{Bytes: httpstore.Unmarked, MD5: plainMD5(h), Version: version(h["Etag"]), Modified: timestamp(h["X-Timestamp"])}
	length, err := strconv.ParseInt(h["Content-Length"], 10, 64)
	switch {
	case err == nil && length >= 0:
		info.Bytes = length
	case h[chunkedHeader] != "":
		info.Bytes = httpstore.Chunked
	}
	return info
}

// measured is infoOf for who needs the length: where the headers do not tell it, the
// object's answer to GET may, or its body.
func (s *Store) measured(ctx context.Context, op, uri string, h ncw.Headers) (drivers.Info, error) {
	info := infoOf(h)
	if info.Bytes >= 0 {
		return info, nil
	}
	reader, opened, err := s.Get(ctx, uri)
	if err != nil {
		return drivers.Info{}, httpstore.InPlaceOf(op, err)
	}
	_ = reader.Close() // not read
	info.Bytes = opened.Bytes
	return info, nil
}

// timestamp reads Swift's X-Timestamp, Unix time in seconds with five decimals. Zero
// where it is not told.
func timestamp(text string) time.Time {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds <= 0 || seconds > 1<<40 {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6))
}

// item is one object of a container's listing.
type item struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	Hash  string `json:"hash"`
	// SLOETag stands with static large objects only, since Swift 2.18.
	SLOETag string `json:"slo_etag"`
}

// mayBeManifest says whether a dynamic large object looks so in a listing: its
// manifest is an empty object, and only a request for it tells more.
func (i item) mayBeManifest() bool { return i.Bytes == 0 }

// page asks for one page of a container's listing, in the order of the bytes of
// the names.
func (s *Store) page(ctx context.Context, container string, query url.Values) ([]item, error) {
	query.Set("format", "json")
	_, text, err := s.do(ctx, request{method: http.MethodGet, container: container, query: query})
	if err != nil {
		return nil, err
	}
	var items []item
	if len(text) == 0 { // 204
		return nil, nil
	}
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, errors.New("the server's listing is not JSON: " + err.Error())
	}
	return items, nil
}

// each calls fn with every object of a container whose name begins with prefix.
func (s *Store) each(ctx context.Context, container, prefix string, fn func(item) error) error {
	marker := ""
	for {
		query := url.Values{}
		if prefix != "" {
			query.Set("prefix", prefix)
		}
		if marker != "" {
			query.Set("marker", marker)
		}
		items, err := s.page(ctx, container, query)
		if err != nil || len(items) == 0 {
			return err
		}
		for _, one := range items {
			if one.Name <= marker && marker != "" {
				// It goes on behind the last name: it would never end, or leave some out.
				return fmt.Errorf("the server's listing does not go on in the order of names: %q comes behind %q", one.Name, marker)
			}
			marker = one.Name
			if err := fn(one); err != nil {
				return err
			}
		}
	}
}
