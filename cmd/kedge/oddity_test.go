package main

import (
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// A migration that was interrupted, undone by migrating back, and begun again
// finds its old checkpoint: it must not believe it.
func TestACheckpointThatIsOvertaken(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 10000, Seed: 40})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	there, back := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	cmd := startedSlow(t, "migrate", "--dontask", there, back)
	waitFor(t, func() bool {
		return execute(t, s.url, `SELECT FROM archive_metadata WHERE content_url LIKE 'file:%' LIMIT 1`) == 1
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// What was in flight may be orphaned at the destination now: migrating back
	// does not know of it.
	kedge(t, "migrate", "--dontask", back, there).want(t, exitDone)
	s.check(t, from)
	kedge(t, "migrate", "--dontask", there, back).want(t, exitDone)
	s.check(t, to)
	empty(t, from.raw)
}

// A place at the destination that another document's row names is not
// overwritten, whatever made that row.
func TestAPlaceThatAnotherRowNamesIsNotOverwritten(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 20, Seed: 41})
	from, to := dbPlace(s.url), db2Place(s.url)
	k := s.workload.Key(3)
	execute(t, s.url, `INSERT INTO object_storage ("userId", bucket, key, version, content) VALUES ($1, $2, $3, '', 'precious')`, k.UserID, k.Bucket, k.ArchiveID)
	execute(t, s.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, digest, size)
		VALUES ('x', 'foreign', 'u', 'foreign.json', $1, md5('precious'), 8)`, "db2://"+k.UserID+"/"+k.Bucket+"/"+k.ArchiveID)
	o := kedge(t, "migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})).want(t, exitDocuments)
	if !strings.Contains(o.stdout, "place-taken") {
		t.Errorf("the report does not say why:\n%s", o.stdout)
	}
	content, err := to.raw.get(t.Context(), "db2://"+k.UserID+"/"+k.Bucket+"/"+k.ArchiveID)
	if err != nil || string(content) != "precious" {
		t.Errorf("it holds %q now, %v", content, err)
	}
	execute(t, s.url, `DELETE FROM archive_metadata WHERE "archiveId" = 'foreign'`)
	if counts := s.check(t, from, to); counts[0] != 1 {
		t.Errorf("%d documents stayed, want the one whose place is taken", counts[0])
	}
}

// One file under two spellings belongs to two rows: neither may delete it as
// long as the other needs it.
func TestOneFileUnderTwoSpellings(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 20, Seed: 42})
	db, from, to := dbPlace(s.url), localfsPlace(archiveRoot(t)), localfsPlace(archiveRoot(t))
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", db.config(t, s.url, compression{}), source).want(t, exitDone)
	rows := catalogRows(t, s.url)
	k, sibling := s.workload.Key(3), s.workload.Key(4)
	alias := func(bucket, name string, r row) {
		execute(t, s.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size)
			VALUES ($1, $2, $3, $4, $5, false, $6, $7)`, bucket, r.archiveID, r.userID, name, strings.Replace(*r.url, "/"+r.bucket+"/", "//"+r.bucket+"/", 1), *r.digest, *r.size)
	}
	r := rows[k.UserID+"\x00"+k.Bucket+"\x00"+k.ArchiveID+"\x00"+k.ArchiveID+".json"]
	alias("aaa", "alias.json", r)
	r2 := rows[sibling.UserID+"\x00"+sibling.Bucket+"\x00"+sibling.ArchiveID+"\x00"+sibling.ArchiveID+".json"]
	alias(r2.bucket, "sibling.json", r2)

	check := func() {
		t.Helper()
		for _, r := range catalogRows(t, s.url) {
			raw := to.raw
			if strings.HasPrefix(*r.url, from.prefix) {
				raw = from.raw
			}
			if _, err := raw.get(t.Context(), *r.url); err != nil {
				t.Errorf("the row of %s (%s) in %s: %v", r.archiveID, r.name, r.bucket, err)
			}
		}
	}
	kedge(t, "migrate", "--dontask", "--bucket", "aaa", source, destination)
	check()
	kedge(t, "migrate", "--dontask", source, destination)
	check()
	execute(t, s.url, `DELETE FROM archive_metadata WHERE bucket = 'aaa' OR "documentName" = 'sibling.json'`)
	s.check(t, from, to)
}

