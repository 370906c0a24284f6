package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv/faults"
)

const etag = `"0123456789abcdef0123456789abcdef"`

var body = strings.Repeat("0123456789", 10000)

// origin answers with what the request said of itself, and counts.
func origin(t *testing.T) (url string, served *atomic.Int64) {
	t.Helper()
	served = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		served.Add(1)
		w.Header().Set("Etag", etag)
		w.Header().Set("X-Request", fmt.Sprintf("%s %s %s %d %t", r.Method, r.Host, r.RequestURI, r.ContentLength, string(got) == body))
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL, served
}

func newHTTP(t *testing.T) (*faults.HTTP, *atomic.Int64) {
	t.Helper()
	url, served := origin(t)
	p, err := faults.NewHTTP(url, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, served
}

// put sends a request with a body through a proxy, over a connection of its own.
func put(t *testing.T, p *faults.HTTP) (*http.Response, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, p.URL()+"/a%2Fb%3A/c?x=%20&y", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "signed.example.com"
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	return answer, string(got), err
}

func TestHTTPPassesEverything(t *testing.T) {
	p, _ := newHTTP(t)
	answer, got, err := put(t, p)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("PUT signed.example.com /a%%2Fb%%3A/c?x=%%20&y %d true", len(body)); answer.Header.Get("X-Request") != want || got != body {
		t.Errorf("the server saw %q, want %q; the whole body comes back: %t", answer.Header.Get("X-Request"), want, got == body)
	}
}

func TestEffects(t *testing.T) {
	for _, test := range []struct {
		name   string
		do     faults.Effect
		served int64
		check  func(answer *http.Response, got string, err error) bool
	}{
		{"answer", faults.Answer(503, "SlowDown", "7"), 0, func(a *http.Response, got string, err error) bool {
			return err == nil && a.StatusCode == 503 && a.Header.Get("Retry-After") == "7" && strings.Contains(got, "<Code>SlowDown</Code>")
		}},
		{"truncated", faults.Truncated, 1, func(a *http.Response, got string, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && a.ContentLength == int64(len(body)) && got == body[:len(body)/2]
		}},
		{"reset answer", faults.ResetAnswer(1000), 1, func(_ *http.Response, got string, err error) bool {
			return errors.Is(err, syscall.ECONNRESET) && len(got) <= 1000
		}},
		{"reset request", faults.ResetRequest(1000), 0, func(_ *http.Response, _ string, err error) bool {
			// The last is the transport's own: it has closed the connection by then.
			return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
		}},
		{"wrong etag", faults.WrongETag, 1, func(a *http.Response, got string, err error) bool {
			return err == nil && got == body && differing(a.Header.Get("Etag"), etag) == 1
		}},
		{"corrupted", faults.Corrupted, 1, func(a *http.Response, got string, err error) bool {
			return err == nil && a.Header.Get("Etag") == etag && differing(got, body) == 1
		}},
		{"corrupted request", faults.CorruptedRequest, 1, func(a *http.Response, got string, err error) bool {
			return err == nil && got == body && strings.HasSuffix(a.Header.Get("X-Request"), fmt.Sprintf("%d false", len(body)))
		}},
		{"lost", faults.Lost, 1, func(_ *http.Response, _ string, err error) bool { return errors.Is(err, io.EOF) }},
		{"unanswered", faults.Unanswered, 1, func(_ *http.Response, _ string, err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		{"swallowed", faults.Swallowed, 0, func(_ *http.Response, _ string, err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, served := newHTTP(t)
			fault := &faults.Fault{Rule: faults.Rule{Most: 1}, On: func(r *http.Request) bool { return r.Method == http.MethodPut }, Do: test.do}
			p.Inject(fault)
			if answer, got, err := put(t, p); !test.check(answer, got, err) {
				t.Errorf("%+v, %d bytes, %v", answer, len(got), err)
			}
			if served.Load() != test.served || fault.Hits() != 1 {
				t.Errorf("the server saw %d requests, want %d; %d hits", served.Load(), test.served, fault.Hits())
			}
			if _, got, err := put(t, p); err != nil || got != body {
				t.Errorf("after the fault: %v", err)
			}
		})
	}
}

// differing counts the bytes that differ, -1 for other lengths.
func differing(a, b string) int {
	if len(a) != len(b) {
		return -1
	}
	n := 0
	for i := range len(a) {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// The address of a Swift account is the proxy's, the ETag of an upload in a body
// is altered too.
func TestHTTPInBodiesAndHeaders(t *testing.T) {
	var url string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Storage-Url", url+"/v1/AUTH_test")
		_, _ = io.WriteString(w, "<R><ETag>&#34;0123456789abcdef0123456789abcdef-2&#34;</ETag></R>")
	}))
	defer s.Close()
	url = s.URL
	p, err := faults.NewHTTP(url, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Inject(&faults.Fault{Do: faults.WrongETag})
	answer, got, err := put(t, p)
	if err != nil || answer.Header.Get("X-Storage-Url") != p.URL()+"/v1/AUTH_test" {
		t.Errorf("%v, %v", answer, err)
	}
	if want := "<R><ETag>&#34;0123456789abcdef0123456789abcdef-2&#34;</ETag></R>"; differing(got, want) != 1 {
		t.Errorf("%s", got)
	}
}

// The same seed hits the same events.
func TestRules(t *testing.T) {
	hits := func(rule faults.Rule) (list string) {
		p, _ := newHTTP(t)
		fault := &faults.Fault{Rule: rule, Do: faults.Answer(500, "", "")}
		p.Inject(fault)
		for range 12 {
			answer, _, err := put(t, p)
			if err != nil {
				t.Fatal(err)
			}
			list += map[bool]string{true: "x", false: "-"}[answer.StatusCode == 500]
		}
		if fault.Hits() != strings.Count(list, "x") {
			t.Errorf("%d hits of %s", fault.Hits(), list)
		}
		return list
	}
	if got := hits(faults.Rule{After: 2, Most: 3}); got != "--xxx-------" {
		t.Error(got)
	}
	every := hits(faults.Rule{Every: 4})
	if strings.Count(every, "x") != 3 || every != hits(faults.Rule{Every: 4}) || !bytes.Equal([]byte(every[:4]), []byte(every[4:8])) {
		t.Error(every)
	}
}
