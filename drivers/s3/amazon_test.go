package s3

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/s3/internal/answers"
	"github.com/kedge/kedge/internal/testenv"
)

// playedRegion is the region that a MinIO plays in these tests.
const playedRegion = "us-west-2"

// playAmazon is a MinIO that answers, behind a front, to Amazon's names: it
// checks signatures, regions and the S3 buckets in the hosts' names.
func playAmazon(t *testing.T) (*testenv.S3Server, *front) {
	t.Helper()
	server := testenv.NewMinIO(t, "MINIO_SITE_REGION="+playedRegion, "MINIO_DOMAIN="+strings.Join([]string{
		"s3." + playedRegion + ".amazonaws.com", "s3.dualstack." + playedRegion + ".amazonaws.com",
		"s3-fips." + playedRegion + ".amazonaws.com", "s3-accelerate.amazonaws.com", "storage.example.com",
	}, ","))
	return server, newFront(t, server)
}

func amazonOptions(server *testenv.S3Server) Options {
	return Options{AccessKey: server.AccessKey, SecretKey: server.SecretKey, Region: playedRegion, Bucket: "archive"}
}

func createAt(t *testing.T, server *testenv.S3Server, bucket string) {
	t.Helper()
	_, err := server.Client().CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket},
		func(o *awss3.Options) { o.Region = playedRegion })
	if err != nil {
		t.Fatal(err)
	}
}

// TestAmazonEndpoints looks at where the requests go, with a payload in one
// request and one in parts, both signed for what a real server checks.
func TestAmazonEndpoints(t *testing.T) {
	server, f := playAmazon(t)
	createAt(t, server, "archive")
	yes, no := true, false
	endpoint := "storage.example.com"
	tests := []struct {
		name string
		edit func(*Options)
		host string
		tls  bool
		path string // what the paths begin with
	}{
		{"plain", func(*Options) {}, "archive.s3.us-west-2.amazonaws.com", true, "/u/"},
		{"secure: false", func(o *Options) { o.Secure = &no }, "archive.s3.us-west-2.amazonaws.com", false, "/u/"},
		{"secure: true", func(o *Options) { o.Secure = &yes }, "archive.s3.us-west-2.amazonaws.com", true, "/u/"},
		{"forcepathstyle: true", func(o *Options) { o.ForcePathStyle = &yes }, "s3.us-west-2.amazonaws.com", true, "/archive/u/"},
		{"usedualstack", func(o *Options) { o.UseDualStack = true }, "archive.s3.dualstack.us-west-2.amazonaws.com", true, "/u/"},
		{"usefipsendpoint", func(o *Options) { o.UseFIPSEndpoint = true }, "archive.s3-fips.us-west-2.amazonaws.com", true, "/u/"},
		{"accelerate", func(o *Options) { o.Accelerate = true }, "archive.s3-accelerate.amazonaws.com", true, "/u/"},
		{"v4auth: false", func(o *Options) { o.V4Auth = &no }, "archive.s3.us-west-2.amazonaws.com", true, "/u/"},
		{"v4auth: false, path style", func(o *Options) { o.V4Auth, o.ForcePathStyle = &no, &yes }, "s3.us-west-2.amazonaws.com", true, "/archive/u/"},
		{"regionendpoint", func(o *Options) { o.RegionEndpoint = &endpoint }, endpoint, true, "/archive/u/"},
		{"regionendpoint, secure: false", func(o *Options) { o.RegionEndpoint, o.Secure = &endpoint, &no }, endpoint, false, "/archive/u/"},
		{"regionendpoint, forcepathstyle: false", func(o *Options) { o.RegionEndpoint, o.ForcePathStyle = &endpoint, &no }, "archive." + endpoint, true, "/u/"},
		{"the same, v4auth: false", func(o *Options) { o.RegionEndpoint, o.ForcePathStyle, o.V4Auth = &endpoint, &no, &no }, "archive." + endpoint, true, "/u/"},
		{"url without scheme, secure: false", func(o *Options) { o.URL, o.Secure = endpoint, &no }, endpoint, false, "/archive/u/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := amazonOptions(server)
			tt.edit(&o)
			s, err := f.takenFor(t, o)
			if err != nil {
				t.Fatal(err)
			}
			f.forget()
			uri, large := "s3://archive/u/b/doc é+", noise(3, 9<<20)
			mustPut(t, s, uri, []byte("x"))
			mustHold(t, s, uri, []byte("x"))
			if _, err := s.Put(t.Context(), uri, streamOf(-1, func() io.Reader { return bytes.NewReader(large) })); err != nil {
				t.Error(err)
			}
			mustHold(t, s, uri, large)
			if err := s.AbortUploads(t.Context(), uri); err != nil {
				t.Error(err)
			}
			for _, err := range s.DeleteBatch(t.Context(), []string{uri, "s3://archive/u/b/other"}) {
				if err != nil {
					t.Error(err)
				}
			}
			mustMiss(t, s, uri)
			for _, r := range f.requests(anyRequest) {
				if r.Host != tt.host || (r.TLS != nil) != tt.tls {
					t.Errorf("%s %s went to %s, TLS %v", r.Method, r.URL, r.Host, r.TLS != nil)
				}
				if r.Method == http.MethodPut && !strings.HasPrefix(r.URL.Path, tt.path) {
					t.Errorf("path %s", r.URL.Path)
				}
				if old := strings.HasPrefix(r.Header.Get("Authorization"), "AWS "); old != !o.v4auth() {
					t.Errorf("Authorization: %s", strings.Fields(r.Header.Get("Authorization"))[0])
				}
			}
		})
	}
}