// A document that a service puts again while it is being moved, under the same
// URI but with other bytes, keeps its new bytes.
func TestADocumentThatIsPutAgainMeanwhile(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 30, Seed: 43})
	from, to := dbPlace(s.url), db2Place(s.url)
	k := s.workload.Key(3)
	// The put of this one waits, and meanwhile somebody updates document and row.
	execute(t, s.url, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NEW; END $$`)
	execute(t, s.url, `CREATE TRIGGER slow BEFORE INSERT ON object_storage FOR EACH ROW WHEN (NEW.key = '`+k.ArchiveID+`') EXECUTE FUNCTION slow()`)
	cmd := started(t, "migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{}))
	waitFor(t, func() bool {
		return execute(t, s.url, `SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()`) > 0
	})
	execute(t, s.url, `UPDATE archive_document SET jsondata = 'newer' WHERE "archiveId" = $1`, k.ArchiveID)
	execute(t, s.url, `UPDATE archive_metadata SET digest = md5('newer'), size = 5 WHERE "archiveId" = $1`, k.ArchiveID)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitDocuments || !strings.Contains(log(cmd), "row-changed") {
		t.Errorf("exit status %d, want %d with the reason\n%s", code, exitDocuments, log(cmd))
	}
	r := catalogRows(t, s.url)[k.UserID+"\x00"+k.Bucket+"\x00"+k.ArchiveID+"\x00"+k.ArchiveID+".json"]
	content, err := from.raw.get(t.Context(), *r.url)
	if err != nil || string(content) != "newer" {
		t.Errorf("the row names %s, which holds %q (%v)", *r.url, content, err)
	}
}

// Also a document that is streamed counts as moved when a bucket of the same
// name holds it.
func TestALargeDocumentInABucketOfTheSameName(t *testing.T) {
	t.Parallel()
	minio, versity := testenv.MinIO(t), testenv.VersityGW(t)
	from := s3Place(minio, minio.Bucket(t), "")
	bucket := strings.TrimSuffix(strings.TrimPrefix(from.prefix, "s3://"), "/")
	to := s3Place(versity, bucket, "")
	to.options = replaced(to.options, "create_bucket: False", "create_bucket: True")
	versity.RemoveBucketAfter(t, bucket)
	s := seedDB(t, bench.Workload{Documents: 3, MedianBytes: 12 << 20, MaxBytes: 13 << 20, Sigma: 0.01, Seed: 44})
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), source).want(t, exitDone)
	for range 2 {
		kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone)
		s.check(t, to)
		empty(t, from.raw)
	}
}

// A document of an earlier configuration may lie where the new prefix puts
// another one: user "new" below no prefix, and any user below "new/".
func TestPrefixesThatMeetAreRefused(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	bucket := minio.Bucket(t)
	s := seedDB(t, bench.Workload{Documents: 20, Seed: 45})
	from, to := s3Place(minio, bucket, "v1/"), s3Place(minio, bucket, "new/")
	db := dbPlace(s.url)
	kedge(t, "migrate", "--dontask", db.config(t, s.url, compression{}), from.config(t, s.url, compression{})).want(t, exitDone)
	execute(t, s.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url)
		VALUES ('admin', 'analysis_data/x', 'new', 'x.json', $1)`, "s3://"+bucket+"/new/admin/analysis_data/x")
	o := kedge(t, "migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})).want(t, exitRefused)
	if !strings.Contains(o.stderr, `user "new"`) {
		t.Errorf("the refusal does not name the user:\n%s", o.stderr)
	}
	execute(t, s.url, `DELETE FROM archive_metadata WHERE "userId" = 'new'`)
	s.check(t, from)
}

// Rows that name no place of any known kind are told, not passed over.
func TestPlacesOfNoKnownKindAreNamed(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 20, Seed: 46})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	for i, url := range []string{"", "DB://admin/b/x", "s3:/x"} {
		execute(t, s.url, `UPDATE archive_metadata SET content_url = $1 WHERE "archiveId" = $2`, url, s.workload.Key(i).ArchiveID)
	}
	o := kedge(t, "migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})).want(t, exitDocuments)
	if !strings.Contains(o.stdout, "3 documents") || !strings.Contains(o.stdout, "no known kind") || !strings.Contains(o.stdout, "17 of 17") {
		t.Errorf("the report:\n%s", o.stdout)
	}
}

// What was killed does not stay running for ever, also when nobody resumes it.
func TestAKilledMigrationDoesNotStayRunning(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 5000, Seed: 47})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	args := []string{"migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
	cmd := startedSlow(t, args...)
	waitFor(t, func() bool { return execute(t, s.url, `SELECT FROM tasks WHERE state = 'running'`) == 1 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	other := localfsPlace(archiveRoot(t))
	kedge(t, "migrate", "--dontask", from.config(t, s.url, compression{}), other.config(t, s.url, compression{}))
	for _, task := range migrations(t, s.url) {
		if task.State == "running" || task.EndedAt == nil {
			t.Errorf("list-migrations: %+v", task)
		}
	}
}

// An archive holds documents and nothing else.
func TestACheckpointInsideOfAnArchiveIsRefused(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 20, Seed: 48})
	root := archiveRoot(t)
	from, to := dbPlace(s.url), localfsPlace(root)
	o := kedge(t, "migrate", "--dontask", "--checkpoint", root+"/k.checkpoint", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})).want(t, exitRefused)
	if !strings.Contains(o.stderr, "--checkpoint") {
		t.Errorf("%s", o.stderr)
	}
	s.check(t, from)
}
