package swift

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// behind opens a store that reaches the server through a proxy, which may answer
// for it (true) or change what it answers. It begins to do so when the store is
// open.
func behind(t *testing.T, server *testenv.SwiftServer, instead func(http.ResponseWriter, *http.Request) bool, change func(*http.Response) error) *Store {
	t.Helper()
	var begun atomic.Bool
	front := frontOf(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		return begun.Load() && instead != nil && instead(w, r)
	}, func(r *http.Response) error {
		if !begun.Load() || change == nil {
			return nil
		}
		return change(r)
	})
	o := optionsFor(server, server.Container(t))
	o.Auth = front + "/auth/v1.0"
	s := opened(t, o)
	if !strings.Contains(s.Place(), front) {
		t.Fatalf("the store is %s, not behind %s", s.Place(), front)
	}
	begun.Store(true)
	return s
}

// frontOf starts a proxy before a server with tempauth, whose storage URLs then
// lead through it.
func frontOf(t *testing.T, server *testenv.SwiftServer, instead func(http.ResponseWriter, *http.Request) bool, change func(*http.Response) error) string {
	t.Helper()
	target, err := url.Parse(server.AuthURL)
	if err != nil {
		t.Fatal(err)
	}
	target.Path = ""
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: change,
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !instead(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// TestWire looks at the requests: every payload with its MD5 and length, none
// with Expect.
func TestWire(t *testing.T) {
	var puts, conditional atomic.Int32
	s := behind(t, testenv.Swift(t), func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Expect") != "" || r.TransferEncoding != nil {
			t.Errorf("%s %s with Expect %q and Transfer-Encoding %q", r.Method, r.URL, r.Header.Get("Expect"), r.TransferEncoding)
		}
		if r.Method == http.MethodPut && r.ContentLength > 0 {
			puts.Add(1)
			if r.Header.Get("Etag") == "" {
				t.Errorf("%s %s without ETag", r.Method, r.URL)
			}
			if r.Header.Get("If-None-Match") == "*" {
				conditional.Add(1)
			}
		}
		return false
	}, nil)
	mustPut(t, s, uriOf(t, s, "small"), []byte("x"))
	mustPut(t, s, uriOf(t, s, "small"), []byte("y")) // refused once, for it is there
	mustStream(t, s, uriOf(t, s, "large"), noise(1, 6<<20), -1)
	// The first segment twice, for want of its container; and the manifest.
	if puts.Load() != 7 || conditional.Load() != 2 {
		t.Errorf("%d puts, %d of them only if there is none", puts.Load(), conditional.Load())
	}
}

// TestAnswers: what the server may answer, and what becomes of it.
func TestAnswers(t *testing.T) {
	var status atomic.Int32
	s := behind(t, testenv.Swift(t), func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, "<html><h1>Some\nwords</h1></html>")
		return true
	}, nil)
	uri := uriOf(t, s, "k")
	for _, test := range []struct {
		status int
		kind   drivers.Kind
		says   string
	}{
		{503, drivers.Temporary, "503 Service Unavailable: Some words"},
		{500, drivers.Temporary, "500"},
		{502, drivers.Temporary, "502"},
		{504, drivers.Temporary, "504"},
		{429, drivers.Temporary, "429 Too Many Requests"},
		{498, drivers.Temporary, "498"},
		{408, drivers.Temporary, "408"},
		{507, drivers.Full, "full"},
		{413, drivers.TooLarge, "larger"},
		{403, drivers.Denied, "X-Container-Write"},
		{404, drivers.Config, "create_container"},
		{422, drivers.Corrupt, "not what was sent"},
		{301, drivers.Config, "another address"},
		{501, drivers.Other, "501"},
	} {
		status.Store(int32(test.status))
		_, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), md5Hex([]byte("x"))))
		wantKind(t, err, test.kind, test.says)
		if e, ok := err.(*drivers.Error); !ok || e.RetryAfter != 7*time.Second {
			t.Errorf("%d: %#v", test.status, err)
		}
	}
	status.Store(503)
	_, _, err := s.Get(t.Context(), uri)
	wantKind(t, err, drivers.Temporary)
	_, err = s.Stat(t.Context(), uri)
	wantKind(t, err, drivers.Temporary)
	wantKind(t, s.Delete(t.Context(), uri), drivers.Temporary)
	wantKind(t, s.List(t.Context(), nil), drivers.Temporary)
	wantKind(t, s.AbortUploads(t.Context(), uri), drivers.Temporary)
	for _, err := range s.DeleteBatch(t.Context(), []string{uri, uri + "1", uri + "2", uri + "3", uri + "4"}) {
		wantKind(t, err, drivers.Temporary)
	}
	s.rateLimitFails = true
	status.Store(429)
	_, err = s.Stat(t.Context(), uri)
	wantKind(t, err, drivers.Other, "retry_on_ratelimit")
}

