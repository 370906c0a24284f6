package main

import (
	"encoding/csv"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// TestPurge deletes what --nodelete left, and nothing whose bytes are not proved
// at the destination.
func TestPurge(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	for _, make := range []func(url string) place{
		func(string) place { return localfsPlace(archiveRoot(t)) },
		func(string) place { return s3Place(minio, minio.Bucket(t), "") },
		db2Place,
	} {
		s := seedDB(t, bench.Workload{Documents: 300, Seed: 30})
		from, to := dbPlace(s.url), make(s.url)
		t.Run(to.name, func(t *testing.T) { testPurge(t, s, from, to) })
	}
}

func testPurge(t *testing.T, s seeded, from, to place) {
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{true, 1})
	kedge(t, "migrate", "--dontask", "--nodelete", source, destination).want(t, exitDone)
	left := func() int {
		t.Helper()
		list, err := from.raw.list(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	// One row back at the source, one with another digest, one without any, one
	// gone: none of these may be purged.
	back, changed, undigested, gone := s.workload.Key(1), s.workload.Key(2), s.workload.Key(3), s.workload.Key(4)
	execute(t, s.url, `UPDATE archive_metadata SET content_url = 'db://' || "userId" || '/' || bucket || '/' || "archiveId" WHERE "archiveId" = $1`, back.ArchiveID)
	execute(t, s.url, `UPDATE archive_metadata SET digest = md5('other') WHERE "archiveId" = $1`, changed.ArchiveID)
	execute(t, s.url, `UPDATE archive_metadata SET digest = NULL WHERE "archiveId" = $1`, undigested.ArchiveID)
	execute(t, s.url, `DELETE FROM archive_metadata WHERE "archiveId" = $1`, gone.ArchiveID)

	o := kedge(t, "purge", "--dry-run", source, destination).want(t, exitDocuments)
	if n := left(); n != 300 || !strings.Contains(o.stdout, "would delete 296 documents") {
		t.Errorf("a dry run left %d of 300:\n%s", n, o.stdout)
	}
	o = kedge(t, "purge", "--dontask", source, destination).want(t, exitDocuments)
	if n := left(); n != 4 || !strings.Contains(o.stdout, "deleted 296 documents") || !strings.Contains(o.stdout, "not-proven") {
		t.Errorf("the purge left %d, want 4:\n%s", n, o.stdout)
	}
	names, err := from.raw.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{back.ArchiveID, changed.ArchiveID, undigested.ArchiveID, gone.ArchiveID} {
		if !strings.Contains(strings.Join(names, "\n"), k) {
			t.Errorf("%s was purged", k)
		}
	}
}

// A destination that cannot be read, or holds other bytes, proves nothing.
func TestPurgeNeedsProof(t *testing.T) {
	t.Parallel()
	minio := testenv.NewMinIO(t)
	s := seedDB(t, bench.Workload{Documents: 50, Seed: 31})
	from, to := dbPlace(s.url), s3Place(minio, minio.Bucket(t), "")
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", "--nodelete", source, destination).want(t, exitDone)
	minio.Stop(t)
	kedge(t, "purge", "--dontask", source, destination).want(t, exitFailed)
	list, err := from.raw.list(t.Context())
	if err != nil || len(list) != 50 {
		t.Errorf("%d payloads left at the source (%v), want all 50", len(list), err)
	}
	minio.Start(t)
	kedge(t, "purge", "--dontask", source, destination).want(t, exitDone)
	empty(t, from.raw)
	s.check(t, to)
}

// The journal has a line for every document, and tells what was done with it.
func TestTheJournalNamesEveryDocument(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 400, MedianBytes: 4 << 10, Seed: 32})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	checkpoint := filepath.Join(t.TempDir(), "k.checkpoint")
	broken := s.workload.Key(5).ArchiveID
	execute(t, s.url, `UPDATE archive_document SET jsondata = 'x' WHERE "archiveId" = $1`, broken)
	kedge(t, "migrate", "--dontask", "--checkpoint", checkpoint, from.config(t, s.url, compression{}), to.config(t, s.url, compression{true, 4})).want(t, exitDocuments)
	o := kedge(t, "journal", checkpoint+".journal").want(t, exitDone)
	lines, err := csv.NewReader(strings.NewReader(o.stdout)).ReadAll()
	if err != nil || len(lines) != 401 {
		t.Fatalf("%d lines, %v; want a header and 400", len(lines), err)
	}
	rows := catalogRows(t, s.url)
	for _, l := range lines[1:] {
		field := func(name string) string {
			for i, c := range lines[0] {
				if c == name {
					return l[i]
				}
			}
			t.Fatalf("no column %s", name)
			return ""
		}
		r := rows[field("user_id")+"\x00"+field("bucket")+"\x00"+field("archive_id")+"\x00"+field("document_name")]
		if field("archive_id") == broken {
			if field("result") != "failed" || field("class") != "wrong-digest" || field("to") != "" {
				t.Errorf("the broken document's line: %q", l)
			}
			continue
		}
		if field("result") != "moved" || field("to") != *r.url || field("stored_digest") != *r.digest || field("is_compressed") != map[bool]string{true: "true", false: "false"}[*r.compressed] ||
			!strings.HasPrefix(field("from"), "db://") || field("plain_digest") == "" || field("plain_bytes") == "" {
			t.Errorf("the line %q does not fit the row %+v", l, r)
		}
	}
	if o := kedge(t, "journal", "--format=json", checkpoint+".journal").want(t, exitDone); strings.Count(o.stdout, "\n") != 400 {
		t.Errorf("%d lines of JSON, want 400", strings.Count(o.stdout, "\n"))
	}
}
