package main

import (
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// Every command works as anchore-manager spells it.
func TestTheSameAsAnchoreManager(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 30, Seed: 18})
	to := localfsPlace(archiveRoot(t))
	source, destination := dbPlace(s.url).config(t, "", compression{}), to.config(t, "", compression{true, 1})
	connect := []string{"objectstorage", "--db-connect", strings.Replace(s.url, "postgresql://", "postgresql+pg8000://", 1)}
	run := func(args ...string) outcome { return kedge(t, append(connect, args...)...) }

	o := run("check", destination).want(t, exitDone)
	for _, line := range []string{"Checking existence of test document with user_id = test, bucket = anchorecliconfigtest and archive_id = cliconfigtest", "Creating test document", "Checking document fetch", "Removing test object", "Archive config check completed successfully"} {
		if !strings.Contains(o.stdout, line) {
			t.Errorf("check does not say %q:\n%s", line, o.stdout)
		}
	}
	empty(t, to.raw)
	o = run("migrate", "--nodelete", "--dontask", source, destination).want(t, exitDone)
	if !strings.Contains(o.stdout, "MUST have the following configuration options") || !strings.Contains(o.stdout, "archive_data_dir: "+strings.TrimSuffix(strings.TrimPrefix(to.prefix, "file://"), "/")) {
		t.Errorf("the configuration to use now is not told:\n%s", o.stdout)
	}
	s.check(t, to)
	left, err := dbPlace(s.url).raw.list(t.Context())
	if err != nil || len(left) != 30 {
		t.Errorf("--nodelete left %d payloads (%v), want 30", len(left), err)
	}
	o = run("list-migrations").want(t, exitDone)
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	if fields := strings.Fields(lines[0]); strings.Join(fields, " ") != "id state start time end time from to migrated count total to migrate last updated" || len(lines) != 2 {
		t.Errorf("list-migrations:\n%s", o.stdout)
	}
	if f := strings.Fields(lines[1]); f[1] != "complete" || f[4] != "db" || f[5] != "localfs" || f[6] != "30" || f[7] != "30" {
		t.Errorf("list-migrations:\n%s", o.stdout)
	}
	o = run("list-drivers").want(t, exitDone)
	for _, name := range []string{"db", "db2", "localfs", "s3"} {
		if !strings.Contains(o.stdout, "\n"+name+" ") {
			t.Errorf("list-drivers does not list %s:\n%s", name, o.stdout)
		}
	}
}

// The two patterns of Anchore's documentation for the analysis archive.
func TestAnalysisArchive(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 200, Seed: 19})
	minio := testenv.MinIO(t)
	db, archive, unified := dbPlace(s.url), s3Place(minio, minio.Bucket(t), ""), s3Place(minio, minio.Bucket(t), "")
	single := db.config(t, s.url, compression{})
	dual := writeConfig(t, s.url, db.section("object_store", compression{}), archive.section("analysis_archive", compression{}))
	one := unified.config(t, s.url, compression{true, 1})

	kedge(t, "migrate", "--dontask", "--to-analysis-archive", "--bucket", "analysis_data", single, dual).want(t, exitDone)
	for _, r := range catalogRows(t, s.url) {
		if strings.HasPrefix(*r.url, archive.prefix) != (r.bucket == "analysis_data") {
			t.Errorf("bucket %s is at %s", r.bucket, *r.url)
		}
	}
	kedge(t, "migrate", "--dontask", dual, one).want(t, exitDone)
	counts := s.check(t, archive, unified)
	if counts[0] == 0 || counts[1] == 0 {
		t.Errorf("%v documents in the two S3 buckets", counts)
	}
	kedge(t, "migrate", "--dontask", "--from-analysis-archive", dual, one).want(t, exitDone)
	s.check(t, unified)
	empty(t, archive.raw)
	empty(t, db.raw)
}

// A document of many times the memory budget moves through every driver.
func TestALargeDocumentMovesWithinTheBudget(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	s := seedDB(t, bench.Workload{Documents: 3, MedianBytes: 40 << 20, MaxBytes: 41 << 20, Sigma: 0.01, Seed: 20})
	from := dbPlace(s.url)
	for _, step := range []struct {
		to   place
		rule compression
	}{
		{localfsPlace(archiveRoot(t)), compression{true, 100}},
		{s3Place(minio, minio.Bucket(t), ""), compression{true, 100}},
		{db2Place(s.url), compression{false, 100}},
		{s3Place(minio, minio.Bucket(t), "p/"), compression{false, 100}},
		{localfsPlace(archiveRoot(t)), compression{false, 100}},
		{dbPlace(s.url), compression{}},
	} {
		kedge(t, "migrate", "--dontask", "--memory", "32", from.config(t, s.url, compression{true, 100}), step.to.config(t, s.url, step.rule)).want(t, exitDone)
		s.check(t, step.to)
		empty(t, from.raw)
		from = step.to
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	o := kedge(t, "--help").want(t, exitDone)
	for _, s := range []string{"migrate", "check", "list-migrations", "list-drivers", "demo", "Exit status", "130"} {
		if !strings.Contains(o.stdout, s) {
			t.Errorf("--help does not tell of %q:\n%s", s, o.stdout)
		}
	}
	o = kedge(t, "migrate", "--help").want(t, exitDone)
	for _, s := range []string{"--nodelete", "--dontask", "--bucket", "--elsewhere", "--from-analysis-archive", "--to-analysis-archive", "--verify", "--checkpoint"} {
		if !strings.Contains(o.stdout, s) {
			t.Errorf("migrate --help does not tell of %q:\n%s", s, o.stdout)
		}
	}
	kedge(t, "--version").want(t, exitDone)
	kedge(t, "demo").want(t, exitDone)
}
