package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
)

// An index that was built when text sorted in another way leads past rows: the
// run does not say that it is complete, and after REINDEX the same command is.
func TestIndexDamagedByCollation(t *testing.T) {
	t.Parallel()
	for name, ids := range map[string]string{
		// Letters of both cases: "a1", "B2", … are in another order by their bytes.
		"everywhere": `SELECT CASE WHEN n % 2 = 0 THEN upper(md5(n::text)) ELSE md5(n::text) END FROM generate_series(1, 5000) n`,
		// So few rows are left that one page of them has all.
		"at one row": `SELECT 'id' || lpad(n::text, 5, '0') FROM generate_series(1, 2400) n UNION ALL SELECT 'ID02000A'`,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); damagedByCollation(t, ids) })
	}
}

// documentsNamed is an installation whose documents have these archive ids.
func documentsNamed(t *testing.T, ids string) (url string) {
	t.Helper()
	url, _ = testenv.Postgres(t).Golden(t, "db")
	execute(t, url, `DELETE FROM archive_document; DELETE FROM archive_metadata`)
	execute(t, url, fmt.Sprintf(`INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", jsondata, b64_encoded)
		SELECT 'b', id, 'admin', id || '.json', '{}', false FROM (%s) s(id) ORDER BY id COLLATE "C"`, ids))
	execute(t, url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size)
		SELECT bucket, "archiveId", "userId", "documentName", 'db://admin/b/' || "archiveId", false, md5('{}'), 2 FROM archive_document`)
	execute(t, url, `ANALYZE`)
	return url
}

// sortOtherwise makes text sort by its bytes, and leaves the index as it is.
func sortOtherwise(t *testing.T, url string) {
	t.Helper()
	execute(t, url, `SET allow_system_table_mods = on;
		UPDATE pg_index SET indcollation = '950 950 950 950'::oidvector WHERE indexrelid = 'archive_metadata_pkey'::regclass;
		UPDATE pg_attribute SET attcollation = 950 WHERE attcollation <> 0
			AND attrelid IN ('archive_metadata'::regclass, 'archive_metadata_pkey'::regclass)`)
}

func damagedByCollation(t *testing.T, ids string) {
	url := documentsNamed(t, ids)
	sortOtherwise(t, url)
	source, destination := dbPlace(url).config(t, url, compression{}), db2Place(url).config(t, url, compression{})
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitDocuments).tells(t, "the index of archive_metadata is damaged", "REINDEX TABLE archive_metadata")
	// Nobody has mended it yet: nothing is removed that a row names.
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitDocuments)
	if gone := execute(t, url, `SELECT FROM archive_metadata m WHERE content_url || '' LIKE 'db2://%'
		AND NOT EXISTS (SELECT FROM object_storage o WHERE o.key || '' = m."archiveId")`); gone != 0 {
		t.Errorf("%d rows name the destination, and their payloads are gone from there", gone)
	}
	execute(t, url, `REINDEX TABLE archive_metadata`)
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitDone)
	var left int
	conn := connect(t, url)
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM archive_metadata WHERE content_url NOT LIKE 'db2://%'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are not at the destination, %v", left, err)
	}
}

// An audit does not call documents checked that its index leads past, and takes no
// payload of theirs for an orphan; one that was interrupted before that begins anew.
func TestVerifyWithAnIndexDamagedByCollation(t *testing.T) {
	t.Parallel()
	url := documentsNamed(t, `SELECT CASE WHEN n % 2 = 0 THEN upper(md5(n::text)) ELSE md5(n::text) END FROM generate_series(1, 12000) n`)
	place := dbPlace(url).config(t, url, compression{})
	cmd := started(t, "verify", "--orphans", "--max-bandwidth=1K", place) // some twenty seconds
	waitFor(t, func() bool {
		return execute(t, url, `SELECT FROM pg_stat_activity WHERE application_name LIKE 'kedge%' AND datname = current_database() AND query LIKE '%jsondata%'`) > 0
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Fatalf("exit status %d, want %d\n%s", code, exitInterrupted, log(cmd))
	}
	sortOtherwise(t, url)
	verify := []string{"verify", "--orphans", "--output=json", place}
	for range 2 {
		o := kedge(t, verify...).want(t, exitDocuments).tells(t, "the index of archive_metadata is damaged", "REINDEX TABLE archive_metadata")
		if strings.Contains(o.stdout, `"orphan"`) {
			t.Errorf("orphans are named:\n%.500s", o.stdout)
		}
	}
	// Of these the interrupted audit may have read some, which are rotten since.
	execute(t, url, `UPDATE archive_document SET jsondata = '[]' WHERE "archiveId" || '' IN
		(SELECT "archiveId" FROM archive_metadata ORDER BY "archiveId" COLLATE "en-US-x-icu" LIMIT 1)`)
	execute(t, url, `REINDEX TABLE archive_metadata`)
	failures, orphans, summary := failedIDs(t, kedge(t, verify...).want(t, exitDocuments).stdout)
	if len(failures) != 1 || len(orphans) != 0 || summary["documents"] != 12000.0 {
		t.Errorf("failures %v, orphans %v, %v", slices.Collect(maps.Keys(failures)), orphans, summary)
	}
}
