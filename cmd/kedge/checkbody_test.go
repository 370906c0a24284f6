package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// What a proxy does with a long document shows in check, and not in the middle of a
// migration: that it takes none, or knows no "Expect".
func TestCheckPutsALongDocument(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 1, Seed: 21})
	minio := testenv.MinIO(t)
	target, err := url.Parse(minio.URL)
	if err != nil {
		t.Fatal(err)
	}
	var most, refusals atomic.Int64
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := 0
		switch {
		case r.ContentLength > most.Load():
			status = http.StatusRequestEntityTooLarge
		case r.Header.Get("Expect") != "":
			status = http.StatusExpectationFailed
		default:
			proxy.ServeHTTP(w, r)
			return
		}
		refusals.Add(1)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<html><title>refused by a proxy</title></html>"))
	}))
	t.Cleanup(front.Close)
	through := s3Place(minio, minio.Bucket(t), "")
	for i, option := range through.options {
		through.options[i] = strings.Replace(option, minio.URL, front.URL, 1)
	}
	config := through.config(t, s.url, compression{})
	most.Store(1 << 20) // what nginx passes unless it is told otherwise
	kedge(t, "check", config).want(t, exitFailed).tells(t, "let the proxy pass longer requests")
	most.Store(1 << 30)
	kedge(t, "check", config).want(t, exitDone)
	if refusals.Load() < 2 {
		t.Errorf("%d refusals: the test proves nothing", refusals.Load())
	}
	empty(t, through.raw)
}
