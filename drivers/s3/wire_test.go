package s3

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// behind opens a store that reaches the server through a proxy, which may
// answer for it (true) or change what it answers.
func behind(t *testing.T, server *testenv.S3Server, instead func(http.ResponseWriter, *http.Request) bool, change func(*http.Response) error) *Store {
	t.Helper()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: change,
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if instead == nil || !instead(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	o := optionsFor(server, server.Bucket(t))
	o.URL = front.URL
	return opened(t, o)
}

// TestWire looks at the requests: every body with its Content-MD5, none with a
// checksum that not every server knows.
func TestWire(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		var mu sync.Mutex
		seen := map[string]int{}
		s := behind(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
			_, deletes := r.URL.Query()["delete"]
			if r.Method == http.MethodPut || deletes {
				mu.Lock()
				defer mu.Unlock()
				seen[r.Method]++
				if r.Header.Get("Content-Md5") == "" {
					t.Errorf("%s %s without Content-MD5", r.Method, r.URL)
				}
			}
			for name, values := range r.Header {
				if strings.HasPrefix(name, "X-Amz-Checksum") || strings.HasPrefix(name, "X-Amz-Sdk-Checksum") || strings.Contains(strings.Join(values, " "), "aws-chunked") {
					t.Errorf("%s %s with %s: %s", r.Method, r.URL, name, values)
				}
			}
			return false
		}, nil)
		uris := []string{uriOf(t, s, "whole"), uriOf(t, s, "parts")}
		mustPut(t, s, uris[0], []byte("x"))
		if _, err := s.Put(t.Context(), uris[1], streamOf(-1, func() io.Reader { return bytes.NewReader(noise(1, 6<<20)) })); err != nil {
			t.Fatal(err)
		}
		s.DeleteBatch(t.Context(), uris)
		mustMiss(t, s, uris[0])
		if seen[http.MethodPut] != 3 || seen[http.MethodPost] != 1 {
			t.Errorf("requests: %v", seen)
		}
	})
}

// TestNoDeleteObjects: a server, or something before it, that refuses the request
// for many takes single ones. How often it is asked again depends on what it said.
func TestNoDeleteObjects(t *testing.T) {
	for name, test := range map[string]struct {
		status, asked int
		kind, answer  string
	}{
		"no such request":   {501, 1, "", ""},
		"no such method":    {405, 1, "application/xml", "<Error><Code>MethodNotAllowed</Code></Error>"},
		"Google":            {400, refusalsOfMany, "application/xml", "<Error><Code>InvalidArgument</Code><Message>Invalid argument.</Message></Error>"},
		"another's XML":     {400, refusalsOfMany, "application/xml", "<Error><Code>MalformedXML</Code></Error>"},
		"without a reason":  {400, refusalsOfMany, "", ""},
		"no such path":      {404, refusalsOfMany, "", ""},
		"a changed request": {403, refusalsOfMany, "application/xml", "<Error><Code>SignatureDoesNotMatch</Code></Error>"},
		"POST is forbidden": {403, refusalsOfMany, "text/html", loginPage},
		"its policy":        {403, refusalsOfMany, "application/xml", "<Error><Code>AccessDenied</Code></Error>"},
	} {
		t.Run(name, func(t *testing.T) {
			refused := 0
			s := behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
				if _, many := r.URL.Query()["delete"]; !many {
					return false
				}
				refused++
				page{status: test.status, kind: test.kind, text: test.answer}.write(w, r)
				return true
			}, nil)
			for range refusalsOfMany + 1 {
				uris := []string{uriOf(t, s, "a"), uriOf(t, s, "b"), uriOf(t, s, "c")}
				for _, uri := range uris {
					mustPut(t, s, uri, []byte(uri))
				}
				for _, err := range s.DeleteBatch(t.Context(), uris) {
					if err != nil {
						t.Error(err)
					}
				}
				for _, uri := range uris {
					mustMiss(t, s, uri)
				}
			}
			if refused != test.asked {
				t.Errorf("%d requests for many, want %d", refused, test.asked)
			}
		})
	}
}

// TestDeleteObjectsFails: what single requests would fail for as well is not asked
// a thousand times.
func TestDeleteObjectsFails(t *testing.T) {
	for answer, kind := range map[page]drivers.Kind{
		{status: 503, kind: "application/xml", text: "<Error><Code>SlowDown</Code></Error>"}:     drivers.Temporary,
		{status: 403, kind: "application/xml", text: "<Error><Code>ExpiredToken</Code></Error>"}: drivers.Denied,
		{status: 404, kind: "application/xml", text: "<Error><Code>NoSuchBucket</Code></Error>"}: drivers.Config,
	} {
		asked := 0
		s := behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost && r.Method != http.MethodDelete {
				return false
			}
			asked++
			answer.write(w, r)
			return true
		}, nil)
		for _, err := range s.DeleteBatch(t.Context(), []string{uriOf(t, s, "a"), uriOf(t, s, "b")}) {
			wantKind(t, err, kind)
		}
		if asked != 1 {
			t.Errorf("%s: %d requests", answer.text, asked)
		}
	}
}

