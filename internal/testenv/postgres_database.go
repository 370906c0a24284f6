package testenv

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Database makes a new empty database for one test and returns its URL:
// postgresql://postgres@127.0.0.1:PORT/NAME, with the password if there is one.
// The database is dropped, with whoever is connected to it, when the test ends.
func (s *PostgresServer) Database(tb testing.TB) string {
	tb.Helper()
	return s.database(tb, "")
}

// DatabaseIn is Database with another encoding than UTF-8, such as LATIN1 or
// SQL_ASCII, and text that sorts by its bytes.
func (s *PostgresServer) DatabaseIn(tb testing.TB, encoding string) string {
	tb.Helper()
	return s.database(tb, " ENCODING '"+encoding+"' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
}

func (s *PostgresServer) database(tb testing.TB, options string) string {
	tb.Helper()
	name := randomName("kedge_")
	if err := s.execute("CREATE DATABASE " + name + options); err != nil {
		tb.Fatalf("testenv: new database: %v\n%s", err, s.process.tail())
	}
	tb.Cleanup(func() {
		if s.process.exited() {
			return
		}
		if err := s.execute("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			tb.Errorf("testenv: drop database: %v", err)
		}
	})
	return s.databaseURL(name)
}

// databaseURL is how a client reaches a database of the server.
func (s *PostgresServer) databaseURL(name string) string {
	account := url.User("postgres")
	if s.options.Password != "" {
		account = url.UserPassword("postgres", s.options.Password)
	}
	u := url.URL{Scheme: "postgresql", User: account, Host: fmt.Sprintf("127.0.0.1:%d", s.Port), Path: "/" + name}
	return u.String()
}

// Load runs a script (SQL and psql's commands, COPY with its data) in a
// database through psql, and fails the test at the first error in it.
func (s *PostgresServer) Load(tb testing.TB, databaseURL string, sql io.Reader) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), filepath.Join(s.programs, "psql"),
		"--no-psqlrc", "--quiet", "--no-password", "--set", "ON_ERROR_STOP=1", "--output", os.DevNull, "--dbname", databaseURL)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.SocketFolder, "PGCLIENTENCODING=UTF8"}
	cmd.Stdin = sql
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("testenv: load SQL: %v\n%s", err, out)
	}
}
