package anchore

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// documentTables are what the drivers that use the database keep payloads in.
var documentTables = map[string]string{"db": "archive_document", "db2": "object_storage"}

// MissingPrivileges says which privileges on Anchore's tables the database's
// user lacks for a migration from one driver to another, as in "DELETE on
// archive_document". On SQLite, which has none, nothing is missing. Nothing is
// changed.
func (c *Catalog) MissingPrivileges(ctx context.Context, source, destination string, keepSource bool) ([]string, error) {
	if c.pool == nil {
		return nil, nil
	}
	var on, privileges []string
	need := func(table string, list ...string) {
		for _, privilege := range list {
			on, privileges = append(on, table), append(privileges, privilege)
		}
	}
	need("archive_metadata", "SELECT", "UPDATE")
	need("tasks", "SELECT", "INSERT", "UPDATE")
	need("archive_migration_tasks", "SELECT", "INSERT", "UPDATE")
	if table, ok := documentTables[source]; ok {
		need(table, "SELECT")
		if !keepSource {
			need(table, "DELETE")
		}
	}
	if table, ok := documentTables[destination]; ok {
		need(table, "SELECT", "INSERT", "UPDATE", "DELETE")
	}
	rows, err := c.pool.Query(ctx, `
		SELECT n.privilege || ' on ' || n.tab FROM unnest($1::text[], $2::text[]) AS n(tab, privilege)
		WHERE to_regclass(quote_ident(n.tab)) IS NOT NULL AND NOT has_table_privilege(to_regclass(quote_ident(n.tab)), n.privilege)`, on, privileges)
	if err != nil {
		return nil, failed(ctx, "ask for the privileges of the database's user", err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	slices.Sort(missing)
	return slices.Compact(missing), failed(ctx, "ask for the privileges of the database's user", err)
}
