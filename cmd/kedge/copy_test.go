package main

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// On every pair of drivers: a copy changes nothing of Anchore's, a second one copies
// nothing, and a migration after it moves what was changed or is new, only changes the
// rows of the rest, and removes the copy of what has vanished.
func TestCopyThenMigrateOnEveryPair(t *testing.T) {
	t.Parallel()
	for _, a := range kinds {
		for _, b := range kinds {
			t.Run(a+" to "+b, func(t *testing.T) {
				s := seedDB(t, bench.Workload{Documents: 40, MedianBytes: 3 << 10, Seed: 40})
				from, to := newPlace(t, a, s.url), newPlace(t, b, s.url)
				source, destination := from.config(t, s.url, compression{a != "db", 2}), to.config(t, s.url, compression{true, 4})
				if from.driver == to.driver && from.prefix == to.prefix {
					kedge(t, "copy", source, destination).want(t, exitRefused)
					return
				}
				if a != "db" {
					kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), source).want(t, exitDone)
				}
				testCopy(t, &s, from, to, source, destination)
			})
		}
	}
}

func testCopy(t *testing.T, s *seeded, from, to place, source, destination string) {
	const changed, vanished, fresh, undigested = 1, 2, 3, 4
	bring := s.hides(t, fresh)
	k := s.workload.Key(undigested)
	execute(t, s.url, `UPDATE archive_metadata SET digest = NULL WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3`, k.UserID, k.Bucket, k.ArchiveID)
	before := catalogRows(t, s.url)
	o := kedge(t, "copy", "--output=json", source, destination).want(t, exitDone).says(t, "services may run meanwhile")
	if copied, missing := o.number(t, "copied"), o.number(t, "copies_missing"); copied != 38 || missing != 1 {
		t.Errorf("%d copied, %d rows without a copy, want 38 and 1:\n%s", copied, missing, o.stdout)
	}
	if after := catalogRows(t, s.url); !reflect.DeepEqual(before, after) {
		t.Error("rows were changed")
	}
	if n := from.holds(t); n != 40 {
		t.Errorf("%d payloads at the source, want 40", n)
	}
	o = kedge(t, "copy", "--output=json", source, destination).want(t, exitDone)
	if copied, unchanged := o.number(t, "copied"), o.number(t, "unchanged"); copied != 0 || unchanged != 38 {
		t.Errorf("the second time %d copied, %d unchanged, want 0 and 38:\n%s", copied, unchanged, o.stdout)
	}

	s.rewrites(t, from, changed, strings.Repeat("written by a service ", 500))
	s.hides(t, vanished)
	bring(fresh)
	o = kedge(t, "migrate", "--dontask", "--output=json", source, destination).want(t, exitDone)
	for name, want := range map[string]int64{"moved": 39, "copied_before": 36, "copies_removed": 1, "failed": 0} {
		if n := o.number(t, name); n != want {
			t.Errorf("%s is %d, want %d", name, n, want)
		}
	}
	execute(t, s.url, `UPDATE archive_metadata SET digest = $1 WHERE digest IS NULL`, s.plain[undigested].md5) // of what had none
	s.checkBut(t, to, vanished)
	// What has vanished is at the source still: the test took only its row.
	if n := from.holds(t); n != 1 {
		t.Errorf("%d payloads are left at the source, want 1", n)
	}
	if n := to.holds(t); n != 39 {
		t.Errorf("%d payloads at the destination, want 39", n)
	}
	tasks := migrations(t, s.url)
	if last := tasks[len(tasks)-1]; last.State != "complete" {
		t.Errorf("list-migrations: %+v", tasks)
	}
}

// Every row names the destination before the first source is deleted, and the line that
// says that Anchore can be started stands between.
func TestAnchoreCanBeStartedBeforeSourcesAreDeleted(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 300, MedianBytes: 1 << 10, Seed: 41})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	kedge(t, "copy", source, destination).want(t, exitDone)
	execute(t, s.url, `CREATE TABLE deletions (at timestamptz, rows int)`)
	execute(t, s.url, `CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO deletions SELECT clock_timestamp(), count(*) FROM archive_metadata WHERE content_url LIKE 'db://%'; RETURN OLD; END $$`)
	execute(t, s.url, `CREATE TRIGGER told BEFORE DELETE ON archive_document FOR EACH ROW EXECUTE PROCEDURE told()`)
	o := kedge(t, "migrate", "--dontask", "--log-format=json", source, destination).want(t, exitDone)
	const line = "anchore can be started"
	o.says(t, "Anchore could be started after")
	var said time.Time
	for _, text := range strings.Split(o.stderr, "\n") {
		var record struct {
			Time time.Time
			Msg  string
			Left int64 `json:"sources_left"`
		}
		if json.Unmarshal([]byte(text), &record) == nil && record.Msg == line {
			if said = record.Time; record.Left != 300 {
				t.Errorf("%d sources are left, want 300", record.Left)
			}
		}
	}
	conn := connect(t, s.url)
	defer conn.Close(t.Context())
	var first time.Time
	var most, deletions int
	if err := conn.QueryRow(t.Context(), `SELECT min(at), max(rows), count(*) FROM deletions`).Scan(&first, &most, &deletions); err != nil {
		t.Fatal(err)
	}
	if deletions != 300 || most != 0 {
		t.Errorf("%d sources were deleted, and up to %d rows named the source then", deletions, most)
	}
	if said.IsZero() || !said.Before(first) {
		t.Errorf("said at %s, and the first source was deleted at %s:\n%s", said, first, o.stderr)
	}
	s.check(t, to)
	empty(t, from.raw)
}

