package anchore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/catalog"
)

func catalogKeys(docs ...catalog.Document) []drivers.Key {
	var keys []drivers.Key
	for _, d := range docs {
		keys = append(keys, d.Key)
	}
	return keys
}

const password = "hidden-pa55word"

// TestOpenFails: every reason has its own line, none of which tells the password.
func TestOpenFails(t *testing.T) {
	server := testenv.NewPostgres(t, testenv.PostgresOptions{Password: password})
	good := server.Database(t)
	base, name := good[:strings.LastIndex(good, "/")+1], good[strings.LastIndex(good, "/")+1:]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	dir := t.TempDir()
	noDatabase := filepath.Join(dir, "text.db")
	if err := os.WriteFile(noDatabase, []byte(strings.Repeat("this is no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", server.Port)
	for _, test := range []struct {
		name string
		o    Options
		want []string
	}{
		{"nothing", Options{}, []string{"no database"}},
		{"both", Options{Postgres: good, SQLite: empty}, []string{"both"}},
		{"down", Options{Postgres: "postgresql://postgres:" + password + "@" + closed + "/x"}, []string{"cannot reach the database at " + closed, "connection refused"}},
		{"no such host", Options{Postgres: "postgresql://postgres:" + password + "@no-such-host.invalid/x"}, []string{"cannot reach the database at no-such-host.invalid:5432"}},
		{"wrong password", Options{Postgres: strings.Replace(good, password, "wrong-"+password, 1)}, []string{at, `refuses user "postgres"`, "password authentication failed"}},
		{"no such database", Options{Postgres: base + "nowhere"}, []string{at, `no database "nowhere"`}},
		{"no tables", Options{Postgres: good}, []string{"postgresql://" + at + "/" + name, "archive_metadata, tasks, archive_migration_tasks"}},
		{"no TLS", Options{Postgres: good + "?sslmode=require"}, []string{"cannot reach the database at " + at, "TLS"}},
		{"password not escaped", Options{Postgres: "postgresql://postgres:" + password + "/?#@" + at + "/x"}, []string{"URL is not valid", "percent-escaped"}},
		{"password in the port", Options{Postgres: "postgresql://u@" + at + ":" + password + "@host/x"}, []string{"URL is not valid"}},
		{"not a URL", Options{Postgres: "host=x port=" + password}, []string{"URL is not valid"}},
		{"file missing", Options{SQLite: filepath.Join(dir, "missing.db")}, []string{"missing.db", "no such file"}},
		{"folder", Options{SQLite: dir}, []string{"is not a file"}},
		{"no database file", Options{SQLite: noDatabase}, []string{noDatabase, "not a database"}},
		{"empty file", Options{SQLite: empty}, []string{"sqlite://" + empty, "archive_metadata, tasks, archive_migration_tasks"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Open(t.Context(), test.o)
			if err == nil {
				c.Close()
				t.Fatal("opened")
			}
			text := err.Error()
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q does not say %q", text, want)
				}
			}
			if strings.Contains(text, "\n") {
				t.Errorf("several lines: %q", text)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if deep := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(deep, password) {
					t.Errorf("the password stands in %s", deep)
				}
			}
			t.Log(text)
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "missing.db")); err == nil {
		t.Error("a missing file was made")
	}
}

func TestOpenTLS(t *testing.T) {
	server := testenv.NewPostgres(t, testenv.PostgresOptions{SSL: true, Password: password})
	url := server.Database(t)
	conn := connect(t, url+"?sslmode=require")
	if _, err := conn.Exec(t.Context(), pgTables); err != nil {
		t.Fatal(err)
	}
	c := mustOpen(t, Options{Postgres: url + "?sslmode=require"})
	var tls bool
	var application string
	if err := c.Postgres().QueryRow(t.Context(), `SELECT ssl, current_setting('application_name') FROM pg_stat_ssl WHERE pid = pg_backend_pid()`).Scan(&tls, &application); err != nil || !tls {
		t.Errorf("TLS: %v, %v", tls, err)
	}
	if application != "kedge" {
		t.Errorf("application_name is %q", application)
	}
	if strings.Contains(c.Place(), password) || !strings.HasPrefix(c.Place(), fmt.Sprintf("postgresql://127.0.0.1:%d/", server.Port)) {
		t.Errorf("place: %s", c.Place())
	}
	if err := c.Lock(t.Context(), false); err != nil {
		t.Errorf("lock: %v", err)
	}
	// verify-full knows no such certificate.
	if _, err := Open(t.Context(), Options{Postgres: url + "?sslmode=verify-full"}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the URL's sslmode is not heeded: %v", err)
	}
}

// TestOpenRetries: a server that comes up while connecting is tried again.
func TestOpenRetries(t *testing.T) {
	server := testenv.NewPostgres(t, testenv.PostgresOptions{})
	url := server.Database(t)
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), pgTables); err != nil {
		t.Fatal(err)
	}
	conn.Close(t.Context())
	server.Stop(t)
	if _, err := Open(t.Context(), Options{Postgres: url}); err == nil {
		t.Fatal("opened a server that is down")
	}
	type opened struct {
		c   *Catalog
		err error
	}
	got := make(chan opened, 1)
	go func() {
		c, err := Open(context.Background(), Options{Postgres: url, Retries: 60})
		got <- opened{c, err}
	}()
	server.Start(t)
	o := <-got
	if o.err != nil {
		t.Fatal(o.err)
	}
	o.c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{Postgres: url, Retries: 60}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSessionSettings(t *testing.T) {
	r := freshPostgres(t)
	c := mustOpen(t, Options{Postgres: r.options.Postgres + "?synchronous_commit=off&pool_max_conns=6", StatementTimeout: 90 * time.Second, Application: "test"})
	var sync, timeout string
	if err := c.Postgres().QueryRow(t.Context(), `SELECT current_setting('synchronous_commit'), current_setting('statement_timeout')`).Scan(&sync, &timeout); err != nil || sync != "on" || timeout != "90s" {
		t.Errorf("pool: synchronous_commit %s, statement_timeout %s: %v", sync, timeout, err)
	}
	if n := c.Postgres().Config().MaxConns; n != 6 {
		t.Errorf("%d connections", n)
	}
	if err := c.Lock(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	session := c.database.(*postgres).lock.conn
	var application string
	if err := session.QueryRow(t.Context(), `SELECT current_setting('synchronous_commit'), current_setting('statement_timeout'), current_setting('application_name')`).Scan(&sync, &timeout, &application); err != nil ||
		sync != "on" || timeout != "90s" || application != "test migrate" {
		t.Errorf("lock: synchronous_commit %s, statement_timeout %s, application_name %s: %v", sync, timeout, application, err)
	}
}

func TestCreateSchemaAgain(t *testing.T) {
	r := freshSQLite(t)
	r.add("b", "1", "u", "1.json", "db://u/b/1")
	if err := CreateSchema(t.Context(), r.options.SQLite); err != nil {
		t.Fatal(err)
	}
	if got := r.one(`SELECT (SELECT count(*) FROM archive_metadata), count(*), max(db_version) FROM anchore`); got[0] != "1" || got[1] != "1" || got[2] != "0.0.16" {
		t.Errorf("%q", got)
	}
	if want := "sqlite://" + r.options.SQLite; r.Place() != want {
		t.Errorf("place is %q, want %q", r.Place(), want)
	}
}

func TestCloseTwice(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		if err := r.Lock(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
