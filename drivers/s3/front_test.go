package s3

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers/s3/internal/foreign"
	"github.com/kedge/kedge/internal/testenv"
)

// front stands before a real server, passes all on and notes the requests. It
// speaks http and, as any host it is taken for, https.
type front struct {
	plain, secure *httptest.Server
	authority     *x509.Certificate

	mu      sync.Mutex
	seen    []request
	instead func(http.ResponseWriter, *http.Request) bool
}

// answer lets fn answer in the server's place where it returns true.
func (f *front) answer(fn func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead = fn
}

func (f *front) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = nil
}

// request is what a front notes.
type request struct {
	*http.Request
	body []byte
}

func newFront(t *testing.T, server *testenv.S3Server) *front {
	t.Helper()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // which is signed
	}}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		f.mu.Lock()
		f.seen = append(f.seen, request{r.Clone(context.Background()), body})
		instead := f.instead
		f.mu.Unlock()
		if instead != nil && instead(w, r) {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	})
	f.plain = httptest.NewServer(handler)
	f.secure = httptest.NewUnstartedServer(handler)
	f.secure.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes
	f.secure.TLS = f.certificates(t)
	f.secure.StartTLS()
	t.Cleanup(func() { f.plain.Close(); f.secure.Close() })
	return f
}

// certificates makes an authority, which vouches for every host asked for.
func (f *front) certificates(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := func(host string, parent *x509.Certificate) (*x509.Certificate, error) {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, key)
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificate(der)
	}
	if f.authority, err = made("authority of a test", nil); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		leaf, err := made(hello.ServerName, f.authority)
		if err != nil {
			return nil, err
		}
		return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
	}}
}

func (f *front) authorityPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.authority.Raw})
}

// requests are those noted so far that a filter lets through.
func (f *front) requests(match func(request) bool) (found []request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.seen {
		if match(r) {
			found = append(found, r)
		}
	}
	return found
}

func isPut(r request) bool {
	return r.Method == http.MethodPut && r.URL.Query().Get("partNumber") == ""
}
func isStart(r request) bool  { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") }
func anyRequest(request) bool { return true }

// sole is the one request that a filter lets through.
func (f *front) sole(t *testing.T, match func(request) bool) request {
	t.Helper()
	found := f.requests(match)
	if len(found) != 1 {
		t.Fatalf("%d such requests, want 1", len(found))
	}
	return found[0]
}

// takenFor opens a store whose connections all end at the front, whatever the
// host: what is meant for Amazon reaches a real server.
func (f *front) takenFor(t *testing.T, o Options) (*Store, error) {
	t.Helper()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	conn := o.connection()
	conn.roots = x509.NewCertPool()
	conn.roots.AddCert(f.authority)
	s := newStore(o.Bucket, o.prefix(), conn, o.tuned(Tuning{}))
	s.attributes = o.attributes()
	t.Cleanup(func() { s.Close() })
	for _, client := range []*http.Client{s.http, s.slowHTTP} {
		tr := client.Transport.(foreign.Transport).Transport
		dial := tr.DialContext
		tr.Proxy = nil
		tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			to := f.plain
			if strings.HasSuffix(address, ":443") {
				to = f.secure
			}
			return dial(ctx, network, to.Listener.Addr().String())
		}
	}
	return s, s.open(t.Context(), o.CreateBucket)
}
