package testenv

import (
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestS3Servers(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *S3Server{"minio": MinIO, "versitygw": VersityGW} {
		t.Run(name, func(t *testing.T) {
			started := time.Now()
			server := start(t)
			t.Logf("ready after %v", time.Since(started).Round(time.Millisecond))
			if server.Name != name {
				t.Errorf("its name is %q", server.Name)
			}
			var buckets []string
			t.Run("use", func(t *testing.T) {
				buckets = []string{server.Bucket(t), server.Bucket(t)}
				useBucket(t, server, buckets[0])
				list, err := server.Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &buckets[1]})
				if err != nil || len(list.Contents) != 0 {
					t.Errorf("the other S3 bucket holds %v (%v); want nothing", list, err)
				}
			})
			for _, bucket := range buckets {
				_, err := server.Client().HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &bucket})
				var missing *types.NotFound
				if !errors.As(err, &missing) {
					t.Errorf("S3 bucket after its test: %v; want not found", err)
				}
			}
		})
	}
}

// useBucket puts and gets objects and leaves them there, and an upload undone.
func useBucket(t *testing.T, server *S3Server, bucket string) {
	t.Helper()
	client := server.Client()
	for _, key := range []string{"plain", "folder/with space/ü?#%"} {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(key)})
		if err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
		object, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			t.Fatalf("get %q: %v", key, err)
		}
		content, err := io.ReadAll(object.Body)
		object.Body.Close()
		if err != nil || string(content) != key {
			t.Errorf("got %q (%v); want %q", content, err, key)
		}
	}
	key := "undone"
	if _, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
}

func TestOwnMinIOTakesEnvironment(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for name, test := range map[string]struct {
		env     []string
		encrypt bool
	}{
		"without a key": {nil, false},
		"with a key":    {[]string{"MINIO_KMS_SECRET_KEY=key:" + key}, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := NewMinIO(t, test.env...)
			bucket, object := server.Bucket(t), "object"
			_, err := server.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &object,
				Body: strings.NewReader("secret"), ServerSideEncryption: types.ServerSideEncryptionAwsKms})
			if (err == nil) != test.encrypt {
				t.Errorf("put with encryption: %v; want success %v", err, test.encrypt)
			}
		})
	}
}

func TestOwnS3ServerStopsAndStarts(t *testing.T) {
	for name, server := range map[string]*S3Server{
		"minio":     NewMinIO(t),
		"versitygw": NewVersityGW(t),
	} {
		t.Run(name, func(t *testing.T) {
			bucket := server.Bucket(t)
			server.Stop(t)
			if _, err := server.Client().ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil {
				t.Error("the stopped server answers")
			}
			server.Start(t)
			list, err := server.Client().ListBuckets(t.Context(), &s3.ListBucketsInput{})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(list.Buckets, func(b types.Bucket) bool { return *b.Name == bucket }) {
				t.Errorf("S3 bucket %s is gone after the restart", bucket)
			}
		})
	}
}
