package anchore

import (
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
)

// Versions before the oldest are refused with words.
func TestTooOld(t *testing.T) {
	if err := tooOld(90524, "here"); err == nil || !strings.Contains(err.Error(), "at here is PostgreSQL 9.5, and kedge needs 9.6 or later") {
		t.Errorf("9.5: %v", err)
	}
	for _, version := range []int{90600, 100023, 150004} {
		if err := tooOld(version, "here"); err != nil {
			t.Error(err)
		}
	}
}

// Nothing that reads the catalog needs a function that PostgreSQL 9.6 and 10 do not
// have: it is taken away here.
func TestWithoutNewerFunctions(t *testing.T) {
	r := freshPostgres(t)
	r.fill(100)
	r.exec(`SET allow_system_table_mods = on; UPDATE pg_proc SET proname = 'gone' WHERE proname = 'starts_with'`)
	if rows, err := r.database.(*postgres).pool.Query(t.Context(), `SELECT starts_with('a', 'a')`); err == nil {
		rows.Close()
		if rows.Err() == nil {
			t.Fatal("the function is there still")
		}
	}
	s := catalog.Selection{Prefix: "s3://archive/"}
	if n, err := r.Count(t.Context(), s); err != nil || n.Documents == 0 {
		t.Errorf("count: %+v, %v", n, err)
	}
	if docs, err := r.Page(t.Context(), s, catalog.Position{}, 10); err != nil || len(docs) == 0 {
		t.Errorf("page: %d documents, %v", len(docs), err)
	}
	forms := []catalog.Form{{Scheme: "s3://", Known: []string{"s3://archive/"}}}
	if err := r.Places(t.Context(), forms, func(int, bool, string) error { return nil }); err != nil {
		t.Errorf("places: %v", err)
	}
	if err := r.Awkward(t.Context(), "s3://", func(catalog.Document) error { return nil }); err != nil {
		t.Errorf("awkward keys: %v", err)
	}
	if _, err := r.MissingPrivileges(t.Context(), Work{Source: "db", Destination: "db2"}); err != nil {
		t.Errorf("privileges: %v", err)
	}
	if _, err := r.Rows(t.Context(), []drivers.Key{{UserID: "admin", Bucket: "b", ArchiveID: "a"}}); err != nil {
		t.Errorf("rows: %v", err)
	}
}

// A prefix is compared as bytes, whatever characters are in it.
func TestBegins(t *testing.T) {
	r := freshPostgres(t)
	pool := r.database.(*postgres).pool
	for _, c := range []struct {
		text, with string
		want       bool
	}{
		{"s3://b/ä/x", "s3://b/ä/", true},
		{"s3://b/a\u0308/x", "s3://b/ä/", false},
		{"s3://B/x", "s3://b/", false},
		{"s3://b", "s3://b/", false},
		{"s3://b%_/x", "s3://b%_/", true},
		{"s3://bxx/x", "s3://b%_/", false},
		{"", "", true},
		{"x", "", true},
	} {
		var got bool
		if err := pool.QueryRow(t.Context(), "SELECT "+begins("$1::text", "$2::text"), c.text, c.with).Scan(&got); err != nil || got != c.want {
			t.Errorf("%q begins with %q: %v, %v", c.text, c.with, got, err)
		}
	}
}
