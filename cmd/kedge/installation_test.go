package main

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// emptyInstallation is the database of a real installation, emptied of its
// documents.
func emptyInstallation(t testing.TB) string {
	t.Helper()
	url, _ := testenv.Postgres(t).Golden(t, "db")
	execute(t, url, `TRUNCATE archive_metadata, archive_document, object_storage, archive_migration_tasks, tasks`)
	return url
}

// seeded is an installation in driver db, made from a workload.
type seeded struct {
	url      string
	workload bench.Workload
	plain    []plainSums // of each document
}

// plainSums are what is compared of a plain document, made once: making the
// document takes longer.
type plainSums struct {
	bytes       int64
	md5, sha256 string // in hexadecimal
}

// seedDB puts a workload into driver db with COPY.
func seedDB(t testing.TB, w bench.Workload) seeded {
	t.Helper()
	return seedInto(t, emptyInstallation(t), w)
}

// seedInto is seedDB with a database that is there already.
func seedInto(t testing.TB, url string, w bench.Workload) seeded {
	t.Helper()
	s := seeded{url: url, workload: w, plain: make([]plainSums, w.Documents)}
	conn := connect(t, s.url)
	defer conn.Close(t.Context())
	documents := pgx.CopyFromSlice(w.Documents, func(n int) ([]any, error) {
		k, plain := w.Key(n), w.Plain(n)
		digest, sum := md5.Sum(plain), sha256.Sum256(plain)
		s.plain[n] = plainSums{int64(len(plain)), hex.EncodeToString(digest[:]), hex.EncodeToString(sum[:])}
		return []any{k.Bucket, k.ArchiveID, k.UserID, k.ArchiveID + ".json", 1600000000, 1600000000, "active", string(plain), false}, nil
	})
	if _, err := conn.CopyFrom(t.Context(), pgx.Identifier{"archive_document"},
		[]string{"bucket", "archiveId", "userId", "documentName", "created_at", "last_updated", "record_state_key", "jsondata", "b64_encoded"}, documents); err != nil {
		t.Fatal(err)
	}
	rows := pgx.CopyFromSlice(w.Documents, func(n int) ([]any, error) {
		k := w.Key(n)
		return []any{k.Bucket, k.ArchiveID, k.UserID, k.ArchiveID + ".json", "db://" + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID,
			false, s.plain[n].md5, s.plain[n].bytes, 1600000000, 1600000000, "active"}, nil
	})
	if _, err := conn.CopyFrom(t.Context(), pgx.Identifier{"archive_metadata"},
		[]string{"bucket", "archiveId", "userId", "documentName", "content_url", "is_compressed", "digest", "size", "created_at", "last_updated", "record_state_key"}, rows); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "ANALYZE archive_metadata"); err != nil {
		t.Fatal(err)
	}
	return s
}

// check fails the test unless every document of the workload is where its row
// says, below one of the places, with the right bytes. It returns how many are
// in each place.
func (s seeded) check(t testing.TB, places ...place) []int {
	t.Helper()
	rows := catalogRows(t, s.url)
	if len(rows) != s.workload.Documents {
		t.Fatalf("the catalog has %d rows, want %d", len(rows), s.workload.Documents)
	}
	counts := make([]int, len(places))
	var several errgroup.Group
	several.SetLimit(readers)
	for n := range s.workload.Documents {
		r, i := s.placeOf(t, rows, n, places)
		if i < 0 {
			continue
		}
		counts[i]++
		several.Go(func() error {
			s.checkStored(t, r, n, places[i])
			return nil
		})
	}
	_ = several.Wait() // none returns an error
	return counts
}

// readers is how many documents are read at once.
const readers = 8

// checkOne checks one document of the workload.
func (s seeded) checkOne(t testing.TB, rows map[string]row, n int, places []place) {
	t.Helper()
	if r, i := s.placeOf(t, rows, n, places); i >= 0 {
		s.checkStored(t, r, n, places[i])
	}
}

// placeOf finds a document's row, and in which of the places it says that the
// document is, -1 if in none of them.
func (s seeded) placeOf(t testing.TB, rows map[string]row, n int, places []place) (row, int) {
	t.Helper()
	k := s.workload.Key(n)
	r, ok := rows[k.UserID+"\x00"+k.Bucket+"\x00"+k.ArchiveID+"\x00"+k.ArchiveID+".json"]
	if !ok || r.url == nil {
		t.Fatalf("document %d is not in the catalog", n)
	}
	i := slices.IndexFunc(places, func(p place) bool { return strings.HasPrefix(*r.url, p.prefix) })
	if i < 0 {
		t.Errorf("document %d is at %s", n, *r.url)
	}
	return r, i
}

// checkStored reads a document in the backend's own way.
func (s seeded) checkStored(t testing.TB, r row, n int, p place) {
	t.Helper()
	if err := checkStored(t.Context(), p.raw, r, s.plain[n].sha256); err != nil {
		t.Errorf("document %d: %v", n, err)
	}
}

// archiveRoot is a place for driver localfs that does not exist yet.
func archiveRoot(t testing.TB) string { return filepath.Join(t.TempDir(), "archive") }

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
