package main

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// dump is everything that a dry run could change: what each table holds, each
// sequence, what each store holds, and the state directory.
func dump(t *testing.T, url string, stores ...rawStore) map[string]string {
	t.Helper()
	d := dumpDatabase(t, url)
	for _, s := range stores {
		if _, table := s.(*tableStore); table {
			continue // in the database's dump
		}
		list, err := s.list(t.Context())
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, uri := range list {
			payload, err := s.get(t.Context(), uri)
			d[uri] = fmt.Sprintf("%x %v", md5.Sum(payload), err != nil) // a folder cannot be read
		}
		if files, ok := s.(fileStore); ok {
			_, err := os.Stat(files.root)
			d["root "+files.root] = fmt.Sprint(err)
		}
	}
	err := filepath.WalkDir(home(t), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		content, _ := os.ReadFile(path) // a folder has none
		d["state "+path] = fmt.Sprintf("%x", md5.Sum(content))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func dumpDatabase(t *testing.T, url string) map[string]string {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')`)
	if err != nil {
		t.Fatal(err)
	}
	type relation struct{ Name, Kind string }
	relations, err := pgx.CollectRows(rows, pgx.RowToStructByPos[relation])
	if err != nil {
		t.Fatal(err)
	}
	d := make(map[string]string)
	for _, r := range relations {
		var sum *string
		query := `SELECT md5(string_agg(t::text, E'\n' ORDER BY t::text)) FROM %s t`
		if r.Kind == "S" {
			query = `SELECT last_value || ' ' || is_called FROM %s`
		}
		if err := conn.QueryRow(t.Context(), fmt.Sprintf(query, pgx.Identifier{r.Name}.Sanitize())).Scan(&sum); err != nil {
			t.Fatal(err)
		}
		d["table "+r.Name] = "empty"
		if sum != nil {
			d["table "+r.Name] = *sum
		}
	}
	if len(relations) < 5 {
		t.Fatalf("only %d relations", len(relations))
	}
	return d
}

// unchanged fails the test where a dump is not what it was.
func unchanged(t *testing.T, before, after map[string]string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if after[key] != before[key] {
			t.Errorf("%s was changed: %q, then %q", key, before[key], after[key])
		}
	}
	for key := range after {
		if _, there := before[key]; !there {
			t.Errorf("%s is new", key)
		}
	}
}

// planOf runs a dry run with both spellings, fails the test if anything was
// changed, and gives what it told.
func planOf(t *testing.T, url string, exit int, stores []rawStore, flags ...string) planJSON {
	t.Helper()
	before := dump(t, url, stores...)
	kedge(t, append([]string{"migrate", "--dry-run"}, flags...)...).want(t, exit)
	o := kedge(t, append([]string{"plan", "--output=json"}, flags...)...).want(t, exit)
	unchanged(t, before, dump(t, url, stores...))
	var p planJSON
	if err := json.Unmarshal([]byte(o.stdout), &p); err != nil {
		t.Fatalf("%v\n%s", err, o.stdout)
	}
	return p
}

// migrated runs the migration itself.
func migrated(t *testing.T, exit int, flags ...string) resultJSON {
	t.Helper()
	o := kedge(t, append([]string{"migrate", "--dontask", "--output=json"}, flags...)...).want(t, exit)
	var r resultJSON
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatalf("%v\n%s", err, o.stdout)
	}
	return r
}

