package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	bolt "go.etcd.io/bbolt"
)

// How many documents a resumed run moves: the rate of the first ones, while the
// catalog is still being looked through, and after some more the rate that it has
// from then on. An installation with fewer has what it has.
const (
	earlyDocuments  = 40_000
	passedDocuments = 200_000
	scaleDocuments  = 400_000
	leastRows       = 50_000
)

// Resumption is what a run did that went on at half-way.
type Resumption struct {
	Rows int
	// First is how long after its start the first document was moved, Early how
	// many documents a second were at first, and Rate later on.
	First       time.Duration
	Early, Rate float64
	// PeakBytes is its most resident memory, CheckpointBytes its checkpoint's
	// length afterwards.
	PeakBytes, CheckpointBytes int64
}

// Resume makes an installation of so many tiny documents in driver db, of which
// the first half are in db2 already, has kedge begin and go on at half-way, and
// interrupts it when it has moved a good many.
func Resume(tb testing.TB, o Options, rows int) Resumption {
	tb.Helper()
	if rows < leastRows {
		tb.Fatalf("ROWS=%d: a run would have ended before it is interrupted; give %d at least", rows, leastRows)
	}
	r := newRig(tb, o)
	url, _ := r.postgres.Golden(tb, "db")
	conn := connect(tb, url)
	defer conn.Close(context.WithoutCancel(tb.Context()))
	s := &scaled{tb: tb, conn: conn, rows: rows, folder: tb.TempDir()}
	s.fill()
	from, to := r.newSite(tb, "db", ""), r.newSite(tb, "db2", "")
	s.command = append([]string{o.Kedge[0][0], "migrate", configuration(tb, filepath.Join(s.folder, "source.yaml"), url, from),
		configuration(tb, filepath.Join(s.folder, "destination.yaml"), url, to), "--dontask", "--quiet", "--checkpoint", s.checkpoint()},
		o.Kedge[0][1:]...)
	s.run(1, 1000)
	s.advance()
	return s.run(rows/2+1, min(scaleDocuments, rows/2-1))
}

// scaled is an installation of many rows.
type scaled struct {
	tb      testing.TB
	conn    *pgx.Conn
	rows    int
	folder  string
	command []string
}

func (s *scaled) checkpoint() string { return filepath.Join(s.folder, "checkpoint") }

// rowOf is row n, from 1: in the catalog's order whatever the collation.
const rowOf = `SELECT 'bucket' || (n - 1) * 4 / $1::int8 AS bucket, lpad(n::text, 9, '0') AS id, '{"n": ' || n || '}' AS payload FROM generate_series(1, $1::int8) n`

func (s *scaled) fill() {
	s.tb.Helper()
	for _, statement := range []string{
		`TRUNCATE archive_metadata, archive_document, object_storage, archive_migration_tasks, tasks`,
		`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size, created_at, last_updated, record_state_key)
			SELECT bucket, id, 'admin', id, 'db://admin/' || bucket || '/' || id, false, md5(payload), length(payload), 1600000000, 1600000000, 'active' FROM (` + rowOf + `) r`,
		`INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", created_at, last_updated, record_state_key, jsondata, b64_encoded)
			SELECT bucket, id, 'admin', id, 1600000000, 1600000000, 'active', payload, false FROM (` + rowOf + `) r`,
	} {
		var args []any
		if strings.Contains(statement, "$1") {
			args = append(args, s.rows)
		}
		if _, err := s.conn.Exec(s.tb.Context(), statement, args...); err != nil {
			s.tb.Fatal(err)
		}
	}
	s.settle()
}

// settle leaves the server nothing to do of its own.
func (s *scaled) settle() {
	s.tb.Helper()
	for _, statement := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
		if err := execute(s.tb, s.conn, statement); err != nil {
			s.tb.Fatal(err)
		}
	}
	flush()
}

// advance has the first half moved, and the checkpoint's position behind it.
func (s *scaled) advance() {
	s.tb.Helper()
	_, err := s.conn.Exec(s.tb.Context(), `UPDATE archive_metadata SET content_url = 'db2://admin/' || bucket || '/' || "archiveId"
		WHERE "archiveId" <= lpad(($1::int8 / 2)::text, 9, '0') AND starts_with(content_url, 'db://')`, s.rows)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.settle()
	db, err := bolt.Open(s.checkpoint(), 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		s.tb.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		meta := tx.Bucket([]byte("meta"))
		var header map[string]any
		if err := json.Unmarshal(meta.Get([]byte("header")), &header); err != nil {
			return err
		}
		id := fmt.Sprintf("%09d", s.rows/2)
		header["position"] = map[string]string{"bucket": "bucket1", "archive_id": id, "user_id": "admin", "name": id}
		raw, err := json.Marshal(header)
		if err != nil {
			return err
		}
		return meta.Put([]byte("header"), raw)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		s.tb.Fatal(err)
	}
}

// run runs kedge until it has moved so many documents from row first on, and
// interrupts it.
func (s *scaled) run(first, documents int) Resumption {
	s.tb.Helper()
	cmd := exec.CommandContext(s.tb.Context(), s.command[0], s.command[1:]...)
	cmd.Env = environment(s.folder)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	ended := make(chan struct{})
	peaks := make(chan int64)
	go func() { peaks <- watchPeak(cmd.Process.Pid, ended) }()
	moved := func(after int) time.Duration {
		s.awaitMoved(first+after, began)
		return time.Since(began)
	}
	early, passed := min(earlyDocuments, documents/4), min(passedDocuments, documents/2)
	r := Resumption{Rows: s.rows, First: moved(0)}
	r.Early = float64(early) / (moved(early) - r.First).Seconds()
	at := moved(passed)
	r.Rate = float64(documents-passed) / (moved(documents) - at).Seconds()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.tb.Error(err)
	}
	_ = cmd.Wait() // it was interrupted, or had just come to its end
	close(ended)
	r.PeakBytes = <-peaks
	if info, err := os.Stat(s.checkpoint()); err == nil {
		r.CheckpointBytes = info.Size()
	}
	return r
}

// awaitMoved waits until row n is at the destination.
func (s *scaled) awaitMoved(n int, began time.Time) {
	s.tb.Helper()
	for time.Since(began) < 10*time.Minute {
		var moved bool
		err := s.conn.QueryRow(s.tb.Context(), `SELECT starts_with(content_url, 'db2://') FROM archive_metadata
			WHERE bucket = 'bucket' || ($1::int8 - 1) * 4 / $2::int8 AND "archiveId" = lpad($1::int8::text, 9, '0') AND "userId" = 'admin'`, n, s.rows).Scan(&moved)
		if err != nil {
			s.tb.Fatal(err)
		}
		if moved {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.tb.Fatalf("row %d of %d was not moved", n, s.rows)
}
