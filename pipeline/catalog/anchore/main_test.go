package anchore

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/catalog"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const pgTables = `
	CREATE TYPE task_states AS ENUM ('initializing', 'pending', 'running', 'complete', 'failed');
	CREATE TABLE archive_metadata (
		bucket varchar NOT NULL, "archiveId" varchar NOT NULL, "userId" varchar NOT NULL, "documentName" varchar NOT NULL,
		content_url varchar, is_compressed boolean, digest varchar, size bigint, document_metadata varchar,
		created_at integer, last_updated integer, record_state_key varchar, record_state_val varchar,
		PRIMARY KEY (bucket, "archiveId", "userId", "documentName"));
	CREATE TABLE tasks (
		id serial PRIMARY KEY, state task_states, last_state task_states, created_at timestamp, started_at timestamp,
		ended_at timestamp, last_updated timestamp, executor_id varchar, type varchar);
	CREATE TABLE archive_migration_tasks (
		id integer PRIMARY KEY REFERENCES tasks, migrate_from_driver varchar, migrate_to_driver varchar,
		archive_documents_to_migrate integer, archive_documents_migrated integer, online_migration boolean);`

// rig is a catalog with a way to its tables behind its back.
type rig struct {
	*Catalog
	options Options
	exec    func(query string, args ...any) int64
	// one reads one row of texts, NULL as "<null>".
	one func(query string, args ...any) []string
}

// each runs a test on both kinds of database.
func each(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Run("postgres", func(t *testing.T) { test(t, freshPostgres(t)) })
	t.Run("sqlite", func(t *testing.T) { test(t, freshSQLite(t)) })
}

func mustOpen(tb testing.TB, o Options) *Catalog {
	tb.Helper()
	c, err := Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func freshPostgres(tb testing.TB) *rig {
	tb.Helper()
	url := testenv.Postgres(tb).Database(tb)
	conn := connect(tb, url)
	if _, err := conn.Exec(tb.Context(), pgTables); err != nil {
		tb.Fatal(err)
	}
	return usePostgres(tb, url, conn)
}

func usePostgres(tb testing.TB, url string, conn *pgx.Conn) *rig {
	o := Options{Postgres: url}
	return &rig{
		Catalog: mustOpen(tb, o),
		options: o,
		exec: func(query string, args ...any) int64 {
			tb.Helper()
			done, err := conn.Exec(context.Background(), query, args...)
			if err != nil {
				tb.Fatalf("%s: %v", query, err)
			}
			return done.RowsAffected()
		},
		one: func(query string, args ...any) []string {
			tb.Helper()
			rows, err := conn.Query(context.Background(), query, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
			if err != nil {
				tb.Fatalf("%s: %v", query, err)
			}
			texts, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (texts []string, err error) {
				for _, raw := range row.RawValues() {
					if raw == nil {
						raw = []byte("<null>")
					}
					texts = append(texts, string(raw))
				}
				return texts, nil
			})
			if err != nil {
				tb.Fatalf("%s: %v", query, err)
			}
			return texts
		},
	}
}

// connect opens a session of one's own, like psql's.
func connect(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func freshSQLite(tb testing.TB) *rig {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "an installation?#%.db")
	if err := CreateSchema(tb.Context(), path); err != nil {
		tb.Fatal(err)
	}
	o := Options{SQLite: path}
	c := mustOpen(tb, o)
	db := c.SQLite()
	return &rig{
		Catalog: c,
		options: o,
		exec: func(query string, args ...any) int64 {
			tb.Helper()
			done, err := db.Exec(query, args...)
			if err != nil {
				tb.Fatalf("%s: %v", query, err)
			}
			n, _ := done.RowsAffected()
			return n
		},
		one: func(query string, args ...any) []string {
			tb.Helper()
			rows, err := db.Query(query, args...)
			if err != nil {
				tb.Fatalf("%s: %v", query, err)
			}
			defer rows.Close()
			names, _ := rows.Columns()
			values, to := make([]sql.NullString, len(names)), make([]any, len(names))
			for i := range values {
				to[i] = &values[i]
			}
			if !rows.Next() {
				tb.Fatalf("%s: no row", query)
			}
			if err := rows.Scan(to...); err != nil {
				tb.Fatal(err)
			}
			texts := make([]string, len(names))
			for i, v := range values {
				if texts[i] = v.String; !v.Valid {
					texts[i] = "<null>"
				}
			}
			return texts
		},
	}
}

// add puts a row into the catalog; a uri of "NULL" is one.
func (r *rig) add(bucket, id, user, name, uri string) catalog.Document {
	d := catalog.Document{Key: drivers.Key{UserID: user, Bucket: bucket, ArchiveID: id}, Name: name, URI: uri, Digest: "d41d8cd98f00b204e9800998ecf8427e", Bytes: 7}
	var content any = uri
	if uri == "NULL" {
		d.URI, d.NoURI, content = "", true, nil
	}
	r.exec(`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size,
			document_metadata, created_at, last_updated, record_state_key, record_state_val)
		VALUES ($1, $2, $3, $4, $5, NULL, 'D41D8CD98F00B204E9800998ECF8427E', 7, 'meta', 1, 1, 'active', 'val')`, bucket, id, user, name, content)
	return d
}

// all pages through a selection.
func (r *rig) all(tb testing.TB, s catalog.Selection, limit int) []catalog.Document {
	tb.Helper()
	var docs []catalog.Document
	for after := (catalog.Position{}); ; {
		page, err := r.Page(tb.Context(), s, after, limit)
		if err != nil {
			tb.Fatal(err)
		}
		docs = append(docs, page...)
		if len(page) < limit {
			return docs
		}
		after = page[len(page)-1].After()
	}
}
