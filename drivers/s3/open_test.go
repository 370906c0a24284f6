package s3

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/drivers"
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
