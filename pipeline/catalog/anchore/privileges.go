package anchore

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// documentTables are what the drivers that use the database keep payloads in.
var documentTables = map[string]string{"db": "archive_document", "db2": "object_storage"}

// Work says what is going to be done with the database.
type Work struct {
	// Source and Destination are the names of the drivers, "" for none.
	Source, Destination string
	// KeepSource says that nothing is deleted at the source.
	KeepSource bool
	// TestRow says that a row is added to the catalog and removed again.
	TestRow bool
	// Copy says that rows of the catalog are only read.
	Copy bool
	// Purge says that only the source is deleted from: neither rows nor tasks are
	// written.
	Purge bool
}

// Missing is a privilege that the database's user lacks.
type Missing struct {
	// Privilege is as in "DELETE on archive_document".
	Privilege string
	// Grant is the statement that gives it.
	Grant string
}

// needs are privileges on objects, as the columns of a query.
type needs struct{ kinds, objects, privileges []string }

func (n *needs) add(kind, object string, privileges ...string) {
	for _, privilege := range privileges {
		n.kinds, n.objects, n.privileges = append(n.kinds, kind), append(n.objects, object), append(n.privileges, privilege)
	}
}

// needs are what the work needs.
func (w Work) needs() *needs {
	n := new(needs)
	n.add("table", "archive_metadata", "SELECT")
	if w.TestRow {
		n.add("table", "archive_metadata", "INSERT", "DELETE")
	}
	if !w.Purge && !w.Copy {
		n.add("table", "archive_metadata", "UPDATE")
	}
	if !w.Purge {
		n.add("table", "tasks", "SELECT", "INSERT", "UPDATE")
		n.add("sequence", "tasks", "USAGE")
		n.add("table", "archive_migration_tasks", "SELECT", "INSERT", "UPDATE")
	}
	if table, ok := documentTables[w.Source]; ok {
		n.add("table", table, "SELECT")
		if !w.KeepSource {
			n.add("table", table, "DELETE")
		}
	}
	if table, ok := documentTables[w.Destination]; ok {
		n.add("table", table, "SELECT", "INSERT", "UPDATE", "DELETE")
		n.add("database", "", "TEMPORARY") // for the pieces of long documents
	}
	return n
}

// missingPrivileges gives what the user lacks, and the statement that grants it.
// Columns count as their table does: rights may be granted by column. The
// sequence is that of the tasks' id; a default of its own kind needs none. Before
// PostgreSQL 10 there is no such kind, and no column that tells of it.
const missingPrivileges = `
	SELECT privilege || ' on ' || CASE kind WHEN 'table' THEN object WHEN 'sequence' THEN sequence::text ELSE 'database ' || current_database() END,
	       'GRANT ' || privilege || ' ON ' || CASE kind WHEN 'table' THEN relation::text WHEN 'sequence' THEN 'SEQUENCE ' || sequence::text
	       	ELSE 'DATABASE ' || quote_ident(current_database()) END || ' TO ' || quote_ident(current_user)
	FROM (SELECT kind, object, privilege, to_regclass(quote_ident(object)) AS relation,
	             CASE WHEN kind = 'sequence' THEN (SELECT to_regclass(pg_get_serial_sequence(quote_ident(object), 'id')) FROM pg_attribute a
	             	WHERE attrelid = to_regclass(quote_ident(object)) AND attname = 'id' AND coalesce(to_jsonb(a) ->> 'attidentity', '') = '') END AS sequence
	      FROM unnest($1::text[], $2::text[], $3::text[]) AS n(kind, object, privilege)) n
	WHERE NOT CASE kind
		WHEN 'table' THEN coalesce(has_table_privilege(relation, privilege)
			OR privilege <> 'DELETE' AND has_any_column_privilege(relation, CASE privilege WHEN 'DELETE' THEN 'SELECT' ELSE privilege END), true)
		WHEN 'sequence' THEN coalesce(has_sequence_privilege(sequence, 'USAGE') OR has_sequence_privilege(sequence, 'UPDATE'), true)
		ELSE has_database_privilege(current_database(), 'TEMPORARY') END`

// MissingPrivileges says which privileges the database's user lacks for the
// work, in the order of their names. On SQLite, which has none, nothing is
// missing. Nothing is changed.
func (c *Catalog) MissingPrivileges(ctx context.Context, w Work) ([]Missing, error) {
	if c.pool == nil {
		return nil, nil
	}
	n := w.needs()
	rows, err := c.pool.Query(ctx, missingPrivileges, n.kinds, n.objects, n.privileges)
	if err != nil {
		return nil, failed(ctx, "ask for the privileges of the database's user", err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Missing])
	slices.SortFunc(missing, func(a, b Missing) int { return strings.Compare(a.Privilege, b.Privilege) })
	return slices.Compact(missing), failed(ctx, "ask for the privileges of the database's user", err)
}