// agrees fails the test where a migration did something else than was planned.
// What earlier runs of it had done is before.
func (p planJSON) agrees(t *testing.T, r resultJSON, before resultJSON) {
	t.Helper()
	if moved, read := r.Moved-before.Moved, r.BytesRead-before.BytesRead; p.Documents != moved || p.Bytes != read {
		t.Errorf("planned %d documents with %d bytes, moved %d with %d", p.Documents, p.Bytes, moved, read)
	}
	if p.WithoutDigest != r.WithoutDigest-before.WithoutDigest {
		t.Errorf("planned %d documents without a digest, moved %d", p.WithoutDigest, r.WithoutDigest)
	}
	if p.Staying != r.Failed || !slices.Equal(classes(p.Stay), classes(r.Failures)) {
		t.Errorf("planned that %d stay: %v; %d did: %v", p.Staying, classes(p.Stay), r.Failed, classes(r.Failures))
	}
	if !slices.Equal(p.Elsewhere, r.Elsewhere) {
		t.Errorf("planned elsewhere %v, were %v", p.Elsewhere, r.Elsewhere)
	}
	// All of these were in the sample.
	if written := r.BytesWritten - before.BytesWritten; p.BytesToWrite == nil || *p.BytesToWrite < written-1 || *p.BytesToWrite > written+1 {
		t.Errorf("planned to write %v bytes, wrote %d", p.BytesToWrite, written)
	}
	p.addsUp(t)
}

// addsUp fails the test where the parts are not the whole.
func (p planJSON) addsUp(t *testing.T) {
	t.Helper()
	for what, list := range map[string][]shareJSON{"buckets": p.Buckets, "users": p.Users} {
		var all shareJSON
		for _, s := range list {
			all.Documents, all.Bytes, all.Staying = all.Documents+s.Documents, all.Bytes+s.Bytes, all.Staying+s.Staying
		}
		if all.Documents != p.Documents || all.Bytes != p.Bytes || all.Staying != p.Staying {
			t.Errorf("%s: %d documents with %d bytes, %d stay: not what there is in all", what, all.Documents, all.Bytes, all.Staying)
		}
	}
	var sizes, forms amountJSON
	for _, s := range p.Sizes {
		sizes.Documents, sizes.Bytes = sizes.Documents+s.Documents, sizes.Bytes+s.Bytes
	}
	for _, f := range []amountJSON{p.Forms.Compress, p.Forms.Decompress, p.Forms.Pass, p.Forms.Undecided.AmountForm} {
		forms.Documents, forms.Bytes = forms.Documents+f.Documents, forms.Bytes+f.Bytes
	}
	if whole := (amountJSON{Documents: p.Documents, Bytes: p.Bytes}); sizes != whole || forms != whole {
		t.Errorf("lengths %v, forms %v, want %v", sizes, forms, whole)
	}
}

func classes(groups []failureJSON) (list []string) {
	for _, g := range groups {
		list = append(list, fmt.Sprintf("%s %d", g.Class, g.Count))
	}
	return list
}

// A dry run changes nothing, and its numbers are those of the migration.
func TestAPlanIsWhatTheMigrationDoes(t *testing.T) {
	t.Parallel()
	minio, swift := testenv.MinIO(t), testenv.Swift(t)
	for _, test := range []struct {
		name         string
		from, to     func(url string) place
		source, rule compression
		flags        []string
	}{
		{"db to S3, compressed", dbPlace, func(string) place { return s3Place(minio, minio.Bucket(t), "some/") }, compression{}, compression{true, 3}, nil},
		{"localfs compressed to db2 with another rule", func(string) place { return localfsPlace(archiveRoot(t)) }, db2Place, compression{true, 2}, compression{true, 6}, []string{"--unreadable-keys=move"}},
		{"S3 compressed to localfs plain, which is not there yet", func(string) place { return s3Place(minio, minio.Bucket(t), "") }, func(string) place { return localfsPlace(archiveRoot(t)) }, compression{true, 2}, compression{}, []string{"--nodelete"}},
		{"db2 to Swift, two buckets", db2Place, func(string) place { return swiftPlace(swift, swift.Container(t), "") }, compression{true, 2}, compression{true, 2}, []string{"--bucket=manifest_data", "--bucket", "analysis_data"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := seedDB(t, bench.Workload{Documents: 400, MedianBytes: 4 << 10, Seed: 31})
			from, to := test.from(s.url), test.to(s.url)
			source, destination := from.config(t, s.url, test.source), to.config(t, s.url, test.rule)
			if from.driver != "db" {
				kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), source).want(t, exitDone)
			}
			args := append(test.flags, source, destination)
			p := planOf(t, s.url, exitDone, []rawStore{from.raw, to.raw}, args...)
			r := migrated(t, exitDone, args...)
			p.agrees(t, r, resultJSON{})
			if p.Documents == 0 || p.SecondsAtLeast == nil || p.Sample.Documents != p.Documents || p.Resume != nil || !p.Complete {
				t.Errorf("%+v", p)
			}
			if made := to.driver == "localfs"; p.Destination.WouldBeMade != made || (p.FreeSpace != nil) != made {
				t.Errorf("destination: %+v, free space %v", p.Destination, p.FreeSpace)
			}
		})
	}
}

