package s3

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/s3/internal/foreign"
	"github.com/kedge/kedge/internal/testenv"
)

func TestOpenBucket(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		o := optionsFor(server, fmt.Sprintf("absent-%d", time.Now().UnixNano()))
		_, err := Open(t.Context(), o, Tuning{})
		wantKind(t, err, drivers.Config, o.Bucket, "no such S3 bucket", "create_bucket: True")

		o.CreateBucket = true
		server.RemoveBucketAfter(t, o.Bucket)
		mustPut(t, opened(t, o), "s3://"+o.Bucket+"/u/b/k", []byte("in the new bucket"))
		again := opened(t, o)
		mustHold(t, again, "s3://"+o.Bucket+"/u/b/k", []byte("in the new bucket"))
		// As when somebody else creates it between our look and our attempt.
		if err := again.createBucket(t.Context()); err != nil {
			t.Errorf("create an S3 bucket that is ours: %v", err)
		}
	})
}

func TestOpenWrongCredentials(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		bucket := server.Bucket(t)
		const hush = "SECRETofNobody"
		o := optionsFor(server, bucket)
		o.SecretKey = hush
		_, wrongSecret := Open(t.Context(), o, Tuning{})
		wantKind(t, wrongSecret, drivers.Denied, "check secret_key", "secret key is not the access key's")
		o.AccessKey = "AKIDofNOBODY"
		_, wrongAccess := Open(t.Context(), o, Tuning{})
		wantKind(t, wrongAccess, drivers.Denied, "check access_key")
		for _, err := range []error{wrongSecret, wrongAccess} {
			for _, secret := range []string{hush, "AKIDofNOBODY", server.AccessKey, server.SecretKey} {
				for inner := err; inner != nil; {
					if strings.Contains(fmt.Sprintf("%v %+v", inner, inner), secret) {
						t.Errorf("the error holds %q: %+v", secret, inner)
					}
					u, ok := inner.(interface{ Unwrap() error })
					if !ok {
						break
					}
					inner = u.Unwrap()
				}
			}
		}
	})
}

func TestOpenWithoutAmbientCredentials(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	server := testenv.MinIO(t)
	_, err := Open(t.Context(), Options{IAMAuto: true, URL: server.URL, Bucket: server.Bucket(t)}, Tuning{})
	wantKind(t, err, drivers.Denied, "no credentials found")

	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1") // must not lead astray
	s := opened(t, Options{IAMAuto: true, URL: server.URL, Bucket: server.Bucket(t)})
	mustPut(t, s, uriOf(t, s, "k"), []byte("with what the environment gave"))
}

func TestOpenWrongRegion(t *testing.T) {
	server := testenv.NewMinIO(t, "MINIO_SITE_REGION=eu-north-1")
	client := server.Client()
	bucket := "regional"
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}, func(o *awss3.Options) { o.Region = "eu-north-1" }); err != nil {
		t.Fatal(err)
	}
	s := opened(t, optionsFor(server, bucket))
	mustPut(t, s, uriOf(t, s, "k"), []byte("signed for the server's region"))
}

