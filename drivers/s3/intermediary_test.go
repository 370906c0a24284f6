package s3

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// rewriting starts a proxy before a server that changes the requests.
func rewriting(t *testing.T, server *testenv.S3Server, change func(http.Header)) string {
	t.Helper()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		change(r.Out.Header)
	}}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return front.URL
}

// TestIntermediaryRewritesHeaders: Google's and Cloudflare's front ends change
// Accept-Encoding, and others leave out or add what is none of S3's.
func TestIntermediaryRewritesHeaders(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		o := optionsFor(server, server.Bucket(t))
		o.URL = rewriting(t, server, func(header http.Header) {
			header.Set("Accept-Encoding", header.Get("Accept-Encoding")+",gzip(gfe)")
			header.Set("Accept", "*/*")
			header.Del("Amz-Sdk-Request")
			header.Set("Amz-Sdk-Invocation-Id", "another")
		})
		s := opened(t, o)
		uris := []string{uriOf(t, s, "a"), uriOf(t, s, "b"), uriOf(t, s, "c")}
		for _, uri := range uris {
			mustPut(t, s, uri, []byte(uri))
			mustHold(t, s, uri, []byte(uri))
		}
		body := noise(3, 6<<20)
		receipt, err := s.Put(t.Context(), uris[2], streamOf(-1, func() io.Reader { return bytes.NewReader(body) }))
		if err != nil || receipt.MD5 != md5Hex(body) {
			t.Errorf("an upload in parts: %+v, %v", receipt, err)
		}
		listed := 0
		if err := s.List(t.Context(), func(string, drivers.Info) error { listed++; return nil }); err != nil || listed != 3 {
			t.Errorf("listed %d, %v", listed, err)
		}
		for _, err := range s.DeleteBatch(t.Context(), uris[:2]) {
			if err != nil {
				t.Error(err)
			}
		}
		if err := s.Delete(t.Context(), uris[2]); err != nil {
			t.Error(err)
		}
		for _, uri := range uris {
			mustMiss(t, s, uri)
		}
	})
}

// TestIntermediaryChangesWhatIsSigned: the message does not blame a key that the
// server has just accepted, and not the key alone where it has accepted none.
func TestIntermediaryChangesWhatIsSigned(t *testing.T) {
	server := testenv.MinIO(t)
	o := optionsFor(server, server.Bucket(t))
	o.URL = rewriting(t, server, func(header http.Header) {
		if header.Get("Content-Type") != "" {
			header.Set("Content-Type", "text/plain")
		}
	})
	s := opened(t, o)
	_, err := s.Put(t.Context(), uriOf(t, s, "k"), drivers.InMemory([]byte("x"), md5Hex([]byte("x"))))
	wantKind(t, err, drivers.Denied, "the request was changed on its way", "proxy")
	o.URL = rewriting(t, server, func(header http.Header) { header.Set("X-Amz-Date", "20200101T000000Z") })
	_, err = Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Denied)
	o.URL = rewriting(t, server, func(header http.Header) { header.Set("X-Amz-Content-Sha256", emptySHA256[1:]+"0") })
	_, err = Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Denied, "check secret_key", "proxy")
}

// TestGetWithoutLength: something before the server keeps the length back, of GET
// alone or of HEAD too, and marks the end or does not.
func TestGetWithoutLength(t *testing.T) {
	unmarked := func(w http.ResponseWriter, r *http.Response) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(buffered, "HTTP/1.0 200 OK\r\nEtag: %s\r\nServer: MinIO\r\n\r\n", r.Header.Get("Etag"))
		_, _ = io.Copy(buffered, r.Body)
		_ = buffered.Flush()
	}
	for name, test := range map[string]struct {
		methods  []string
		unmarked bool
		encoding string
		fails    string
	}{
		"GET, chunked":                  {methods: []string{http.MethodGet}},
		"GET and HEAD, chunked":         {methods: []string{http.MethodGet, http.MethodHead}},
		"HEAD":                          {methods: []string{http.MethodHead}},
		"GET, to the connection's end":  {methods: []string{http.MethodGet}, unmarked: true},
		"both, to the connection's end": {methods: []string{http.MethodGet, http.MethodHead}, unmarked: true, fails: "did not tell the object's length"},
		"both, and compressed":          {methods: []string{http.MethodGet, http.MethodHead}, encoding: "gzip", fails: "did not tell the object's length"},
	} {
		t.Run(name, func(t *testing.T) {
			met, active := 0, false
			s := behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
				if !active || !test.unmarked || r.Method != http.MethodGet {
					return false
				}
				met++
				out := r.Clone(r.Context())
				out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", strings.TrimPrefix(testenv.MinIO(t).URL, "http://")
				answer, err := http.DefaultTransport.RoundTrip(out)
				if err != nil {
					t.Error(err)
					return false
				}
				defer answer.Body.Close()
				unmarked(w, answer)
				return true
			}, func(r *http.Response) error {
				if active && slices.Contains(test.methods, r.Request.Method) {
					met++
					r.ContentLength = -1
					r.Header.Del("Content-Length")
					if test.encoding != "" {
						r.Header.Set("Content-Encoding", test.encoding)
					}
				}
				return nil
			})
			for i, body := range [][]byte{{}, []byte("x"), noise(4, 300_000)} {
				uri := uriOf(t, s, fmt.Sprint(i))
				active = false
				mustPut(t, s, uri, body)
				active = true
				if test.fails != "" {
					if len(body) == 0 {
						continue // the proxy tells that length
					}
					_, _, err := s.Get(t.Context(), uri)
					wantKind(t, err, drivers.Other, test.fails)
					continue
				}
				mustHold(t, s, uri, body)
				info, err := s.Stat(t.Context(), uri)
				if err != nil || info.Bytes != int64(len(body)) || info.MD5 != md5Hex(body) || info.Modified.IsZero() {
					t.Errorf("stat: %+v, %v", info, err)
				}
			}
			if met == 0 {
				t.Error("the test proves nothing")
			}
		})
	}
}

// TestChunkedBreaksOff: without a length, too, a body that ends early is none.
func TestChunkedBreaksOff(t *testing.T) {
	broken := 0
	s := behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			w.Header().Set("Etag", `"x"`)
			w.Header().Set("Transfer-Encoding", "chunked")
			w.WriteHeader(http.StatusOK)
			return true
		}
		if r.Method != http.MethodGet || r.URL.Query().Has("list-type") {
			return false
		}
		broken++
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return true
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nEtag: \"x\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		_ = conn.Close()
		return true
	}, nil)
	_, _, err := s.Get(t.Context(), uriOf(t, s, "k"))
	wantKind(t, err, drivers.Temporary, "unexpected EOF")
	if broken == 0 {
		t.Error("the test proves nothing")
	}
}
