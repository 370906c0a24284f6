package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestParseDatabaseURL reads each URL and asks pgx what it makes of the result.
func TestParseDatabaseURL(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSERVICE", "PGPASSFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("PGSSLMODE", "disable") // must not matter
	for _, test := range []struct {
		raw                        string
		user, password, host, name string
		port                       uint16
		redacted                   string
	}{
		{"postgresql://u:p@h:5433/db", "u", "p", "h", "db", 5433, "postgresql://u:********@h:5433/db?sslmode=prefer"},
		{"postgres://u:p@h/db", "u", "p", "h", "db", 5432, "postgresql://u:********@h:5432/db?sslmode=prefer"},
		{"postgresql+pg8000://u:p@h/db", "u", "p", "h", "db", 5432, "postgresql://u:********@h:5432/db?sslmode=prefer"},
		{"postgresql+psycopg2://u@h/db", "u", "", "h", "db", 5432, "postgresql://u@h:5432/db?sslmode=prefer"},
		{"postgresql+asyncpg://u:@h/db", "u", "", "h", "db", 5432, "postgresql://u@h:5432/db?sslmode=prefer"},
		{"postgresql://u:a@b/c:d?e#f%@h/db", "u", "a@b/c:d?e#f%", "h", "db", 5432, "postgresql://u:********@h:5432/db?sslmode=prefer"},
		{"postgresql://u%40x:p%40%2f%25%zz%4@h/db", "u@x", "p@/%%zz%4", "h", "db", 5432, "postgresql://u@x:********@h:5432/db?sslmode=prefer"},
		{"postgresql://a@b:p+q r@h/db", "a@b", "p+q r", "h", "db", 5432, "postgresql://a@b:********@h:5432/db?sslmode=prefer"},
		{"postgresql://us@er@h:5433/db", "us@er", "", "h", "db", 5433, "postgresql://us@er@h:5433/db?sslmode=prefer"},
		{"postgresql://u:pä%C3%A4@h/d%b x", "u", "pää", "h", "d%b x", 5432, "postgresql://u:********@h:5432/d%b x?sslmode=prefer"},
		{"postgresql://u:p@[::1]:5433/db", "u", "p", "::1", "db", 5433, "postgresql://u:********@[::1]:5433/db?sslmode=prefer"},
		{"postgresql://u:p@my_host-1.example.com", "u", "p", "my_host-1.example.com", "", 5432, "postgresql://u:********@my_host-1.example.com:5432/?sslmode=prefer"},
		{"postgresql://u:p@h?application_name=a%20b+c%26d", "u", "p", "h", "", 5432, "postgresql://u:********@h:5432/?application_name=a b c&d&sslmode=prefer"},
		{"postgresql://u:p@/db?host=/var/run/pg&port=5434", "u", "p", "/var/run/pg", "db", 5434, "postgresql://u:********@/db?host=/var/run/pg&port=5434&sslmode=prefer"},
		{"postgresql://u:p@/db?host=h:5435", "u", "p", "h", "db", 5435, "postgresql://u:********@h:5435/db?sslmode=prefer"},
	} {
		t.Run(test.raw, func(t *testing.T) {
			d, err := ParseDatabaseURL(test.raw)
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Redacted(); got != test.redacted || d.Kind != Postgres {
				t.Errorf("redacted %s, want %s", got, test.redacted)
			}
			c, err := pgconn.ParseConfig(d.URL())
			if err != nil {
				t.Fatal(err)
			}
			if c.User != test.user || c.Password != test.password || c.Host != test.host || c.Port != test.port || c.Database != test.name {
				t.Errorf("pgx reads %s as user %q, password %q, host %q, port %d, database %q", d.URL(), c.User, c.Password, c.Host, c.Port, c.Database)
			}
		})
	}
}

func TestDatabaseURLSSL(t *testing.T) {
	for _, test := range []struct {
		query string
		ssl   bool // --db-use-ssl
		want  string
	}{
		{"", false, "prefer"},
		{"", true, "require"},
		{"?ssl=true", false, "require"},
		{"?ssl=True", false, "require"},
		{"?ssl=false", false, "prefer"},
		{"?ssl=verify-full", false, "verify-full"},
		{"?sslmode=disable", false, "disable"},
		{"?sslmode=disable", true, "require"},
		{"?sslmode=verify-ca", true, "verify-ca"},
		{"?sslmode=require&ssl=false", false, "require"},
		{"?sslmode=verify-full&sslrootcert=/a+b.pem&sslcert=/c&sslkey=/d", false, "verify-full&sslrootcert=%2Fa%20b.pem"},
	} {
		d, err := ParseDatabaseURL("postgresql://u:p@h/db" + test.query)
		if err != nil {
			t.Fatal(err)
		}
		d.SSL = d.SSL || test.ssl
		if got := d.URL(); !strings.Contains(got+"&", "sslmode="+test.want+"&") {
			t.Errorf("%s with %v: %s, want %s", test.query, test.ssl, got, test.want)
		}
	}
	d, err := ParseDatabaseURL("postgresql://u:p@h/db?timeout=1.5&connect_timeout=2.5")
	if err != nil {
		t.Fatal(err)
	}
	if d.Timeout != 1500*time.Millisecond || d.ConnectTimeout != 2500*time.Millisecond || d.URL() != "postgres://u:p@h:5432/db?connect_timeout=3&sslmode=prefer" {
		t.Errorf("time-outs %v, %v, %s", d.Timeout, d.ConnectTimeout, d.URL())
	}
}

