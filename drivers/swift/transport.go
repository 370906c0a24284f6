package swift

import (
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/drivers/httpstore"
)

// Tuning is what may be measured and set per store; zero values are defaults.
type Tuning struct {
	// Workers is how many operations are worth having in flight (32).
	Workers int
	// SegmentBytes is the length of one segment of a large object and the
	// longest stream that is sent in one request (8 MiB). The option
	// segment_size goes before it.
	SegmentBytes int64
	// ConnectTimeout bounds dialling and, separately, the TLS handshake (10 s).
	ConnectTimeout time.Duration
	// ResponseTimeout bounds every silence of the server: before its answer,
	// within a body, and while it takes in what is sent (60 s). Work on all
	// segments of an object, or on many objects at once, may take ten times as
	// long. The option timeout goes before it.
	ResponseTimeout time.Duration
	// Look opens the store for somebody who only looks: a container that
	// create_container would make is not made, see Store.Missing.
	Look bool
}

func (t Tuning) withDefaults() Tuning {
	t.Workers = cmp.Or(max(t.Workers, 0), 32)
	t.SegmentBytes = cmp.Or(max(t.SegmentBytes, 0), 8<<20)
	t.ConnectTimeout = cmp.Or(max(t.ConnectTimeout, 0), 10*time.Second)
	t.ResponseTimeout = cmp.Or(max(t.ResponseTimeout, 0), 60*time.Second)
	return t
}

// tripper stands between the client library and the network.
//
//   - It drops "Expect: 100-continue", which the library sends with every body:
//     Swift closes the connection after a PUT that it refuses so, and the next
//     PUT on it fails.
//   - It takes the body from the context instead of from the library, so that
//     it is read by one request at a time, can be sent again, and is no longer
//     touched once the answer is there.
//   - It keeps the beginning of an answer that is no success: the library loses
//     what arrives together with the end.
//   - It does not follow redirections, with which the token would go to a host
//     that nobody configured.
type tripper struct {
	quick, slow *http.Transport
	token       atomic.Pointer[string] // the one last used, which no message may hold
}

func newTripper(t Tuning, tlsConfig *tls.Config) *tripper {
	return &tripper{
		quick: transport(t, tlsConfig, t.ResponseTimeout),
		slow:  transport(t, tlsConfig, httpstore.SlowFactor*t.ResponseTimeout),
	}
}

// sending is what the context of a request to the object store says about it.
type sending struct {
	payload []byte
	slow    bool
	// answer takes the beginning of the body of an answer that is no success.
	answer *string
}

// maxAnswerBytes is how much of such a body is of interest.
const maxAnswerBytes = 4096

// chunkedHeader tells the store of an answer that its end is marked: the library
// passes on headers only, and net/http takes this one out of them.
const chunkedHeader = "Transfer-Encoding"

type sendingKey struct{}

// RoundTrip sends one request. See http.RoundTripper.
func (t *tripper) RoundTrip(req *http.Request) (*http.Response, error) {
	what, _ := req.Context().Value(sendingKey{}).(sending)
	inner := t.quick
	if what.slow {
		inner = t.slow
	}
	out := req.Clone(req.Context())
	out.Header.Del("Expect")
	// A request for a token is made under the same context; it has no token.
	token := req.Header.Get("X-Auth-Token")
	if token != "" {
		t.token.Store(&token)
	}
	if req.Body != nil && token != "" {
		if err := req.Body.Close(); err != nil {
			return nil, err
		}
		var sent bodies
		defer sent.end()
		sent.into(out, what.payload)
	}
	resp, err := inner.RoundTrip(out)
	if err != nil {
		return resp, err
	}
	if resp.Header.Del(chunkedHeader); httpstore.Length(resp) == httpstore.Chunked {
		resp.Header.Set(chunkedHeader, "chunked")
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	if resp.StatusCode < 400 {
		resp.Header.Del("Location")
	}
	if what.answer != nil {
		// What cannot be read is not there; the status is.
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
		*what.answer = string(text)
	}
	return resp, nil
}

// CloseIdleConnections is called by the client library as well, whenever it
// authenticates.
func (t *tripper) CloseIdleConnections() {
	t.quick.CloseIdleConnections()
	t.slow.CloseIdleConnections()
}

// bodies are the readers that one request has been given for its payload.
type bodies struct {
	mu  sync.Mutex
	all []*body
}

func (b *bodies) into(req *http.Request, payload []byte) {
	req.TransferEncoding = nil
	req.ContentLength = int64(len(payload))
	if len(payload) == 0 {
		req.Body, req.GetBody = http.NoBody, nil
		return
	}
	req.GetBody = func() (io.ReadCloser, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		one := &body{rest: payload}
		b.all = append(b.all, one)
		return one, nil
	}
	req.Body, _ = req.GetBody() // never fails
}

// end takes the payload away from the transport, which may still be sending
// when the server has answered: the memory is used again for the next segment.
func (b *bodies) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.all {
		_ = one.Close() // never fails
	}
}

var errOver = errors.New("the request is over")

// body is a request's body, which can be ended at any moment.
type body struct {
	mu    sync.Mutex
	rest  []byte
	ended bool
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended:
		return 0, errOver
	case len(b.rest) == 0:
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended, b.rest = true, nil
	return nil
}

// transport is an HTTP transport whose every wait is bounded.
func transport(t Tuning, tlsConfig *tls.Config, answerTimeout time.Duration) *http.Transport {
	return httpstore.Transport{
		Workers: t.Workers, ConnectTimeout: t.ConnectTimeout,
		Silence: t.ResponseTimeout, ReadSilence: httpstore.SlowFactor * t.ResponseTimeout, TLS: tlsConfig,
	}.Until(answerTimeout)
}
