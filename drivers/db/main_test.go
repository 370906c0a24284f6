package db

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "modernc.org/sqlite"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
	"github.com/kedge/kedge/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// pgTables are the two tables as Anchore makes them.
const pgTables = `
	CREATE TABLE archive_document (
		bucket varchar NOT NULL, "archiveId" varchar NOT NULL, "userId" varchar NOT NULL, "documentName" varchar NOT NULL,
		created_at integer, last_updated integer, record_state_key varchar, record_state_val varchar,
		jsondata varchar, b64_encoded boolean,
		PRIMARY KEY (bucket, "archiveId", "userId", "documentName"));
	CREATE TABLE object_storage (
		"userId" varchar NOT NULL, bucket varchar NOT NULL, key varchar NOT NULL, version varchar NOT NULL,
		object_metadata varchar, content bytea, created_at integer, last_updated integer,
		PRIMARY KEY ("userId", bucket, key, version));`

// exec runs a statement behind the driver's back and says how many rows it met.
type exec func(tb testing.TB, query string, args ...any) int64

// kind is a kind of database.
type kind struct {
	name string
	open func(tb testing.TB) (Database, exec)
}

func kinds() []kind {
	return []kind{{"postgres", freshPostgres}, {"sqlite", freshSQLite}}
}

func freshPostgres(tb testing.TB) (Database, exec) {
	tb.Helper()
	return usePostgres(tb, testenv.Postgres(tb).Database(tb), pgTables)
}

func usePostgres(tb testing.TB, url, setUp string) (Database, exec) {
	tb.Helper()
	pool, err := pgxpool.New(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	if _, err := pool.Exec(tb.Context(), setUp); err != nil {
		tb.Fatal(err)
	}
	run := func(tb testing.TB, query string, args ...any) int64 {
		tb.Helper()
		done, err := pool.Exec(context.Background(), query, args...)
		if err != nil {
			tb.Fatalf("%s: %v", query, err)
		}
		return done.RowsAffected()
	}
	return Database{Postgres: pool, Place: "postgresql://server/test"}, run
}

func freshSQLite(tb testing.TB) (Database, exec) {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(tb.TempDir(), "anchore.db")+"?_txlock=immediate&_pragma=busy_timeout(10000)")
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { db.Close() })
	run := func(tb testing.TB, query string, args ...any) int64 {
		tb.Helper()
		done, err := db.Exec(query, args...)
		if err != nil {
			tb.Fatalf("%s: %v", query, err)
		}
		n, _ := done.RowsAffected()
		return n
	}
	run(tb, strings.ReplaceAll(pgTables, "bytea", "blob"))
	return Database{SQLite: db, Place: "sqlite:///test"}, run
}

// opener opens one of the two drivers.
type opener struct {
	name string
	open func(context.Context, Database) (drivers.Driver, error)
}

func openers() []opener { return []opener{{"db", OpenDB}, {"db2", OpenDB2}} }

// eachDriver runs a test on both drivers and both kinds of database.
func eachDriver(t *testing.T, test func(t *testing.T, d drivers.Driver, run exec)) {
	for _, k := range kinds() {
		for _, o := range openers() {
			t.Run(o.name+" on "+k.name, func(t *testing.T) {
				base, run := k.open(t)
				test(t, mustOpen(t, o, base), run)
			})
		}
	}
}

func mustOpen(tb testing.TB, o opener, base Database) drivers.Driver {
	tb.Helper()
	d, err := o.open(tb.Context(), base)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	for _, k := range kinds() {
		for _, o := range openers() {
			t.Run(o.name+" on "+k.name, func(t *testing.T) {
				base, run := k.open(t)
				drivertest.Run(t, drivertest.Backend{
					Open: func(tb testing.TB) drivers.Driver {
						run(tb, `DELETE FROM archive_document`)
						run(tb, `DELETE FROM object_storage`)
						return mustOpen(tb, o, base)
					},
					Corrupt: func(tb testing.TB, d drivers.Driver, uri string) { corrupt(tb, d, run, uri) },
					Refuses: func(k drivers.Key) bool {
						all := k.UserID + k.Bucket + k.ArchiveID
						return k.UserID == "" || k.Bucket == "" || strings.Contains(k.UserID+k.Bucket, "/") ||
							strings.Contains(all, "\x00") || strings.ToValidUTF8(all, "") != all
					},
				})
			})
		}
	}
}

// corrupt turns one byte of a stored payload into another.
func corrupt(tb testing.TB, d drivers.Driver, run exec, uri string) {
	tb.Helper()
	key, err := parse(d.Scheme(), uri)
	if err != nil {
		tb.Fatal(err)
	}
	query := `UPDATE object_storage SET content = $1 WHERE "userId" = $2 AND bucket = $3 AND "key" = $4`
	var content any
	data := readAll(tb, d, uri)
	data[len(data)/2] ^= 1
	content = data
	if d.Name() == "db" {
		text := string(data)
		if !isText(data, false) {
			text = string(encodeBase64(data))
		}
		content = text
		query = `UPDATE archive_document SET jsondata = $1 WHERE "userId" = $2 AND bucket = $3 AND "archiveId" = $4`
	}
	if n := run(tb, query, content, key.UserID, key.Bucket, key.ArchiveID); n != 1 {
		tb.Fatalf("%d rows changed", n)
	}
}

// What the tests of every driver say.
var (
	sum   = drivertest.MD5Hex
	uriOf = drivertest.URIOf
)

func put(tb testing.TB, d drivers.Driver, uri string, data []byte) {
	tb.Helper()
	if _, err := d.Put(tb.Context(), uri, drivers.InMemory(data, sum(data))); err != nil {
		tb.Fatal(err)
	}
}

func wantKind(tb testing.TB, err error, want drivers.Kind) {
	tb.Helper()
	if err == nil {
		tb.Fatal("no error")
	}
	if got := drivers.KindOf(err); got != want {
		tb.Fatalf("kind %d, want %d: %v", got, want, err)
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		tb.Fatalf("several lines: %q", err.Error())
	}
}

func body(id int) []byte { return fmt.Appendf(nil, `{"document": %d}`, id) }
