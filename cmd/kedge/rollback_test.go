package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// After a migration with --nodelete rows go back to the payloads that still stand, without
// moving them; what Anchore has written since is moved; nothing is deleted. The next
// cutover finds the copies again.
func TestRollback(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"db", "s3"}, {"localfs", "s3"}, {"s3", "localfs"}, {"db2", "swift"}, {"swift", "db2"}, {"localfs", "db"}} {
		t.Run(pair[0]+" to "+pair[1], func(t *testing.T) {
			s := seedDB(t, bench.Workload{Documents: 60, MedianBytes: 3 << 10, Seed: 50})
			old, new := newPlace(t, pair[0], s.url), newPlace(t, pair[1], s.url)
			source, destination := old.config(t, s.url, compression{pair[0] != "db", 2}), new.config(t, s.url, compression{true, 4})
			if pair[0] != "db" {
				kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), source).want(t, exitDone)
			}
			testRollback(t, &s, old, new, source, destination)
		})
	}
}

func testRollback(t *testing.T, s *seeded, old, new place, source, destination string) {
	const changed, vanished = 1, 2
	rows := catalogRows(t, s.url)
	kedge(t, "migrate", "--dontask", "--nodelete", source, destination).want(t, exitDone).says(t, "kedge rollback --dontask "+destination+" "+source)
	s.rewrites(t, new, changed, strings.Repeat("written with the new store ", 400))
	s.hides(t, vanished)
	o := kedge(t, "rollback", "--dontask", "--output=json", destination, source).want(t, exitDone)
	for name, want := range map[string]int64{"moved": 59, "copied_before": 58, "failed": 0} {
		if n := o.number(t, name); n != want {
			t.Errorf("%s is %d, want %d:\n%s", name, n, want, o.stdout)
		}
	}
	s.checkBut(t, old, vanished)
	for id, r := range catalogRows(t, s.url) {
		if was := rows[id]; r.archiveID != s.workload.Key(changed).ArchiveID && (*r.url != *was.url || *r.digest != *was.digest || *r.size != *was.size) {
			t.Errorf("%s is at %s, was at %s", id, *r.url, *was.url)
		}
	}
	if was, is := old.holds(t), new.holds(t); was != 60 || is != 60 {
		t.Errorf("%d payloads at the old store, %d at the new one, want all 60 at both", was, is)
	}
	tasks := migrations(t, s.url)
	if last := tasks[len(tasks)-1]; last.State != "complete" || last.From != new.driver || last.To != old.driver {
		t.Errorf("list-migrations: %+v", tasks)
	}
	o = kedge(t, "migrate", "--dontask", "--nodelete", "--output=json", source, destination).want(t, exitDone)
	if n := o.number(t, "copied_before"); n < 58 {
		t.Errorf("the next cutover finds %d copies, want at least 58:\n%s", n, o.stdout)
	}
	s.checkBut(t, new, vanished)
}

// Where sources were deleted, or no record was made, a rollback changes nothing and names
// the ordinary way back, which works.
func TestRollbackWithoutARecord(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 30, MedianBytes: 1 << 10, Seed: 51})
	old, new := dbPlace(s.url), localfsPlace(archiveRoot(t))
	source, destination := old.config(t, s.url, compression{}), new.config(t, s.url, compression{})
	kedge(t, "copy", source, destination).want(t, exitDone)
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone)
	refusedAndNothingChanged(t, s, []string{"kedge migrate"}, "rollback", "--dontask", destination, source)
	kedge(t, "migrate", "--dontask", destination, source).want(t, exitDone)
	s.check(t, old)
}

// refusedAndNothingChanged fails the test unless the command is refused with these words
// and leaves rows and tasks as they were.
func refusedAndNothingChanged(t *testing.T, s seeded, says []string, args ...string) {
	t.Helper()
	before, tasks := catalogRows(t, s.url), len(migrations(t, s.url))
	kedge(t, args...).want(t, exitRefused).says(t, says...)
	same := func(a, b row) bool { return *a.url == *b.url && *a.digest == *b.digest && *a.size == *b.size }
	if after := catalogRows(t, s.url); !maps.EqualFunc(before, after, same) {
		t.Error("rows were changed")
	}
	if n := len(migrations(t, s.url)); n != tasks {
		t.Errorf("there are %d tasks, were %d", n, tasks)
	}
}