// TestOpenRegionBesideURL: a server that insists on its region and names it as
// Garage does, outside of the message, or nowhere, as Oracle's.
func TestOpenRegionBesideURL(t *testing.T) {
	server := testenv.NewMinIO(t, "MINIO_SITE_REGION=eu-north-1")
	client := server.Client()
	bucket := "regional"
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}, func(o *awss3.Options) { o.Region = "eu-north-1" }); err != nil {
		t.Fatal(err)
	}
	says := func(answer string) string {
		target, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{
			Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
			ModifyResponse: func(r *http.Response) error { r.Header.Del(bucketRegion); return nil }, // MinIO tells it, these do not
		}
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Authorization"), "/eu-north-1/") {
				proxy.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, answer)
		}))
		t.Cleanup(front.Close)
		return front.URL
	}
	garage := says("<Error><Code>AuthorizationHeaderMalformed</Code><Message>unexpected scope</Message><Region>eu-north-1</Region></Error>")
	oracle := says("<Error><Code>SignatureDoesNotMatch</Code><Message>The region must be specified.</Message></Error>")
	terse := says("<Error><Code>AuthorizationHeaderMalformed</Code><Message>unexpected scope</Message></Error>")
	mustWork := func(name, url, region string) {
		t.Helper()
		o := optionsFor(server, bucket)
		o.URL, o.Region = url, region
		s, err := Open(t.Context(), o, Tuning{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		defer s.Close()
		mustPut(t, s, uriOf(t, s, "k"), []byte("signed for the server's region"))
		report, err := s.Probe(t.Context())
		if err != nil || report.Region != "eu-north-1" {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
	mustWork("named in the answer", garage, "")
	mustWork("region beside url", oracle, "eu-north-1")
	o := optionsFor(server, bucket)
	o.URL, o.Region = terse, "us-west-2"
	_, err := Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Config, "set region to the server's", "AWS_DEFAULT_REGION")
	registry := Options{RegistryAccessKey: &o.AccessKey, RegistrySecretKey: &o.SecretKey, RegionEndpoint: &terse, Region: "us-west-2", Bucket: bucket}
	_, err = Open(t.Context(), registry, Tuning{})
	wantKind(t, err, drivers.Config, "set region, beside regionendpoint, to the server's")
	t.Setenv("AWS_DEFAULT_REGION", "eu-north-1")
	mustWork("the region of Anchore's environment", oracle, "")
}

// TestRegionIgnoredBesideURL: check says so.
func TestRegionIgnoredBesideURL(t *testing.T) {
	server := testenv.MinIO(t)
	o := optionsFor(server, server.Bucket(t))
	o.Region = "eu-west-1"
	findings, err := opened(t, o).Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Name == "region" && f.Value != "us-east-1 (region: eu-west-1 is ignored beside url, as Anchore does)" {
			t.Errorf("%+v", f)
		}
	}
}

// TestOpenURLWithBucket: in the path, in the host, and with another one in the path.
func TestOpenURLWithBucket(t *testing.T) {
	server := testenv.NewMinIO(t, "MINIO_DOMAIN=localhost")
	bucket := "archive"
	if _, err := server.Client().CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	o := optionsFor(server, bucket)
	o.URL += "/archive/"
	_, err := Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Config, "url holds the S3 bucket (or a path)", "write url without it")
	registry := Options{RegistryAccessKey: &o.AccessKey, RegistrySecretKey: &o.SecretKey, RegionEndpoint: &o.URL, Bucket: bucket}
	_, err = Open(t.Context(), registry, Tuning{})
	wantKind(t, err, drivers.Config, "regionendpoint holds the S3 bucket (or a path)", "write regionendpoint without it")
	absent := optionsFor(server, "not-there")
	absent.URL += "/not-there"
	_, err = Open(t.Context(), absent, Tuning{})
	wantKind(t, err, drivers.Config, "no such S3 bucket", "write url without it")
	o.URL = strings.Replace(server.URL, "127.0.0.1", "archive.localhost", 1)
	inHost := newStore(bucket, "", o.connection(), Tuning{})
	defer inHost.Close()
	inHost.http.Transport.(foreign.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(server.URL, "http://")) // no name service knows it
	}
	err = inHost.open(t.Context(), false)
	wantKind(t, err, drivers.Config, "url holds the S3 bucket (or a path)", "write url without it")
	// A listing that is denied tells nothing.
	o = sessionOptions(t, server, bucket, onPrefixOnly(bucket, "other/"))
	o.URL += "/archive"
	_, err = Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Config, "url may hold the S3 bucket (or a path)", "grant s3:ListBucket")
}

// TestOpenURLWithPath: an endpoint may lie under a path; Anchore's client library
// puts S3 bucket and key behind it.
func TestOpenURLWithPath(t *testing.T) {
	server := testenv.MinIO(t)
	bucket := server.Bucket(t)
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	gateway := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		// As a gateway does: it knows its path, and signs anew for what is behind it.
		var below bool
		if r.Out.URL.Path, below = strings.CutPrefix(r.In.URL.Path, "/storage/s3/"); !below {
			t.Errorf("asked for %s", r.In.URL.Path)
		}
		r.Out.URL.Path, r.Out.URL.RawPath = "/"+r.Out.URL.Path, ""
		r.SetURL(target)
		r.Out.Host = target.Host
		for _, name := range []string{"X-Forwarded-For", "Authorization", "Accept-Encoding"} {
			r.Out.Header.Del(name)
		}
		digest := r.Out.Header.Get(contentSHA256)
		creds := aws.Credentials{AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey}
		if err := signer.SignHTTP(t.Context(), creds, r.Out, digest, "s3", "us-east-1", time.Now()); err != nil {
			t.Error(err)
		}
	}})
	t.Cleanup(gateway.Close)
	o := optionsFor(server, bucket)
	o.URL = gateway.URL + "/storage/s3/"
	s := opened(t, o)
	uri := uriOf(t, s, "k")
	mustPut(t, s, uri, []byte("x"))
	mustHold(t, s, uri, []byte("x"))
	mustHold(t, opened(t, optionsFor(server, bucket)), uri, []byte("x"))
	if err := s.Delete(t.Context(), uri); err != nil {
		t.Error(err)
	}
	mustMiss(t, s, uri)
}

