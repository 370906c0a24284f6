package s3

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/s3/internal/foreign"
	"github.com/kedge/kedge/internal/testenv"
)

// TestTLS goes to the servers through a TLS front, where payloads are sent
// unsigned: first with a certificate that nobody vouches for, then trusting it.
func TestTLS(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		target, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
		}}
		front := httptest.NewUnstartedServer(proxy)
		front.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes
		front.StartTLS()
		defer front.Close()

		o := optionsFor(server, server.Bucket(t))
		o.URL = front.URL
		_, err = Open(t.Context(), o, Tuning{})
		wantKind(t, err, drivers.Config, front.URL, "certificate")

		s := newStore(o.Bucket, o.Prefix, o.connection(), Tuning{PartBytes: minPartBytes})
		defer s.Close()
		roots := x509.NewCertPool()
		roots.AddCert(front.Certificate())
		for _, client := range []*http.Client{s.http, s.slowHTTP} {
			client.Transport.(foreign.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
		}
		if err := s.open(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		small, large := []byte("over TLS"), noise(9, 6<<20)
		uris := []string{uriOf(t, s, "small"), uriOf(t, s, "large")}
		if receipt := mustPut(t, s, uris[0], small); receipt.ProvenMD5 != md5Hex(small) {
			t.Errorf("receipt %+v", receipt)
		}
		receipt, err := s.Put(t.Context(), uris[1], streamOf(-1, func() io.Reader { return bytes.NewReader(large) }))
		if err != nil || receipt.ProvenMD5 != md5Hex(large) {
			t.Errorf("receipt %+v, %v", receipt, err)
		}
		mustHold(t, s, uris[0], small)
		mustHold(t, s, uris[1], large)
		for _, err := range s.DeleteBatch(t.Context(), uris) {
			if err != nil {
				t.Error(err)
			}
		}
		mustMiss(t, s, uris[0])
		mustMiss(t, s, uris[1])
	})
}
