package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/internal/testenv"
)

// storageConfig writes a registry's configuration for kedge.
func storageConfig(t testing.TB, storage string, more ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(path, []byte(testenv.RegistryConfig(storage, ":5000", more...)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// filesBelow lists the files below a folder, relative to it.
func filesBelow(t testing.TB, folder string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, folder+"/"))
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return files
}

// keysIn lists the keys of an S3 bucket.
func keysIn(t testing.TB, server *testenv.S3Server, bucket string) (keys []string) {
	t.Helper()
	pages := s3.NewListObjectsV2Paginator(server.Client(), &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return keys
}

// A registry moves to S3 and back to a filesystem, first with the source kept
// and then emptying it, and the registry itself serves everything from each.
func TestRegistryThereAndBack(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	first, bucket, last := filepath.Join(t.TempDir(), "first"), minio.Bucket(t), filepath.Join(t.TempDir(), "last")
	source := testenv.NewRegistry(t, testenv.RegistryFilesystem(first))
	pushed := clientOf(t, source).fill(6, 4, 3000)
	storages := []string{testenv.RegistryFilesystem(first), testenv.RegistryS3(minio, bucket, "rootdirectory: /some/root"), testenv.RegistryFilesystem(last)}
	for i := range 2 {
		from, to := storageConfig(t, storages[i]), storageConfig(t, storages[i+1])
		kedge(t, "migrate", "--nodelete", from, to).want(t, exitDone)
		clientOf(t, testenv.NewRegistry(t, storages[i])).serves(pushed)
		clientOf(t, testenv.NewRegistry(t, storages[i+1])).serves(pushed)
		o := kedge(t, "migrate", "--dontask", "--output=json", from, to).want(t, exitDone)
		var r treeJSON
		if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
			t.Fatal(err)
		}
		if r.State != "complete" || r.Counts.AlreadyThere != r.Moved || r.Counts.BytesWritten != 0 || r.Counts.Deleted != r.Moved || r.Moved < 200 {
			t.Errorf("the second run: %+v", r)
		}
		clientOf(t, testenv.NewRegistry(t, storages[i+1])).serves(pushed)
		kedge(t, "verify", to).want(t, exitDone)
	}
	for _, path := range filesBelow(t, first) {
		if !strings.Contains(path, "/_uploads/") {
			t.Errorf("left at the first place: %s", path)
		}
	}
	for _, key := range keysIn(t, minio, bucket) {
		t.Errorf("left in the S3 bucket: %s", key)
	}
	for _, path := range filesBelow(t, last) {
		if !strings.HasPrefix(path, "docker/registry/v2/") {
			t.Errorf("at the last place: %s", path)
		}
	}
}

// A run is killed ten times on the way to S3 and back, and in the end nothing is
// missing and nothing left.
func TestRegistryKilledTenTimes(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	first, bucket, last := filepath.Join(t.TempDir(), "first"), minio.Bucket(t), filepath.Join(t.TempDir(), "last")
	pushed := clientOf(t, testenv.NewRegistry(t, testenv.RegistryFilesystem(first))).fill(20, 11, 20000)
	tags := 0
	for _, of := range pushed {
		tags += len(of)
	}
	if len(pushed) < 20 || tags < 200 {
		t.Fatalf("%d repositories with %d tags, want 20 with 200", len(pushed), tags)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	storages := []string{testenv.RegistryFilesystem(first), testenv.RegistryS3(minio, bucket, "rootdirectory: /r", "chunksize: 5242880"), testenv.RegistryFilesystem(last)}
	for i := range 2 {
		from, to := storageConfig(t, storages[i]), storageConfig(t, storages[i+1])
		for killed := 0; killed < 5; {
			cmd := started(t, "migrate", "--dontask", from, to)
			time.Sleep(time.Duration(150+random.IntN(700)) * time.Millisecond)
			_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
			_ = cmd.Wait()
			if cmd.ProcessState.ExitCode() == exitDone {
				t.Fatalf("the migration was done after %d kills: too small a registry\n%s", killed, log(cmd))
			}
			killed++
		}
		o := kedge(t, "migrate", "--dontask", from, to).want(t, exitDone)
		t.Log(o.stderr, o.stdout)
		clientOf(t, testenv.NewRegistry(t, storages[i+1])).serves(pushed)
	}
	for _, path := range filesBelow(t, first) {
		if !strings.Contains(path, "/_uploads/") {
			t.Errorf("left at the first place: %s", path)
		}
	}
	if keys := keysIn(t, minio, bucket); len(keys) > 0 {
		t.Errorf("left in the S3 bucket: %q", keys)
	}
	out, err := minio.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil || len(out.Uploads) > 0 {
		t.Errorf("%d unfinished uploads are left, %v", len(out.Uploads), err)
	}
	for _, path := range filesBelow(t, last) {
		if !strings.HasPrefix(path, "docker/registry/v2/") {
			t.Errorf("at the last place: %s", path)
		}
	}
}

// While a migration runs, a registry that serves from the destination can pull
// every tag that it lists.
func TestRegistryServesDuringMigration(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	first := filepath.Join(t.TempDir(), "first")
	source := testenv.NewRegistry(t, testenv.RegistryFilesystem(first))
	pushed := clientOf(t, source).fill(15, 8, 5000)
	for name, storage := range map[string]string{
		"s3":         testenv.RegistryS3(minio, minio.Bucket(t)),
		"filesystem": testenv.RegistryFilesystem(filepath.Join(t.TempDir(), "last")),
	} {
		t.Run(name, func(t *testing.T) {
			client := clientOf(t, testenv.NewRegistry(t, storage))
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var puller sync.WaitGroup
			pulled := 0
			puller.Go(func() {
				for ctx.Err() == nil {
					for repository := range pushed {
						tags, err := client.tags(repository)
						if err != nil {
							t.Error(err)
							return
						}
						for _, tag := range tags {
							got, err := client.pull(repository, tag, map[string]bool{})
							if err != nil || got != pushed[repository][tag] {
								t.Errorf("%s:%s: %q, %v", repository, tag, got, err)
								return
							}
							pulled++
						}
					}
				}
			})
			kedge(t, "migrate", "--nodelete", "--workers=2", storageConfig(t, testenv.RegistryFilesystem(first)), storageConfig(t, storage)).want(t, exitDone)
			stop()
			puller.Wait()
			client.serves(pushed)
			t.Logf("%d tags pulled meanwhile", pulled)
		})
	}
}

// A flipped byte in a blob: it is reported by its digest and not copied, what
// names it is not made, the rest is moved, and the source is left whole.
func TestRegistryFlippedByte(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	first, bucket := filepath.Join(t.TempDir(), "first"), minio.Bucket(t)
	client := clientOf(t, testenv.NewRegistry(t, testenv.RegistryFilesystem(first)))
	pushed := client.fill(5, 3, 3000)
	layer := client.blob("library/broken", mediaLayer, []byte(strings.Repeat("layer", 1000)))
	config := client.blob("library/broken", mediaConfig, []byte(`{"broken":true}`))
	client.manifest("library/broken", "latest", mediaManifest, config, layer)
	_, sum, _ := strings.Cut(layer.Digest, ":")
	path := "docker/registry/v2/blobs/sha256/" + sum[:2] + "/" + sum + "/data"
	content, err := os.ReadFile(filepath.Join(first, path))
	if err != nil {
		t.Fatal(err)
	}
	content[17] ^= 1
	if err := os.WriteFile(filepath.Join(first, path), content, 0o644); err != nil {
		t.Fatal(err)
	}
	before := len(filesBelow(t, first))
	from, to := storageConfig(t, testenv.RegistryFilesystem(first)), testenv.RegistryS3(minio, bucket)
	kedge(t, "verify", from).want(t, exitDocuments).tells(t, "wrong-digest", sum)
	for range 2 { // a second run comes to the same end
		o := kedge(t, "migrate", "--dontask", from, storageConfig(t, to)).want(t, exitDocuments)
		o.tells(t, "wrong-digest         1", "the blob "+layer.Digest+" is damaged", "blob-not-moved       1", "Nothing was deleted at the source")
	}
	if after := len(filesBelow(t, first)); after != before {
		t.Errorf("the source has %d files, had %d", after, before)
	}
	for _, key := range keysIn(t, minio, bucket) {
		if strings.Contains(key, sum) {
			t.Errorf("at the destination: %s", key)
		}
	}
	clientOf(t, testenv.NewRegistry(t, to)).serves(pushed)

	// With a good copy at the destination, the damaged one does not replace it.
	good := []byte(strings.Repeat("layer", 1000))
	if _, err := minio.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &path, Body: strings.NewReader(string(good))}); err != nil {
		t.Fatal(err)
	}
	kedge(t, "migrate", "--nodelete", from, storageConfig(t, to)).want(t, exitDone)
	clientOf(t, testenv.NewRegistry(t, to)).serves(pushed)
	if _, err := clientOf(t, testenv.NewRegistry(t, to)).pull("library/broken", "latest", nil); err != nil {
		t.Error(err)
	}
}