func TestParseDatabaseURLRefused(t *testing.T) {
	for _, test := range []struct{ raw, want string }{
		{"", "is not of the form kind://…; known are postgresql://user:password@host:port/name, sqlite:///relative/path and sqlite:////absolute/path"},
		{"user:hunter2@host/db", "is not of the form kind://…"},
		{"mysql+pymysql://u:hunter2@h/db", "mysql+pymysql:// is not supported; known are postgresql://"},
		{"u:hunter2://h/db", "does not begin with a kind of database; known are"},
		{"postgresql+x:hunter2@://h/db", "does not begin with a kind of database; known are"},
		{"postgresql://u:hunter2", "the port is not a number from 1 to 65535"},
		{"postgresql://u:hunter2/x", "the port is not a number from 1 to 65535"},
		{"postgresql://u:hunter2@h:x", "the port is not a number from 1 to 65535"},
		{"postgresql://u:hunter2@h:0", "the port is not a number from 1 to 65535"},
		{"postgresql://u:hunter2@h:65536", "the port is not a number from 1 to 65535"},
		{"postgresql://u:hunter2@%2Fvar/db", "the host's name holds characters"},
		{"postgresql://u:hunter2@[::1/db", "the address in brackets is not an IPv6 address"},
		{"postgresql://u:hunter2@[::1]x/db", "the address in brackets is not an IPv6 address"},
		{"postgresql://u:hunter2@[1.2.3.4]/db", "the address in brackets is not an IPv6 address"},
		{"postgresql://u:hunter2@h/db?sslmod=require", "the parameter sslmod: unknown key, did you mean sslmode? (known keys: application_name, channel_binding, "},
		{"postgresql://u:p@h/db?sslmode=hunter2", "the parameter sslmode: wants one of disable, allow, prefer, require, verify-ca, verify-full"},
		{"postgresql://u:p@h/db?ssl=hunter2", "the parameter ssl: wants true or false"},
		{"postgresql://u:p@h/db?ssl=true&ssl=true", "the parameter ssl is given twice"},
		{"postgresql://u:p@h/db?timeout=-1", "the parameter timeout: wants a number of seconds"},
		{"postgresql://u:p@h/db?timeout=NaN", "the parameter timeout: wants a number of seconds"},
		{"postgresql://u:p@h/db?timeout=1e300", "the parameter timeout: wants a number of seconds"},
		{"postgresql://u:p@h/db?options=a%0ab", "the parameter options holds a control character"},
		{"postgresql://u:hunter2@h/db\n", "holds a control character"},
		{"postgresql://u:hunter2%00@h/db", "user and password cannot hold %00"},
		{"sqlite://", "an SQLite database in memory holds no catalog; give its file"},
		{"sqlite:///", "an SQLite database in memory holds no catalog; give its file"},
		{"sqlite:///:memory:", "an SQLite database in memory holds no catalog; give its file"},
		{"sqlite://u:hunter2@h/db", "an SQLite URL has three slashes before a relative path and four before an absolute one"},
		{"sqlite:///a?mode=ro", "an SQLite URL takes no parameters"},
		{"sqlite:///file:a", "SQLite's own file: URLs are not supported; give the path"},
		{"sqlite+pysqlcipher://:hunter2@/a", "sqlite+pysqlcipher:// is not supported"},
	} {
		d, err := ParseDatabaseURL(test.raw)
		if err == nil {
			t.Errorf("%s: accepted as %v", test.raw, d)
			continue
		}
		if !strings.HasPrefix(err.Error(), "database URL: "+test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %q, want %q", test.raw, err, test.want)
		}
	}
}

func TestSQLiteURL(t *testing.T) {
	for raw, path := range map[string]string{
		"sqlite:///a/b.db":            "a/b.db",
		"sqlite:////a/b%20c.db":       "/a/b%20c.db",
		"sqlite+pysqlite:///./a b.db": "./a b.db",
	} {
		d, err := ParseDatabaseURL(raw)
		if err != nil {
			t.Fatal(err)
		}
		if d.Kind != SQLite || d.Path != path || d.URL() != "" || d.Redacted() != "sqlite:///"+path {
			t.Errorf("%s: %v, path %q", raw, d, d.Path)
		}
	}
}

