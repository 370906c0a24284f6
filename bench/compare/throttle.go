package compare

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"golang.org/x/time/rate"

	"github.com/kedge/kedge/internal/testenv"
)

// A throttled server takes so many requests a second, and as many at once after a
// while without any.
const (
	throttledRate  = 500
	throttledBurst = 50
)

// throttledSite is a server that protects itself: beyond its rate it answers 503
// SlowDown, as Amazon S3 does. There is no bare client for it, which would give up.
func throttledSite(tb testing.TB, s *testenv.S3Server, rclone string) *site {
	tb.Helper()
	target, err := url.Parse(s.URL)
	if err != nil {
		tb.Fatal(err)
	}
	limit := rate.NewLimiter(throttledRate, throttledBurst)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // which is signed
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if limit.Allow() {
			proxy.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // so that the connection can be kept
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
	}))
	tb.Cleanup(front.Close)
	site := objectSite(tb, s, front.URL, rclone)
	site.endpoint = ""
	return site
}
