package main

import (
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// rot is one way in which a document can be broken at its source.
type rot struct {
	class string
	// sql breaks the document with this archive id in driver db2.
	sql []string
}

var rots = []rot{
	{"wrong-digest", []string{`UPDATE object_storage SET content = set_byte(content, 0, (get_byte(content, 0) + 1) % 256) WHERE key = $1`}},
	{"corrupt-zlib", []string{
		`UPDATE object_storage SET content = substring(content from 1 for length(content) / 2) WHERE key = $1`,
		`UPDATE archive_metadata m SET is_compressed = true, digest = md5(content), size = length(content) FROM object_storage o WHERE "archiveId" = $1 AND o.key = m."archiveId"`,
	}},
	{"corrupt-zlib", []string{ // a row from before there were digests
		`UPDATE object_storage SET content = substring(content from 1 for length(content) - 4) WHERE key = $1`,
		`UPDATE archive_metadata SET is_compressed = true, digest = NULL, size = NULL WHERE "archiveId" = $1`,
	}},
	{"wrong-length", []string{
		`UPDATE object_storage SET content = substring(content from 1 for 10) WHERE key = $1`,
		`UPDATE archive_metadata SET digest = NULL WHERE "archiveId" = $1`,
	}},
	{"missing-payload", []string{`DELETE FROM object_storage WHERE key = $1`}},
	{"no-content-url", []string{`UPDATE archive_metadata SET content_url = NULL WHERE "archiveId" = $1`}},
}

// TestRottenDocumentsStayAndAreNamed breaks documents in every way there is:
// they stay where they are and are named, the others move, the run counts as
// failed; and a second run tries only them again.
func TestRottenDocumentsStayAndAreNamed(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	for _, destination := range []place{localfsPlace(archiveRoot(t)), s3Place(minio, minio.Bucket(t), "")} {
		t.Run(destination.name, func(t *testing.T) { testRotten(t, destination) })
	}
}

func testRotten(t *testing.T, to place) {
	const documents = 600
	s := seedDB(t, bench.Workload{Documents: documents, MedianBytes: 4 << 10, Seed: 10})
	db, from := dbPlace(s.url), db2Place(s.url)
	source, destination := from.config(t, s.url, compression{true, 2}), to.config(t, s.url, compression{true, 6})
	kedge(t, "migrate", "--dontask", db.config(t, s.url, compression{}), source).want(t, exitDone)

	broken := make(map[string]string) // archive id -> class
	compressedOnly := func(n int) bool { return len(s.workload.Plain(n)) > 2<<10 }
	n := 0
	for i := range 5 * len(rots) {
		r := rots[i%len(rots)]
		for n++; r.class == "corrupt-zlib" && !compressedOnly(n); n++ {
		}
		id := s.workload.Key(n).ArchiveID
		for _, sql := range r.sql {
			execute(t, s.url, sql, id)
		}
		broken[id] = r.class
	}
	renamed := s.workload.Key(documents - 1).ArchiveID
	execute(t, s.url, `UPDATE archive_metadata SET "documentName" = 'another name' WHERE "archiveId" = $1`, renamed)
	undigested := s.workload.Key(documents - 2).ArchiveID
	execute(t, s.url, `UPDATE archive_metadata SET digest = NULL, size = NULL, is_compressed = CASE WHEN is_compressed THEN true END WHERE "archiveId" = $1`, undigested)

	stored, err := from.raw.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows := catalogRows(t, s.url)
	o := kedge(t, "migrate", "--dontask", source, destination).want(t, exitDocuments)
	for _, r := range rots {
		if !strings.Contains(o.stdout, r.class) {
			t.Errorf("the report does not name %s:\n%s", r.class, o.stdout)
		}
	}
	if !strings.Contains(o.stdout, "no digest  1 document") {
		t.Errorf("the report does not count the document without a digest:\n%s", o.stdout)
	}
	checkRotten(t, s, broken, rows, to)
	left, err := from.raw.list(t.Context())
	if err != nil || len(left) != len(stored)-(documents-len(broken)) {
		t.Errorf("%d payloads are left at the source (%v), want the broken ones of %d", len(left), err, len(stored))
	}
	tasks := migrations(t, s.url)
	if last := tasks[len(tasks)-1]; last.State != "failed" || last.Total != documents || last.MigratedCount != int64(documents-len(broken)) {
		t.Errorf("list-migrations: %+v", last)
	}

	o = kedge(t, "migrate", "--dontask", source, destination).want(t, exitDocuments)
	tasks = migrations(t, s.url)
	if last := tasks[len(tasks)-1]; last.State != "failed" || last.Total != int64(len(broken)) || last.MigratedCount != 0 {
		t.Errorf("the second run did not try just the broken ones again: %+v\n%s", last, o.stdout)
	}
	checkRotten(t, s, broken, rows, to)
}

// checkRotten checks that the broken documents' rows are as they were, and that
// all others are at the destination.
func checkRotten(t *testing.T, s seeded, broken map[string]string, before map[string]row, to place) {
	t.Helper()
	for id, r := range catalogRows(t, s.url) {
		if broken[r.archiveID] == "" {
			if r.url == nil || !strings.HasPrefix(*r.url, to.prefix) {
				t.Errorf("%s was not moved", r.archiveID)
			}
			continue
		}
		b := before[id]
		if (r.url == nil) != (b.url == nil) || r.url != nil && *r.url != *b.url {
			t.Errorf("%s (%s) was moved", r.archiveID, broken[r.archiveID])
		}
	}
}

// Rows that share a key under two document names share their places.
func TestRowsThatShareAKey(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 50, Seed: 11})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	copyRow := `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size)
		SELECT bucket, "archiveId", "userId", $2, content_url, is_compressed, $3, size FROM archive_metadata WHERE "archiveId" = $1`
	twin, odd := s.workload.Key(1).ArchiveID, s.workload.Key(2).ArchiveID
	var digest string
	conn := connect(t, s.url)
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), `SELECT digest FROM archive_metadata WHERE "archiveId" = $1`, twin).Scan(&digest); err != nil {
		t.Fatal(err)
	}
	execute(t, s.url, copyRow, twin, "zz twin", digest)                           // the same document twice
	execute(t, s.url, copyRow, odd, "zz odd", "00000000000000000000000000000000") // and one that its payload is not
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", source, destination).want(t, exitDocuments)
	rows := catalogRows(t, s.url)
	for _, r := range rows {
		if atSource := strings.HasPrefix(*r.url, from.prefix); atSource != (r.name == "zz odd") {
			t.Errorf("%s (%s) is at %s", r.archiveID, r.name, *r.url)
		}
	}
	left, err := from.raw.list(t.Context())
	if err != nil || len(left) != 1 {
		t.Errorf("%d payloads at the source (%v), want the one that a row still names", len(left), err)
	}
}

