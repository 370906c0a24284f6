package s3

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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