// TestRefusedPuts: the connection of a PUT that the server refused without
// reading it is good for nothing, or for all that follows.
func TestRefusedPuts(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	var refused, stored sync.WaitGroup
	for w := range 4 {
		refused.Go(func() {
			for i := range 15 {
				nowhere := fmt.Sprintf("swift://no-such-container/u/b/%d-%d", w, i)
				body := noise(byte(i), []int{100, 60_000, 300_000}[i%3])
				_, err := s.Put(t.Context(), nowhere, drivers.InMemory(body, md5Hex(body)))
				wantKind(t, err, drivers.Config, "no such container")
			}
		})
		stored.Go(func() {
			for i := range 15 {
				body := noise(byte(i), 1000)
				uri := scheme + s.container + fmt.Sprintf("/u/b/%d-%d", w, i)
				if _, err := s.Put(t.Context(), uri, drivers.InMemory(body, md5Hex(body))); err != nil {
					t.Errorf("put %d after refused ones: %v", i, err)
				}
			}
		})
	}
	refused.Wait()
	stored.Wait()
	wantObjects(t, server, s.container, 60)
}

// TestBrokenConnections: cut off while sending, and while receiving.
func TestBrokenConnections(t *testing.T) {
	var dropped atomic.Int32
	s := behind(t, testenv.Swift(t), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		dropped.Add(1)
		_, _ = io.CopyN(io.Discard, r.Body, 10)
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return true
		}
		c.Close()
		return true
	}, func(r *http.Response) error {
		if r.Request.Method == http.MethodGet && r.ContentLength > 100 {
			r.Body = io.NopCloser(io.LimitReader(r.Body, r.ContentLength/2))
		}
		return nil
	})
	uri := uriOf(t, s, "k")
	for _, length := range []int{1000, 300_000} {
		body := noise(1, length)
		_, err := s.Put(t.Context(), uri, drivers.InMemory(body, md5Hex(body)))
		wantKind(t, err, drivers.Temporary)
	}
	if dropped.Load() == 0 {
		t.Error("the test proves nothing")
	}
	mustMiss(t, s, uri)
	putAt(t, testenv.Swift(t), uri, noise(1, 1000))
	r, info, err := s.Get(t.Context(), uri)
	if err != nil || info.Bytes != 1000 {
		t.Fatal(info, err)
	}
	defer r.Close()
	_, err = io.ReadAll(r)
	wantKind(t, err, drivers.Temporary)
}

// TestDamagedOnTheWay: the server stores nothing of what is not what was sent.
func TestDamagedOnTheWay(t *testing.T) {
	server := testenv.Swift(t)
	s := behind(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && r.ContentLength > 0 {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			body[len(body)/2] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		return false
	}, nil)
	uri := uriOf(t, s, "k")
	for _, length := range []int{10, 100_000} {
		body := noise(1, length)
		_, err := s.Put(t.Context(), uri, drivers.InMemory(body, md5Hex(body)))
		wantKind(t, err, drivers.Corrupt)
	}
	_, err := s.Put(t.Context(), uri, streamOf(-1, func() io.Reader { return bytes.NewReader(noise(1, 6<<20)) }))
	wantKind(t, err, drivers.Corrupt)
	wantObjects(t, server, s.container, 0)
	wantObjects(t, server, s.segments, 0)
}

