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
			before := count()
			if before["archive_document"] == 0 || len(docs.Documents) < before["archive_document"] {
				t.Fatalf("%v rows for %d documents", before, len(docs.Documents))
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
			kedge(t, "plan", "--unreadable-keys=move", configs[0], configs[1]).want(t, 0)
			kedge(t, "migrate", "--dontask", "--unreadable-keys=move", configs[0], configs[1]).want(t, 0)
			if after := count(); after["archive_document"] != 0 || after["object_storage"] != before["archive_document"] {
				t.Errorf("after the way there: %v", after)
			}
			kedge(t, "migrate", "--dontask", "--unreadable-keys=move", configs[1], configs[0]).want(t, 0)
			if after := count(); !maps.Equal(before, after) {
				t.Errorf("after the way back: %v, before %v", after, before)
			}
			kedge(t, "verify", configs[0]).want(t, 0)
		})
	}
}
