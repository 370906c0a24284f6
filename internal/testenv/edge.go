package testenv

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Edge stands in for a CloudFront distribution in front of an S3 bucket: it
// checks signed URLs as "Using signed URLs" in the CloudFront Developer Guide
// documents them (canned policies), with the public key, and fetches from the
// bucket with keys of its own. CloudFront itself cannot be had for tests.
type Edge struct {
	// URL is the distribution's, with a slash at its end.
	URL string
	// KeyPairID and KeyFile are what a signer needs: the id and the private key,
	// PEM with PKCS #1. KeyFile8 is the same key with PKCS #8.
	KeyPairID         string
	KeyFile, KeyFile8 string
	// OriginPath is put before the path of every request, as a distribution's.
	OriginPath string

	server *httptest.Server
	origin *S3Server
	bucket string
	public *rsa.PublicKey

	mu      sync.Mutex
	clock   time.Duration // how far it is ahead
	tamper  func(*http.Request)
	served  int
	refused int
}

// NewEdge starts an edge for one test, which ends with the test.
func NewEdge(tb testing.TB, origin *S3Server, bucket string) *Edge {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	dir := tb.TempDir()
	e := &Edge{
		KeyPairID: "K" + strings.ToUpper(randomName("")), KeyFile: filepath.Join(dir, "pk.pem"), KeyFile8: filepath.Join(dir, "pk8.pem"),
		origin: origin, bucket: bucket, public: &key.PublicKey,
	}
	for path, block := range map[string]*pem.Block{
		e.KeyFile:  {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
		e.KeyFile8: {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatalf("testenv: %v", err)
		}
	}
	e.server = httptest.NewServer(http.HandlerFunc(e.serve))
	tb.Cleanup(e.server.Close)
	e.URL = e.server.URL + "/"
	return e
}

// SetClock puts the edge's clock ahead of this machine's, or behind it.
func (e *Edge) SetClock(ahead time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clock = ahead
}

// Tamper changes every request, as somebody on the way to the edge would; nil
// leaves them as they are.
func (e *Edge) Tamper(change func(*http.Request)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tamper = change
}

// Requests tells how many requests were served and how many refused.
func (e *Edge) Requests() (served, refused int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.served, e.refused
}

func (e *Edge) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	now := time.Now().Add(e.clock)
	if e.tamper != nil {
		e.tamper(r)
	}
	e.mu.Unlock()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	w.Header().Set("Server", "CloudFront")
	if code, message := e.check(r, now); code != "" {
		e.refuse(w, http.StatusForbidden, code, message)
		return
	}
	key := strings.TrimPrefix(e.OriginPath+r.URL.Path, "/")
	out, err := e.origin.Client().GetObject(r.Context(), &s3.GetObjectInput{Bucket: &e.bucket, Key: &key})
	if err != nil {
		// An origin that may not be listed answers so for what is not there.
		e.refuse(w, http.StatusForbidden, "AccessDenied", "Access Denied")
		return
	}
	defer out.Body.Close()
	e.mu.Lock()
	e.served++
	e.mu.Unlock()
	w.Header().Set("Content-Length", strconv.FormatInt(*out.ContentLength, 10))
	_, _ = io.Copy(w, out.Body) // a client that has gone away is none of ours
}

func (e *Edge) refuse(w http.ResponseWriter, status int, code, message string) {
	e.mu.Lock()
	e.refused++
	e.mu.Unlock()
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

// check gives the answer of CloudFront for a request that it refuses.
func (e *Edge) check(r *http.Request, now time.Time) (code, message string) {
	query := r.URL.Query()
	switch id := query.Get("Key-Pair-Id"); {
	case id == "":
		return "MissingKey", "Missing Key-Pair-Id query parameter or cookie value"
	case id != e.KeyPairID:
		return "InvalidKey", "Unknown Key"
	}
	expires, err := strconv.ParseInt(query.Get("Expires"), 10, 64)
	if err != nil {
		return "MalformedPolicy", "Malformed Policy"
	}
	signature, err := base64.StdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "=", "~", "/").Replace(query.Get("Signature")))
	if err != nil {
		return "MalformedSignature", "Could not unencode Signature"
	}
	resource := "http://" + r.Host + r.URL.EscapedPath()
	policy := fmt.Sprintf(`{"Statement":[{"Resource":"%s","Condition":{"DateLessThan":{"AWS:EpochTime":%d}}}]}`, resource, expires)
	sum := sha1.Sum([]byte(policy))
	if rsa.VerifyPKCS1v15(e.public, crypto.SHA1, sum[:], signature) != nil || now.Unix() >= expires {
		return "AccessDenied", "Access denied"
	}
	return "", ""
}