// In text the line names what is left to do.
func TestTheLineThatSaysThatAnchoreCanBeStarted(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 30, MedianBytes: 1 << 10, Seed: 42})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	kedge(t, "copy", source, destination).want(t, exitDone)
	bad := s.workload.Key(5).ArchiveID
	execute(t, s.url, `UPDATE archive_metadata SET digest = md5('other') WHERE "archiveId" = $1`, bad)
	o := kedge(t, "migrate", "--dontask", source, destination).want(t, exitDocuments)
	o.says(t, "Anchore can be started now, but it would not find 1 document. It stays behind: its row does not name the destination. 29 sources are still to be deleted.")
	execute(t, s.url, `UPDATE archive_metadata SET digest = $1 WHERE "archiveId" = $2`, s.plain[5].md5, bad)
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone).says(t, "Anchore can be started now: every document's row names the destination.")
	s.check(t, to)
}

// Interrupted or killed at any time, the same command goes on: copy, and the migration
// after it.
func TestAnInterruptedCopyGoesOn(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 5000, MedianBytes: 1 << 10, MaxBytes: 8 << 10, Seed: 43})
	minio := testenv.MinIO(t)
	from, to := dbPlace(s.url), s3Place(minio, minio.Bucket(t), "")
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		cmd := startedSlow(t, "copy", source, destination)
		waitFor(t, func() bool { return to.holds(t) > 500 })
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); signal == syscall.SIGINT && code != exitInterrupted || code == exitDone {
			t.Fatalf("%s: exit status %d\n%s", signal, code, log(cmd))
		}
	}
	if o := kedge(t, "copy", "--output=json", source, destination).want(t, exitDone); o.number(t, "copies") != 5000 || o.number(t, "copied") >= 5000 {
		t.Errorf("it began anew:\n%s", o.stdout)
	}
	cmd := started(t, "migrate", "--dontask", source, destination)
	someMoved(t, s.url, "s3")
	_ = cmd.Process.Kill() // where it has not ended by then
	_ = cmd.Wait()
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone)
	if counts := s.check(t, to); counts[0] != 5000 {
		t.Errorf("%v documents at the destination", counts)
	}
	empty(t, from.raw)
	kedge(t, "verify", "--orphans", destination).want(t, exitDone)
}