// A document that Anchore has put again after its configuration was changed has
// a newer version at the destination, under a row of its own: the old one must
// not overwrite it.
func TestANewerDocumentAtTheDestinationIsNotOverwritten(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 20, Seed: 12})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	id := s.workload.Key(3).ArchiveID
	// Move the one document, then bring an older version back under another name.
	kedge(t, "migrate", "--dontask", "--bucket", s.workload.Key(3).Bucket, source, destination).want(t, exitDone)
	k := s.workload.Key(3)
	execute(t, s.url, `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", jsondata) VALUES ($1, $2, $3, 'old name', 'older')`, k.Bucket, id, k.UserID)
	execute(t, s.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, digest, size) VALUES ($1::varchar, $2::varchar, $3::varchar, 'old name', 'db://' || $3 || '/' || $1 || '/' || $2, md5('older'), 5)`, k.Bucket, id, k.UserID)
	o := kedge(t, "migrate", "--dontask", source, destination).want(t, exitDocuments)
	if !strings.Contains(o.stdout, "place-taken") {
		t.Errorf("the report does not say why:\n%s", o.stdout)
	}
	rows := catalogRows(t, s.url)
	s.checkOne(t, rows, 3, []place{to})
	if r := rows[k.UserID+"\x00"+k.Bucket+"\x00"+id+"\x00old name"]; !strings.HasPrefix(*r.url, from.prefix) {
		t.Errorf("the older version was moved to %s", *r.url)
	}
}
