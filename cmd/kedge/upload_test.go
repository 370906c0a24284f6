package main

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// A run that is killed in the middle of a large document leaves parts of it at
// the destination, which nobody sees: the resumed run takes them away.
func TestAKilledUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	minio, swift := testenv.MinIO(t), testenv.Swift(t)
	bucket, container := minio.Bucket(t), swift.Container(t)
	swift.RemoveContainerAfter(t, container+"_segments")
	// With chunksize even a payload whose MD5 is known goes in parts.
	inParts := s3Place(minio, bucket, "")
	inParts.options = append(inParts.options, "chunksize: 8388608")
	segments := func() int {
		names, err := swift.Client().ObjectNamesAll(t.Context(), container+"_segments", nil)
		if err != nil {
			return 0 // the container is made with the first segment
		}
		return len(names)
	}
	for _, c := range []struct {
		to     place
		begun  func(key string) bool
		behind func(key string) int
	}{
		{
			inParts,
			func(key string) bool { return uploadsOf(t, minio, bucket, key) > 0 },
			func(key string) int { return uploadsOf(t, minio, bucket, key) },
		},
		{
			swiftPlace(swift, container, ""),
			func(string) bool { return segments() > 0 },
			func(string) int { return 0 }, // looked at when the document has moved away again
		},
	} {
		t.Run(c.to.name, func(t *testing.T) {
			s := seedDB(t, bench.Workload{Documents: 1, MedianBytes: 120 << 20, MaxBytes: 120 << 20, Sigma: 0.001, Seed: 62})
			from := dbPlace(s.url)
			source, destination := from.config(t, s.url, compression{}), c.to.config(t, s.url, compression{})
			k := s.workload.Key(0)
			key := strings.Join([]string{k.UserID, k.Bucket, k.ArchiveID}, "/")
			// So slow that the upload surely goes on for seconds after it was seen.
			cmd := started(t, "migrate", "--dontask", "--max-bandwidth=0,16M", source, destination)
			waitFor(t, func() bool { return c.begun(key) })
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if !c.begun(key) {
				t.Fatal("the upload was over before the kill: make it slower")
			}
			s.check(t, from)
			kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone)
			s.check(t, c.to)
			if n := c.behind(key); n > 0 {
				t.Errorf("%d unfinished uploads are left", n)
			}
			kedge(t, "migrate", "--dontask", destination, source).want(t, exitDone)
			s.check(t, from)
			empty(t, c.to.raw)
			if n := segments(); n > 0 {
				t.Errorf("%d segments are left", n)
			}
		})
	}
}

// uploadsOf counts the unfinished uploads of one key.
func uploadsOf(t *testing.T, s *testenv.S3Server, bucket, key string) int {
	t.Helper()
	out, err := s.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket), Prefix: aws.String(key)})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}