// Where somebody has emptied the old store, a rollback is refused, however it is looked.
func TestRollbackToAStoreThatIsEmpty(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	for name, old := range map[string]func(url string) place{
		"db":      dbPlace,
		"localfs": func(string) place { return localfsPlace(archiveRoot(t)) },
		"s3":      func(string) place { return s3Place(minio, minio.Bucket(t), "") },
	} {
		for _, trust := range []string{"auto", "verify", "list"} {
			t.Run(name+" "+trust, func(t *testing.T) {
				s := seedDB(t, bench.Workload{Documents: 20, MedianBytes: 1 << 10, Seed: 52})
				old, new := old(s.url), db2Place(s.url)
				source, destination := old.config(t, s.url, compression{}), new.config(t, s.url, compression{})
				if name != "db" {
					kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), source).want(t, exitDone)
				}
				kedge(t, "migrate", "--dontask", "--nodelete", source, destination).want(t, exitDone)
				switch raw := old.raw.(type) {
				case *tableStore:
					execute(t, s.url, `TRUNCATE archive_document`)
				case fileStore:
					if err := os.RemoveAll(raw.root); err != nil {
						t.Fatal(err)
					}
					if err := os.Mkdir(raw.root, 0o755); err != nil {
						t.Fatal(err)
					}
				case objectStore:
					list, err := raw.list(t.Context())
					for _, uri := range list {
						key := strings.TrimPrefix(uri, "s3://"+raw.bucket+"/")
						if _, derr := raw.server.Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(raw.bucket), Key: aws.String(key)}); derr != nil {
							err = derr
						}
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				refusedAndNothingChanged(t, s, nil, "rollback", "--dontask", "--trust-copies="+trust, destination, source)
				s.check(t, new)
			})
		}
	}
}

// A purge ends the way back in seconds.
func TestRollbackAfterAPurge(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 20, MedianBytes: 1 << 10, Seed: 53})
	old, new := dbPlace(s.url), localfsPlace(archiveRoot(t))
	source, destination := old.config(t, s.url, compression{}), new.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", "--nodelete", source, destination).want(t, exitDone)
	kedge(t, "purge", "--dontask", source, destination).want(t, exitDone)
	refusedAndNothingChanged(t, s, []string{"kedge migrate"}, "rollback", "--dontask", destination, source)
}

// copy, migrate and rollback may be given one --checkpoint, and a question is asked where
// rows change.
func TestOneCheckpointForAll(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 20, MedianBytes: 1 << 10, Seed: 54})
	old, new := dbPlace(s.url), localfsPlace(archiveRoot(t))
	source, destination := old.config(t, s.url, compression{}), new.config(t, s.url, compression{})
	path := filepath.Join(t.TempDir(), "state")
	given := "--checkpoint=" + path
	kedge(t, "copy", given, source, destination).want(t, exitDone)
	kedge(t, "migrate", given, "--nodelete", source, destination).want(t, exitRefused).says(t, "not confirmed")
	kedge(t, "migrate", given, "--nodelete", "--dontask", source, destination).want(t, exitDone)
	kedge(t, "rollback", given, destination, source).want(t, exitRefused).says(t, "not confirmed")
	s.check(t, new)
	kedge(t, "rollback", given, "--dontask", destination, source).want(t, exitDone)
	s.check(t, old)
	for file, lines := range map[string]int{path + ".journal": 20, path + ".rollback.journal": 20} {
		if o := kedge(t, "journal", "--format=json", file).want(t, exitDone); strings.Count(o.stdout, "\n") != lines {
			t.Errorf("%s has %d lines, want %d", file, strings.Count(o.stdout, "\n"), lines)
		}
	}
}