func TestDatabasePrintedHoldsNoSecret(t *testing.T) {
	d, err := ParseDatabaseURL("postgresql://u:hunter2@h/db")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", *d, "pointer", d, "inside", struct{ D Database }{*d})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", *d, "pointer", d, "inside", struct{ D Database }{*d})
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	printed := log.String() + string(text)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		printed += fmt.Sprintf(format, *d) + fmt.Sprintf(format, d) + fmt.Sprintf(format, struct{ D Database }{*d})
	}
	if strings.Contains(printed, "hunter2") || !strings.Contains(printed, "postgresql://u:********@h") {
		t.Error(printed)
	}
}

func TestDatabaseSection(t *testing.T) {
	vars := map[string]string{"DB_PASSWORD": "p@s/s", "SSL": "True", "T": "30"}
	for _, test := range []struct {
		name, text string
		url        string
		timeout    time.Duration
		err        string
		none       bool
	}{
		{"typical", "credentials:\n  database:\n    db_connect: 'postgresql://postgres:${DB_PASSWORD}@anchore-db:5432/postgres'\n    db_connect_args:\n      timeout: 120\n      ssl: False\n    db_pool_size: 30\n",
			"postgres://postgres:p%40s%2Fs@anchore-db:5432/postgres?sslmode=prefer", 2 * time.Minute, "", false},
		{"all", "credentials: {database: {db_connect: postgresql+pg8000://u@h/d, db_connect_args: {timeout: '${T}', connect_timeout: 120, ssl: '${SSL}', sslrootcert: /ca, tcp_keepalive: true}}}",
			"postgres://u@h:5432/d?connect_timeout=120&sslmode=require&sslrootcert=%2Fca", 30 * time.Second, "", false},
		{"arguments win", "credentials: {database: {db_connect: 'postgresql://u@h/d?sslmode=disable&timeout=3', db_connect_args: {sslmode: verify-full, timeout: 2}}}",
			"postgres://u@h:5432/d?sslmode=verify-full", 2 * time.Second, "", false},
		{"no arguments", "credentials: {database: {db_connect: 'postgresql://u@h/d', db_connect_args: }}", "postgres://u@h:5432/d?sslmode=prefer", 0, "", false},
		{"no credentials", "services: {}", "", 0, "c.yaml: has no credentials.database.db_connect, and no user, password, host, port and name in its place", true},
		{"no database", "credentials: {}", "", 0, "c.yaml: has no credentials.database.db_connect, and no user, password, host, port and name in its place", true},
		{"no db_connect", "credentials:\n database:\n  db_pool_size: 1", "", 0, "c.yaml:2: has no credentials.database.db_connect, and no user, password, host, port and name in its place", true},
		{"empty db_connect", "credentials:\n database:\n  db_connect: ''", "", 0, "c.yaml:3: has no credentials.database.db_connect, and no user, password, host, port and name in its place", true},
		{"list", "credentials: [a]", "", 0, "c.yaml:1: credentials: is a list, wants a mapping of keys", false},
		{"unset", "credentials:\n database:\n  db_connect: 'postgresql://${NONE}'", "", 0, "c.yaml:3: credentials.database.db_connect: the environment variable NONE is not set", false},
		{"bad URL", "credentials:\n database:\n  db_connect: 'oracle://u:hunter2@h'", "", 0, "c.yaml:3: credentials.database.db_connect: database URL: oracle:// is not supported; " + urlForms, false},
		{"bad argument", "credentials:\n database:\n  db_connect: 'postgresql://u:hunter2@h'\n  db_connect_args:\n   timeout: soon", "", 0, "c.yaml:5: credentials.database.db_connect_args.timeout: wants a number of seconds", false},
		{"bad ssl", "credentials:\n database:\n  db_connect: 'postgresql://u:hunter2@h'\n  db_connect_args:\n   ssl: soon", "", 0, "c.yaml:5: credentials.database.db_connect_args.ssl: wants true or false", false},
		{"unknown argument", "credentials:\n database:\n  db_connect: 'postgresql://u:hunter2@h'\n  db_connect_args:\n   timeuot: 1", "", 0,
			"c.yaml:5: credentials.database.db_connect_args.timeuot: unknown key, did you mean timeout? (known keys: " + strings.Join(knownParameters(), ", ") + ")", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Parse("c.yaml", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			f.Lookup = environment(vars)
			d, err := f.Database()
			if test.err != "" {
				if message(err) != test.err || errors.Is(err, ErrNoDatabase) != test.none {
					t.Errorf("got  %v\nwant %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d.URL() != test.url || d.Timeout != test.timeout {
				t.Errorf("got %s, %v; want %s", d.URL(), d.Timeout, test.url)
			}
		})
	}
}
