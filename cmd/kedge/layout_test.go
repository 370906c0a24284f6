package main

import (
	"fmt"
	"maps"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
)

// TestTablesInSeveralParts: in tables with partitions or inherited children a
// check removes its own test document and no other one, and documents go there
// and back.
func TestTablesInSeveralParts(t *testing.T) {
	t.Parallel()
	for _, layout := range []testenv.Layout{testenv.Partitioned, testenv.Inherited} {
		t.Run(string(layout), func(t *testing.T) {
			url, docs := testenv.Postgres(t).Golden(t, "db")
			conn := connect(t, url)
			defer conn.Close(t.Context())
			if err := layout.Lay(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			count := func() map[string]int {
				counts := make(map[string]int)
				for _, table := range []string{"archive_metadata", "archive_document", "object_storage"} {
					var n int
					if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
						t.Fatal(err)
					}
					counts[table] = n
				}
				return counts
			}
			for table, column := range map[string]string{"archive_document": `bucket, "archiveId", "userId", "documentName"`, "object_storage": `bucket, "key", "userId", version`} {
				execute(t, url, besideTestDocument(layout, table, column))
			}
			before := count()
			if before["archive_document"] < fillers || before["object_storage"] < fillers {
				t.Fatalf("%v rows", before)
			}
			var configs []string
			for _, driver := range []string{"db", "db2"} {
				configs = append(configs, writeConfig(t, url, fmt.Sprintf("    object_store:\n      storage_driver:\n        name: %s\n", driver)))
			}
			for _, config := range configs {
				kedge(t, "check", config).want(t, 0)
				if after := count(); !maps.Equal(before, after) {
					t.Fatalf("rows before the check %v, after it %v", before, after)
				}
			}
			kedge(t, "plan", configs[0], configs[1]).want(t, 2) // documents that Anchore cannot read in db2 stay
			// A bucket at a time, so that rows of others are beside what is removed.
			buckets := make(map[string]bool)
			for _, d := range docs.Documents {
				buckets[d.Bucket] = true
			}
			for bucket := range buckets {
				kedge(t, "migrate", "--dontask", "--unreadable-keys=move", "--bucket", bucket, configs[0], configs[1]).want(t, 0)
				if after := count(); after["archive_document"]+after["object_storage"] != before["archive_document"]+before["object_storage"] {
					t.Fatalf("after bucket %s: %v, before %v", bucket, after, before)
				}
			}
			if after := count(); after["archive_document"] != fillers {
				t.Errorf("after the way there: %v", after)
			}
			kedge(t, "migrate", "--dontask", "--unreadable-keys=move", configs[1], configs[0]).want(t, 0)
			if after := count(); !maps.Equal(before, after) {
				t.Errorf("after the way back: %v, before %v", after, before)
			}
			// All are sound; three have keys by which Anchore does not find them in db.
			kedge(t, "verify", configs[0]).want(t, 2).tells(t, "3 are not well", "unreadable-by-anchore 3")
		})
	}
}

// fillers is how many rows are beside the test document's.
const fillers = 300

// besideTestDocument fills every part of a table but the one in which the test
// document of a check will lie, so that each of its addresses is another row's
// too.
func besideTestDocument(layout testenv.Layout, table, columns string) string {
	rows := fmt.Sprintf(`SELECT 'filler', 'filler' || n, 'filler', '' FROM generate_series(1, %d) n`, 10*fillers)
	if layout == testenv.Inherited {
		return fmt.Sprintf(`INSERT INTO %s_0 (%s) %s LIMIT %d`, table, columns, rows, fillers)
	}
	const part = `satisfies_hash_partition('%[1]s'::regclass, 3, r, %[2]s::varchar)`
	inPart := func(id string) string { return fmt.Sprintf(part, table, id) }
	return fmt.Sprintf(`INSERT INTO %s (%s) SELECT f.* FROM generate_series(0, 2) r CROSS JOIN LATERAL (%s) f (b, id, u, n)
		WHERE %s AND NOT %s LIMIT %d`, table, columns, rows, inPart("f.id"), inPart("'cliconfigtest'"), fillers)
}