// An installation with everything that keeps documents where they are, as far as
// the rows tell it.
func TestAPlanNamesWhatStays(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 300, MedianBytes: 4 << 10, Seed: 32})
	minio := testenv.MinIO(t)
	from, to, old := localfsPlace(archiveRoot(t)), s3Place(minio, minio.Bucket(t), ""), localfsPlace(archiveRoot(t))
	source, destination := from.config(t, s.url, compression{true, 2}), to.config(t, s.url, compression{true, 5})
	db := dbPlace(s.url).config(t, s.url, compression{})
	rename := func(n int, id string) {
		execute(t, s.url, `UPDATE archive_metadata SET "archiveId" = $2::text, content_url = replace(content_url, $1::text, $2::text) WHERE "archiveId" = $1`, s.workload.Key(n).ArchiveID, id)
		execute(t, s.url, `UPDATE archive_document SET "archiveId" = $2 WHERE "archiveId" = $1`, s.workload.Key(n).ArchiveID, id)
	}
	rename(1, "what?")
	rename(2, "a#b")
	rename(3, "../up") // no key for a server that keeps objects in files
	kedge(t, "migrate", "--dontask", "--unreadable-keys=move", "--bucket", s.workload.Key(4).Bucket, db, old.config(t, s.url, compression{})).want(t, exitDone)
	kedge(t, "migrate", "--dontask", "--unreadable-keys=move", db, source).want(t, exitDone)
	set := func(n int, change string, more ...any) {
		if execute(t, s.url, `UPDATE archive_metadata SET `+change+` WHERE "archiveId" = $1`, append([]any{s.workload.Key(n).ArchiveID}, more...)...) != 1 {
			t.Fatal(change)
		}
	}
	atSource := func(n int) int { // the next one that is at the source
		for ; s.workload.Key(n).Bucket == s.workload.Key(4).Bucket; n++ {
		}
		return n
	}
	a := atSource(10)
	set(a, `content_url = NULL`)
	b := atSource(a + 1)
	set(b, `digest = NULL, size = NULL`)
	c := atSource(b + 1)
	set(c, `digest = NULL`)
	// Two rows of one key with other bytes at one place.
	d := atSource(c + 1)
	execute(t, s.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size)
		SELECT bucket, "archiveId", "userId", 'zz other', content_url, is_compressed, '00000000000000000000000000000000', size FROM archive_metadata WHERE "archiveId" = $1`, s.workload.Key(d).ArchiveID)
	// And one whose place another row names.
	e, f := atSource(d+1), atSource(d+2)
	set(f, `content_url = 's3://' || $2::text || "userId" || '/' || bucket || '/' || $3::text`, strings.TrimPrefix(to.prefix, "s3://"), s.workload.Key(e).ArchiveID)

	for _, flags := range [][]string{nil, {"--elsewhere=ignore"}, {"--elsewhere=move", "--unreadable-keys=move"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			args := append(flags, source, destination)
			p := planOf(t, s.url, exitDocuments, []rawStore{from.raw, to.raw, old.raw}, args...)
			if flags == nil && (p.Staying < 4 || len(p.Elsewhere) == 0 || len(p.Stay[0].Examples) == 0) {
				t.Errorf("%d stay, elsewhere %v", p.Staying, p.Elsewhere)
			}
			p.agrees(t, migrated(t, exitDocuments, args...), resultJSON{})
		})
	}
}

// A migration that was interrupted: the plan tells how far it has come, and what
// remains.
func TestAPlanOfAnInterruptedMigration(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 9000, MedianBytes: 1 << 10, MaxBytes: 16 << 10, Seed: 33})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	args := []string{from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
	cmd := startedSlow(t, append([]string{"migrate", "--dontask", "--output=json"}, args...)...)
	waitFor(t, func() bool {
		return execute(t, s.url, `SELECT FROM archive_metadata WHERE content_url LIKE 'file:%' LIMIT 1`) == 1
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	var before resultJSON
	if err := json.Unmarshal(fmt.Append(nil, cmd.Stdout), &before); err != nil {
		t.Fatalf("%v\n%s", err, log(cmd))
	}
	if before.Moved == 0 || before.Moved == 9000 {
		t.Fatalf("interrupted with %d documents moved", before.Moved)
	}
	p := planOf(t, s.url, exitDone, []rawStore{from.raw, to.raw}, args...)
	if p.Resume == nil || p.Resume.TaskID != before.TaskID || p.Resume.Moved != before.Moved || p.Resume.Documents != 9000 || p.LockHeldBy != "" || p.CheckpointInUse {
		t.Errorf("resume: %+v, after %+v", p.Resume, before)
	}
	r := migrated(t, exitDone, args...)
	if !r.Resumed {
		t.Error("the migration was not resumed: the plan has touched its checkpoint")
	}
	p.agrees(t, r, before)
}

// A plan beside a migration tells who holds the lock, and that does not stop it.
func TestAPlanBesideAMigration(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 40, Seed: 35})
	conn := connect(t, s.url)
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock(2, 1)"); err != nil {
		t.Fatal(err)
	}
	from, to := dbPlace(s.url), db2Place(s.url)
	p := planOf(t, s.url, exitDone, []rawStore{from.raw, to.raw}, from.config(t, s.url, compression{}), to.config(t, s.url, compression{}))
	if pid := fmt.Sprintf("pid %d", conn.PgConn().PID()); !strings.Contains(p.LockHeldBy, pid) || p.Documents != 40 {
		t.Errorf("%d documents, the lock is held by %q, want %s", p.Documents, p.LockHeldBy, pid)
	}
}

// What would be made is not made.
func TestAPlanMakesNoPlace(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 40, Seed: 34})
	minio, swift := testenv.MinIO(t), testenv.Swift(t)
	inS3, inSwift := s3Place(minio, minio.Bucket(t)+"-planned", ""), swiftPlace(swift, swift.Container(t)+"-planned", "")
	inS3.options = replaced(inS3.options, "create_bucket: False", "create_bucket: True")
	inSwift.options = replaced(inSwift.options, "create_container: False", "create_container: True")
	for _, to := range []place{inS3, inSwift, localfsPlace(filepath.Join(t.TempDir(), "a", "b", "archive"))} {
		t.Run(to.name, func(t *testing.T) {
			before := dump(t, s.url)
			o := kedge(t, "plan", dbPlace(s.url).config(t, s.url, compression{}), to.config(t, s.url, compression{true, 1})).want(t, exitDone)
			unchanged(t, before, dump(t, s.url))
			if !strings.Contains(o.stdout, "is not there yet: the migration makes it") || !strings.Contains(o.stdout, "Would move 40 documents") {
				t.Errorf("the plan says:\n%s", o.stdout)
			}
			if list, err := to.raw.list(t.Context()); err == nil {
				t.Errorf("the place is there, with %q", list)
			}
		})
	}
}
