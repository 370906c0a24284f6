package anchore

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kedge/kedge/pipeline/catalog"
)

// How fast rows can be changed is found out without changing one, and nothing is left
// of it.
func TestTheRateOfCommits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		rate, err := r.CommitRate(t.Context(), 256)
		if err != nil || rate != 0 {
			t.Errorf("without rows: %v rows a second, %v", rate, err)
		}
		for n := range 300 {
			r.add("b", fmt.Sprintf("id-%04d", n), "u", fmt.Sprintf("id-%04d.json", n), fmt.Sprintf("db://u/b/id-%04d", n))
		}
		r.add("b", "broken", "u", "broken.json", "NULL")
		before := r.all(t, catalog.Selection{}, 100)
		rate, err = r.CommitRate(t.Context(), 256)
		if err != nil || rate <= 0 {
			t.Errorf("%v rows a second, %v", rate, err)
		}
		if after := r.all(t, catalog.Selection{}, 100); !slices.Equal(before, after) {
			t.Error("rows of the catalog were changed")
		}
		if n := r.one(`SELECT count(*) FROM archive_metadata WHERE last_updated <> 1`)[0]; n != "0" {
			t.Errorf("%s rows have another last_updated", n)
		}
		if r.options.SQLite != "" {
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(r.options.SQLite), ".kedge*")); len(left) > 0 || err != nil {
				t.Errorf("left: %q, %v", left, err)
			}
		} else if n := r.one(`SELECT count(*) FROM pg_class WHERE relname LIKE 'kedge%'`)[0]; n != "0" {
			t.Errorf("%s tables are left", n)
		}
	})
}

// Where nothing can be made to measure with, the rate is not known, and that is no error.
func TestTheRateOfCommitsIsNotAlwaysKnown(t *testing.T) {
	t.Parallel()
	ask := func(t *testing.T, o Options) {
		t.Helper()
		if rate, err := mustOpen(t, o).CommitRate(t.Context(), 256); err != nil || rate != 0 {
			t.Errorf("%v rows a second, %v", rate, err)
		}
	}
	t.Run("no right to temporary tables", func(t *testing.T) {
		r := freshPostgres(t)
		r.add("b", "id", "u", "id.json", "db://u/b/id")
		name := r.one(`SELECT quote_ident(current_database())`)[0]
		r.exec(`REVOKE TEMPORARY ON DATABASE ` + name + ` FROM PUBLIC`)
		r.exec(`CREATE ROLE untemporary LOGIN`)
		t.Cleanup(func() {
			r.exec(`DROP OWNED BY untemporary`)
			r.exec(`DROP ROLE untemporary`)
		})
		r.exec(`GRANT SELECT, UPDATE ON archive_metadata, tasks, archive_migration_tasks TO untemporary`)
		o := r.options
		o.Postgres = withUser(t, o.Postgres, "untemporary")
		ask(t, o)
	})
	t.Run("read-only server", func(t *testing.T) {
		r := freshPostgres(t)
		r.add("b", "id", "u", "id.json", "db://u/b/id")
		r.exec(`ALTER DATABASE ` + r.one(`SELECT quote_ident(current_database())`)[0] + ` SET default_transaction_read_only = on`)
		ask(t, r.options)
	})
}