// tells demands words in what the program printed.
func (o outcome) tells(t testing.TB, words ...string) outcome {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(o.stdout+o.stderr, w) {
			t.Errorf("%q is not said:\n%s%s", w, o.stdout, o.stderr)
		}
	}
	return o
}

// Encryption, storage class, length of parts and root directory are those of the
// destination's configuration, on every object.
func TestRegistryOptionsOnTheObjects(t *testing.T) {
	t.Parallel()
	minio := testenv.NewMinIO(t, "MINIO_KMS_SECRET_KEY=registry:OSMM+vkKUTCvQs9YL/CVMIMt43HFhkUpqJxTmGl6rYw=")
	first, bucket := filepath.Join(t.TempDir(), "first"), minio.Bucket(t)
	client := clientOf(t, testenv.NewRegistry(t, testenv.RegistryFilesystem(first)))
	pushed := client.fill(2, 2, 2000)
	layer := client.blob("library/base", mediaLayer, []byte(strings.Repeat("0123456789abcdef", 13<<20/16)))
	config := client.blob("library/base", mediaConfig, []byte(`{}`))
	pushed["library/base"]["large"] = client.manifest("library/base", "large", mediaManifest, config, layer).Digest
	storage := testenv.RegistryS3(minio, bucket, "rootdirectory: deep/root/", "encrypt: true", "storageclass: REDUCED_REDUNDANCY", "chunksize: 6291456", "multipartcopychunksize: 33554432", "loglevel: off")
	kedge(t, "migrate", "--dontask", storageConfig(t, testenv.RegistryFilesystem(first)), storageConfig(t, storage)).want(t, exitDone)
	keys := keysIn(t, minio, bucket)
	if len(keys) < 30 {
		t.Errorf("only %d objects", len(keys))
	}
	parted := 0
	for _, key := range keys {
		out, err := minio.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key, PartNumber: aws.Int32(1)})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(key, "deep/root/docker/registry/v2/") || out.ServerSideEncryption != "AES256" || out.StorageClass != "REDUCED_REDUNDANCY" {
			t.Errorf("%s: encryption %q, storage class %q", key, out.ServerSideEncryption, out.StorageClass)
		}
		if aws.ToInt32(out.PartsCount) > 1 {
			parted++
			if *out.PartsCount != 3 || *out.ContentLength != 6291456 {
				t.Errorf("%s: %d parts, the first of %d bytes", key, *out.PartsCount, *out.ContentLength)
			}
		}
	}
	if parted != 1 {
		t.Errorf("%d objects were put in parts, want one", parted)
	}
	clientOf(t, testenv.NewRegistry(t, storage)).serves(pushed)
}

