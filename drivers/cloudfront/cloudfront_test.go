package cloudfront

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/s3"
	"github.com/kedge/kedge/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const blob = "docker/registry/v2/blobs/sha256/00/aa bb+é/data"

// rig is a store in MinIO with an edge in front.
type rig struct {
	edge   *testenv.Edge
	server *testenv.S3Server
	bucket string
	inner  *s3.Store
}

func newRig(t *testing.T, prefix string) rig {
	t.Helper()
	server := testenv.MinIO(t)
	r := rig{server: server, bucket: server.Bucket(t)}
	inner, err := s3.Open(t.Context(), s3.Options{AccessKey: server.AccessKey, SecretKey: server.SecretKey, URL: server.URL, Bucket: r.bucket, Prefix: prefix}, s3.Tuning{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inner.Close() })
	r.inner, r.edge = inner, testenv.NewEdge(t, server, r.bucket)
	return r
}

func (r rig) options() Options {
	return Options{BaseURL: r.edge.URL, PrivateKey: r.edge.KeyFile, KeyPairID: r.edge.KeyPairID}
}

func (r rig) open(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := New(r.inner, o, func(path string) bool { return strings.HasSuffix(path, "/data") })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put stores content and gives its URI.
func (r rig) put(t *testing.T, path string, content []byte) string {
	t.Helper()
	uri, err := r.inner.PathURI(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(content)
	if _, err := r.inner.Put(t.Context(), uri, drivers.InMemory(content, hex.EncodeToString(sum[:]))); err != nil {
		t.Fatal(err)
	}
	return uri
}

func read(t *testing.T, s *Store, uri string) ([]byte, error) {
	t.Helper()
	body, info, err := s.Get(t.Context(), uri)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err == nil && info.Bytes != int64(len(content)) {
		t.Errorf("%d bytes, announced were %d", len(content), info.Bytes)
	}
	return content, err
}

// Blobs come through the edge, signed, all else from S3; with both forms of the
// key, with a root directory and with that as the distribution's origin path.
func TestGet(t *testing.T) {
	content := bytes.Repeat([]byte("layer"), 100_000)
	for name, test := range map[string]struct {
		prefix, originPath string
		pkcs8              bool
	}{
		"bucket root":                      {"", "", false},
		"PKCS #8":                          {"", "", true},
		"root directory":                   {"some/root/", "", false},
		"root directory as origin path":    {"some/root/", "/some/root", false},
		"root directory, once more, PKCS8": {"r/", "/r", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.prefix)
			r.edge.OriginPath = test.originPath
			o := r.options()
			if test.pkcs8 {
				o.PrivateKey = r.edge.KeyFile8
			}
			s := r.open(t, o)
			uri, link := r.put(t, blob, content), r.put(t, "docker/registry/v2/repositories/x/_layers/sha256/aa/link", []byte("sha256:aa"))
			for range 3 {
				if got, err := read(t, s, uri); err != nil || !bytes.Equal(got, content) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
			}
			if served, _ := r.edge.Requests(); served != 3 {
				t.Errorf("the edge served %d requests, want 3", served)
			}
			if got, err := read(t, s, link); err != nil || string(got) != "sha256:aa" {
				t.Errorf("link: %q, %v", got, err)
			}
			missing, err := s.PathURI("docker/registry/v2/blobs/sha256/00/none/data")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := read(t, s, missing); drivers.KindOf(err) != drivers.NotFound || !strings.HasPrefix(err.Error(), "get s3://") {
				t.Errorf("a blob that is not there: %v", err)
			}
			if served, _ := r.edge.Requests(); served != 3 {
				t.Errorf("the edge served %d requests, want 3: links must come from S3", served)
			}
		})
	}
}

// withoutLength keeps the length of answers back.
type withoutLength struct{ http.RoundTripper }

func (w withoutLength) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(r)
	if err == nil {
		response.ContentLength = -1
	}
	return response, err
}

// An edge may not tell the length, and not mark the end; the store behind tells it.
func TestGetWithoutLength(t *testing.T) {
	r := newRig(t, "")
	s := r.open(t, r.options())
	s.http.Transport = withoutLength{s.http.Transport}
	content := bytes.Repeat([]byte("layer"), 100_000)
	if got, err := read(t, s, r.put(t, blob, content)); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if served, _ := r.edge.Requests(); served != 1 {
		t.Errorf("the edge served %d requests", served)
	}
}