// TestAmazonCreateBucket: the region is named in the request, and only where it
// must be.
func TestAmazonCreateBucket(t *testing.T) {
	server, f := playAmazon(t)
	o := amazonOptions(server)
	o.CreateBucket = true
	s, err := f.takenFor(t, o)
	if err != nil {
		t.Fatal(err)
	}
	created := f.sole(t, func(r request) bool { return r.Method == http.MethodPut && r.URL.Path == "/" })
	if !strings.Contains(string(created.body), "<LocationConstraint>us-west-2</LocationConstraint>") {
		t.Errorf("body %s", created.body)
	}
	mustPut(t, s, "s3://archive/u/b/k", []byte("x"))

	o.Bucket, o.URL = "second", server.URL
	mustPut(t, opened(t, o), "s3://second/u/b/k", []byte("url in place of region"))

	// A server that demands the region's name though it is not Amazon's.
	demanded := 0
	f.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || r.ContentLength > 0 {
			return false
		}
		demanded++
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "<Error><Code>IllegalLocationConstraintException</Code></Error>")
		return true
	})
	o.Bucket, o.URL = "third", f.plain.URL
	opened(t, o)
	createAt(t, server, "fourth") // ours, and so is the third
	out, err := server.Client().ListBuckets(t.Context(), &awss3.ListBucketsInput{})
	if err != nil || len(out.Buckets) != 4 || demanded != 1 {
		t.Errorf("%d S3 buckets, %v; demanded %d times", len(out.Buckets), err, demanded)
	}
}

// TestVersion2Elsewhere: the server names a region that has only version 4.
func TestVersion2Elsewhere(t *testing.T) {
	no := false
	server, f := playAmazon(t)
	f.answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-Amz-Bucket-Region", "eu-central-1")
		w.WriteHeader(http.StatusMovedPermanently)
		return true
	})
	o := amazonOptions(server)
	o.V4Auth = &no
	_, err := f.takenFor(t, o)
	wantKind(t, err, drivers.Config, "v4auth", "eu-central-1", "version 4 only")
}

// TestVersion2 signs with version 2, with temporary credentials as well; a server
// that has only version 4 says so.
func TestVersion2(t *testing.T) {
	no := false
	server := testenv.MinIO(t)
	o := optionsFor(server, server.Bucket(t))
	o.V4Auth = &no
	s := opened(t, o)
	for _, id := range []string{"plain", "doc +&%2F é?x=1#y", "a\tb", "percent%41", "tilde~star*(x)'!"} {
		uri := uriOf(t, s, id)
		mustPut(t, s, uri, []byte(id))
		mustHold(t, s, uri, []byte(id))
		if _, err := s.Stat(t.Context(), uri); err != nil {
			t.Error(err)
		}
	}
	listed := 0
	if err := s.List(t.Context(), func(string, drivers.Info) error { listed++; return nil }); err != nil || listed != 5 {
		t.Errorf("%d listed, %v", listed, err)
	}
	o.SecretKey = "another"
	_, err := Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Denied, "check secret_key")

	temporary := server.Session(t, "")
	o.AccessKey, o.SecretKey, o.SessionToken = temporary.AccessKey, temporary.SecretKey, temporary.SessionToken
	s = opened(t, o)
	mustPut(t, s, uriOf(t, s, "session"), []byte("x"))

	strict := testenv.VersityGW(t)
	o = optionsFor(strict, strict.Bucket(t))
	o.V4Auth = &no
	_, err = Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Denied, "signatures of version 4 only", "v4auth")
	told := s.judge("open", &smithy.GenericAPIError{Code: "InvalidRequest", Message: "Please use AWS4-HMAC-SHA256."})
	if told.Kind != drivers.Other {
		t.Errorf("without a status: %+v", told)
	}
	if told = verdict(answers.Judge("open", "InvalidRequest", "Please use AWS4-HMAC-SHA256.", 400)); told.Kind != drivers.Config || told.Mend != "leave out v4auth: false" {
		t.Errorf("as Amazon says it: %+v", told)
	}
}

