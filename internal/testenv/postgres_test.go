package testenv

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// connect opens a connection that ends with the test.
func connect(t *testing.T, databaseURL string) *pgx.Conn {
	t.Helper()
	db, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = db.Close(ctx)
	})
	return db
}

// query reads one value.
func query[V any](t *testing.T, db *pgx.Conn, sql string) V {
	t.Helper()
	var v V
	if err := db.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func execute(t *testing.T, db *pgx.Conn, sql string) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestPostgresDatabasesAreSeparate(t *testing.T) {
	started := time.Now()
	server := Postgres(t)
	t.Logf("ready after %v", time.Since(started).Round(time.Millisecond))
	first, second := connect(t, server.Database(t)), connect(t, server.Database(t))
	execute(t, first, "CREATE TABLE here (n integer)")
	const tables = "SELECT count(*) FROM pg_tables WHERE tablename = 'here'"
	if n := query[int](t, first, tables); n != 1 {
		t.Errorf("first database has %d tables; want 1", n)
	}
	if n := query[int](t, second, tables); n != 0 {
		t.Errorf("second database has %d of the first's tables", n)
	}
}

func TestPostgresDatabaseIsDroppedAfterTheTest(t *testing.T) {
	server := Postgres(t)
	var gone string
	t.Run("user", func(t *testing.T) {
		gone = server.Database(t)
		connect(t, gone)
		// Still connected when the test ends.
		_, err := pgx.Connect(context.Background(), gone)
		if err != nil {
			t.Fatal(err)
		}
	})
	if _, err := pgx.Connect(t.Context(), gone); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("connect to the dropped database: %v; want that it does not exist", err)
	}
}

func TestPostgresSortsAsMostInstallationsDo(t *testing.T) {
	const inOrder = `SELECT 'a' < 'B'`
	if db := connect(t, Postgres(t).Database(t)); !query[bool](t, db, inOrder) {
		t.Error("the shared server sorts text by its bytes")
	}
	server := NewPostgres(t, PostgresOptions{Collation: "C"})
	if db := connect(t, server.Database(t)); query[bool](t, db, inOrder) {
		t.Error("the server with collation C does not sort text by its bytes")
	}
}

func TestPostgresLoad(t *testing.T) {
	server := Postgres(t)
	url := server.Database(t)
	server.Load(t, url, strings.NewReader("CREATE TABLE t (a text, n int);\nCOPY t FROM stdin;\nx\\ty\t1\n\\N\t2\n\\.\n"))
	if s := query[string](t, connect(t, url), "SELECT a FROM t WHERE n = 1"); s != "x\ty" {
		t.Errorf("loaded %q", s)
	}
}

func TestPostgresPasswordAndSSL(t *testing.T) {
	server := NewPostgres(t, PostgresOptions{Password: "it's/secret", SSL: true})
	url := server.Database(t)
	right := url + "?sslmode=verify-full&sslrootcert=" + server.CAFile
	if !query[bool](t, connect(t, right), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") {
		t.Error("the connection is not encrypted")
	}
	for name, wrong := range map[string]string{
		"without SSL":    url + "?sslmode=disable",
		"wrong password": strings.Replace(right, "secret", "wrong", 1),
	} {
		if db, err := pgx.Connect(t.Context(), wrong); err == nil {
			_ = db.Close(t.Context())
			t.Errorf("%s: connected", name)
		}
	}
}

func TestPostgresStopKillStart(t *testing.T) {
	server := NewPostgres(t, PostgresOptions{OnDisk: true})
	url := server.Database(t)
	execute(t, connect(t, url), "CREATE TABLE kept (n integer)")
	server.Stop(t)
	if _, err := pgx.Connect(t.Context(), url); err == nil {
		t.Error("the stopped server answers")
	}
	server.Start(t)
	execute(t, connect(t, url), "INSERT INTO kept VALUES (1)")
	server.Kill(t)
	server.Start(t)
	if n := query[int](t, connect(t, url), "SELECT count(*) FROM kept"); n != 1 {
		t.Errorf("%d rows after the crash; want 1", n)
	}
	server.Restart(t)
	if v := query[string](t, connect(t, url), "SHOW fsync"); v != "on" {
		t.Errorf("fsync is %s; want on", v)
	}
}