var etagElement = regexp.MustCompile(`<ETag>[^<]*</ETag>`)

// TestCompleteWithoutETag: Ceph tells an upload's ETag only when asked. One that
// is none of these parts proves nothing.
func TestCompleteWithoutETag(t *testing.T) {
	for name, instead := range map[string]string{"left out": "", "another": "<ETag>&quot;" + strings.Repeat("0", 32) + "-2&quot;</ETag>"} {
		t.Run(name, func(t *testing.T) {
			changed := 0
			s := behind(t, testenv.MinIO(t), nil, func(r *http.Response) error {
				if r.Request.Method != http.MethodPost || r.Request.URL.Query().Get("uploadId") == "" {
					return nil
				}
				return rewriteBody(r, func(body []byte) []byte {
					changed += len(etagElement.FindAll(body, -1))
					return etagElement.ReplaceAll(body, []byte(instead))
				})
			})
			body := noise(6, 6<<20)
			receipt, err := s.Put(t.Context(), uriOf(t, s, "doc"), streamOf(-1, func() io.Reader { return bytes.NewReader(body) }))
			want := md5Hex(body)
			if instead != "" {
				want = ""
			}
			if err != nil || receipt.ProvenMD5 != want || receipt.MD5 != md5Hex(body) || changed != 1 {
				t.Errorf("receipt %+v, %v; %d ETags changed", receipt, err, changed)
			}
		})
	}
}

// TestDeleteObjectsUnclear: a report about keys that nobody asked to delete says
// nothing about those that were.
func TestDeleteObjectsUnclear(t *testing.T) {
	const report = `<DeleteResult><Error><Key>who knows</Key><Code>InternalError</Code></Error></DeleteResult>`
	unclear := 0
	s := behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
		if _, many := r.URL.Query()["delete"]; !many {
			return false
		}
		unclear++
		_, _ = io.WriteString(w, report)
		return true
	}, nil)
	uris := []string{uriOf(t, s, "a"), uriOf(t, s, "b")}
	for _, uri := range uris {
		mustPut(t, s, uri, []byte(uri))
	}
	for _, err := range s.DeleteBatch(t.Context(), uris) {
		if err != nil {
			t.Error(err)
		}
	}
	mustMiss(t, s, uris[0])
	mustMiss(t, s, uris[1])
	if unclear != 1 {
		t.Errorf("%d unclear reports: the test proves nothing", unclear)
	}
}

// TestEncryptedETag: with a key of its own the server's ETag is no MD5, though it
// may look like one.
func TestEncryptedETag(t *testing.T) {
	s := behind(t, testenv.MinIO(t), nil, func(r *http.Response) error {
		r.Header.Set("X-Amz-Server-Side-Encryption", "aws:kms")
		r.Header.Set("Etag", `"`+strings.Repeat("0", 32)+`"`)
		return nil
	})
	uri := uriOf(t, s, "doc")
	if receipt := mustPut(t, s, uri, []byte("x")); receipt.ProvenMD5 != "" || receipt.MD5 != md5Hex([]byte("x")) {
		t.Errorf("receipt %+v", receipt)
	}
	if info, err := s.Stat(t.Context(), uri); err != nil || info.MD5 != "" {
		t.Errorf("stat %+v, %v", info, err)
	}
}

// TestRottenETag: a server that stored something else convicts itself.
func TestRottenETag(t *testing.T) {
	rotten := strings.Repeat("0", 32)
	s := behind(t, testenv.MinIO(t), nil, func(r *http.Response) error {
		r.Header.Set("Etag", `"`+rotten+`"`)
		return nil
	})
	if receipt := mustPut(t, s, uriOf(t, s, "doc"), []byte("x")); receipt.ProvenMD5 != rotten {
		t.Errorf("receipt %+v", receipt)
	}
}

func rewriteBody(r *http.Response, change func([]byte) []byte) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	body = change(body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

// TestAnswerBrokenOffInItsHeaders: half a line of an answer is trouble on the
// wire and nothing else.
func TestAnswerBrokenOffInItsHeaders(t *testing.T) {
	broken := 0
	s := behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut && r.Method != http.MethodGet || r.URL.Query().Has("list-type") {
			return false
		}
		broken++
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return true
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nServer: MinIO\r\nX-Amz")
		_ = conn.Close()
		return true
	}, nil)
	uri := uriOf(t, s, "doc")
	_, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), md5Hex([]byte("x"))))
	wantKind(t, err, drivers.Temporary)
	_, _, err = s.Get(t.Context(), uri)
	wantKind(t, err, drivers.Temporary)
	if broken < 2 {
		t.Errorf("%d answers were broken off: the test proves nothing", broken)
	}
}