// With --follow what the services write is copied soon, and Ctrl-C is the end: exit
// status 0. The lock is free between the rounds.
func TestCopyFollows(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 50, MedianBytes: 1 << 10, Seed: 44})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	cmd, at := listening(t, "copy", "--follow", "--follow-every=1s", "--output=json", source, destination)
	waitFor(t, func() bool {
		p := progressOrEnd(at)
		return p.Copies != nil && p.Copies.Rounds > 0 && p.Phase == "waiting"
	})
	conn := connect(t, s.url)
	defer conn.Close(t.Context())
	var free bool
	waitFor(t, func() bool {
		if err := conn.QueryRow(t.Context(), `SELECT pg_try_advisory_lock(2, 1)`).Scan(&free); err != nil {
			t.Fatal(err)
		}
		return free
	})
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_unlock(2, 1)`); err != nil {
		t.Fatal(err)
	}
	s.rewrites(t, from, 7, "written while it follows")
	waitFor(t, func() bool { p := progressOrEnd(at); return p.Copies != nil && p.Copies.Copied == 51 })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, readText(t, cmd.Stderr.(*os.File).Name()))
	}
	o := kedge(t, "migrate", "--dontask", "--nodelete", "--output=json", source, destination).want(t, exitDone)
	if n := o.number(t, "copied_before"); n != 50 {
		t.Errorf("%d had been copied before, want all 50:\n%s", n, o.stdout)
	}
	s.check(t, to)
}

// A record of other stores is refused by name by copy. A migration goes on without it, and
// says so.
func TestARecordOfOtherStores(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 20, MedianBytes: 1 << 10, Seed: 45})
	from, one, two := dbPlace(s.url), localfsPlace(archiveRoot(t)), localfsPlace(archiveRoot(t))
	source := from.config(t, s.url, compression{})
	checkpoint := "--checkpoint=" + filepath.Join(t.TempDir(), "state")
	kedge(t, "copy", checkpoint, source, one.config(t, s.url, compression{})).want(t, exitDone)
	before := catalogRows(t, s.url)
	kedge(t, "copy", checkpoint, source, two.config(t, s.url, compression{})).want(t, exitRefused).says(t, "record of copies", "belongs to another")
	if after := catalogRows(t, s.url); !maps.EqualFunc(before, after, func(a, b row) bool { return *a.url == *b.url }) || two.holds(t) > 0 {
		t.Error("something was changed")
	}
	kedge(t, "migrate", "--dontask", checkpoint, source, two.config(t, s.url, compression{})).want(t, exitDone).says(t, "the record of copies is another migration's")
	s.check(t, two)
}

// A copy needs no right to change Anchore's rows, and none to delete at the source.
func TestACopyNeedsFewRights(t *testing.T) {
	t.Parallel()
	server := testenv.NewPostgres(t, testenv.PostgresOptions{})
	s := installationOn(t, server, bench.Workload{Documents: 10, MedianBytes: 1 << 10, Seed: 46})
	limited := newRole(t, s.url, "copier", "GRANT SELECT ON archive_metadata, archive_document TO copier",
		"GRANT SELECT, INSERT, UPDATE ON tasks, archive_migration_tasks TO copier", "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO copier")
	source, destination := dbPlace(limited).config(t, limited, compression{}), localfsPlace(archiveRoot(t)).config(t, limited, compression{})
	kedge(t, "copy", source, destination).want(t, exitDone)
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitFailed).says(t, "UPDATE on archive_metadata", "DELETE on archive_document")
}

// What cannot be meant is refused before anything is done.
func TestCopyAndRollbackRefuseWrongInputs(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 3, MedianBytes: 1 << 10, Seed: 47})
	source, destination := dbPlace(s.url).config(t, s.url, compression{}), localfsPlace(archiveRoot(t)).config(t, s.url, compression{})
	folder := filepath.Join(t.TempDir(), "registry")
	shelve(t, folder, 1)
	registry := storageConfig(t, testenv.RegistryFilesystem(folder))
	for _, test := range []struct {
		exit int
		says string
		args []string
	}{
		{exitFailed, "--follow-every", []string{"copy", "--follow", "--follow-every=10ms", source, destination}},
		{exitFailed, "--memory", []string{"copy", "--memory=1", source, destination}},
		{exitFailed, "--workers", []string{"rollback", "--workers=-1", source, destination}},
		{exitFailed, "--trust-copies", []string{"migrate", "--trust-copies=never", source, destination}},
		{exitFailed, "--trust-copies", []string{"rollback", "--trust-copies=record", source, destination}},
		{exitFailed, "unknown flag", []string{"copy", "--nodelete", source, destination}},
		{exitFailed, "expected", []string{"copy", source}},
		{exitFailed, "no such file", []string{"copy", source, filepath.Join(t.TempDir(), "none.yaml")}},
		{exitFailed, "is a registry's configuration", []string{"copy", registry, registry}},
		{exitFailed, "is a registry's configuration", []string{"rollback", registry, registry}},
		{exitFailed, "in a bucket of that name", []string{"copy", "--bucket=none", source, destination}},
		{exitRefused, "same", []string{"copy", source, source}},
	} {
		if o := kedge(t, test.args...); o.exit != test.exit || !strings.Contains(o.stdout+o.stderr, test.says) {
			t.Errorf("%q: exit status %d, want %d, and %q:\n%s%s", test.args[:len(test.args)-2], o.exit, test.exit, test.says, o.stdout, o.stderr)
		}
	}
	conn := connect(t, s.url)
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock(2, 1)"); err != nil {
		t.Fatal(err)
	}
	kedge(t, "copy", source, destination).want(t, exitRefused).says(t, "another migration holds the lock")
}

// No file that a run leaves holds a secret, the record of copies included.
func TestNoFileHoldsASecret(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 20, MedianBytes: 1 << 10, Seed: 48})
	minio := testenv.MinIO(t)
	from, to := dbPlace(s.url), s3Place(minio, minio.Bucket(t), "")
	const password = "topsecretpassword"
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), password)
	state := t.TempDir()
	checkpoint := "--checkpoint=" + filepath.Join(state, "state")
	source, destination := from.config(t, u.String(), compression{}), to.config(t, u.String(), compression{})
	kedge(t, "copy", checkpoint, source, destination).want(t, exitDone)
	kedge(t, "migrate", "--dontask", "--nodelete", checkpoint, source, destination).want(t, exitDone)
	kedge(t, "rollback", "--dontask", checkpoint, destination, source).want(t, exitDone)
	files := filesBelow(t, state)
	if !slices.Contains(files, "state.copies") {
		t.Errorf("there is no record: %q", files)
	}
	for _, name := range files {
		text := readText(t, filepath.Join(state, name))
		for _, secret := range []string{minio.SecretKey, password} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a secret", name)
			}
		}
	}
}
