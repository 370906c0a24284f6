package main

import (
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

// installationTables are what kedge uses of Anchore's tables on PostgreSQL.
const installationTables = `
	CREATE TYPE task_states AS ENUM ('initializing', 'pending', 'running', 'complete', 'failed');
	CREATE TABLE archive_metadata (
		bucket varchar NOT NULL, "archiveId" varchar NOT NULL, "userId" varchar NOT NULL, "documentName" varchar NOT NULL,
		content_url varchar, is_compressed boolean, digest varchar, size bigint, document_metadata varchar,
		created_at integer, last_updated integer, record_state_key varchar, record_state_val varchar,
		PRIMARY KEY (bucket, "archiveId", "userId", "documentName"));
	CREATE TABLE archive_document (
		bucket varchar NOT NULL, "archiveId" varchar NOT NULL, "userId" varchar NOT NULL, "documentName" varchar NOT NULL,
		created_at integer, last_updated integer, record_state_key varchar, record_state_val varchar, jsondata varchar, b64_encoded boolean,
		PRIMARY KEY (bucket, "archiveId", "userId", "documentName"));
	CREATE TABLE object_storage (
		"userId" varchar NOT NULL, bucket varchar NOT NULL, key varchar NOT NULL, version varchar NOT NULL,
		object_metadata varchar, content bytea, created_at integer, last_updated integer, PRIMARY KEY ("userId", bucket, key, version));
	CREATE TABLE tasks (
		id serial PRIMARY KEY, state task_states, last_state task_states, created_at timestamp, started_at timestamp,
		ended_at timestamp, last_updated timestamp, executor_id varchar, type varchar);
	CREATE TABLE archive_migration_tasks (
		id integer PRIMARY KEY REFERENCES tasks, migrate_from_driver varchar, migrate_to_driver varchar,
		archive_documents_to_migrate integer, archive_documents_migrated integer, online_migration boolean);`

// encoded is a document of driver db in a database of some encoding.
type encoded struct {
	user, id, text string
	// uri and digest are the row's, those of the document where "".
	uri, digest string
}

func (d encoded) row() (name, uri, digest string) {
	name, uri, digest = d.id+".json", d.uri, d.digest
	if uri == "" {
		uri = "db://" + d.user + "/b/" + d.id
	}
	if digest == "" {
		sum := md5.Sum([]byte(d.text))
		digest = hex.EncodeToString(sum[:])
	}
	return name, uri, digest
}

const (
	insertDocument = `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", jsondata) VALUES ('b', $1, $2, $3, $4)`
	insertRow      = `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES ('b', $1, $2, $3, $4, false, $5, $6)`
)

func (d encoded) insert(insert func(statement string, args ...any)) {
	name, uri, digest := d.row()
	insert(insertDocument, d.id, d.user, name, d.text)
	insert(insertRow, d.id, d.user, name, uri, digest, len(d.text))
}

// Whatever encoding role, database, URL and environment ask for, names and
// documents that are not ASCII go there and back, and Anchore's paths are made
// from them.
func TestEncodingsOfAClient(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	documents := []encoded{{user: "rené", id: "straße", text: `{"document": "garçon"}`}, {user: "rené", id: "plain", text: `{"document": "plain"}`}, {user: "admin", id: "ñ", text: strings.Repeat("é", 1<<20)}}
	latin1 := `DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET client_encoding = latin1'; END $$`
	inDatabase := `DO $$ BEGIN EXECUTE 'ALTER ROLE postgres IN DATABASE ' || current_database() || ' SET client_encoding = latin1'; END $$`
	for _, c := range []struct{ name, encoding, setting, options string }{
		{"database", "UTF8", latin1, ""},
		{"role", "UTF8", inDatabase, ""},
		{"URL", "UTF8", "", "?options=-c%20client_encoding%3Dlatin1"},
		{"environment", "UTF8", "", ""},
		{"LATIN1", "LATIN1", "", ""},
		{"LATIN1, role", "LATIN1", inDatabase, ""},
		{"SQL_ASCII", "SQL_ASCII", "", ""},
		{"SQL_ASCII, role", "SQL_ASCII", inDatabase, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "environment" {
				setenv(t, "PGCLIENTENCODING", "latin1")
				setenv(t, "PGOPTIONS", "-c client_encoding=latin1")
			}
			url := server.DatabaseIn(t, c.encoding)
			direct := url + "?client_encoding=UTF8"
			execute(t, direct, installationTables)
			for _, d := range documents {
				d.insert(func(statement string, args ...any) { execute(t, direct, statement, args...) })
			}
			if c.setting != "" {
				execute(t, direct, c.setting)
			}
			places := []place{dbPlace(direct), localfsPlace(archiveRoot(t)), db2Place(direct), dbPlace(direct)}
			for i, to := range places[1:] {
				from, into := places[i].config(t, url+c.options, compression{}), to.config(t, url+c.options, compression{})
				kedge(t, "migrate", "--dontask", from, into).want(t, exitDone)
				kedge(t, "verify", "--orphans", into).want(t, exitDone)
				for _, d := range documents {
					want := to.prefix + d.user + "/b/" + d.id
					if to.driver == "localfs" {
						id := fmt.Sprintf("%x", md5.Sum([]byte(d.id)))
						want = fmt.Sprintf("%s%x/b/%s/%s.json", to.prefix, md5.Sum([]byte(d.user)), id[:2], id)
					}
					if n := execute(t, direct, `SELECT FROM archive_metadata WHERE "userId" = $1 AND "archiveId" = $2 AND content_url = $3`, d.user, d.id, want); n != 1 {
						t.Errorf("%s: %q is not at %s", to.name, d.id, want)
					}
					if got, err := to.raw.get(t.Context(), want); err != nil || string(got) != d.text {
						t.Errorf("%s: %q has become %.50q: %v", to.name, d.id, got, err)
					}
				}
			}
		})
	}
}

