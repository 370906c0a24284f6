package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// A database that falls back behind the deletes (a standby without the last commits took
// over, a backup was restored) names sources again that are gone. The same command takes
// the documents from where they are: at the destination, in whatever form they were put
// there.
func TestTheDatabaseFallsBackBehindTheDeletes(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	for _, test := range []struct {
		name     string
		from, to compression
		// stays: a document cannot be moved, so that the checkpoint is kept.
		stays bool
		args  []string
	}{
		{name: "over", from: compression{}, to: compression{}},
		{name: "checkpoint kept", from: compression{}, to: compression{}, stays: true},
		{name: "compressed on the way", from: compression{}, to: compression{true, 0}},
		{name: "decompressed on the way", from: compression{true, 0}, to: compression{}},
		{name: "read back", from: compression{}, to: compression{}, args: []string{"--verify=readback"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := seedDB(t, bench.Workload{Documents: 120, Seed: 77})
			source, destination := localfsPlace(archiveRoot(t)), s3Place(minio, minio.Bucket(t), "k/")
			first, second := source.config(t, s.url, test.from), destination.config(t, s.url, test.to)
			kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), first).want(t, exitDone)
			execute(t, s.url, `CREATE TABLE dumped AS TABLE archive_metadata`)
			lost, ends := s.workload.Key(5), exitDone
			if test.stays {
				execute(t, s.url, `UPDATE archive_metadata SET digest = md5('rotten') WHERE "archiveId" = $1`, lost.ArchiveID)
				ends = exitDocuments
			}
			migrate := append([]string{"migrate", "--dontask", "--output", "json"}, append(test.args, first, second)...)
			kedge(t, migrate...).want(t, ends)

			// Some rows fall back, as restored from the dump.
			execute(t, s.url, `UPDATE archive_metadata m SET content_url = d.content_url, digest = d.digest, size = d.size, is_compressed = d.is_compressed, last_updated = d.last_updated
				FROM dumped d WHERE d.bucket = m.bucket AND d."archiveId" = m."archiveId" AND d."userId" = m."userId" AND d."documentName" = m."documentName" AND m."archiveId" < $1`, s.workload.Key(80).ArchiveID)
			o := kedge(t, migrate...).want(t, exitDone)
			if at := s.check(t, source, destination); at[1] != 120 {
				t.Errorf("%d of 120 documents are at the destination\n%s\n%s", at[1], o.stdout, o.stderr)
			}
			var result struct{ Adopted, Failed int }
			if err := json.Unmarshal([]byte(o.stdout), &result); err != nil || result.Adopted == 0 || result.Failed > 0 {
				t.Errorf("adopted %d, %v:\n%s", result.Adopted, err, o.stdout)
			}
			if !strings.Contains(o.stderr, "rows named the source again") {
				t.Errorf("no warning:\n%s", o.stderr)
			}
		})
	}
}

// What is at the destination under a document's name and is not what its row tells is not
// taken for it.
func TestOnlyWhatTheRowTellsIsAdopted(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 40, Seed: 78})
	source, destination := localfsPlace(archiveRoot(t)), db2Place(s.url)
	first, second := source.config(t, s.url, compression{}), destination.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), first).want(t, exitDone)
	execute(t, s.url, `CREATE TABLE dumped AS TABLE archive_metadata`)
	kedge(t, "migrate", "--dontask", first, second).want(t, exitDone)
	execute(t, s.url, `TRUNCATE archive_metadata`)
	execute(t, s.url, `INSERT INTO archive_metadata SELECT * FROM dumped`)
	other, undigested := s.workload.Key(3), s.workload.Key(4)
	execute(t, s.url, `UPDATE archive_metadata SET digest = md5('an older document') WHERE "archiveId" = $1`, other.ArchiveID)
	execute(t, s.url, `UPDATE archive_metadata SET digest = NULL WHERE "archiveId" = $1`, undigested.ArchiveID)
	before := catalogRows(t, s.url)
	o := kedge(t, "migrate", "--dontask", first, second).want(t, exitDocuments)
	if !strings.Contains(o.stdout, "missing-payload") || !strings.Contains(o.stdout, "adopted    38") {
		t.Errorf("%s", o.stdout)
	}
	after := catalogRows(t, s.url)
	for _, k := range []string{other.ArchiveID, undigested.ArchiveID} {
		for key, r := range before {
			if strings.Contains(key, k) && *after[key].url != *r.url {
				t.Errorf("the row of %s was changed to %s", k, *after[key].url)
			}
		}
	}
}
