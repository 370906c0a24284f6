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

// troubled stands before a Swift and fails every few requests for objects: with
// 503, with 429, by closing the connection, and with an expired token.
type troubled struct {
	proxy *httputil.ReverseProxy
	count atomic.Int64
	faced [4]atomic.Int64
}

func (p *troubled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := p.count.Add(1)
	if !strings.HasPrefix(r.URL.Path, "/v1/") || n%9 != 0 {
		p.proxy.ServeHTTP(w, r)
		return
	}
	fault := int(n / 9 % 4)
	p.faced[fault].Add(1)
	switch fault {
	case 0:
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
	case 1:
		w.WriteHeader(http.StatusTooManyRequests)
	case 2:
		panic(http.ErrAbortHandler) // closes the connection without an answer
	default:
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// TestSwiftInTrouble moves documents to and from a Swift that fails one request
// in nine: all of them arrive.
func TestSwiftInTrouble(t *testing.T) {
	t.Parallel()
	swift := testenv.Swift(t)
	target, err := url.Parse(swift.AuthURL)
	if err != nil {
		t.Fatal(err)
	}
	target.Path = ""
	trouble := &troubled{proxy: httputil.NewSingleHostReverseProxy(target)}
	server := httptest.NewServer(trouble)
	defer server.Close()
	trouble.proxy.ModifyResponse = func(r *http.Response) error {
		if storage := r.Header.Get("X-Storage-Url"); storage != "" {
			r.Header.Set("X-Storage-Url", strings.Replace(storage, target.String(), server.URL, 1))
		}
		return nil
	}
	s := seedDB(t, bench.Workload{Documents: 300, Seed: 70})
	db, direct := dbPlace(s.url), swiftPlace(swift, swift.Container(t), "")
	through := direct
	through.options = append(replaced(direct.options, target.String(), server.URL), "starting_backoff: 0.1", "max_backoff: 1")
	there, back := db.config(t, s.url, compression{}), through.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", there, back).want(t, exitDone)
	s.check(t, direct)
	empty(t, db.raw)
	kedge(t, "migrate", "--dontask", back, there).want(t, exitDone)
	s.check(t, db)
	empty(t, direct.raw)
	for fault, n := range []int64{trouble.faced[0].Load(), trouble.faced[1].Load(), trouble.faced[2].Load(), trouble.faced[3].Load()} {
		if n == 0 {
			t.Errorf("fault %d was never met", fault)
		}
	}
}
