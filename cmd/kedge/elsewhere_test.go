package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// TestDocumentsElsewhere has an installation whose S3 bucket was changed in its
// configuration years ago: the catalog names two, the configuration one.
func TestDocumentsElsewhere(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 400, Seed: 13})
	minio := testenv.MinIO(t)
	db := dbPlace(s.url)
	old, now := s3Place(minio, minio.Bucket(t), ""), s3Place(minio, minio.Bucket(t), "p/")
	kedge(t, "migrate", "--dontask", "--bucket", "manifest_data", db.config(t, s.url, compression{}), old.config(t, s.url, compression{})).want(t, exitDone)
	kedge(t, "migrate", "--dontask", db.config(t, s.url, compression{}), now.config(t, s.url, compression{true, 1})).want(t, exitDone)
	counts := s.check(t, old, now)
	if counts[0] == 0 || counts[1] == 0 {
		t.Fatalf("the installation has %v documents in its two S3 buckets", counts)
	}
	to := localfsPlace(archiveRoot(t))
	source, destination := now.config(t, s.url, compression{}), to.config(t, s.url, compression{})

	o := kedge(t, "migrate", "--dontask", source, destination).want(t, exitDocuments)
	if !strings.Contains(o.stdout, old.prefix) || !strings.Contains(o.stderr, old.prefix) {
		t.Errorf("the other place is not named before the start and in the summary:\n%s\n%s", o.stderr, o.stdout)
	}
	s.check(t, old, to)
	empty(t, now.raw)

	kedge(t, "migrate", "--dontask", "--elsewhere=ignore", source, destination).want(t, exitDone)
	kedge(t, "migrate", "--dontask", "--elsewhere=move", source, destination).want(t, exitDone)
	s.check(t, to)
	empty(t, old.raw)
}

// TestS3ToS3 moves between S3 buckets and between prefixes of one, and finds
// nothing to do the second time.
func TestS3ToS3(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	bucket := minio.Bucket(t)
	for _, pair := range []struct {
		name     string
		from, to place
	}{
		{"another bucket", s3Place(minio, minio.Bucket(t), ""), s3Place(minio, minio.Bucket(t), "")},
		{"from no prefix to a prefix", s3Place(minio, bucket, ""), s3Place(minio, bucket, "new/")},
		{"from a prefix to no prefix", s3Place(minio, bucket, "x/"), s3Place(minio, bucket, "")},
		{"a prefix that continues the other", s3Place(minio, bucket, "y"), s3Place(minio, bucket, "yz")},
	} {
		t.Run(pair.name, func(t *testing.T) {
			s := seedDB(t, bench.Workload{Documents: 300, Seed: 14})
			db := dbPlace(s.url)
			source, destination := pair.from.config(t, s.url, compression{}), pair.to.config(t, s.url, compression{true, 1})
			kedge(t, "migrate", "--dontask", db.config(t, s.url, compression{}), source).want(t, exitDone)
			kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone)
			s.check(t, pair.to)
			objects, err := pair.to.raw.list(t.Context())
			if err != nil || len(objects) != 300 {
				t.Errorf("%d objects (%v), want 300: the source's gone, and nothing else", len(objects), err)
			}
			kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone)
			tasks := migrations(t, s.url)
			if last := tasks[len(tasks)-1]; last.Total != 0 || last.MigratedCount != 0 || last.State != "complete" {
				t.Errorf("the second run found something to do: %+v", last)
			}
			s.check(t, pair.to)
			kedge(t, "migrate", "--dontask", destination, db.config(t, s.url, compression{})).want(t, exitDone)
			s.check(t, db)
		})
	}
}

// TestSamePlaceIsRefused: also when it has two names.
func TestSamePlaceIsRefused(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	bucket := minio.Bucket(t)
	here := s3Place(minio, bucket, "")
	otherAddress := s3Place(minio, bucket, "")
	otherAddress.options = replaced(otherAddress.options, "127.0.0.1", "localhost")
	root := archiveRoot(t)
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]place{
		"S3":                       {here, here},
		"S3 by another address":    {here, otherAddress},
		"localfs":                  {localfsPlace(root), localfsPlace(root)},
		"localfs through a link":   {localfsPlace(root), localfsPlace(link)},
		"db":                       {dbPlace(""), dbPlace("")},
		"db2, also with a user in": {db2Place(""), db2Place("")},
	} {
		t.Run(name, func(t *testing.T) {
			s := seedDB(t, bench.Workload{Documents: 20, Seed: 15})
			db := dbPlace(s.url)
			source := pair[0].config(t, s.url, compression{})
			if pair[0].driver != "db" {
				kedge(t, "migrate", "--dontask", db.config(t, s.url, compression{}), source).want(t, exitDone)
			}
			before := catalogRows(t, s.url)
			o := kedge(t, "migrate", "--dontask", source, pair[1].config(t, s.url, compression{true, 1})).want(t, exitRefused)
			if !strings.Contains(o.stderr, "the same place") {
				t.Errorf("the refusal does not say why:\n%s", o.stderr)
			}
			for id, r := range catalogRows(t, s.url) {
				if *r.url != *before[id].url {
					t.Errorf("%s was changed to %s", id, *r.url)
				}
			}
			if pair[0].driver != "db" && pair[0].driver != "db2" {
				s.check(t, pair[0])
				kedge(t, "migrate", "--dontask", source, db.config(t, s.url, compression{})).want(t, exitDone)
				empty(t, pair[0].raw)
			}
		})
	}
}

// TestABucketOfTheSameNameOnAnotherServer: the URIs are equal at source and
// destination, so that the catalog cannot tell the two apart.
func TestABucketOfTheSameNameOnAnotherServer(t *testing.T) {
	t.Parallel()
	minio, versity := testenv.MinIO(t), testenv.VersityGW(t)
	from := s3Place(minio, minio.Bucket(t), "")
	bucket := strings.TrimSuffix(strings.TrimPrefix(from.prefix, "s3://"), "/")
	to := s3Place(versity, bucket, "")
	to.options = replaced(to.options, "create_bucket: False", "create_bucket: True")
	versity.RemoveBucketAfter(t, bucket)
	s := seedDB(t, bench.Workload{Documents: 1000, Seed: 16})
	source, destination := from.config(t, s.url, compression{true, 2}), to.config(t, s.url, compression{false, 2})
	kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), source).want(t, exitDone)
	s.check(t, from)
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone)
	s.check(t, to)
	empty(t, from.raw)
	// Without its checkpoint a second run finds everything at the destination.
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone)
	s.check(t, to)
}

func replaced(options []string, old, with string) []string {
	var list []string
	for _, o := range options {
		list = append(list, strings.ReplaceAll(o, old, with))
	}
	return list
}
