package db

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// partitioned are Anchore's tables, each in three partitions.
func partitioned() string {
	text := strings.ReplaceAll(pgTables, `"documentName"));`, `"documentName")) PARTITION BY HASH (bucket);`)
	text = strings.ReplaceAll(text, `key, version));`, `key, version)) PARTITION BY HASH ("userId");`)
	for _, table := range []string{"archive_document", "object_storage"} {
		for i := range 3 {
			text += fmt.Sprintf("CREATE TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS 3, REMAINDER %d);", table, i, table, i)
		}
	}
	return text
}

// inherited are Anchore's tables, each with two children that inherit from it.
func inherited() string {
	text := pgTables
	for _, table := range []string{"archive_document", "object_storage"} {
		for i := range 2 {
			text += fmt.Sprintf("CREATE TABLE %s_%d (LIKE %s INCLUDING ALL) INHERITS (%s);", table, i, table, table)
		}
	}
	return text
}

// layouts are the ways in which a table's rows can lie in several tables, and
// what spreads them over these.
func layouts() map[string]struct{ tables, spread string } {
	spread := ""
	for table, key := range map[string]string{"archive_document": `"archiveId"`, "object_storage": `"key"`} {
		for i := range 2 {
			spread += fmt.Sprintf(`WITH moved AS (DELETE FROM ONLY %s WHERE %s LIKE '%%%d' RETURNING *) INSERT INTO %s_%d SELECT * FROM moved;`, table, key, i, table, i)
		}
	}
	return map[string]struct{ tables, spread string }{
		"partitioned": {tables: partitioned()},
		"inherited":   {inherited(), spread},
	}
}

// TestRemovesNoOtherRow: a row's address (ctid) is its own within one table
// only. In a partitioned table, or one with children, others share it.
func TestRemovesNoOtherRow(t *testing.T) {
	for name, layout := range layouts() {
		for _, o := range openers() {
			t.Run(name+" "+o.name, func(t *testing.T) {
				base, run := usePostgres(t, testenv.Postgres(t).Database(t), layout.tables)
				d := mustOpen(t, o, base)
				left := map[string]string{}
				for i := range 90 {
					uri, err := d.URI(drivers.Key{UserID: fmt.Sprintf("user%d", i%5), Bucket: fmt.Sprintf("bucket%d", i%7), ArchiveID: fmt.Sprint(i)})
					if err != nil {
						t.Fatal(err)
					}
					put(t, d, uri, body(i))
					left[uri] = string(body(i))
				}
				for _, statement := range strings.SplitAfter(layout.spread, ";") {
					if statement != "" {
						run(t, statement)
					}
				}
				one := 0
				var some []string
				for uri := range left {
					if one++; one <= 10 {
						if err := d.Delete(t.Context(), uri); err != nil {
							t.Fatal(err)
						}
						delete(left, uri)
					} else if one <= 30 {
						some = append(some, uri)
						delete(left, uri)
					}
				}
				for i, err := range d.(drivers.Batcher).DeleteBatch(t.Context(), some) {
					if err != nil {
						t.Errorf("%s: %v", some[i], err)
					}
				}
				if n := countListed(t, d); n != len(left) {
					t.Errorf("%d payloads are left, want %d", n, len(left))
				}
				for uri, want := range left {
					if got := readAll(t, d, uri); string(got) != want {
						t.Errorf("%s: %q, want %q", uri, got, want)
					}
				}
				for _, uri := range some {
					if _, err := d.Stat(t.Context(), uri); drivers.KindOf(err) != drivers.NotFound {
						t.Errorf("%s was deleted: %v", uri, err)
					}
				}
			})
		}
	}
}

// TestPutReplacesAChildsRow: a unique index does not reach into a table's
// children, so that a put must remove the key's row there.
func TestPutReplacesAChildsRow(t *testing.T) {
	layout := layouts()["inherited"]
	for _, o := range openers() {
		for _, bytes := range []int{20, 3 << 20} {
			t.Run(fmt.Sprintf("%s %d bytes", o.name, bytes), func(t *testing.T) {
				base, run := usePostgres(t, testenv.Postgres(t).Database(t), layout.tables)
				d := mustOpen(t, o, base)
				uris := []string{uriOf(t, d, "10"), uriOf(t, d, "11"), uriOf(t, d, "12")}
				for _, uri := range uris {
					put(t, d, uri, []byte("old"))
				}
				for _, statement := range strings.SplitAfter(layout.spread, ";") {
					if statement != "" {
						run(t, statement)
					}
				}
				text := strings.Repeat("x", bytes)
				payload := drivers.InMemory([]byte(text), sum([]byte(text)))
				if bytes > 1<<20 {
					payload = drivers.Payload{Length: int64(bytes), Open: func(context.Context) (io.ReadCloser, error) {
						return io.NopCloser(strings.NewReader(text)), nil
					}}
				}
				for _, uri := range uris[:2] {
					if _, err := d.Put(t.Context(), uri, payload); err != nil {
						t.Fatal(err)
					}
				}
				if n := countListed(t, d); n != len(uris) {
					t.Errorf("%d rows for %d documents", n, len(uris))
				}
				for i, want := range []string{text, text, "old"} {
					if got := readAll(t, d, uris[i]); string(got) != want {
						t.Errorf("%s: %d bytes, want %d", uris[i], len(got), len(want))
					}
				}
			})
		}
	}
}

// countListed counts what the driver lists, twice what it lists twice.
func countListed(tb testing.TB, d drivers.Driver) int {
	tb.Helper()
	n := 0
	if err := d.(drivers.Lister).List(tb.Context(), func(string, drivers.Info) error { n++; return nil }); err != nil {
		tb.Fatal(err)
	}
	return n
}

// TestRemoveReadsNoWholeTable: remove goes by the key's index and by rows'
// addresses, also where the planner knows the table as it was with few rows.
func TestRemoveReadsNoWholeTable(t *testing.T) {
	for name, tables := range map[string]string{"plain": pgTables, "partitioned": partitioned()} {
		base, run := usePostgres(t, testenv.Postgres(t).Database(t), tables)
		fill := func(from, to int) {
			run(t, `INSERT INTO archive_document SELECT 'b' || n % 9, n, 'u', n || '.json', 1, 1, 'active', NULL, 'x', false FROM generate_series($1::int, $2::int) n`, from, to)
			run(t, `INSERT INTO object_storage SELECT 'u' || n % 9, 'b', n, '', NULL, 'x', 1, 1 FROM generate_series($1::int, $2::int) n`, from, to)
		}
		look := func(when string) {
			for _, table := range []table{documents, objects} {
				rows, err := base.Postgres.Query(t.Context(), "EXPLAIN "+table.postgres.remove, mode,
					make([]string, 256), make([]string, 256), make([]string, 256))
				if err != nil {
					t.Fatal(err)
				}
				plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
				if err != nil {
					t.Fatal(err)
				}
				if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan") || !strings.Contains(text, "Tid Scan") {
					t.Errorf("%s, %s, %s:\n%s", name, when, table.name, text)
				}
			}
		}
		fill(1, 1000)
		run(t, `ANALYZE`)
		fill(1001, 30000)
		look("many rows, statistics of few")
		run(t, `ANALYZE`)
		look("many rows")
	}
}