// foreign are rows with bytes that are not UTF-8, and how each stays; those with
// no class move.
var foreign = []struct {
	encoded
	class string
}{
	{encoded{user: "admin", id: "good", text: "good"}, ""},
	{encoded{user: "admin", id: "grün", text: "grün"}, ""},
	{encoded{user: "admin", id: "exact", text: "\xff exact \xfe"}, ""},
	{encoded{user: "admin", id: "long", text: strings.Repeat("\xff\xfe long", 1<<18)}, ""},
	{encoded{user: "admin", id: "other", text: "other \xff", digest: "00000000000000000000000000000000"}, "wrong-digest"},
	{encoded{user: "admin", id: "id\xff", text: "id"}, "invalid-key"},
	{encoded{user: "admin", id: "id\xfe", text: "id"}, "invalid-key"},
	{encoded{user: "user\xe9", id: "x", text: "user"}, "invalid-key"},
	{encoded{user: "admin", id: "url", text: "url", uri: "db://admin/b/url\xe9"}, "invalid-key"},
}

// checkForeign migrates to places and back. Rows with foreign bytes are named,
// one by one, and stay as they are; the others move.
func checkForeign(t *testing.T, url string, count func(statement string, args ...any) int64) {
	t.Helper()
	from, to := place{driver: "db"}, localfsPlace(archiveRoot(t))
	source, destination := from.config(t, url, compression{}), to.config(t, url, compression{})
	stays := 0
	for _, d := range foreign {
		if d.class != "" {
			stays++
		}
	}
	kedge(t, "plan", source, destination).want(t, exitDocuments)
	for range 2 { // the second takes up what failed
		o := kedge(t, "migrate", "--dontask", "--checkpoint="+filepath.Join(home(t), "x.checkpoint"), source, destination).want(t, exitDocuments)
		o.says(t, strconv.Itoa(stays)+" documents")
		journal := kedge(t, "journal", "--format=json", filepath.Join(home(t), "x.checkpoint.journal")).want(t, exitDone)
		audit := kedge(t, "verify", "--output=json", destination).want(t, exitDocuments)
		for _, d := range foreign {
			name, uri, _ := d.row()
			if moved := count(`SELECT count(*) FROM archive_metadata WHERE "archiveId" = $1 AND "userId" = $2 AND "documentName" = $3 AND content_url = $4`, d.id, d.user, name, uri) == 0; moved != (d.class == "") {
				t.Errorf("%q: moved is %v", d.id, moved)
			}
			if left := count(`SELECT count(*) FROM archive_document WHERE "archiveId" = $1 AND "userId" = $2`, d.id, d.user) == 1; left != (d.class != "") {
				t.Errorf("%q: left at the source is %v", d.id, left)
			}
			if d.class == "invalid-key" {
				part := d.id
				if d.user != "admin" {
					part = d.user
				} else if d.uri != "" {
					part = d.uri
				}
				// The exact bytes, escaped once in the reason and once in JSON.
				quoted := strings.ReplaceAll(strings.Trim(strconv.Quote(part), `"`), `\`, `\\`)
				for what, o := range map[string]outcome{"journal": journal, "audit": audit} {
					if !strings.Contains(o.stdout, quoted) {
						t.Errorf("%s does not name %s:\n%s", what, quoted, o.stdout)
					}
				}
			}
			if d.class == "" {
				id := fmt.Sprintf("%x", md5.Sum([]byte(d.id)))
				if got, err := to.raw.get(t.Context(), fmt.Sprintf("%s%x/b/%s/%s.json", to.prefix, md5.Sum([]byte(d.user)), id[:2], id)); err != nil || string(got) != d.text {
					t.Errorf("%q has become %.50q: %v", d.id, got, err)
				}
			}
		}
	}
	kedge(t, "migrate", "--dontask", destination, place{driver: "db2"}.config(t, url, compression{})).want(t, exitDone)
	kedge(t, "migrate", "--dontask", place{driver: "db2"}.config(t, url, compression{}), source).want(t, exitDone)
	if n := count(`SELECT count(*) FROM archive_metadata`); n != int64(len(foreign)) {
		t.Errorf("%d rows, want %d", n, len(foreign))
	}
}

func TestForeignBytesOnPostgreSQL(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t).DatabaseIn(t, "SQL_ASCII")
	execute(t, url, installationTables)
	for _, d := range foreign {
		d.insert(func(statement string, args ...any) { execute(t, url, statement, args...) })
	}
	conn := connect(t, url)
	defer conn.Close(t.Context())
	checkForeign(t, url, func(statement string, args ...any) (n int64) {
		if err := conn.QueryRow(t.Context(), statement, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	})
}

func TestForeignBytesOnSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "anchore.db")
	if err := anchore.CreateSchema(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, d := range foreign {
		d.insert(func(statement string, args ...any) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
				t.Fatal(err)
			}
		})
	}
	checkForeign(t, "sqlite:///"+path, func(statement string, args ...any) (n int64) {
		if err := db.QueryRowContext(t.Context(), statement, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	})
}
