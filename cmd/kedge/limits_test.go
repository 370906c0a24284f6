package main

import (
	"bytes"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers/limit"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

func TestLimitFlags(t *testing.T) {
	t.Parallel()
	const wrong = "wrong"
	for _, test := range []struct {
		bandwidth, operations string
		source, destination   limit.Limits
		complaint             string
	}{
		{"10M", "200", limit.Limits{Bytes: 10 << 20, Operations: 200}, limit.Limits{Bytes: 10 << 20, Operations: 200}, ""},
		{"1.5K,2GiB", "0.5,7", limit.Limits{Bytes: 1536, Operations: 0.5}, limit.Limits{Bytes: 2 << 30, Operations: 7}, ""},
		{"0,500KB", "3,0", limit.Limits{Operations: 3}, limit.Limits{Bytes: 500 << 10}, ""},
		{"0", "0", limit.Limits{}, limit.Limits{}, ""},
		{"2048, 1k", " 1 , 2 ", limit.Limits{Bytes: 2048, Operations: 1}, limit.Limits{Bytes: 1024, Operations: 2}, ""},
		{"10", "0", limit.Limits{}, limit.Limits{}, wrong},
		{"10M,", "0", limit.Limits{}, limit.Limits{}, wrong},
		{"10M,1M,1M", "0", limit.Limits{}, limit.Limits{}, wrong},
		{"-5M", "0", limit.Limits{}, limit.Limits{}, wrong},
		{"fast", "0", limit.Limits{}, limit.Limits{}, wrong},
		{"0", "-1", limit.Limits{}, limit.Limits{}, wrong},
		{"0", "NaN", limit.Limits{}, limit.Limits{}, wrong},
		{"0", "inf", limit.Limits{}, limit.Limits{}, wrong},
		{"0", "1,2,3", limit.Limits{}, limit.Limits{}, wrong},
		{"0", "", limit.Limits{}, limit.Limits{}, wrong},
	} {
		var l sideLimits
		err := l.MaxBandwidth.UnmarshalText([]byte(test.bandwidth))
		if err == nil {
			err = l.MaxOps.UnmarshalText([]byte(test.operations))
		}
		if (err != nil) != (test.complaint == wrong) {
			t.Errorf("%q, %q: %v", test.bandwidth, test.operations, err)
		}
		if err == nil && (l.source() != test.source || l.destination() != test.destination) {
			t.Errorf("%q, %q: %+v, %+v", test.bandwidth, test.operations, l.source(), l.destination())
		}
	}
	for _, args := range [][]string{{"migrate", "--max-bandwidth=10", "a", "b"}, {"purge", "--max-ops=x", "a", "b"}, {"verify", "--max-bandwidth=10M,5M", "a"}, {"verify", "--max-ops=1,2", "a"}} {
		if o := kedge(t, args...).want(t, exitFailed); !strings.Contains(o.stderr, "--max-") || !strings.Contains(o.stderr, "such as") {
			t.Errorf("%q says %s", args, o.stderr)
		}
	}
}

// sqliteInstallation is an installation of so many documents in driver db, on
// SQLite.
func sqliteInstallation(t testing.TB, documents int) (path string, db *sql.DB) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "anchore.db")
	if err := anchore.CreateSchema(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() // has no effect after Commit
	for n := range documents {
		id := fmt.Sprintf("document-%d", n)
		payload := limitedPayload(n)
		sum := md5.Sum(payload)
		if _, err := tx.ExecContext(t.Context(), `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", jsondata) VALUES ('b', ?, 'admin', ?, ?)`, id, id+".json", string(payload)); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES ('b', ?, 'admin', ?, ?, false, ?, ?)`,
			id, id+".json", "db://admin/b/"+id, hex.EncodeToString(sum[:]), len(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return path, db
}

func limitedPayload(n int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "document %7d ", n), 64<<10/17)
}

// A migration that was interrupted goes on where it was, whatever limits it is
// given then: they are no part of what its checkpoint belongs to.
func TestLimitsMayChangeWhenAMigrationGoesOn(t *testing.T) {
	t.Parallel()
	const documents = 640
	path, db := sqliteInstallation(t, documents)
	url := "sqlite:///" + path
	to := localfsPlace(archiveRoot(t))
	source, destination := place{driver: "db"}.config(t, url, compression{}), to.config(t, url, compression{})
	moved := func() (n int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM archive_metadata WHERE content_url LIKE 'file:%'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	// So slow, and in batches so small (of 32 documents, for they are long), that it
	// is seen long before it is done.
	begun := time.Now()
	cmd := started(t, "migrate", "--dontask", "--workers=1", "--memory=16", "--max-ops=200", "--max-bandwidth=100M,50M", source, destination)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for moved() == 0 {
		select {
		case err := <-ended:
			t.Fatalf("it ended (%v) and nothing was moved:\n%s", err, log(cmd))
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-ended
	took, before := time.Since(begun), moved()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || before == documents {
		t.Fatalf("exit status %d, with %d documents moved; want %d, and some left\n%s", code, before, exitInterrupted, log(cmd))
	}
	// Each document was read and deleted at the source.
	if least := time.Duration(2*before)*time.Second/200 - time.Second/10; took < least {
		t.Errorf("%d documents were moved within %v: that is faster than the limit allows (%v)", before, took, least)
	}
	o := kedge(t, "migrate", "--dontask", "--max-ops=50000,0", "--max-bandwidth=0,1G", source, destination).want(t, exitDone)
	if want := fmt.Sprintf("Resuming migration task 1: %d of %d documents were moved before", before, documents); !strings.Contains(o.stderr, want) {
		t.Errorf("it does not say %q:\n%s", want, o.stderr)
	}
	if got := moved(); got != documents {
		t.Errorf("%d documents are at the destination, want %d", got, documents)
	}
	rows := make(map[string][]byte)
	for n := range documents {
		uri := ""
		if err := db.QueryRowContext(t.Context(), `SELECT content_url FROM archive_metadata WHERE "archiveId" = ?`, fmt.Sprintf("document-%d", n)).Scan(&uri); err != nil {
			t.Fatal(err)
		}
		rows[uri] = limitedPayload(n)
	}
	for uri, want := range rows {
		if got, err := to.raw.get(t.Context(), uri); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s holds %d bytes (%v)", uri, len(got), err)
		}
	}
	kedge(t, "verify", "--max-ops=50000", "--max-bandwidth=1G", destination).want(t, exitDone)
}
