package compare

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/internal/testenv"
)

// site is one end of a scenario, and how each contestant is told of it.
type site struct {
	driver  string   // kedge's name of it
	options []string // of the driver, as lines of YAML
	prefix  string   // of its URIs
	// remote is rclone's name and path of it, "" where rclone cannot reach it,
	// and section the lines that its configuration has of it.
	remote  string
	section []string
	// endpoint is the address for the bare client, "" for files and tables, and
	// authorisation what it needs there.
	endpoint, authorisation string
	folder                  string // of driver localfs
	// count counts what is there.
	count func(ctx context.Context) (int, error)
}

// uri is a document's content_url here.
func (s *site) uri(d document) string {
	if s.driver == "localfs" {
		return s.prefix + d.path
	}
	return s.prefix + d.id()
}

// newSite makes an empty site. rclone is the name of its section in rclone's
// configuration.
//
// Nothing of it is removed before the whole comparison ends: ext4 does not give
// an inode away again for some minutes after its file was deleted, and looks
// through all that are like that for each new file. Who runs after 20,000 files
// were removed would be measured at half of his speed.
func (r *rig) newSite(tb testing.TB, name, rclone string) *site {
	tb.Helper()
	switch name {
	case "localfs":
		return fileSite(filepath.Join(r.tb.TempDir(), "archive"))
	case "minio":
		s := testenv.MinIO(tb)
		return objectSite(tb, s, s.URL, rclone)
	case "minio2":
		s := r.secondMinIO()
		return objectSite(tb, s, s.URL, rclone)
	case "versitygw":
		s := r.versityGW()
		return objectSite(tb, s, s.URL, rclone)
	case "throttled":
		return throttledSite(tb, testenv.MinIO(tb), rclone)
	case "swift":
		return containerSite(tb, testenv.Swift(tb), rclone)
	case "db", "db2":
		return &site{driver: name, prefix: name + "://"}
	}
	tb.Fatalf("there is no site %s", name)
	return nil
}

func fileSite(root string) *site {
	return &site{
		driver: "localfs", options: []string{"archive_data_dir: " + root}, prefix: "file://" + root + "/",
		remote: root, folder: root, count: func(context.Context) (int, error) { return countFiles(root) },
	}
}

func countFiles(root string) (count int, err error) {
	err = filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			count++
		}
		return err
	})
	return count, err
}

// objectSite is a bucket of a server, which the contestants find at an address.
func objectSite(tb testing.TB, s *testenv.S3Server, address, rclone string) *site {
	tb.Helper()
	bucket, provider := newBucket(tb, s), "Other"
	if s.Name == "minio" {
		provider = "Minio"
	}
	return &site{
		driver: "s3", prefix: "s3://" + bucket + "/",
		options: []string{"access_key: " + s.AccessKey, "secret_key: " + s.SecretKey, "url: " + address,
			"region: " + s.Region, "bucket: " + bucket, "create_bucket: False"},
		remote: rclone + ":" + bucket,
		section: []string{"type = s3", "provider = " + provider, "access_key_id = " + s.AccessKey,
			"secret_access_key = " + s.SecretKey, "endpoint = " + address, "region = " + s.Region},
		endpoint: address + "/" + bucket, authorisation: strings.Join([]string{"s3", s.Region, s.AccessKey, s.SecretKey}, " "),
		count: func(ctx context.Context) (int, error) { return countObjects(ctx, s.Client(), bucket) },
	}
}

// newBucket makes a bucket that goes when its server's folder does.
func newBucket(tb testing.TB, s *testenv.S3Server) string {
	tb.Helper()
	bucket := fmt.Sprintf("kedge-%d", time.Now().UnixNano())
	if _, err := s.Client().CreateBucket(tb.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		tb.Fatalf("new S3 bucket on %s: %v", s.Name, err)
	}
	return bucket
}

func countObjects(ctx context.Context, client *s3.Client, bucket string) (count int, err error) {
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		count += len(page.Contents)
	}
	return count, nil
}

func containerSite(tb testing.TB, s *testenv.SwiftServer, rclone string) *site {
	tb.Helper()
	container := fmt.Sprintf("kedge-%d", time.Now().UnixNano())
	if err := s.Client().ContainerCreate(tb.Context(), container, nil); err != nil {
		tb.Fatalf("new container: %v", err)
	}
	storage, token, err := account(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	return &site{
		driver: "swift", prefix: "swift://" + container + "/",
		options: []string{"auth: " + s.AuthURL, "user: " + s.User, "key: " + s.Key,
			"container: " + container, "create_container: False"},
		remote:   rclone + ":" + container,
		section:  []string{"type = swift", "auth = " + s.AuthURL, "user = " + s.User, "key = " + s.Key, "auth_version = 1"},
		endpoint: storage + "/" + container, authorisation: "swift " + token,
		count: func(context.Context) (int, error) { return len(s.Objects(tb, container)), nil },
	}
}

// account gives the storage URL and a token of the user.
func account(ctx context.Context, s *testenv.SwiftServer) (storage, token string, err error) {
	c := s.Client()
	if storage, err = c.GetStorageUrl(ctx); err != nil {
		return "", "", fmt.Errorf("swift's storage URL: %w", err)
	}
	return storage, c.AuthToken, nil
}
