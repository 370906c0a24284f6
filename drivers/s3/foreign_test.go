package s3

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/s3/internal/foreign"
	"github.com/kedge/kedge/internal/testenv"
)

// page is what something between answers in the server's place.
type page struct {
	status     int
	kind, text string
	etag       string
}

func (p page) write(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = nil
	if p.kind != "" {
		w.Header().Set("Content-Type", p.kind)
	}
	if p.etag != "" {
		w.Header().Set("Etag", p.etag)
	}
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(p.text)) // to a client that is there
	}
}

const loginPage = "<!DOCTYPE html>\n<html><head><title>Sign in &amp; go on</title><style>b{}</style></head><body><b>Example Corp</b> network</body></html>"

// TestForeignAnswers: whatever a proxy's page says with its status, it is neither
// success nor the word that there is no such object.
func TestForeignAnswers(t *testing.T) {
	var says atomic.Pointer[page]
	var asked atomic.Int64
	s := behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
		p := says.Load()
		if p == nil {
			return false
		}
		asked.Add(1)
		p.write(w, r)
		return true
	}, nil)
	uri, other := uriOf(t, s, "there"), uriOf(t, s, "other")
	mustPut(t, s, uri, []byte("x"))
	mustPut(t, s, other, []byte("x"))
	operations := map[string]func() error{
		"put": func() error {
			_, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("y"), md5Hex([]byte("y"))))
			return err
		},
		"get":    func() error { _, _, err := s.Get(t.Context(), uri); return err },
		"stat":   func() error { _, err := s.Stat(t.Context(), uri); return err },
		"delete": func() error { return s.Delete(t.Context(), uri) },
		"delete many": func() error {
			errs := s.DeleteBatch(t.Context(), []string{uri, other})
			if errs[0] == nil || errs[1] == nil {
				return nil
			}
			return errs[0]
		},
		"list": func() error { return s.List(t.Context(), func(string, drivers.Info) error { return nil }) },
		"open": func() error {
			o := optionsFor(testenv.MinIO(t), s.bucket)
			o.URL = s.conn.endpoint
			_, err := Open(t.Context(), o, Tuning{})
			return err
		},
	}
	for _, p := range []page{
		{200, "text/html", loginPage, ""},
		{200, "text/html; charset=utf-8", loginPage, `"5f2-abc"`},
		{302, "text/html", loginPage, ""},
		{403, "text/html", loginPage, ""},
		{404, "text/html", loginPage, ""},
		{404, "text/plain; charset=utf-8", "default backend - 404", ""},
		{403, "application/json", `{"message":"Forbidden"}`, ""},
		{407, "text/html", loginPage, ""},
		{407, "", "", ""},
		{502, "text/html", "<html>\r\n<head><title>502 Bad Gateway</title></head>", ""},
		{503, "text/plain", "upstream connect error", ""},
	} {
		t.Run(fmt.Sprint(p.status, " ", p.kind, p.etag), func(t *testing.T) {
			for name, do := range operations {
				says.Store(&p)
				before := asked.Load()
				err := do()
				says.Store(nil)
				kind := drivers.Other
				if p.status >= 500 {
					kind = drivers.Temporary
				}
				wantKind(t, err, kind, "not an answer of S3: a proxy between? It says "+fmt.Sprint(p.status), "NO_PROXY")
				if asked.Load() == before {
					t.Errorf("%s asked nothing", name)
				}
				if strings.Contains(p.text, "Sign in") && name != "stat" && !strings.Contains(err.Error(), `"Sign in & go on Example Corp network"`) {
					t.Errorf("%s does not tell the first words: %v", name, err)
				}
			}
			mustHold(t, s, uri, []byte("x"))
		})
	}
}

// TestForeignRetryAfter: a proxy may say how long to wait.
func TestForeignRetryAfter(t *testing.T) {
	var shut atomic.Bool
	s := behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
		if shut.Load() {
			w.Header().Set("Retry-After", "7")
			page{status: 503, kind: "text/html", text: loginPage}.write(w, r)
		}
		return shut.Load()
	}, nil)
	shut.Store(true)
	_, err := s.Stat(t.Context(), uriOf(t, s, "k"))
	wantKind(t, err, drivers.Temporary)
	if failed := s.fail("stat", "", err); failed.RetryAfter.Seconds() != 7 {
		t.Errorf("waits %s", failed.RetryAfter)
	}
}

// TestRefusingProxy: a proxy that is asked for a connection and gives none.
func TestRefusingProxy(t *testing.T) {
	for _, code := range []int{http.StatusProxyAuthRequired, http.StatusForbidden, http.StatusBadGateway} {
		var methods []string
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			methods = append(methods, r.Method)
			w.WriteHeader(code)
		}))
		t.Cleanup(proxy.Close)
		o := Options{AccessKey: "AK", SecretKey: "hushhush", URL: "https://s3.example.com", Bucket: "archive"}
		s := newStore(o.Bucket, "", o.connection(), Tuning{})
		for _, client := range []*http.Client{s.http, s.slowHTTP} {
			client.Transport.(foreign.Transport).Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
		}
		kind := drivers.Other
		if code >= 500 {
			kind = drivers.Temporary
		}
		host, _, _ := net.SplitHostPort(strings.TrimPrefix(proxy.URL, "http://"))
		wantKind(t, s.open(t.Context(), false), kind, "the proxy "+host, fmt.Sprint(code), "NO_PROXY")
		if !slices.Contains(methods, http.MethodConnect) {
			t.Error("the proxy was not asked: the test proves nothing")
		}
		s.Close()
	}
}