func TestOpenUnreachable(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + closed.Addr().String()
	closed.Close()
	plain := strings.Replace(testenv.MinIO(t).URL, "http://", "https://", 1)
	tests := []struct {
		name, url string
		kind      drivers.Kind
		mentions  string
	}{
		{"connection refused", refused, drivers.Temporary, "connection refused"},
		{"no such host", "http://no-such-host.invalid:9000", drivers.Temporary, "no-such-host.invalid"},
		{"not TLS", plain, drivers.Config, "does not speak TLS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(t.Context(), Options{AccessKey: "AK", SecretKey: "hushhush", URL: tt.url, Bucket: "archive"}, Tuning{})
			wantKind(t, err, tt.kind, tt.url, tt.mentions)
		})
	}
}

// TestSilentServer meets one that takes connections and never answers.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // its backlog takes the connections
	o := Options{AccessKey: "AK", SecretKey: "hushhush", URL: "http://" + l.Addr().String(), Bucket: "archive"}
	_, err = Open(t.Context(), o, Tuning{ResponseTimeout: 50 * time.Millisecond})
	wantKind(t, err, drivers.Temporary, o.URL, "no answer in time")
}

func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server := testenv.MinIO(t)
	if _, err := Open(ctx, optionsFor(server, "whatever"), Tuning{}); drivers.KindOf(err) != drivers.Other || !strings.Contains(err.Error(), "cancelled") {
		t.Errorf("got %v", err)
	}
}

// TestOtherBucketElsewhere: rows of an earlier configuration may name an S3 bucket in
// another region, which the server names when it refuses the configured one.
func TestOtherBucketElsewhere(t *testing.T) {
	here, there := testenv.MinIO(t), testenv.VersityGW(t)
	bucket := there.Bucket(t)
	misled := 0
	to, err := url.Parse(there.URL)
	if err != nil {
		t.Fatal(err)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	keys := aws.Credentials{AccessKeyID: there.AccessKey, SecretAccessKey: there.SecretKey}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		// The one server plays the other's region: it has keys of its own.
		r.SetURL(to)
		r.Out.Host = to.Host
		for _, name := range []string{"X-Forwarded-For", "Authorization", "Accept-Encoding"} {
			r.Out.Header.Del(name)
		}
		if err := signer.SignHTTP(t.Context(), keys, r.Out, r.Out.Header.Get(contentSHA256), "s3", "us-east-1", time.Now()); err != nil {
			t.Error(err)
		}
	}}
	s := behind(t, here, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/"+bucket) {
			return false
		}
		if !strings.Contains(r.Header.Get("Authorization"), "/eu-north-1/") {
			misled++
			w.Header().Set("X-Amz-Bucket-Region", "eu-north-1")
			page{status: http.StatusBadRequest, kind: "application/xml", text: "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-north-1</Region></Error>"}.write(w, r)
			return true
		}
		proxy.ServeHTTP(w, r)
		return true
	}, nil)
	owner := opened(t, optionsFor(there, bucket))
	uris := []string{uriOf(t, owner, "a"), uriOf(t, owner, "b"), uriOf(t, owner, "c"), uriOf(t, owner, "d")}
	for _, uri := range uris {
		mustPut(t, owner, uri, []byte(uri))
	}
	if err := s.Delete(t.Context(), uris[3]); err != nil {
		t.Error(err)
	}
	for _, uri := range uris[:3] {
		mustHold(t, s, uri, []byte(uri))
	}
	if err := s.Delete(t.Context(), uris[0]); err != nil {
		t.Error(err)
	}
	for _, err := range s.DeleteBatch(t.Context(), uris[1:3]) {
		if err != nil {
			t.Error(err)
		}
	}
	for _, uri := range uris {
		mustMiss(t, owner, uri)
	}
	own := uriOf(t, s, "own")
	mustPut(t, s, own, []byte("where it always was"))
	mustHold(t, s, own, []byte("where it always was"))
	if misled < 1 || misled > 3 {
		t.Errorf("%d requests were for the wrong region", misled)
	}
}