// TestRottenETag: a server that stored something else convicts itself; one that
// says nothing proves nothing.
func TestRottenETag(t *testing.T) {
	var etag atomic.Pointer[string]
	s := behind(t, testenv.Swift(t), nil, func(r *http.Response) error {
		if r.Request.Method == http.MethodPut {
			r.Header.Set("Etag", *etag.Load())
		}
		return nil
	})
	for told, want := range map[string]string{strings.Repeat("0", 32): strings.Repeat("0", 32), "": "", "opaque": ""} {
		etag.Store(&told)
		if receipt := mustPut(t, s, uriOf(t, s, "k"), []byte("x")); receipt.ProvenMD5 != want {
			t.Errorf("%q: receipt %+v", told, receipt)
		}
		receipt, err := s.Put(t.Context(), uriOf(t, s, "l"), streamOf(-1, func() io.Reader { return bytes.NewReader(noise(1, 6<<20)) }))
		if err != nil || receipt.ProvenMD5 != "" || receipt.MD5 != md5Hex(noise(1, 6<<20)) {
			t.Errorf("%q: large: receipt %+v, %v", told, receipt, err)
		}
	}
}

// TestWithoutLargeObjects: a server that takes a manifest for a payload must not
// store it.
func TestWithoutLargeObjects(t *testing.T) {
	server := testenv.Swift(t)
	s := behind(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		r.URL.RawQuery = ""
		return false
	}, nil)
	_, err := s.Put(t.Context(), uriOf(t, s, "k"), streamOf(-1, func() io.Reader { return bytes.NewReader(noise(1, 6<<20)) }))
	wantKind(t, err, drivers.Corrupt)
	wantObjects(t, server, s.container, 0)
	wantObjects(t, server, s.segments, 0)
}

// TestQuota fills a container.
func TestQuota(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	if err := server.Client().ContainerUpdate(t.Context(), s.container, ncw.Headers{"X-Container-Meta-Quota-Bytes": "10"}); err != nil {
		t.Fatal(err)
	}
	body := noise(1, 1000)
	_, err := s.Put(t.Context(), uriOf(t, s, "k"), drivers.InMemory(body, md5Hex(body)))
	wantKind(t, err, drivers.Full, "quota")
}

// TestEchoedSecrets: a server that repeats what it was told.
func TestEchoedSecrets(t *testing.T) {
	server := testenv.Swift(t)
	s := behind(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "token %s, key %s", r.Header.Get("X-Auth-Token"), server.Key)
		return true
	}, nil)
	_, err := s.Stat(t.Context(), uriOf(t, s, "k"))
	if err == nil {
		t.Fatal("no error")
	}
	_, _, err = s.Get(t.Context(), uriOf(t, s, "k"))
	wantKind(t, err, drivers.Other, "418", "token ***, key ***")
	printed := fmt.Sprintf("%v %+v %#v", s, s, s)
	if strings.Contains(printed, server.Key) || strings.Contains(printed, s.conn.AuthToken) {
		t.Error("printing a Store shows a secret")
	}
}

// TestSilentServer: every wait is bounded.
func TestSilentServer(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	server := testenv.Swift(t)
	front := frontOf(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/body") {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "ten bytes.")
			w.(http.Flusher).Flush()
			<-release
			return true
		}
		if strings.HasSuffix(r.URL.Path, "/silent") {
			<-release
			return true
		}
		return false
	}, nil)
	o := optionsFor(server, server.Container(t))
	o.Auth, o.Timeout = front+"/auth/v1.0", "0.5"
	s, err := Open(context.WithoutCancel(t.Context()), o, Tuning{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Stat(t.Context(), uriOf(t, s, "silent"))
	wantKind(t, err, drivers.Temporary)
	r, _, err := s.Get(t.Context(), uriOf(t, s, "body"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = io.ReadAll(r)
	wantKind(t, err, drivers.Temporary, "stopped sending")
}
