package faults

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Fault is a fault of requests or their answers.
type Fault struct {
	Rule
	// On says which requests are events; nil means all.
	On func(*http.Request) bool
	// Do is what happens to those that are hit.
	Do Effect

	counter
}

// HTTP passes requests on to a server, each with the Host that the client sent,
// which its signature may cover. Where an answer tells a Swift client the
// address of the object store, it is made that of the proxy.
type HTTP struct {
	target   *url.URL
	url      string
	seed     uint64
	server   *http.Server
	upstream *http.Transport
	closing  context.Context
	close    context.CancelFunc
	serving  sync.WaitGroup // the accepting goroutine
	handling sync.WaitGroup // requests
	open     sync.WaitGroup // connections

	mu     sync.Mutex
	faults []*Fault
	public string // what clients are told
	closed bool
}

// NewHTTP starts a proxy on a free port of 127.0.0.1 for the server at a URL
// without a path.
func NewHTTP(target string, seed uint64) (*HTTP, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &HTTP{
		target: to, url: "http://" + l.Addr().String(), seed: seed,
		upstream: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 128},
	}
	p.public = p.url
	p.closing, p.close = context.WithCancel(context.Background())
	p.server = &http.Server{
		Handler: http.HandlerFunc(p.handle), ConnState: p.count,
		ErrorLog: log.New(io.Discard, "", 0), // connections that we break
	}
	p.serving.Go(func() {
		if err := p.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic("faults: " + err.Error())
		}
	})
	return p, nil
}

// URL is the proxy's, http://127.0.0.1:PORT.
func (p *HTTP) URL() string { return p.url }

// Public says at which URL clients reach the proxy, where something stands before
// it.
func (p *HTTP) Public(url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.public = url
}

// Inject adds faults. A request is hit by the first fault whose event it is and
// whose rule says so.
func (p *HTTP) Inject(faults ...*Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, faults...)
}

// Lift ends all faults.
func (p *HTTP) Lift() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Rest gives up connections to the server that are not in use.
func (p *HTTP) Rest() { p.upstream.CloseIdleConnections() }

// Close ends the proxy and waits for all its goroutines.
func (p *HTTP) Close() error {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	if closed {
		return nil
	}
	p.close()
	err := p.server.Close()
	p.serving.Wait()
	p.handling.Wait()
	p.open.Wait()
	p.upstream.CloseIdleConnections()
	return err
}

// count follows the connections.
func (p *HTTP) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		p.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		p.open.Done()
	}
}

func (p *HTTP) handle(w http.ResponseWriter, r *http.Request) {
	p.handling.Add(1)
	defer p.handling.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.closing, cancel)()
	x := &exchange{proxy: p, w: w, r: r.WithContext(ctx)}
	p.mu.Lock()
	x.public = p.public
	for _, f := range p.faults {
		if f.On != nil && !f.On(r) {
			continue
		}
		if number, ok := f.hit(f.Rule, p.seed); ok {
			x.effect, x.random = f.Do, drawn(p.seed, number)
			break
		}
	}
	p.mu.Unlock()
	if x.effect == nil {
		x.effect = pass
	}
	x.effect(x)
}

// storageHeader tells a Swift client where its account is.
const storageHeader = "X-Storage-Url"

// send passes a request on, with this body in place of its own.
func (x *exchange) send(body io.Reader) *http.Response {
	p, in := x.proxy, x.r
	out := in.Clone(in.Context())
	out.RequestURI = ""
	out.URL = &url.URL{
		Scheme: p.target.Scheme, Host: p.target.Host,
		Path: in.URL.Path, RawPath: in.URL.RawPath, RawQuery: in.URL.RawQuery, ForceQuery: in.URL.ForceQuery,
	}
	out.Host = in.Host
	out.Header.Del("Connection")
	if in.Header.Get("User-Agent") == "" {
		out.Header["User-Agent"] = nil // or Go adds its own
	}
	out.Body = io.NopCloser(body)
	if in.ContentLength == 0 {
		out.Body = http.NoBody
	}
	answer, err := p.upstream.RoundTrip(out)
	if err != nil {
		x.abort() // the server is gone, or the client
	}
	if where := answer.Header.Get(storageHeader); where != "" {
		answer.Header.Set(storageHeader, strings.Replace(where, p.target.String(), x.public, 1))
	}
	return answer
}
