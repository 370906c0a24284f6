package main

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

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
}

// seedDB puts a workload into driver db with COPY.
func seedDB(t testing.TB, w bench.Workload) seeded {
	t.Helper()
	return seedInto(t, emptyInstallation(t), w)
}

// seedInto is seedDB with a database that is there already.
func seedInto(t testing.TB, url string, w bench.Workload) seeded {
	t.Helper()
	s := seeded{url: url, workload: w}
	conn := connect(t, s.url)
	defer conn.Close(t.Context())
	documents := pgx.CopyFromSlice(w.Documents, func(n int) ([]any, error) {
		k := w.Key(n)
		return []any{k.Bucket, k.ArchiveID, k.UserID, k.ArchiveID + ".json", 1600000000, 1600000000, "active", string(w.Plain(n)), false}, nil
	})
	if _, err := conn.CopyFrom(t.Context(), pgx.Identifier{"archive_document"},
		[]string{"bucket", "archiveId", "userId", "documentName", "created_at", "last_updated", "record_state_key", "jsondata", "b64_encoded"}, documents); err != nil {
		t.Fatal(err)
	}
	rows := pgx.CopyFromSlice(w.Documents, func(n int) ([]any, error) {
		k, plain := w.Key(n), w.Plain(n)
		sum := md5.Sum(plain)
		return []any{k.Bucket, k.ArchiveID, k.UserID, k.ArchiveID + ".json", "db://" + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID,
			false, hex.EncodeToString(sum[:]), int64(len(plain)), 1600000000, 1600000000, "active"}, nil
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
	for n := range s.workload.Documents {
		if i := s.checkOne(t, rows, n, places); i >= 0 {
			counts[i]++
		}
	}
	return counts
}

// checkOne checks one document of the workload and says in which of the places
// it is, -1 if in none of them.
func (s seeded) checkOne(t testing.TB, rows map[string]row, n int, places []place) int {
	t.Helper()
	k := s.workload.Key(n)
	r, ok := rows[k.UserID+"\x00"+k.Bucket+"\x00"+k.ArchiveID+"\x00"+k.ArchiveID+".json"]
	if !ok || r.url == nil {
		t.Fatalf("document %d is not in the catalog", n)
	}
	for i, p := range places {
		if !strings.HasPrefix(*r.url, p.prefix) {
			continue
		}
		sum := sha256.Sum256(s.workload.Plain(n))
		if err := checkStored(t.Context(), p.raw, r, hex.EncodeToString(sum[:])); err != nil {
			t.Errorf("document %d: %v", n, err)
		}
		return i
	}
	t.Errorf("document %d is at %s", n, *r.url)
	return -1
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
