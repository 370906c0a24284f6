package compare

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// installation is the database of an Anchore installation whose documents are
// at a site. Each run works on a copy.
type installation struct {
	rig *rig
	url string
}

// install makes the installation of a tree at a site.
func (r *rig) install(tb testing.TB, t *tree, at *site) *installation {
	tb.Helper()
	url, _ := r.postgres.Golden(tb, "db")
	in := &installation{rig: r, url: url}
	conn := connect(tb, url)
	defer conn.Close(context.WithoutCancel(tb.Context()))
	for _, step := range []func() error{
		func() error {
			return execute(tb, conn, `TRUNCATE archive_metadata, archive_document, object_storage, archive_migration_tasks, tasks`)
		},
		func() error { return copyRows(tb, conn, t, at) },
		func() error { return copyPayloads(tb, conn, t, at.driver) },
		func() error { return execute(tb, conn, "VACUUM ANALYZE") },
	} {
		if err := step(); err != nil {
			tb.Fatalf("make an installation in %s: %v", at.driver, err)
		}
	}
	return in
}

// when is the time of all rows, in Unix seconds.
const when = 1600000000

// copyRows fills the catalog.
func copyRows(tb testing.TB, conn *pgx.Conn, t *tree, at *site) error {
	_, err := conn.CopyFrom(tb.Context(), pgx.Identifier{"archive_metadata"},
		[]string{"bucket", "archiveId", "userId", "documentName", "content_url", "is_compressed", "digest", "size", "created_at", "last_updated", "record_state_key"},
		pgx.CopyFromSlice(len(t.documents), func(n int) ([]any, error) {
			d := t.documents[n]
			return []any{d.key.Bucket, d.key.ArchiveID, d.key.UserID, d.key.ArchiveID + ".json", at.uri(d), false, d.digest, d.bytes, when, when, "active"}, nil
		}))
	return err
}

// copyPayloads fills the table of driver db or db2, if it is one of them.
func copyPayloads(tb testing.TB, conn *pgx.Conn, t *tree, driver string) error {
	read := func(n int, row func(d document, payload []byte) []any) ([]any, error) {
		payload, err := os.ReadFile(filepath.Join(t.root, t.documents[n].path))
		return row(t.documents[n], payload), err
	}
	switch driver {
	case "db":
		_, err := conn.CopyFrom(tb.Context(), pgx.Identifier{"archive_document"},
			[]string{"bucket", "archiveId", "userId", "documentName", "created_at", "last_updated", "record_state_key", "jsondata", "b64_encoded"},
			pgx.CopyFromSlice(len(t.documents), func(n int) ([]any, error) {
				return read(n, func(d document, payload []byte) []any {
					return []any{d.key.Bucket, d.key.ArchiveID, d.key.UserID, d.key.ArchiveID + ".json", when, when, "active", string(payload), false}
				})
			}))
		return err
	case "db2":
		_, err := conn.CopyFrom(tb.Context(), pgx.Identifier{"object_storage"},
			[]string{"userId", "bucket", "key", "version", "content", "created_at", "last_updated"},
			pgx.CopyFromSlice(len(t.documents), func(n int) ([]any, error) {
				return read(n, func(d document, payload []byte) []any {
					return []any{d.key.UserID, d.key.Bucket, d.key.ArchiveID, "", payload, when, when}
				})
			}))
		return err
	default:
		return nil
	}
}

// clone makes a copy for one run, which is dropped when the test ends.
func (in *installation) clone(tb testing.TB) (databaseURL string) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	name := fmt.Sprintf("kedge_run_%d", time.Now().UnixNano())
	conn := connect(tb, withDatabase(tb, in.url, "postgres"))
	defer conn.Close(ctx)
	if err := execute(tb, conn, "CREATE DATABASE "+name+" TEMPLATE "+in.name(tb)+" STRATEGY FILE_COPY"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		conn := connect(tb, withDatabase(tb, in.url, "postgres"))
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Error(err)
		}
	})
	return withDatabase(tb, in.url, name)
}

func (in *installation) name(tb testing.TB) string {
	tb.Helper()
	u, err := url.Parse(in.url)
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// mustBeAt fails the test unless the catalog of a run's database has all
// documents below a prefix.
func mustBeAt(tb testing.TB, databaseURL, prefix string, want int) {
	tb.Helper()
	conn := connect(tb, databaseURL)
	defer conn.Close(context.WithoutCancel(tb.Context()))
	var got int
	if err := conn.QueryRow(tb.Context(), "SELECT count(*) FROM archive_metadata WHERE starts_with(content_url, $1)", prefix).Scan(&got); err != nil {
		tb.Fatal(err)
	}
	if got != want {
		tb.Fatalf("the catalog has %d documents below %s, want %d", got, prefix, want)
	}
}

func withDatabase(tb testing.TB, databaseURL, name string) string {
	tb.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func connect(tb testing.TB, databaseURL string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(tb.Context()), databaseURL)
	if err != nil {
		tb.Fatal(err)
	}
	return conn
}

func execute(tb testing.TB, conn *pgx.Conn, sql string) error {
	_, err := conn.Exec(tb.Context(), sql)
	return err
}