// TestObjectHeaders looks at the requests that make objects: MinIO keeps no
// access control lists, but it does keep storage classes.
func TestObjectHeaders(t *testing.T) {
	server := testenv.MinIO(t)
	large := noise(5, 6<<20)
	chunk := int64(minPartBytes)
	tests := []struct {
		name          string
		edit          func(*Options)
		header, value string
	}{
		{"no class", func(*Options) {}, "X-Amz-Storage-Class", ""},
		{"no list", func(*Options) {}, "X-Amz-Acl", ""},
		{"no encryption", func(o *Options) { o.KeyID = "ignored" }, "X-Amz-Server-Side-Encryption", ""},
		{"no key", func(o *Options) { o.KeyID = "ignored" }, "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", ""},
		{"class", func(o *Options) { o.StorageClass = "reduced_redundancy" }, "X-Amz-Storage-Class", "REDUCED_REDUNDANCY"},
		{"standard", func(o *Options) { o.StorageClass = "STANDARD" }, "X-Amz-Storage-Class", "STANDARD"},
		{"none", func(o *Options) { o.StorageClass = "NONE" }, "X-Amz-Storage-Class", ""},
		{"list", func(o *Options) { o.ObjectACL = "private" }, "X-Amz-Acl", "private"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, server)
			o := optionsFor(server, server.Bucket(t))
			o.URL, o.ChunkSize, o.UserAgent = f.plain.URL, &chunk, "archive-move/1 (test)"
			tt.edit(&o)
			s := opened(t, o)
			mustPut(t, s, uriOf(t, s, "whole"), []byte("x"))
			if _, err := s.Put(t.Context(), uriOf(t, s, "parts"), streamOf(-1, func() io.Reader { return bytes.NewReader(large) })); err != nil {
				t.Fatal(err)
			}
			for _, r := range []request{f.sole(t, isPut), f.sole(t, isStart)} {
				if got := r.Header.Get(tt.header); got != tt.value {
					t.Errorf("%s %s: %s is %q, want %q", r.Method, r.URL, tt.header, got, tt.value)
				}
			}
			for _, r := range f.requests(anyRequest) {
				if agent := r.Header.Get("User-Agent"); (!strings.HasPrefix(agent, "aws-sdk-go-v2/") && !strings.HasPrefix(agent, "kedge ")) || !strings.HasSuffix(agent, " archive-move/1 (test)") {
					t.Errorf("User-Agent: %s", agent)
				}
			}
			if strings.EqualFold(o.StorageClass, "REDUCED_REDUNDANCY") {
				for _, id := range []string{"whole", "parts"} {
					loc, _ := split(uriOf(t, s, id))
					out, err := s.client.HeadObject(context.Background(), &awss3.HeadObjectInput{Bucket: &loc.bucket, Key: &loc.key})
					if err != nil || out.StorageClass != types.StorageClassReducedRedundancy {
						t.Errorf("%s: class %q, %v", id, out.StorageClass, err)
					}
				}
			}
		})
	}
}

// TestStorageClassUnknown: valid at Amazon, not here.
func TestStorageClassUnknown(t *testing.T) {
	server := testenv.MinIO(t)
	o := optionsFor(server, server.Bucket(t))
	o.StorageClass = "GLACIER_IR"
	s := opened(t, o)
	_, err := s.Put(t.Context(), uriOf(t, s, "k"), drivers.InMemory(nil, md5Hex(nil)))
	wantKind(t, err, drivers.Config, "does not know this storage class", "check storageclass")
}