// A layer of 1 GB passes within the budget, to S3 and back.
func TestRegistryLargeLayer(t *testing.T) {
	testenv.Alone(t, "it measures a peak of memory")
	const length = 1 << 30
	minio := testenv.MinIO(t)
	first, bucket, last := t.TempDir(), minio.Bucket(t), filepath.Join(t.TempDir(), "last")
	const sum = "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14" // of so many zero bytes
	data := filepath.Join("docker/registry/v2/blobs/sha256/49", sum, "data")
	for path, content := range map[string]string{data: "", "docker/registry/v2/repositories/zero/_layers/sha256/" + sum + "/link": "sha256:" + sum} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(first, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(first, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(first, data), length); err != nil {
		t.Fatal(err)
	}
	storages := []string{testenv.RegistryFilesystem(first), testenv.RegistryS3(minio, bucket), testenv.RegistryFilesystem(last)}
	for i := range 2 {
		peak := peakBytes(t, "migrate", "--dontask", "--quiet", storageConfig(t, storages[i]), storageConfig(t, storages[i+1]))
		t.Logf("peak %d MiB", peak>>20)
		if peak > 150<<20 {
			t.Errorf("peak of %d MiB", peak>>20)
		}
	}
	if info, err := os.Stat(filepath.Join(last, data)); err != nil || info.Size() != length {
		t.Errorf("the layer at the end: %v, %v", info, err)
	}
}

// Blobs are fetched through CloudFront, everything else from S3; without a right
// signature nothing is, and it is said why.
func TestRegistryThroughCloudFront(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	bucket, last := minio.Bucket(t), filepath.Join(t.TempDir(), "last")
	storage := testenv.RegistryS3(minio, bucket, "rootdirectory: /r")
	pushed := clientOf(t, testenv.NewRegistry(t, storage)).fill(4, 3, 3000)
	edge := testenv.NewEdge(t, minio, bucket)
	middleware := func(key string) string {
		return fmt.Sprintf("middleware:\n  storage:\n  - name: cloudfront\n    options:\n      baseurl: %s\n      privatekey: %s\n      keypairid: %s\n      duration: 60s\n", edge.URL, key, edge.KeyPairID)
	}
	from, to := storageConfig(t, storage, middleware(edge.KeyFile)), storageConfig(t, testenv.RegistryFilesystem(last))

	edge.SetClock(time.Hour)
	kedge(t, "migrate", "--nodelete", "--max-failures=5", from, to).want(t, exitDocuments).tells(t, "the signed URL had expired", "set this machine's clock")
	edge.SetClock(0)
	edge.Tamper(func(r *http.Request) { r.URL.RawQuery += "x" })
	kedge(t, "migrate", "--nodelete", "--max-failures=5", from, to).want(t, exitDocuments).tells(t, "answered 403")
	edge.Tamper(nil)
	stranger := testenv.NewEdge(t, minio, bucket)
	kedge(t, "migrate", "--nodelete", "--max-failures=5", storageConfig(t, storage, middleware(stranger.KeyFile)), to).want(t, exitDocuments).tells(t, "does privatekey belong to keypairid")
	if served, _ := edge.Requests(); served != 0 {
		t.Errorf("the edge served %d requests that it should have refused", served)
	}
	kedge(t, "migrate", "--nodelete", storageConfig(t, storage, middleware("/nowhere.pem")), to).want(t, exitFailed).tells(t, "middleware.storage.0.options.privatekey", "no such file")

	o := kedge(t, "migrate", "--dontask", "--output=json", from, to).want(t, exitDone)
	var r treeJSON
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatal(err)
	}
	if served, _ := edge.Requests(); int64(served) != r.Counts.Blobs {
		t.Errorf("the edge served %d requests for %d blobs", served, r.Counts.Blobs)
	}
	if keys := keysIn(t, minio, bucket); len(keys) > 5 {
		t.Errorf("%d objects are left at the source", len(keys))
	}
	clientOf(t, testenv.NewRegistry(t, testenv.RegistryFilesystem(last))).serves(pushed)
}