// What the edge refuses, and what is said of it.
func TestRefused(t *testing.T) {
	r := newRig(t, "")
	uri := r.put(t, blob, []byte("content"))
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	wrong := writePEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(other))
	change := func(key, value string) func(*http.Request) {
		return func(r *http.Request) {
			q := r.URL.Query()
			if value == "" {
				q.Del(key)
			} else {
				q.Set(key, value)
			}
			r.URL.RawQuery = q.Encode()
		}
	}
	for _, test := range []struct {
		name   string
		option func(*Options)
		clock  time.Duration
		tamper func(*http.Request)
		want   string
		kind   drivers.Kind
	}{
		{"another key", func(o *Options) { o.PrivateKey = wrong }, 0, nil, "answered 403 AccessDenied: Access denied (does privatekey belong to keypairid", drivers.Denied},
		{"unknown key pair", func(o *Options) { o.KeyPairID = "KNOBODY" }, 0, nil, "answered 403 InvalidKey: Unknown Key (keypairid is no key pair that the distribution trusts)", drivers.Denied},
		{"expired", func(o *Options) { o.Duration = "90s" }, time.Hour, nil, "by the edge's clock (set this machine's clock, or give a longer duration)", drivers.Denied},
		{"unsigned", nil, 0, func(r *http.Request) { r.URL.RawQuery = "" }, "answered 403 MissingKey", drivers.Denied},
		{"tampered signature", nil, 0, change("Signature", "AAAA"), "answered 403 AccessDenied", drivers.Denied},
		{"tampered expiry", nil, 0, change("Expires", "4000000000"), "answered 403 AccessDenied", drivers.Denied},
		{"without expiry", nil, 0, change("Expires", ""), "answered 403 MalformedPolicy", drivers.Denied},
		{"another path", nil, 0, func(r *http.Request) { r.URL.Path += "x"; r.URL.RawPath = "" }, "answered 403 AccessDenied", drivers.Denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := r.options()
			if test.option != nil {
				test.option(&o)
			}
			r.edge.SetClock(test.clock)
			r.edge.Tamper(test.tamper)
			served, _ := r.edge.Requests()
			_, err := read(t, r.open(t, o), uri)
			if err == nil || !strings.Contains(err.Error(), test.want) || drivers.KindOf(err) != test.kind {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "Signature=") || strings.ContainsAny(err.Error(), "\r\n")) {
				t.Errorf("the message holds the signature or a line break: %v", err)
			}
			if now, _ := r.edge.Requests(); now != served {
				t.Error("the edge served it")
			}
		})
	}
	r.edge.SetClock(0)
	r.edge.Tamper(nil)
	if got, err := read(t, r.open(t, r.options()), uri); err != nil || string(got) != "content" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
	o := r.options()
	o.BaseURL = "http://127.0.0.1:1/"
	if _, err := read(t, r.open(t, o), uri); drivers.KindOf(err) != drivers.Temporary || strings.Contains(err.Error(), "Signature=") {
		t.Errorf("nobody listens: %v", err)
	}
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOptionsRefused(t *testing.T) {
	r := newRig(t, "")
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(elliptical)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&elliptical.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.BaseURL = "" }, "baseurl is not a URL"},
		{func(o *Options) { o.BaseURL = "ftp://x" }, "baseurl is not a URL"},
		{func(o *Options) { o.Duration = "soon" }, "duration is none"},
		{func(o *Options) { o.Duration = "-5m" }, "duration is none"},
		{func(o *Options) { o.IPFilteredBy = "me" }, "ipfilteredby must be"},
		{func(o *Options) { o.IPFilteredBy = "awsregion" }, "wants awsregion"},
		{func(o *Options) { o.PrivateKey = "/nowhere/pk.pem" }, "no such file"},
		{func(o *Options) { o.PrivateKey = text }, "holds no PEM"},
		{func(o *Options) { o.PrivateKey = writePEM(t, "PRIVATE KEY", der) }, "not RSA"},
		{func(o *Options) { o.PrivateKey = writePEM(t, "PUBLIC KEY", public) }, "not the private key"},
		{func(o *Options) { o.PrivateKey = writePEM(t, "RSA PRIVATE KEY", []byte("junk")) }, "no RSA key"},
		{func(o *Options) { o.PrivateKey = writePEM(t, "ENCRYPTED PRIVATE KEY", []byte("junk")) }, "encrypted with a password"},
	} {
		o := r.options()
		test.change(&o)
		_, err := New(r.inner, o, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) || drivers.KindOf(err) != drivers.Config {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
	for _, duration := range []string{"", "20m", "3000s", "3000"} {
		o := r.options()
		o.Duration = duration
		if err := o.Validate(); err != nil {
			t.Errorf("duration %q: %v", duration, err)
		}
	}
}
